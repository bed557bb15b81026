//! `huber`: squared near the target, linear far from it (Huber 1964).

use candle_core::Tensor;
use polytask_core::method::{Choice, Family, MethodInfo, ParamInfo, Range};

use super::parts::entries;
use super::{Loss, LossFn};
use crate::Result;
use crate::target::Target;

static INFO: MethodInfo = MethodInfo {
    id: "huber",
    title: "Huber loss",
    paper: "Huber, Annals of Mathematical Statistics 1964",
    family: Family::Loss,
    about: "Half the squared error up to delta, growing linearly beyond, so that outliers pull with bounded force.",
    cost: "",
    kinds: &[],
    params: &[ParamInfo {
        name: "delta",
        about: "Error at which the loss turns linear, in units of the target as the loss sees it.",
        default: "1.0",
        range: Range::Positive,
    }],
};

/// The entry of the table.
pub(super) struct Huber;

impl Loss for Huber {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn make(&self, choice: &Choice, _labels: &[String], _counts: &[usize]) -> Result<Box<dyn LossFn>> {
        Ok(Box::new(Fixed { delta: choice.real(&INFO, "delta") }))
    }
}

struct Fixed {
    delta: f64,
}

impl LossFn for Fixed {
    /// With c the error r clamped to ±δ, `l = c·(r − c/2)` on both branches, and its slope is c.
    fn loss(&self, output: &Tensor, target: &Target, weights: &[f32]) -> Result<Option<Tensor>> {
        let Some(known) = entries(INFO.id, output, target, weights)? else { return Ok(None) };
        let error = (&known.output - &known.target)?;
        let clamped = error.detach().clamp(-self.delta, self.delta)?;
        let half = (&clamped * 0.5)?;
        known.mean(&((error - half)? * clamped)?).map(Some)
    }

    fn jvp(
        &self,
        output: &Tensor,
        direction: &Tensor,
        target: &Target,
        weights: &[f32],
    ) -> Result<Option<Tensor>> {
        let Some(known) = entries(INFO.id, output, target, weights)? else { return Ok(None) };
        let slopes = (&known.output - &known.target)?.clamp(-self.delta, self.delta)?;
        known.mean(&(slopes * known.of(direction)?)?).map(Some)
    }
}
