//! Distillation: a task learns what a teacher says of a row, beside what its label says.
//!
//! `L = (1 − α) · L_task + α · L_distil(o, g)`: o are the outputs of the task's head, g those of the teacher (Barkan et al.,
//! AAAI 2020). A row that one of the two is unknown for counts in the other alone. Adding a loss = one file here and one
//! line in [`DISTILS`].

mod cosine;
mod kl;
mod logit_mse;
mod mse;
mod taught;
#[cfg(test)]
mod tests;

use candle_core::Tensor;
use polytask_core::method::{Choice, Family, MethodInfo, ParamInfo};
use polytask_core::{KindInfo, Problem, TargetType};

use crate::{Error, Result};

pub use taught::Taught;

/// All losses between a student and its teacher, sorted by id.
pub static DISTILS: &[&dyn Distil] =
    &[&cosine::CosineDistance, &kl::Kl, &logit_mse::LogitMse, &mse::ProbabilityMse];

/// What the outputs of a student's head mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputSort {
    /// Logits of labels of which one is right.
    OneOf,
    /// Log-odds, each on its own.
    Each,
    /// Numbers on the scale of the targets.
    Numbers,
}

impl OutputSort {
    /// Of a kind; `None` where a row has no outputs of its own.
    pub fn of(kind: &KindInfo) -> Option<Self> {
        match kind.target_type() {
            TargetType::Label => Some(Self::OneOf),
            TargetType::Labels => Some(Self::Each),
            TargetType::Numbers if kind.form.gives_log_odds() => Some(Self::Each),
            TargetType::Numbers => Some(Self::Numbers),
            TargetType::Tags | TargetType::Passages => None,
        }
    }
}

/// A loss between a student and its teacher in the table.
pub trait Distil: Sync {
    /// What it tells about itself.
    fn info(&self) -> &'static MethodInfo;

    /// Whether it fits such outputs.
    fn fits(&self, _sort: OutputSort) -> bool {
        true
    }

    /// The loss with its parameters fixed.
    fn make(&self, choice: &Choice, sort: OutputSort) -> Box<dyn DistilFn>;
}

/// A loss between outputs, row by row.
pub trait DistilFn: Send + Sync {
    /// The loss of each row.
    ///
    /// # Shapes
    /// `output`, `teacher`: `[rows, n_outputs]` → `[rows, 1]`.
    fn rows(&self, output: &Tensor, teacher: &Tensor) -> Result<Tensor>;

    /// Its derivative by the outputs, as a graph of them.
    ///
    /// # Shapes
    /// As the outputs.
    fn slope(&self, output: &Tensor, teacher: &Tensor) -> Result<Tensor>;
}

/// What all tell about themselves, sorted by id.
pub fn infos() -> Vec<&'static MethodInfo> {
    DISTILS.iter().map(|distil| distil.info()).collect()
}

/// The chosen loss with its parameters checked and fixed, for a task of this name.
///
/// # Errors
/// Unknown names and parameters, a loss that does not fit such outputs.
pub fn make(choice: &Choice, sort: OutputSort, task: &str) -> Result<Box<dyn DistilFn>> {
    let Some(distil) = DISTILS.iter().find(|distil| distil.info().id == choice.name) else {
        return Err(invalid(vec![Problem::new(format!("unknown loss `{}` of a teacher", choice.name))]));
    };
    let mut problems = distil.info().wrong_params("loss of a teacher", choice);
    if !distil.fits(sort) {
        let what = format!("`{}` needs logits, which task `{task}` has none of", choice.name);
        problems.push(Problem::new(what).try_this("teacher = { ..., loss = \"mse\" }"));
    }
    if problems.is_empty() { Ok(distil.make(choice, sort)) } else { Err(invalid(problems)) }
}

fn invalid(problems: Vec<Problem>) -> Error {
    Error::Core(polytask_core::Error::Invalid(problems))
}

/// The description of a loss.
const fn info(
    id: &'static str,
    title: &'static str,
    paper: &'static str,
    about: &'static str,
    params: &'static [ParamInfo],
) -> MethodInfo {
    MethodInfo { id, title, paper, family: Family::Distil, about, cost: "", kinds: &[], params }
}

/// Shares of one of several labels, or of each on its own; numbers stay as they are.
///
/// # Shapes
/// `[rows, n]` → the same.
fn shares(output: &Tensor, sort: OutputSort) -> Result<Tensor> {
    match sort {
        OutputSort::OneOf => {
            let powers = output.broadcast_sub(&output.detach().max_keepdim(1)?)?.exp()?;
            Ok(powers.broadcast_div(&powers.sum_keepdim(1)?)?)
        }
        OutputSort::Each => crate::losses::logistic(output),
        OutputSort::Numbers => Ok(output.clone()),
    }
}
