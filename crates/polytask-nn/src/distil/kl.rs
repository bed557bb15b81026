//! `kl`: divergence of the student's distribution from the teacher's (Hinton et al. 2015).

use candle_core::Tensor;
use polytask_core::method::{Choice, MethodInfo, ParamInfo, Range};

use super::{Distil, DistilFn, OutputSort, info, shares};
use crate::Result;
use crate::losses::{log_sum_exp, softplus};

static INFO: MethodInfo = info(
    "kl",
    "Divergence at a temperature",
    "Hinton et al. 2015",
    "T² times the cross-entropy of the student's probabilities under the teacher's, both at temperature T; of log-odds each on its own.",
    &[ParamInfo {
        name: "temperature",
        about: "Divisor of logits; larger shows more of what the teacher holds possible.",
        default: "1.0",
        range: Range::Positive,
    }],
);

/// The entry of the table.
pub(super) struct Kl;

impl Distil for Kl {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn fits(&self, sort: OutputSort) -> bool {
        sort != OutputSort::Numbers
    }

    fn make(&self, choice: &Choice, sort: OutputSort) -> Box<dyn DistilFn> {
        Box::new(Fixed { temperature: choice.real(&INFO, "temperature"), sort })
    }
}

struct Fixed {
    temperature: f64,
    sort: OutputSort,
}

impl DistilFn for Fixed {
    /// `−T² Σ_c p_c log q_c` at temperature T: the divergence but for the teacher's own entropy, which is constant.
    fn rows(&self, output: &Tensor, teacher: &Tensor) -> Result<Tensor> {
        let t = self.temperature;
        let (output, teacher) = ((output / t)?, shares(&(teacher / t)?, self.sort)?);
        let miss = match self.sort {
            OutputSort::OneOf => (teacher * log_sum_exp(&output)?.broadcast_sub(&output)?)?,
            _ => (softplus(&output)? - (teacher * &output)?)?,
        };
        Ok((miss.sum_keepdim(1)? * (t * t))?)
    }

    fn slope(&self, output: &Tensor, teacher: &Tensor) -> Result<Tensor> {
        let t = self.temperature;
        let (output, teacher) = (shares(&(output / t)?, self.sort)?, shares(&(teacher / t)?, self.sort)?);
        Ok(((output - teacher)? * t)?)
    }
}
