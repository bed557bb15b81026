//! What `polytask.json` says about a task.

use std::collections::BTreeMap;

use polytask_core::target::Bounds;
use serde::{Deserialize, Serialize};

/// What `polytask.json` says about a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskInfo {
    /// Name of the task.
    pub name: String,
    /// Name of its kind.
    pub kind: String,
    /// Metric that decides.
    pub metric: String,
    /// Labels or tags in the order of outputs.
    pub labels: Vec<String>,
    /// (shift, span) of each number.
    pub scale: Vec<(f64, f64)>,
    /// Smallest and largest value of each number that is a grade.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bounds: Vec<Bounds>,
    /// Outputs of its head.
    pub n_outputs: usize,
    /// Width of its head's hidden layer, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<usize>,
    /// Whether its head is a pooler and a linear map.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_pooler: bool,
    /// Role → column of its inputs, where the suite named one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, String>,
    /// Role → words that stood before every text of it in training.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub prompts: BTreeMap<String, String>,
    /// Whether its text was read as words in training, beside a task that tags them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reads_words: bool,
}
