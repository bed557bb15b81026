//! What can stop a step, and with it a training.

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Errors of a weighting, of what it asks its probe for, and of the training around it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The user's suite, data or folders are wrong; the user can fix it.
    #[error(transparent)]
    Core(#[from] polytask_core::Error),
    /// Weights or shapes are wrong.
    #[error(transparent)]
    Nn(#[from] polytask_nn::Error),
    /// No task is finite any more; a smaller learning rate is the user's remedy.
    #[error(
        "training diverged at step {step}: no task has a finite loss and gradient (first: {what}) (try: lower `train.lr`, now {lr:e}; look for extreme targets or weights in the data)"
    )]
    Diverged {
        /// Optimiser step.
        step: u64,
        /// First thing that was not finite.
        what: String,
        /// Learning rate of the step.
        lr: f64,
    },
}

impl From<polytask_core::Problem> for Error {
    fn from(problem: polytask_core::Problem) -> Self {
        Self::Core(problem.into())
    }
}
