//! The report of a run, as data; printing and rendering are others' business.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use crate::interval::Interval;
pub use crate::label_report::{GeneratedReport, LabelTask, ReliabilityBin, ScopeReport};
use crate::nan::null_is_nan;

/// Version of `report.json`; raised when a field changes its meaning.
pub const REPORT_VERSION: u32 = 2;

/// A metric of one model on one split of one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Name of the metric, as `ndcg@10`.
    pub metric: String,
    /// Its value with a bootstrap interval over examples.
    #[serde(flatten)]
    pub interval: Interval,
    /// Whether larger is better.
    pub higher_is_better: bool,
    /// Number of examples (queries, sentences) scored.
    pub n: usize,
}

/// How a task fared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskReport {
    /// Name of the task.
    pub task: String,
    /// Name of its kind.
    pub kind: String,
    /// Split the scores are of.
    pub split: String,
    /// Joint model, main metric first.
    pub joint: Vec<Score>,
    /// Single-task model, the same metrics; empty without baselines.
    pub single: Vec<Score>,
    /// Simpler learners on the same rows, in the order of their columns.
    #[serde(default)]
    pub others: Vec<OtherScores>,
    /// Joint minus single of the main metric in points of 100, signed so that positive is better; paired interval.
    pub delta: Option<Interval>,
    /// Relative change against single in percent, signed likewise.
    pub relative: Option<f64>,
    /// Points below single-task that count as regression.
    pub margin: f64,
    /// Beyond its margin and the paired interval below zero.
    pub regressed: bool,
    /// Not trained to its end, so that nothing is said of what sharing cost it.
    #[serde(default)]
    pub unfinished: bool,
}

/// How another learner fared on a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OtherScores {
    /// Id of the learner: `probe`, `prior`.
    pub learner: String,
    /// Its scores, the same metrics as the joint model's.
    pub scores: Vec<Score>,
    /// Joint minus it of the main metric, as [`TaskReport::delta`].
    pub over: Option<Interval>,
}

impl TaskReport {
    /// How another learner fared, where it was asked.
    pub fn other(&self, learner: &str) -> Option<&OtherScores> {
        self.others.iter().find(|other| other.learner == learner)
    }
}

/// One point of a curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Optimiser step, from 1.
    pub step: u64,
    /// Value at that step; NaN where it is undefined (`null` in JSON).
    #[serde(deserialize_with = "null_is_nan")]
    pub value: f64,
}

/// Pairwise gradient cosines of the shared parameters.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ConflictReport {
    /// Task names, the order of rows and columns.
    pub tasks: Vec<String>,
    /// Mean cosine over the measurements, `[tasks][tasks]`; `None` where two tasks never met.
    pub cosine: Vec<Vec<Option<f64>>>,
    /// Share of measurements in which the inner product was negative, `[tasks][tasks]`.
    pub conflicting: Vec<Vec<Option<f64>>>,
    /// Number of measurements.
    pub n: usize,
}

/// How the vectors of some texts lie.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Geometry {
    /// Number of texts.
    pub texts: usize,
    /// Mean cosine of two texts; near 1 all lie in a narrow cone.
    pub mean_cosine: f64,
    /// Logarithm of the mean of `exp(−2 |u − v|²)` over pairs of unit vectors; lower is more even.
    pub uniformity: f64,
    /// Mean `|u − v|²` of texts that belong together; lower is closer. `null` where none do.
    pub alignment: Option<f64>,
    /// Singular values above a millionth of the largest.
    pub rank: usize,
    /// Entropy of singular values as shares, in nats.
    pub entropy: f64,
    /// Its exponential: of how many equal values it would be the entropy.
    pub effective_rank: f64,
    /// The largest singular value over the smallest; `null` where that is 0.
    pub condition: Option<f64>,
}

/// How the vectors of a task's texts lie, in each model that is compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskGeometry {
    /// Name of the task.
    pub task: String,
    /// The model, then the one it is compared with.
    pub sides: Vec<Geometry>,
}

/// What the tasks of a joint training did to each other, measured while it ran.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Diagnosis {
    /// Task names, the order of rows and columns.
    pub tasks: Vec<String>,
    /// Length of the ascent step of the sharpness.
    pub rho: f64,
    /// The measurements, in order of their steps.
    pub measurements: Vec<Measurement>,
}

/// One measurement of a [`Diagnosis`]; `None` where a task was absent or a value is undefined.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Measurement {
    /// Optimiser step before which it was made, from 1.
    pub step: u64,
    /// Each task's loss, `[tasks]`.
    pub loss: Vec<Option<f64>>,
    /// Cosines of the gradients of the shared parameters, `[tasks][tasks]`.
    pub cosine: Vec<Vec<Option<f64>>>,
    /// Share of its loss that task j loses by a step on task i, `[i][j]`; below zero where the step raises it.
    pub affinity: Vec<Vec<Option<f64>>>,
    /// How much each task's loss rises by a step of length `rho` up its own gradient, `[tasks]`.
    pub sharpness: Vec<Option<f64>>,
}

/// What the data of a task looks like.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TaskCard {
    /// Name of the task.
    pub task: String,
    /// Name of its kind.
    pub kind: String,
    /// Split → rows.
    pub rows: BTreeMap<String, usize>,
    /// Split → rows whose target is known.
    pub labelled: BTreeMap<String, usize>,
    /// Label → rows in train (labels, tags); empty for numbers.
    pub labels: BTreeMap<String, usize>,
    /// Histogram of numeric targets in train: (lower edge, rows); empty for labels.
    pub values: Vec<(f64, usize)>,
    /// Histogram of text lengths in tokens over all splits: (longest length of the bin, texts).
    pub lengths: Vec<(usize, usize)>,
    /// Texts cut at the length limit.
    pub truncated: usize,
    /// Rows of train that repeat an earlier row of train.
    pub duplicates: usize,
    /// Split → rows whose texts also stand in train (leakage between splits).
    pub leaked: BTreeMap<String, usize>,
    /// SHA-256 of each file read.
    pub hashes: BTreeMap<String, String>,
}

/// Test texts of one task that are train texts of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leak {
    /// Task whose test (or valid) texts leak.
    pub task: String,
    /// Its split.
    pub split: String,
    /// Task that trains on them.
    pub trained_by: String,
    /// Number of texts.
    pub texts: usize,
    /// Rows of two texts that stand there as they are, in either order.
    #[serde(default)]
    pub pairs: usize,
}

/// The data of a suite.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DataCard {
    /// One card per task.
    pub tasks: Vec<TaskCard>,
    /// Leakage between tasks.
    pub leaks: Vec<Leak>,
    /// Distinct texts and their tokens over all tasks.
    pub texts: usize,
    /// Tokens of the distinct texts.
    pub tokens: usize,
}

/// Where a run comes from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Lineage {
    /// Version of polytask.
    pub version: String,
    /// SHA-256 of the merged suite.
    pub suite: String,
    /// SHA-256 over all data files.
    pub data: String,
    /// SHA-256 of the encoder's weights.
    pub encoder: String,
    /// Seed.
    pub seed: u64,
    /// Worker threads.
    pub threads: usize,
    /// Instruction sets and system, in words.
    pub machine: String,
}

/// A task that was taken out because its loss or gradient was not finite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolated {
    /// Name of the task.
    pub task: String,
    /// Step at which it happened first.
    pub step: u64,
    /// What was not finite, with the rows of the batch.
    pub what: String,
    /// How many steps it was left out of.
    pub steps: u64,
}

/// What one model for all tasks saves, in parameters of four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    /// Of the one model: trunk and all heads.
    pub joint: usize,
    /// Of a model for each task: as many trunks as heads.
    pub single: usize,
}

/// How much a column of a table says in boosted trees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnImportance {
    /// The task; empty where trees are for all of them.
    pub task: String,
    /// The column.
    pub column: String,
    /// What its splits gained, as a share of all gains.
    pub gain: f64,
    /// Number of its splits.
    pub splits: usize,
    /// Points of the task's main metric lost when its values are shuffled; `None` where it was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permutation: Option<f64>,
}

/// A group of rows that is a task of its own in the eyes of boosted trees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupGate {
    /// The task of the suite, or the target where it has several.
    pub task: String,
    /// The group.
    pub group: String,
    /// Its rows in train.
    pub rows: usize,
    /// Its gate, 0 to 1; `None` without gates.
    pub gate: Option<f64>,
    /// How far the gate lies from the median.
    pub distance: Option<f64>,
    /// Whether it is unlike the others.
    pub flagged: bool,
    /// Rows it is scored on.
    pub scored: usize,
    /// The metric; empty where nothing is scored.
    pub metric: String,
    /// Main metric of the joint model on its rows.
    #[serde(deserialize_with = "null_is_nan")]
    pub joint: f64,
    /// The same of the model of its group alone; NaN without one (`null` in JSON).
    #[serde(deserialize_with = "null_is_nan")]
    pub single: f64,
    /// Joint minus single, signed so that positive is better, with its paired interval; `None` where nothing is said.
    pub delta: Option<Interval>,
}

/// What boosted trees say of themselves.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TreesReport {
    /// Number of trees.
    pub trees: usize,
    /// Number of their leaves.
    pub leaves: usize,
    /// Columns, the most telling first.
    pub importance: Vec<ColumnImportance>,
    /// Groups, the farthest gate first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupGate>,
}

/// Everything a run found.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunReport {
    /// [`REPORT_VERSION`].
    pub version: u32,
    /// Name of the suite.
    pub name: String,
    /// Names of the models in the places of `joint` and `single`, where these are others than the run's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sides: Vec<String>,
    /// One entry per task, in suite order.
    pub tasks: Vec<TaskReport>,
    /// The same on valid, where something is chosen by it (groupings).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_valid: Vec<TaskReport>,
    /// Mean relative change against single-task models in percent; positive = better.
    pub delta_m: Option<f64>,
    /// Task with the lowest delta.
    pub worst: Option<String>,
    /// Number of tasks below their baseline.
    pub below: usize,
    /// Weighting used.
    pub weighting: String,
    /// Regularizer used; `none` or empty without.
    #[serde(default)]
    pub regularizer: String,
    /// Steps taken, and the step whose weights were kept.
    pub steps: u64,
    /// Step whose weights were kept.
    pub kept: u64,
    /// Share of the way from the probes to that step, where the kept weights are interpolated between both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// Task → training loss.
    pub losses: BTreeMap<String, Vec<Point>>,
    /// Task → training loss of its single-task model.
    pub single_losses: BTreeMap<String, Vec<Point>>,
    /// Task → main metric on valid.
    pub valid: BTreeMap<String, Vec<Point>>,
    /// What the weighting did and measured: name (`weight`, `sharpness`) → task, empty for the step as a whole →
    /// value.
    #[serde(default)]
    pub observed: BTreeMap<String, BTreeMap<String, Vec<Point>>>,
    /// Gradient cosines.
    pub conflict: ConflictReport,
    /// What the tasks did to each other, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnosis: Option<Diagnosis>,
    /// The data.
    pub data: DataCard,
    /// Tasks that were isolated.
    pub isolated: Vec<Isolated>,
    /// Where the run comes from.
    pub lineage: Lineage,
    /// Boosted trees, where they stand in the place of a network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trees: Option<TreesReport>,
    /// Labels matched by their descriptions, where the encoder stays as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<LabelTask>,
    /// How vectors lie, where that was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub geometry: Vec<TaskGeometry>,
    /// How well segments of documents were found, where tasks are their heads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub segmentations: Vec<crate::segmentation::SegmentationReport>,
    /// Seconds per phase (`joint`, `single`, `evaluate`, …).
    pub seconds: BTreeMap<String, f64>,
    /// Parameters of the one model and of a model for each task, where there is more than one task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sizes: Option<Sizes>,
    /// What has to be said before any score.
    #[serde(default)]
    pub cautions: Vec<String>,
    /// Things a reader should know, in words.
    pub notes: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_undefined_score_survives_the_file() {
        let interval = Interval { value: f64::NAN, low: f64::NAN, high: 1.0 };
        let score = Score { metric: "spearman".into(), interval, higher_is_better: true, n: 1 };
        let back: Score = serde_json::from_str(&serde_json::to_string(&score).unwrap()).unwrap();
        assert!(back.interval.value.is_nan() && back.interval.high == 1.0);
        let point: Point = serde_json::from_str(r#"{"step": 3, "value": null}"#).unwrap();
        assert!(point.value.is_nan());
    }
}
