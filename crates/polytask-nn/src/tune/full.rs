//! `full`: every weight is trained.

use polytask_core::method::{Choice, Family, MethodInfo};

use super::Tune;
use crate::Result;
use crate::encoder::Encoder;

static INFO: MethodInfo = MethodInfo {
    id: super::FULL,
    title: "Full fine-tuning",
    paper: "",
    family: Family::Tune,
    about: "Every weight of the encoder is trained, but for the blocks that `freeze` names.",
    cost: "gradients and moments of all weights",
    kinds: &[],
    params: &[],
};

/// The entry of the table.
pub(super) struct Full;

impl Tune for Full {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn apply(&self, _: &Choice, encoder: Encoder, _: (&str, u64)) -> Result<Encoder> {
        Ok(encoder)
    }
}
