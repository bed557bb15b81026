//! What can go wrong in networks and weights.

use std::path::PathBuf;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Errors of networks and weights.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder of the user is missing or wrong; the user can fix it.
    #[error(transparent)]
    Core(#[from] polytask_core::Error),
    /// A weights file cannot be trusted: truncated, hostile header, wrong shapes; the user can replace it.
    #[error("weights {}: {what}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong, found and expected, and what to try.
        what: String,
    },
    /// Shapes that do not fit: a bug, or parts of different models mixed by the user.
    #[error("{part} received {found}, expected {expected}")]
    Shape {
        /// Which part.
        part: String,
        /// Shape found, with named dimensions.
        found: String,
        /// Shape expected, with named dimensions.
        expected: String,
    },
    /// The tensor engine refused an operation: a bug.
    #[error("tensor engine: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl From<polytask_core::Problem> for Error {
    fn from(problem: polytask_core::Problem) -> Self {
        Self::Core(problem.into())
    }
}
