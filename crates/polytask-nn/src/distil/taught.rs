//! A task's own loss and the pull of its teacher as one loss.

use candle_core::Tensor;

use super::DistilFn;
use crate::Result;
use crate::losses::{LossFn, like, select};
use crate::target::Target;

/// `(1 − α) · L_task + α · L_distil`; the targets of a batch without a teacher are the task's alone, as they were.
pub struct Taught {
    /// The task's own loss.
    pub own: Box<dyn LossFn>,
    /// The loss between student and teacher.
    pub distil: Box<dyn DistilFn>,
    /// Weight of the teacher, from 0 to 1.
    pub alpha: f64,
}

/// Rows of a batch that the teacher has answered.
struct Rows {
    output: Tensor,
    teacher: Tensor,
    /// Shares of the rows' weights, `[rows, 1]`.
    shares: Tensor,
    places: Vec<usize>,
}

impl Rows {
    /// `None` where the teacher has answered no row that counts.
    fn of(output: &Tensor, (width, values): (usize, &[f32]), weights: &[f32]) -> Result<Option<Self>> {
        let row = |i: usize| &values[i * width..(i + 1) * width];
        let counts = |&i: &usize| weights[i] > 0.0 && row(i).iter().all(|value| value.is_finite());
        let places: Vec<usize> = (0..weights.len()).filter(counts).collect();
        if places.is_empty() {
            return Ok(None);
        }
        let total: f64 = places.iter().map(|&i| f64::from(weights[i])).sum();
        let shares = places.iter().map(|&i| f64::from(weights[i]) / total).collect();
        let teacher = places.iter().flat_map(|&i| row(i)).map(|&value| f64::from(value)).collect();
        Ok(Some(Self {
            output: select(output, &places, 0)?,
            teacher: like(output, teacher, &[places.len(), width])?,
            shares: like(output, shares, &[places.len(), 1])?,
            places,
        }))
    }
}

impl Taught {
    /// Both parts by their weights; a part that nothing is known for adds nothing.
    fn sum(&self, own: Option<Tensor>, taught: Option<Tensor>) -> Result<Option<Tensor>> {
        Ok(match (own, taught) {
            (Some(own), Some(taught)) => Some(((own * (1.0 - self.alpha))? + (taught * self.alpha)?)?),
            (Some(own), None) => Some((own * (1.0 - self.alpha))?),
            (None, Some(taught)) => Some((taught * self.alpha)?),
            (None, None) => None,
        })
    }
}

impl LossFn for Taught {
    fn loss(&self, output: &Tensor, target: &Target, weights: &[f32]) -> Result<Option<Tensor>> {
        let Target::Taught { own, width, values } = target else {
            return self.own.loss(output, target, weights);
        };
        let rows = Rows::of(output, (*width, values), weights)?;
        let taught = rows.map(|rows| -> Result<Tensor> {
            Ok((self.distil.rows(&rows.output, &rows.teacher)? * rows.shares)?.sum_all()?)
        });
        self.sum(self.own.loss(output, own, weights)?, taught.transpose()?)
    }

    fn jvp(
        &self,
        output: &Tensor,
        direction: &Tensor,
        target: &Target,
        weights: &[f32],
    ) -> Result<Option<Tensor>> {
        let Target::Taught { own, width, values } = target else {
            return self.own.jvp(output, direction, target, weights);
        };
        let rows = Rows::of(output, (*width, values), weights)?;
        let taught = rows.map(|rows| -> Result<Tensor> {
            let direction = select(direction, &rows.places, 0)?;
            let slope = (self.distil.slope(&rows.output, &rows.teacher)? * direction)?.sum_keepdim(1)?;
            Ok((slope * rows.shares)?.sum_all()?)
        });
        self.sum(self.own.jvp(output, direction, own, weights)?, taught.transpose()?)
    }
}
