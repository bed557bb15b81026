//! Methods that work with angles and lengths.

use polytask_core::method::{ParamInfo, Range};

use super::{ANY, BaseUse, MergeMethod, WEIGHT, flag, info, real};
use crate::combine::Combine;

const T: ParamInfo = real("t", "share of the other model, from 0 (the base) to 1", "0.5", (0.0, 1.0));

pub(super) static SLERP: MergeMethod = MergeMethod {
    info: info(
        "slerp",
        "Spherical interpolation",
        "Shoemake, SIGGRAPH 1985",
        "goes from the base to the other model along the arc; models of one base are nearly parallel, and then along the line",
        &[T],
    ),
    base: BaseUse::OneOfTwo,
    models: (1, 1),
    per_model: &[],
    combine: Combine::Slerp,
};

pub(super) static NUSLERP: MergeMethod = MergeMethod {
    info: info(
        "nuslerp",
        "Spherical interpolation of task vectors",
        "",
        "goes along the arc between two models, or between their task vectors where there is a base",
        &[
            WEIGHT,
            flag(
                "nuslerp_flatten",
                "one angle per tensor; otherwise one per vector along the last axis",
                "true",
            ),
            flag(
                "nuslerp_row_wise",
                "without `nuslerp_flatten`: one angle per vector along the first axis",
                "false",
            ),
        ],
    ),
    base: BaseUse::Optional,
    models: (2, 2),
    per_model: &["weight"],
    combine: Combine::NuSlerp,
};

pub(super) static MULTISLERP: MergeMethod = MergeMethod {
    info: info(
        "multislerp",
        "Spherical mean of several",
        "",
        "takes the weighted mean direction of models or task vectors, as long as their weighted mean length",
        &[
            WEIGHT,
            flag("normalize_weights", "divide weights by their sum", "true"),
            ParamInfo { name: "eps", about: "added to lengths", default: "1e-8", range: Range::Positive },
        ],
    ),
    base: BaseUse::Optional,
    models: (1, ANY),
    per_model: &["weight"],
    combine: Combine::MultiSlerp,
};

pub(super) static KARCHER: MergeMethod = MergeMethod {
    info: info(
        "karcher",
        "Karcher mean",
        "Karcher, 1977",
        "takes the Riemannian mean of the models' directions, as long as their mean length",
        &[
            ParamInfo {
                name: "max_iter",
                about: "most steps",
                default: "10",
                range: Range::Integer { min: 1 },
            },
            ParamInfo {
                name: "tol",
                about: "smallest step and length",
                default: "1e-5",
                range: Range::Positive,
            },
        ],
    ),
    base: BaseUse::Ignored,
    models: (1, ANY),
    per_model: &[],
    combine: Combine::Karcher,
};

pub(super) static MODEL_STOCK: MergeMethod = MergeMethod {
    info: info(
        "model_stock",
        "Model Stock",
        "Jang et al., ECCV 2024",
        "goes from the base towards the mean of the models, the further the more their task vectors agree",
        &[flag("filter_wise", "one share per row instead of one per tensor", "false")],
    ),
    base: BaseUse::Required,
    models: (2, ANY),
    per_model: &[],
    combine: Combine::Stock,
};
