//! `bce`: binary cross-entropy of each label, from logits.

use candle_core::Tensor;
use polytask_core::method::{Choice, Family, MethodInfo, ParamInfo, Range};

use super::parts::{entries, logistic, softplus};
use super::{Loss, LossFn};
use crate::Result;
use crate::target::Target;

static INFO: MethodInfo = MethodInfo {
    id: "bce",
    title: "Binary cross-entropy",
    paper: "",
    family: Family::Loss,
    about: "Negative log-likelihood of each label on its own, from logits.",
    cost: "",
    kinds: &[],
    params: &[ParamInfo {
        name: "pos_weight",
        about: "Factor on the loss of labels that are present; above 1 trades precision for recall.",
        default: "1.0",
        range: Range::Positive,
    }],
};

/// The entry of the table.
pub(super) struct Bce;

impl Loss for Bce {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn make(&self, choice: &Choice, _labels: &[String], _counts: &[usize]) -> Result<Box<dyn LossFn>> {
        Ok(Box::new(Fixed { pos_weight: choice.real(&INFO, "pos_weight") }))
    }
}

struct Fixed {
    pos_weight: f64,
}

impl LossFn for Fixed {
    /// `l = p·y·log(1 + e^−x) + (1 − y)·log(1 + e^x)` with p = `pos_weight`.
    fn loss(&self, output: &Tensor, target: &Target, weights: &[f32]) -> Result<Option<Tensor>> {
        let Some(known) = entries(INFO.id, output, target, weights)? else { return Ok(None) };
        let present = (&known.target * self.pos_weight)?;
        let absent = (1.0 - &known.target)?;
        let miss = (softplus(&known.output.neg()?)? * present)?;
        let false_alarm = (softplus(&known.output)? * absent)?;
        known.mean(&(miss + false_alarm)?).map(Some)
    }

    fn jvp(
        &self,
        output: &Tensor,
        direction: &Tensor,
        target: &Target,
        weights: &[f32],
    ) -> Result<Option<Tensor>> {
        let Some(known) = entries(INFO.id, output, target, weights)? else { return Ok(None) };
        let present = (&known.target * self.pos_weight)?;
        let absent = (1.0 - &known.target)?;
        let miss = (logistic(&known.output.neg()?)? * present)?;
        let false_alarm = (logistic(&known.output)? * absent)?;
        known.mean(&((false_alarm - miss)? * known.of(direction)?)?).map(Some)
    }
}
