//! Learned coefficients: a merge whose few numbers are found by gradient descent on a small set of examples.
//!
//! The merged weights are `θ₀ + Σ f_ig τ_i` over task vectors i and groups of entries g. The gradient by a factor is the
//! inner product of the loss's gradient and the task vector's entries of that group, so a step costs a training step
//! and as many inner products as there are task vectors. What the factors are functions of differs: a direction on the
//! sphere and a length (Self Positioning), free positive numbers, or a number per vector and block (aTLAS).

mod adam;
mod anisotropic;
mod positions;
mod search;

pub use adam::Adam;
pub use anisotropic::{Anisotropic, AnisotropicSettings, CoefficientPenalty, best_per_block};
pub use positions::{Position, position};
pub use search::{Form, Search, SearchSettings};

use polytask_core::{Error, Problem};

use crate::Result;

/// `[task vector][group]` factors or their slopes.
pub type Factors = Vec<Vec<f64>>;

/// What the factors of a merge are functions of.
pub trait Coefficients {
    /// The factors.
    ///
    /// # Errors
    /// Where the coefficients say none.
    fn factors(&self) -> Result<Factors>;

    /// What is added to the loss.
    fn penalty(&self) -> f64;

    /// Takes a step, given the slopes of the loss by the factors.
    ///
    /// # Errors
    /// As [`Coefficients::factors`].
    fn step(&mut self, slopes: &Factors) -> Result<()>;
}

/// The loss of the merged model on a batch of examples.
pub trait ProbeLoss {
    /// The loss with these factors on the examples of a step, and its slopes by the factors.
    ///
    /// # Errors
    /// Whatever keeps the model from being run.
    fn at(&mut self, factors: &Factors, step: usize) -> Result<(f64, Factors)>;
}

/// Learns the coefficients; gives the loss with its penalty before each step.
///
/// # Errors
/// A loss that is not finite, with the step.
pub fn learn(
    coefficients: &mut dyn Coefficients,
    probe: &mut dyn ProbeLoss,
    steps: usize,
    progress: &mut dyn FnMut(usize, f64),
) -> Result<Vec<f64>> {
    let mut losses = Vec::with_capacity(steps);
    for step in 0..steps {
        let (loss, slopes) = probe.at(&coefficients.factors()?, step)?;
        if !loss.is_finite() || slopes.iter().flatten().any(|slope| !slope.is_finite()) {
            let what = format!("the loss of the merged model is not finite in step {}", step + 1);
            return Err(Error::from(Problem::new(what).try_this("a smaller learning rate (`--lr`)")).into());
        }
        losses.push(loss + coefficients.penalty());
        coefficients.step(&slopes)?;
        progress(step + 1, loss);
    }
    Ok(losses)
}
