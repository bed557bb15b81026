//! What a model's saliencies look like, as data; pages and tables are drawn from it.

use serde::{Deserialize, Serialize};

/// Version of `saliency.json`; raised when a field changes its meaning.
pub const SALIENCY_VERSION: u32 = 1;

/// The saliencies of a model on a split: gradients of each task's loss at the trunk's output states.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SaliencyReport {
    /// [`SALIENCY_VERSION`].
    pub version: u32,
    /// Name of the suite.
    pub name: String,
    /// Whether the weights are trained, or the encoder as loaded with fresh heads.
    pub trained: bool,
    /// Split that was read.
    pub split: String,
    /// Samples (distinct texts of a batch) that some task touches.
    pub samples: usize,
    /// Samples that several tasks touch: what entropy and similarity are of.
    pub shared: usize,
    /// Whether entropies are of the gradients of log losses.
    pub log_losses: bool,
    /// How channels are averaged for entropies: `signed` or `absolute`.
    pub channel_mean: String,
    /// One entry per task, in suite order.
    pub tasks: Vec<TaskSaliency>,
    /// Mean entropy of a position's saliency over its tasks in nats (TSR); `None` without shared samples.
    pub entropy: Option<f64>,
    /// The same as a share of the largest possible: 0 where one task alone matters, 1 where all matter alike.
    pub evenness: Option<f64>,
    /// Evenness by position.
    pub positions: PositionMap,
    /// Cosine of two tasks' affinities S Sᵀ at a sample, mean over samples, `[tasks][tasks]`; `None` where two tasks
    /// never meet.
    pub similarity: Vec<Vec<Option<f64>>>,
    /// Spectra of weight matrices, lowest block first.
    pub spectra: Vec<Spectrum>,
    /// Things a reader should know, in words.
    pub notes: Vec<String>,
}

/// How much a task's loss hangs on the shared states.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TaskSaliency {
    /// Name of the task.
    pub task: String,
    /// Mean of |S| of a sample's own loss; `None` where the task has no target.
    pub size: Option<f64>,
    /// Samples it touches.
    pub samples: usize,
}

/// Evenness by position: one cell each where all samples have as many states, else by stretches that double.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PositionMap {
    /// Whether all samples have as many states.
    pub is_fixed: bool,
    /// The cells, first position first.
    pub cells: Vec<PositionCell>,
}

/// A stretch of positions.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PositionCell {
    /// First position, from 0.
    pub first: usize,
    /// Last position.
    pub last: usize,
    /// Positions of shared samples in it.
    pub n: usize,
    /// Their mean evenness.
    pub evenness: f64,
}

/// The tail of the spectrum of `WᵀW`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Spectrum {
    /// Name of the block: `layer.3`, `head.sts`.
    pub block: String,
    /// Name of the matrix.
    pub tensor: String,
    /// Rows (outputs).
    pub rows: usize,
    /// Columns (inputs).
    pub columns: usize,
    /// Exponent of the power law that fits the tail best; `None` where there are too few eigenvalues.
    pub exponent: Option<f64>,
    /// Eigenvalues in the tail.
    pub tail: usize,
    /// Largest distance between the tail's distribution and the law's.
    pub distance: Option<f64>,
}
