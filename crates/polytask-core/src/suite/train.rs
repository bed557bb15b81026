//! `[train]`: how the model is trained.

use serde::{Deserialize, Serialize};

use crate::method::Choice;

/// How the model is trained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrainSpec {
    /// Passes over the largest source (`joint`) or over all sources (`alternate`).
    pub epochs: f64,
    /// Optimiser steps, when given instead of epochs.
    pub steps: Option<u64>,
    /// Most tokens of a step, over all tasks of the step.
    pub batch_tokens: usize,
    /// Rows per source and step, where the source says nothing.
    pub batch_rows: Option<usize>,
    /// Peak learning rate of the trunk.
    pub lr: f64,
    /// Heads learn this many times faster than the trunk.
    pub head_lr_factor: f64,
    /// Decoupled weight decay of matrices (not of biases and norms).
    pub weight_decay: f64,
    /// `AdamW`'s decay rates.
    pub betas: [f64; 2],
    /// `AdamW`'s epsilon.
    pub eps: f64,
    /// Share of steps in which the rate rises linearly.
    pub warmup: f64,
    /// What the rate does afterwards.
    pub schedule: Schedule,
    /// Largest norm of the whole gradient; 0 means no clipping.
    pub clip: f64,
    /// Whether a step sees all tasks or one source.
    pub mixing: Mixing,
    /// How often each source is drawn.
    pub sampling: Sampling,
    /// Loss weighting, Gramian weighting or aggregator.
    pub weighting: Choice,
    /// Which gradients a weighting sees.
    pub gradients: GradientSpace,
    /// Term added to the task losses; `none` adds nothing.
    pub regularizer: Choice,
    /// What heads start from.
    pub start: Start,
    /// Steps between evaluations on valid; 0 means once per epoch.
    pub eval_every: u64,
    /// Which weights a run keeps.
    pub keep: Keep,
    /// What `best` and early stopping look at: `mean` (of main metrics) or `task` / `task.metric`.
    pub watch: String,
    /// Evaluations without improvement before training stops; 0 means never.
    pub patience: u64,
    /// Steps between measurements of gradient cosines; 0 means never.
    pub conflict_every: u64,
    /// Steps between checkpoints; 0 means at evaluations only.
    pub checkpoint_every: u64,
    /// Ids of the learners the joint model is compared with.
    pub baselines: Vec<String>,
    /// Whether activations are computed again in the backward instead of kept.
    pub recompute: bool,
    /// Tokens that go through the encoder together in a training step; 0 means all.
    pub micro_tokens: usize,
    /// Most memory for cached states of the frozen part, in MiB.
    pub cache_mb: usize,
    /// Most memory for the tokens of all texts, in MiB.
    pub data_mb: usize,
    /// Most memory for the task gradients of a step, in MiB.
    pub rows_mb: usize,
    /// Worker threads; 0 means all cores.
    pub threads: usize,
    /// Keys of [`OPEN`] that nobody set: a run chooses them when it has seen the data (not written to files).
    #[serde(skip)]
    pub open: Vec<&'static str>,
    /// Seconds a run may take, where somebody said so: the steps are then planned to it (not written to files).
    #[serde(skip)]
    pub seconds: Option<f64>,
}

impl TrainSpec {
    /// Whether the joint model is compared with this learner.
    pub fn compares(&self, learner: &str) -> bool {
        self.baselines.iter().any(|id| id == learner)
    }

    /// Takes the open keys from a run that chose them before.
    pub fn adopt(&mut self, from: &Self) {
        for key in std::mem::take(&mut self.open) {
            match key {
                "batch_rows" => self.batch_rows = from.batch_rows,
                "eval_every" => self.eval_every = from.eval_every,
                "lr" => self.lr = from.lr,
                "schedule" => self.schedule = from.schedule,
                "steps" => self.steps = from.steps,
                "weighting" => self.weighting.clone_from(&from.weighting),
                _ => unreachable!("an open key that nobody adopts: this is a bug"),
            }
        }
    }
}

/// Keys of `[train]` that the data decide where the suite does not: how long to train, in which steps, how fast.
pub const OPEN: &[&str] = &["batch_rows", "eval_every", "lr", "schedule", "steps", "weighting"];

/// The small random encoder for tests and first tries.
pub const TINY: &str = "tiny";

/// What the learning rate does after warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Falls linearly to 0.
    Linear,
    /// Falls to 0 along half a cosine.
    Cosine,
    /// Stays.
    Constant,
}

/// Whether a step sees all tasks or one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mixing {
    /// Each step has rows of every source.
    Joint,
    /// Each step has rows of one source.
    Alternate,
}

/// How often each source is drawn, before its `sampling_weight`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "name")]
pub enum Sampling {
    /// By number of rows.
    Proportional,
    /// Equally.
    Uniform,
    /// By the square root of the number of rows.
    Sqrt,
    /// By the number of rows to the power 1/t.
    Temperature {
        /// The temperature, above 0; 1 is proportional.
        t: f64,
    },
    /// By the number of rows to a power that falls linearly from 1 to 1 − 0.8 over training (Stickland & Murray 2019).
    Annealed,
    /// In turn.
    RoundRobin,
}

/// Which gradients a weighting sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GradientSpace {
    /// Of the trunk's parameters, all together.
    Full,
    /// Of the parameters of each block of the trunk, one block after the other.
    Layer,
    /// Of the trunk's output states.
    Representation,
}

/// What heads start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// Linear models fitted on vectors of the encoder as it was loaded.
    Probe,
    /// Small random weights.
    Random,
    /// The heads that the encoder's folder has, as a model of ours; random weights for other tasks.
    Model,
}

/// Which weights a run keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// Those of the best evaluation.
    Best,
    /// Those of the last step.
    Last,
}
