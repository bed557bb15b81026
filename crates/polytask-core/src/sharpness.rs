//! How sharp the losses of a model's tasks are, as data; the table is drawn from it.

use serde::{Deserialize, Serialize};

use crate::report::Interval;

/// Version of what `polytask sharpness --json` prints; raised when a field changes its meaning.
pub const SHARPNESS_VERSION: u32 = 1;

/// The sharpness of a trained model on a split: how far each task's loss rises towards the worst place of a ball around
/// the shared trained weights.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SharpnessReport {
    /// [`SHARPNESS_VERSION`].
    pub version: u32,
    /// Name of the suite.
    pub name: String,
    /// Split that was read.
    pub split: String,
    /// Radius of the ball.
    pub rho: f64,
    /// Whether each weight counts by its size.
    pub adaptive: bool,
    /// Most rows of a source in a batch.
    pub rows: usize,
    /// Shared trained parameters, which the ball is around.
    pub parameters: usize,
    /// One entry per task, in suite order.
    pub tasks: Vec<TaskSharpness>,
    /// Things a reader should know, in words.
    pub notes: Vec<String>,
}

/// A task's means over batches; all `None` where no batch has a sharpness.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TaskSharpness {
    /// Name of the task.
    pub task: String,
    /// Batches that have a sharpness.
    pub batches: usize,
    /// Loss at the weights, times the suite's `loss_weight`, as all that follows.
    pub loss: Option<f64>,
    /// Loss at the worst place.
    pub worst: Option<f64>,
    /// The one minus the other, with the 95 % interval of its mean; ends are NaN (`null`) with one batch.
    pub sharpness: Option<Interval>,
    /// Norm of the gradient by the shared trained parameters.
    pub gradient: Option<f64>,
    /// Norm of the flat gradient: the gradient at the worst place minus the one at the weights.
    pub flat: Option<f64>,
    /// Cosine of the flat and the plain gradient.
    pub cosine: Option<f64>,
}
