//! Losses: from outputs and targets to one number per task.
//!
//! One rule of means for all: `Σ w·l / Σ w` over the entries whose target is known and whose weight is above 0.
//! Where nothing is known there is no graph, and the objective gives loss 0 with zero gradients.
//!
//! Adding one = one file here and one line in [`LOSSES`].

mod bce;
mod cosent;
mod cosine_mse;
mod cross_entropy;
mod huber;
mod info_nce;
mod many_to_many;
mod mse;
mod order;
mod parts;
#[cfg(test)]
mod tests;

use candle_core::Tensor;
use polytask_core::method::Choice;
use polytask_core::{MethodInfo, Problem};

use crate::target::Target;
use crate::{Error, Result};
pub(crate) use parts::{like, log_sum_exp, logistic, select, softplus};

/// All losses, sorted by id.
pub static LOSSES: &[&dyn Loss] = &[
    &bce::Bce,
    &cosent::CoSent,
    &cosine_mse::CosineMse,
    &cross_entropy::CrossEntropy,
    &huber::Huber,
    &info_nce::InfoNce,
    &many_to_many::ManyToMany,
    &mse::Mse,
    &order::Order,
];

/// A loss in the table.
pub trait Loss: Sync {
    /// What it tells about itself.
    fn info(&self) -> &'static MethodInfo;

    /// The loss with its parameters fixed; `labels` and the train rows of each (`counts`) are the task's.
    fn make(&self, choice: &Choice, labels: &[String], counts: &[usize]) -> Result<Box<dyn LossFn>>;
}

/// A loss with its parameters fixed.
pub trait LossFn: Send + Sync {
    /// The loss as a scalar of the outputs' graph; `None` when no target counts.
    ///
    /// # Shapes
    /// `output`: `[rows, n_outputs]` (cosine losses `[rows, 1]`, passages `[queries, passages]`);
    /// `weights`: `[rows]`.
    fn loss(&self, output: &Tensor, target: &Target, weights: &[f32]) -> Result<Option<Tensor>>;

    /// Whether it also looks from passages to queries.
    fn looks_back(&self) -> bool {
        false
    }

    /// The loss where the scores of passages against queries, `back`, are others than those of queries against passages.
    ///
    /// # Shapes
    /// `output`: `[queries, passages]`, `back`: `[passages, queries]`.
    fn loss_both(
        &self,
        output: &Tensor,
        back: &Tensor,
        target: &Target,
        weights: &[f32],
    ) -> Result<Option<Tensor>> {
        let _ = back;
        self.loss(output, target, weights)
    }

    /// How the loss changes as the outputs move along `direction`, as a scalar of the outputs' graph: its backward
    /// gives second derivatives.
    ///
    /// # Shapes
    /// `direction`: as `output`.
    fn jvp(
        &self,
        output: &Tensor,
        direction: &Tensor,
        target: &Target,
        weights: &[f32],
    ) -> Result<Option<Tensor>>;
}

/// A loss whose change along a direction is the same function as its value, with a direction.
trait Directional: Send + Sync {
    /// The loss, or how it changes along a direction. A direction never comes with swapped scores.
    fn along(
        &self,
        outputs: Outputs<'_>,
        direction: Option<&Tensor>,
        target: &Target,
        weights: &[f32],
    ) -> Result<Option<Tensor>>;

    /// As [`LossFn::looks_back`].
    fn is_two_way(&self) -> bool {
        false
    }
}

/// What a loss reads.
#[derive(Clone, Copy)]
struct Outputs<'a> {
    /// As in [`LossFn::loss`].
    values: &'a Tensor,
    /// The scores with roles swapped, `[passages, queries]`, where these are others than the values.
    back: Option<&'a Tensor>,
}

impl Outputs<'_> {
    /// Scores with roles swapped, `[passages, queries]`.
    fn turned(&self) -> Result<Tensor> {
        self.back.map_or_else(|| turned(self.values), |back| Ok(back.clone()))
    }
}

/// The transpose, laid out anew.
fn turned(x: &Tensor) -> Result<Tensor> {
    Ok(x.t()?.contiguous()?)
}

impl<L: Directional> LossFn for L {
    fn loss(&self, values: &Tensor, target: &Target, weights: &[f32]) -> Result<Option<Tensor>> {
        self.along(Outputs { values, back: None }, None, target, weights)
    }

    fn looks_back(&self) -> bool {
        self.is_two_way()
    }

    fn loss_both(
        &self,
        values: &Tensor,
        back: &Tensor,
        target: &Target,
        weights: &[f32],
    ) -> Result<Option<Tensor>> {
        self.along(Outputs { values, back: Some(back) }, None, target, weights)
    }

    fn jvp(
        &self,
        values: &Tensor,
        direction: &Tensor,
        target: &Target,
        weights: &[f32],
    ) -> Result<Option<Tensor>> {
        self.along(Outputs { values, back: None }, Some(direction), target, weights)
    }
}

/// The loss of this id.
pub fn find(id: &str) -> Option<&'static dyn Loss> {
    LOSSES.iter().copied().find(|loss| loss.info().id == id)
}

/// What all losses tell about themselves, sorted by id.
pub fn infos() -> Vec<&'static MethodInfo> {
    LOSSES.iter().map(|loss| loss.info()).collect()
}

/// The chosen loss with its parameters checked and fixed.
pub fn make(choice: &Choice, labels: &[String], counts: &[usize]) -> Result<Box<dyn LossFn>> {
    let Some(loss) = find(&choice.name) else {
        let known: Vec<_> = infos().iter().map(|info| info.id).collect();
        let what = format!("unknown loss `{}`, expected one of {}", choice.name, known.join(", "));
        return Err(invalid(vec![Problem::new(what)]));
    };
    let problems = loss.info().wrong_params("loss", choice);
    if problems.is_empty() { loss.make(choice, labels, counts) } else { Err(invalid(problems)) }
}

fn invalid(problems: Vec<Problem>) -> Error {
    Error::Core(polytask_core::Error::Invalid(problems))
}
