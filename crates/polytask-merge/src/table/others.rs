//! Methods that work entry by entry, or with weights found from what moved.

use polytask_core::method::{ParamInfo, Range};

use super::{ANY, BaseUse, LARGE, MergeMethod, WEIGHT, flag, info, real};
use crate::combine::Combine;

pub(super) static LINEAR: MergeMethod = MergeMethod {
    info: info(
        "linear",
        "Weighted mean",
        "Wortsman et al., ICML 2022",
        "averages the models; a base is of no meaning",
        &[WEIGHT, flag("normalize", "divide by the sum of weights", "true")],
    ),
    base: BaseUse::Ignored,
    models: (1, ANY),
    per_model: &["weight"],
    combine: Combine::Linear,
};

pub(super) static PASSTHROUGH: MergeMethod = MergeMethod {
    info: info(
        "passthrough",
        "Pass through",
        "",
        "takes the tensors of one model, for slices that are stacked",
        &[real("scale", "factor of the tensor", "1.0", (-LARGE, LARGE))],
    ),
    base: BaseUse::Ignored,
    models: (1, 1),
    per_model: &["scale"],
    combine: Combine::PassThrough,
};

pub(super) static NEARSWAP: MergeMethod = MergeMethod {
    info: info(
        "nearswap",
        "NearSwap",
        "",
        "takes the other model's entries where they are near the base's, and leans to them elsewhere",
        &[ParamInfo {
            name: "t",
            about: "distance up to which the other's entry is taken whole",
            default: "0.001",
            range: Range::Positive,
        }],
    ),
    base: BaseUse::Required,
    models: (1, 1),
    per_model: &[],
    combine: Combine::NearSwap,
};

pub(super) static ARCEE_FUSION: MergeMethod = MergeMethod {
    info: info(
        "arcee_fusion",
        "Arcee Fusion",
        "",
        "takes from the other model only the entries that stand out",
        &[],
    ),
    base: BaseUse::Required,
    models: (1, 1),
    per_model: &[],
    combine: Combine::Fusion,
};

pub(super) static SCE: MergeMethod = MergeMethod {
    info: info(
        "sce",
        "SCE",
        "Wan et al., 2024",
        "keeps what varies over models, weighs models by their energy per tensor and drops minority signs",
        &[
            real("select_topk", "share of the varying entries that stay", "1.0", (0.0, 1.0)),
            flag("int8_mask", "of mergekit; memory is bounded here without it", "false"),
        ],
    ),
    base: BaseUse::Required,
    models: (1, ANY),
    per_model: &[],
    combine: Combine::Sce,
};

const RAM_EPSILON: ParamInfo = real("epsilon", "changes up to this are none", "1e-5", (0.0, 1.0));

pub(super) static RAM: MergeMethod = MergeMethod {
    info: info(
        "ram",
        "RAM",
        "",
        "adds whole what one model alone moved, and averages what several moved",
        &[RAM_EPSILON],
    ),
    base: BaseUse::Required,
    models: (1, ANY),
    per_model: &[],
    combine: Combine::Ram { plus: false },
};

pub(super) static RAMPLUS_TL: MergeMethod = MergeMethod {
    info: info(
        "ramplus_tl",
        "RAM+ by tensor",
        "",
        "as ram, with what one model alone moved stretched by how much that model shares",
        &[
            RAM_EPSILON,
            real("r", "strength of the stretch", "0.1", (0.0, LARGE)),
            real("alpha", "largest ratio of shared to own entries that counts", "0.2", (0.0, LARGE)),
        ],
    ),
    base: BaseUse::Required,
    models: (1, ANY),
    per_model: &[],
    combine: Combine::Ram { plus: true },
};

pub(super) static DELTA: MergeMethod = MergeMethod {
    info: info(
        "delta",
        "Delta-guided fusion",
        "Zhang et al., arXiv 2508.11442",
        "weighs models by a power of how far their parameters moved from the base",
        &[
            ParamInfo {
                name: "granularity",
                about: "what moves together: an entry, a tensor, a layer, the model",
                default: "\"tensor\"",
                range: Range::OneOf(&["element", "tensor", "layer", "model"]),
            },
            real("gamma", "the power; 0 is the plain mean", "1.0", (0.0, 100.0)),
        ],
    ),
    base: BaseUse::Required,
    models: (1, ANY),
    per_model: &[],
    combine: Combine::Delta,
};
