//! `lora`: products of two narrow matrices beside the encoder's own (Hu et al. 2021).

use std::sync::Arc;

use polytask_core::method::{Choice, Family, MethodInfo, ParamInfo, Range};

use super::Tune;
use crate::Result;
use crate::encoder::Encoder;
use crate::trunk::LoraSpec;

const RANK: ParamInfo = ParamInfo {
    name: "rank",
    about: "Width of the narrow products.",
    default: "8",
    range: Range::Integer { min: 1 },
};

const ALPHA: ParamInfo = ParamInfo {
    name: "alpha",
    about: "The product is multiplied by alpha / rank.",
    default: "16.0",
    range: Range::Positive,
};

const DROPOUT: ParamInfo = ParamInfo {
    name: "dropout",
    about: "Share of the input's values that the product does not see in training.",
    default: "0.0",
    range: Range::Real { min: 0.0, max: 0.99 },
};

const TARGETS: ParamInfo = ParamInfo {
    name: "targets",
    about: "Matrices that get one, by the ends of their names, joined by blanks: `query value`; all of the layers by default.",
    default: "null",
    range: Range::Text,
};

static INFO: MethodInfo = MethodInfo {
    id: "lora",
    title: "LoRA",
    paper: "https://arxiv.org/abs/2106.09685",
    family: Family::Tune,
    about: "The encoder's weights stay as they are; beside each matrix a product of two narrow ones is trained. The \
            model folder holds the weights with the products added, and the products themselves as a PEFT folder \
            (`adapter`).",
    cost: "gradients and moments of a few percent of the weights; a step costs about four fifths of a full one",
    kinds: &[],
    params: &[RANK, ALPHA, DROPOUT, TARGETS],
};

/// The entry of the table.
pub(super) struct LowRank;

impl Tune for LowRank {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn lr(&self) -> Option<f64> {
        Some(3e-4)
    }

    fn apply(&self, choice: &Choice, encoder: Encoder, named: (&str, u64)) -> Result<Encoder> {
        let number = |param: &ParamInfo| choice.param(&INFO, param.name).as_f64().unwrap_or_default();
        let targets = choice.param(&INFO, TARGETS.name);
        let spec = LoraSpec {
            rank: number(&RANK) as usize,
            alpha: number(&ALPHA),
            dropout: number(&DROPOUT),
            targets: targets.as_str().unwrap_or_default().split_whitespace().map(ToOwned::to_owned).collect(),
        };
        encoder.adapt(Arc::new(spec), choice, named)
    }
}
