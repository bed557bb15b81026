//! What a report says of labels that are matched by their descriptions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::interval::Interval;

/// How often answers of about one probability are right.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Mean probability of the answers.
    pub confidence: f64,
    /// Share of them that is right.
    pub right: f64,
    /// Number of answers.
    pub n: usize,
}

/// How well "none of these" is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScopeReport {
    /// Share of rows of known labels that may be answered so.
    pub rate: f64,
    /// Share of rows of known labels that are answered so, with its interval.
    pub false_alarms: Interval,
    /// Share of rows of no label that are answered so; `None` without such rows.
    pub found: Option<Interval>,
    /// Probability that a row of no label looks stranger than one of a known label; `None` without such rows.
    pub auroc: Option<f64>,
    /// Rows of known labels, and of none.
    pub rows: (usize, usize),
}

/// What became of made-up rows.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct GeneratedReport {
    /// Label → rows that passed the filter, and rows that were dropped.
    pub labels: BTreeMap<String, (usize, usize)>,
    /// Rows that repeat another one or a row of train, are too short, or are too many of their label.
    pub left_out: usize,
    /// Accuracy and loss on valid without and with them; `None` where no gate was asked or there is no valid.
    pub gate: Option<[(f64, f64); 2]>,
    /// Whether they are used.
    pub used: bool,
}

/// How labels of a task are matched by their descriptions.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LabelTask {
    /// Name of the task.
    pub task: String,
    /// The head.
    pub head: String,
    /// Number of labels.
    pub labels: usize,
    /// Rows of train, made-up ones not counted.
    pub rows: usize,
    /// Whether probabilities were fitted on valid.
    pub calibrated: bool,
    /// What scores are divided by.
    pub temperature: f64,
    /// Expected calibration error before and after; `None` where nothing is judged.
    pub calibration_error: Option<[f64; 2]>,
    /// How often answers of about one probability are right, rising.
    pub reliability: Vec<ReliabilityBin>,
    /// How well "none of these" is told.
    pub scope: Option<ScopeReport>,
    /// What became of made-up rows.
    pub generated: Option<GeneratedReport>,
}
