//! The task-arithmetic family: which entries of task vectors stay, and whether signs are elected.

use polytask_core::method::{ParamInfo, Range};

use super::{ANY, BaseUse, LARGE, MergeMethod, WEIGHT, flag, info, real};
use crate::combine::Combine;
use crate::parts::Sparsify;

const DENSITY: ParamInfo = real(
    "density",
    "share of each task vector's entries that stay, tensor by tensor; 1 keeps all",
    "1.0",
    (0.0, 1.0),
);
const LAMBDA: ParamInfo = real("lambda", "factor of the merged task vector", "1.0", (-LARGE, LARGE));
const GAMMA: ParamInfo = real("gamma", "share of the largest entries that go", "0.01", (0.0, 1.0));
const EPSILON: ParamInfo =
    real("epsilon", "half the spread of the probabilities within a row", "0.15", (0.0, 0.5));
const NORMALIZE: &str = "divide by the weights of who takes part";
const RESCALE: &str = "stretch thinned task vectors";
const RESCALE_BY: ParamInfo = ParamInfo {
    name: "rescale_by",
    about: "to the absolute sum before (`l1`, as mergekit) or by the inverse of the probability to stay (`probability`, as the paper)",
    default: "\"l1\"",
    range: Range::OneOf(&["l1", "probability"]),
};
const INT8: ParamInfo = flag("int8_mask", "of mergekit; memory is bounded here without it", "false");

const YES: &str = "true";
const NO: &str = "false";

const fn method(
    info: polytask_core::MethodInfo,
    per_model: &'static [&'static str],
    (sparsify, consensus): (Sparsify, bool),
) -> MergeMethod {
    let combine = Combine::Arithmetic { sparsify, consensus };
    MergeMethod { info, base: BaseUse::Required, models: (1, ANY), per_model, combine }
}

pub(crate) static TASK_ARITHMETIC: MergeMethod = method(
    info(
        "task_arithmetic",
        "Task arithmetic",
        "Ilharco et al., ICLR 2023",
        "adds weighted task vectors to the base",
        &[WEIGHT, LAMBDA, flag("normalize", NORMALIZE, NO), INT8],
    ),
    &["weight"],
    (Sparsify::Nothing, false),
);

pub(super) static TIES: MergeMethod = method(
    info(
        "ties",
        "TIES",
        "Yadav et al., NeurIPS 2023",
        "keeps the largest entries of each task vector, elects a sign per entry and averages those that have it",
        &[WEIGHT, DENSITY, LAMBDA, flag("normalize", NORMALIZE, YES), flag("rescale", RESCALE, NO), INT8],
    ),
    &["weight", "density"],
    (Sparsify::Magnitude, true),
);

pub(super) static DARE_LINEAR: MergeMethod = method(
    info(
        "dare_linear",
        "DARE",
        "Yu et al., ICML 2024",
        "drops entries of task vectors at random, stretches the rest and adds",
        &[
            WEIGHT,
            DENSITY,
            LAMBDA,
            flag("normalize", NORMALIZE, NO),
            flag("rescale", RESCALE, YES),
            RESCALE_BY,
            INT8,
        ],
    ),
    &["weight", "density"],
    (Sparsify::Random, false),
);

pub(super) static DARE_TIES: MergeMethod = method(
    info(
        "dare_ties",
        "DARE with elected signs",
        "Yu et al., ICML 2024; Yadav et al., NeurIPS 2023",
        "drops entries of task vectors at random, stretches the rest, elects a sign per entry and adds those that have it",
        &[
            WEIGHT,
            DENSITY,
            LAMBDA,
            flag("normalize", NORMALIZE, NO),
            flag("rescale", RESCALE, YES),
            RESCALE_BY,
            INT8,
        ],
    ),
    &["weight", "density"],
    (Sparsify::Random, true),
);

/// Parameters of what drops the largest and the smallest entries.
const OUTLIERS: &[ParamInfo] =
    &[WEIGHT, DENSITY, GAMMA, LAMBDA, flag("normalize", NORMALIZE, NO), flag("rescale", RESCALE, NO), INT8];

pub(super) static BREADCRUMBS: MergeMethod = method(
    info(
        "breadcrumbs",
        "Model Breadcrumbs",
        "Davari and Belilovsky, ECCV 2024",
        "drops the largest and the smallest entries of each task vector and adds",
        OUTLIERS,
    ),
    &["weight", "density", "gamma"],
    (Sparsify::Outliers, false),
);

pub(super) static BREADCRUMBS_TIES: MergeMethod = method(
    info(
        "breadcrumbs_ties",
        "Model Breadcrumbs with elected signs",
        "Davari and Belilovsky, ECCV 2024; Yadav et al., NeurIPS 2023",
        "drops the largest and the smallest entries of each task vector, elects a sign per entry and adds those that have it",
        OUTLIERS,
    ),
    &["weight", "density", "gamma"],
    (Sparsify::Outliers, true),
);

pub(super) static DELLA: MergeMethod = method(
    info(
        "della",
        "DELLA",
        "Deep et al., 2024",
        "drops entries at random, larger ones of a row less often, elects a sign per entry and averages those that have it",
        &[
            WEIGHT,
            DENSITY,
            EPSILON,
            LAMBDA,
            flag("normalize", NORMALIZE, YES),
            flag("rescale", RESCALE, YES),
            RESCALE_BY,
            INT8,
        ],
    ),
    &["weight", "density", "epsilon"],
    (Sparsify::Ranked, true),
);

pub(super) static DELLA_LINEAR: MergeMethod = method(
    info(
        "della_linear",
        "DELLA without signs",
        "Deep et al., 2024",
        "drops entries at random, larger ones of a row less often, stretches the rest and adds",
        &[
            WEIGHT,
            DENSITY,
            EPSILON,
            LAMBDA,
            flag("normalize", NORMALIZE, NO),
            flag("rescale", RESCALE, YES),
            RESCALE_BY,
            INT8,
        ],
    ),
    &["weight", "density", "epsilon"],
    (Sparsify::Ranked, false),
);
