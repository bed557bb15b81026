//! `mse`: squared distance of probabilities, or of numbers.

use candle_core::Tensor;
use polytask_core::method::{Choice, MethodInfo};

use super::{Distil, DistilFn, OutputSort, info, shares};
use crate::Result;

static INFO: MethodInfo = info(
    "mse",
    "Squared error of probabilities",
    "",
    "Squared distance of the student's probabilities (numbers, cosines) from the teacher's, added over the outputs of a row.",
    &[],
);

/// The entry of the table.
pub(super) struct ProbabilityMse;

impl Distil for ProbabilityMse {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn make(&self, _choice: &Choice, sort: OutputSort) -> Box<dyn DistilFn> {
        Box::new(Fixed { sort })
    }
}

struct Fixed {
    sort: OutputSort,
}

impl DistilFn for Fixed {
    /// `Σ_c (p_c − q_c)²`.
    fn rows(&self, output: &Tensor, teacher: &Tensor) -> Result<Tensor> {
        let difference = (shares(output, self.sort)? - shares(teacher, self.sort)?)?;
        Ok(difference.sqr()?.sum_keepdim(1)?)
    }

    fn slope(&self, output: &Tensor, teacher: &Tensor) -> Result<Tensor> {
        let own = shares(output, self.sort)?;
        let pull = ((&own - shares(teacher, self.sort)?)? * 2.0)?;
        match self.sort {
            OutputSort::OneOf => {
                let mean = (&own * &pull)?.sum_keepdim(1)?;
                Ok((own * pull.broadcast_sub(&mean)?)?)
            }
            OutputSort::Each => Ok((pull * (&own * (1.0 - &own)?)?)?),
            OutputSort::Numbers => Ok(pull),
        }
    }
}
