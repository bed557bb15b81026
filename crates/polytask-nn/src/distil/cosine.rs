//! `cosine`: distance of the directions of outputs.

use candle_core::Tensor;
use polytask_core::method::{Choice, MethodInfo};

use super::{Distil, DistilFn, OutputSort, info};
use crate::Result;

/// Squared lengths are at least this, so that outputs of 0 pull neither way.
const LEAST_SQUARE: f64 = 1e-12;

static INFO: MethodInfo = info(
    "cosine",
    "Cosine distance of logits",
    "",
    "1 − the cosine of the student's outputs and the teacher's: which labels stand before which, not how surely.",
    &[],
);

/// The entry of the table.
pub(super) struct CosineDistance;

impl Distil for CosineDistance {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn fits(&self, sort: OutputSort) -> bool {
        sort == OutputSort::OneOf
    }

    fn make(&self, _choice: &Choice, _sort: OutputSort) -> Box<dyn DistilFn> {
        Box::new(Fixed)
    }
}

struct Fixed;

fn length(x: &Tensor) -> Result<Tensor> {
    Ok((x.sqr()?.sum_keepdim(1)? + LEAST_SQUARE)?.sqrt()?)
}

impl DistilFn for Fixed {
    /// `1 − ⟨o, g⟩ / (|o| |g|)`.
    fn rows(&self, output: &Tensor, teacher: &Tensor) -> Result<Tensor> {
        let inner = (output * teacher)?.sum_keepdim(1)?;
        Ok((1.0 - (inner / (length(output)? * length(teacher)?)?)?)?)
    }

    fn slope(&self, output: &Tensor, teacher: &Tensor) -> Result<Tensor> {
        let (own, other) = (length(output)?, length(teacher)?);
        let inner = (output * teacher)?.sum_keepdim(1)?;
        let along = output.broadcast_mul(&(inner / (own.powf(3.0)? * &other)?)?)?;
        Ok((along - teacher.broadcast_div(&(own * other)?)?)?)
    }
}
