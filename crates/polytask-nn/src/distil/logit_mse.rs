//! `logit-mse`: squared distance of outputs (Barkan et al., AAAI 2020).

use candle_core::Tensor;
use polytask_core::method::{Choice, MethodInfo, ParamInfo, Range};

use super::{Distil, DistilFn, OutputSort, info};
use crate::Result;

static INFO: MethodInfo = info(
    "logit-mse",
    "Squared error of logits",
    "Barkan et al. 2020",
    "Squared distance of the student's outputs from the teacher's, added over the outputs of a row.",
    &[ParamInfo {
        name: "centre",
        about: "Whether both rows of logits are shifted to mean 0 first: a shift changes no probability.",
        default: "false",
        range: Range::Bool,
    }],
);

/// The entry of the table.
pub(super) struct LogitMse;

impl Distil for LogitMse {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn make(&self, choice: &Choice, sort: OutputSort) -> Box<dyn DistilFn> {
        let asked = choice.param(&INFO, "centre").as_bool().unwrap_or(false);
        Box::new(Fixed { is_centred: asked && sort == OutputSort::OneOf })
    }
}

struct Fixed {
    is_centred: bool,
}

impl Fixed {
    fn difference(&self, output: &Tensor, teacher: &Tensor) -> Result<Tensor> {
        let difference = (output - teacher)?;
        if !self.is_centred {
            return Ok(difference);
        }
        Ok(difference.broadcast_sub(&difference.mean_keepdim(1)?)?)
    }
}

impl DistilFn for Fixed {
    /// `Σ_c (o_c − g_c)²`.
    fn rows(&self, output: &Tensor, teacher: &Tensor) -> Result<Tensor> {
        Ok(self.difference(output, teacher)?.sqr()?.sum_keepdim(1)?)
    }

    fn slope(&self, output: &Tensor, teacher: &Tensor) -> Result<Tensor> {
        Ok((self.difference(output, teacher)? * 2.0)?)
    }
}
