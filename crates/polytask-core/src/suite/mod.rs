//! The suite: what a user writes to describe tasks, model and training.
//!
//! Three shapes: the file as written (a `toml_edit` document with the span of every key) → [`Suite`], merged
//! with defaults (what `polytask show` prints and a run folder keeps) → the suite that [`load`] has
//! checked against the [`Catalogue`] of named parts, all mistakes reported at once.

mod check;
mod files;
pub mod images;
mod inputs;
mod keys;
mod parts;
mod read;
mod section;
mod template;
#[cfg(test)]
mod tests;
mod write;
mod written;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::kind::KindInfo;
use crate::method::{Choice, MethodInfo};
use crate::near;

pub use files::{COMPRESSIONS, FORMATS, is_readable, names_in};
pub use keys::{KeyInfo, POOLINGS, Table, ValueType, keys, keys_of};
pub use parts::{HEADS, NO_REGULARIZER, SAMPLINGS};
pub use read::{load, parse};
pub use template::{Draft, DraftData, DraftTask, template};
pub use write::{hash, to_toml, weight_hash, weight_settings};

/// A part of a task's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// What the model learns from.
    Train,
    /// What choices are made on.
    Valid,
    /// What is reported, once.
    Test,
}

impl Split {
    /// All three, in their order.
    pub const ALL: [Self; 3] = [Self::Train, Self::Valid, Self::Test];

    /// The name in suite files and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Valid => "valid",
            Self::Test => "test",
        }
    }

    /// File stems that mean this split (`dev`, `val`, `validation` mean valid).
    pub const fn stems(self) -> &'static [&'static str] {
        match self {
            Self::Train => &["train"],
            Self::Valid => &["valid", "dev", "val", "validation"],
            Self::Test => &["test"],
        }
    }
}

/// A whole suite, every default filled in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Suite {
    /// Name of the suite.
    pub name: String,
    /// Seed of every random choice.
    pub seed: u64,
    /// The shared model.
    pub model: ModelSpec,
    /// How it is trained.
    pub train: TrainSpec,
    /// Where rows come from; tasks without `from` have a source of their own name.
    #[serde(rename = "source")]
    pub sources: Vec<SourceSpec>,
    /// The tasks, in the order written.
    #[serde(rename = "task")]
    pub tasks: Vec<TaskSpec>,
    /// The folder relative paths start at (not written to files).
    #[serde(skip)]
    pub folder: PathBuf,
    /// The file itself, for places in later errors (not written to files).
    #[serde(skip)]
    pub file: PathBuf,
}

/// The shared model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelSpec {
    /// A name `polytask pull` knows, a folder, or `tiny`.
    pub encoder: String,
    /// Blocks whose weights stay as they are: `embeddings`, `layer.0-3`, `layer.5`.
    pub freeze: Vec<String>,
    /// What is trained: `full` for now.
    pub tune: String,
    /// How tasks share the encoder.
    pub sharing: Choice,
    /// Pooling, when it is not what the encoder's folder says.
    pub pooling: Option<String>,
    /// Longest text in tokens, when it is not what the encoder's folder says.
    pub max_length: Option<usize>,
    /// Height and width that images are resized to.
    pub image_size: Option<Vec<usize>>,
    /// Channels that images are converted to.
    pub channels: Option<usize>,
    /// Subtracted from pixels, as shares of full white.
    pub pixel_mean: f64,
    /// What pixels are divided by after that.
    pub pixel_std: f64,
    /// Widths of an image network, when they are not the published ones.
    pub widths: Option<Vec<usize>>,
    /// `f32` for now.
    pub precision: String,
    /// Share of values dropped in training, in trainable layers and before heads; the encoder's own when absent.
    pub dropout: Option<f64>,
}

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
    /// Whether single-task models are trained for comparison.
    pub baselines: bool,
    /// Whether activations are computed again in the backward instead of kept.
    pub recompute: bool,
    /// Most memory for cached states of the frozen part, in MiB.
    pub cache_mb: usize,
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

/// Rows that one or several tasks read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourceSpec {
    /// Name of the source.
    pub name: String,
    /// The file of each split, relative to the suite's folder.
    pub files: BTreeMap<Split, PathBuf>,
    /// Role → column, for the input roles of all its tasks (`a`, `text`, `id`, `weight`, …).
    pub columns: BTreeMap<String, String>,
    /// Share of train that becomes valid, by hash, when there is no valid file.
    pub valid: f64,
    /// Most rows read per split (by hash, not the first ones); 0 means all.
    pub limit: usize,
    /// Rows per step, when given.
    pub batch_rows: Option<usize>,
    /// Tokens per step, when given.
    pub batch_tokens: Option<usize>,
    /// Factor on how often the source is drawn.
    pub sampling_weight: f64,
    /// Passages (retrieval): JSONL or TSV with id, title, text.
    pub corpus: Option<PathBuf>,
    /// Queries (retrieval, BEIR), shared by all splits.
    pub queries: Option<PathBuf>,
    /// Relevance judgements per split (retrieval, BEIR or TREC).
    pub qrels: BTreeMap<Split, PathBuf>,
    /// Line of the suite file where it is declared, for later errors.
    #[serde(skip)]
    pub line: usize,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskSpec {
    /// Name of the task.
    pub name: String,
    /// Its kind.
    #[serde(serialize_with = "kind_name")]
    pub kind: &'static KindInfo,
    /// Name of its source.
    pub from: String,
    /// Role → column for the target role (and `weight`), on top of the source's.
    pub columns: BTreeMap<String, String>,
    /// Its head.
    pub head: Choice,
    /// Its loss.
    pub loss: Choice,
    /// Metric that decides; one of the kind's.
    pub metric: String,
    /// The label set, when it is not what train shows.
    pub labels: Option<Vec<String>>,
    /// Points (of 100) below single-task that count as regression.
    pub margin: f64,
    /// Factor on its loss.
    pub loss_weight: f64,
    /// Its head learns this many times faster than `head_lr_factor` says.
    pub lr_factor: f64,
    /// Blocks in which this task's gradient stops, as `model.freeze`.
    pub freeze: Vec<String>,
    /// Line of the suite file where it is declared, for later errors.
    #[serde(skip)]
    pub line: usize,
}

// Serde hands fields over by reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn kind_name<S: serde::Serializer>(kind: &&'static KindInfo, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.name)
}

/// The named parts a suite may choose from; each crate brings its own table.
#[derive(Debug, Clone)]
pub struct Catalogue {
    /// Losses.
    pub losses: Vec<&'static MethodInfo>,
    /// Loss weightings, Gramian weightings and aggregators.
    pub weightings: Vec<&'static MethodInfo>,
    /// Regularizers; `none` is always there.
    pub regularizers: Vec<&'static MethodInfo>,
    /// Metrics.
    pub metrics: Vec<&'static MethodInfo>,
    /// Ways to share the encoder.
    pub sharings: Vec<&'static MethodInfo>,
}

impl Catalogue {
    /// Losses a kind may have, its default first.
    pub fn losses_of(&self, kind: &KindInfo) -> Vec<&'static str> {
        with_own(kind.losses, &self.losses, kind)
    }

    /// Metrics of a kind, its default first.
    pub fn metrics_of(&self, kind: &KindInfo) -> Vec<&'static str> {
        with_own(kind.metrics, &self.metrics, kind)
    }

    /// Whether a kind has this metric, with any cut: `ndcg@20` where it has `ndcg@10`.
    pub fn has_metric(&self, kind: &KindInfo, metric: &str) -> bool {
        let cut_is_number = |cut: &str| cut.parse::<usize>().is_ok_and(|k| k > 0);
        let same = |known: &str| match (known.split_once('@'), metric.split_once('@')) {
            (Some((a, _)), Some((b, cut))) => a == b && cut_is_number(cut),
            _ => known == metric,
        };
        self.metrics_of(kind).into_iter().any(same)
    }
}

/// What a kind lists, then the parts that name the kind themselves.
fn with_own(listed: &[&'static str], parts: &[&'static MethodInfo], kind: &KindInfo) -> Vec<&'static str> {
    let own = parts.iter().filter(|info| info.kinds.contains(&kind.name)).map(|info| info.id);
    listed.iter().copied().chain(own).collect()
}

impl TaskSpec {
    /// Width of its head's hidden layer, where it has one.
    pub fn hidden(&self) -> Option<usize> {
        let info = parts::HEADS.iter().find(|info| info.id == self.head.name)?;
        self.head.param(info, "hidden").as_u64().and_then(|n| usize::try_from(n).ok())
    }
}

impl Suite {
    /// Whether its tasks read images; those of a checked suite all do, or none.
    pub fn reads_images(&self) -> bool {
        self.tasks.iter().any(|task| task.kind.reads_images())
    }

    /// The source a task reads.
    pub fn source_of(&self, task: &TaskSpec) -> &SourceSpec {
        let found = self.sources.iter().find(|source| source.name == task.from);
        found.expect("the suite check has seen that every task has a source")
    }
}
