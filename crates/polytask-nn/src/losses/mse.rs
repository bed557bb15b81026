//! `mse`: squared error.

use candle_core::Tensor;
use polytask_core::method::{Choice, Family, MethodInfo};

use super::parts::entries;
use super::{Loss, LossFn};
use crate::Result;
use crate::target::Target;

static INFO: MethodInfo = MethodInfo {
    id: "mse",
    title: "Squared error",
    paper: "",
    family: Family::Loss,
    about: "Mean of squared differences between output and target.",
    cost: "",
    kinds: &[],
    params: &[],
};

/// The entry of the table.
pub(super) struct Mse;

impl Loss for Mse {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn make(&self, _choice: &Choice, _labels: &[String], _counts: &[usize]) -> Result<Box<dyn LossFn>> {
        Ok(Box::new(SquaredError(INFO.id)))
    }
}

/// The weighted mean of squared errors, of outputs or of cosines; the loss's id is for messages.
pub(super) struct SquaredError(pub(super) &'static str);

impl LossFn for SquaredError {
    fn loss(&self, output: &Tensor, target: &Target, weights: &[f32]) -> Result<Option<Tensor>> {
        let Some(known) = entries(self.0, output, target, weights)? else { return Ok(None) };
        known.mean(&(&known.output - &known.target)?.sqr()?).map(Some)
    }

    fn jvp(
        &self,
        output: &Tensor,
        direction: &Tensor,
        target: &Target,
        weights: &[f32],
    ) -> Result<Option<Tensor>> {
        let Some(known) = entries(self.0, output, target, weights)? else { return Ok(None) };
        let slopes = ((&known.output - &known.target)? * 2.0)?;
        known.mean(&(slopes * known.of(direction)?)?).map(Some)
    }
}
