//! `prompt`: learned rows before those of every text (Lester et al. 2021).

use std::sync::Arc;

use polytask_core::method::{Choice, Family, MethodInfo, ParamInfo, Range};

use super::Tune;
use crate::Result;
use crate::encoder::Encoder;
use crate::trunk::adapters::PromptSpec;

const ROWS: ParamInfo = ParamInfo {
    name: "rows",
    about: "Number of rows before every text; texts may be so much shorter.",
    default: "20",
    range: Range::Integer { min: 1 },
};

static INFO: MethodInfo = MethodInfo {
    id: "prompt",
    title: "Soft prompt",
    paper: "https://arxiv.org/abs/2104.08691",
    family: Family::Tune,
    about: "The encoder's weights stay as they are; a few learned rows stand before the token vectors of every text. Their \
            own states are not pooled. The model folder holds the rows beside the weights, and as a PEFT folder (`adapter`).",
    cost: "gradients and moments of a few thousand values; every text is so many tokens longer",
    kinds: &[],
    params: &[ROWS],
};

/// The entry of the table.
pub(super) struct SoftPrompt;

impl Tune for SoftPrompt {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn lr(&self) -> Option<f64> {
        Some(1e-2)
    }

    fn apply(&self, choice: &Choice, encoder: Encoder, named: (&str, u64)) -> Result<Encoder> {
        let rows = choice.param(&INFO, ROWS.name).as_u64().unwrap_or_default();
        encoder.adapt(Arc::new(PromptSpec { rows: rows as usize }), choice, named)
    }
}
