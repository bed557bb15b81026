//! What a merge did, as data: written to `merge.json`, told by the card and on the terminal.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// What a merge did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MergeReport {
    /// Id of the method.
    pub method: String,
    /// Its name in prose.
    pub title: String,
    /// Its paper; empty where there is none.
    pub paper: String,
    /// What was set, as far as it is not by model or by tensor, and what these have.
    pub parameters: BTreeMap<String, Value>,
    /// Whether mergekit's form held where ours differs.
    pub compat: bool,
    /// Of draws.
    pub seed: u64,
    /// Type of the merged tensors.
    pub dtype: Option<String>,
    /// The models, the base last.
    pub models: Vec<MergedModel>,
    /// Tensors that were merged.
    pub n_merged: usize,
    /// Tensors that were copied: whole numbers, and what no state depends on.
    pub n_copied: usize,
    /// Values that were merged.
    pub n_values: usize,
    /// How the settings were found, where they were learned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learned: Option<Value>,
    /// Version of the program.
    pub version: String,
}

/// A model that was merged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MergedModel {
    /// As written.
    pub name: String,
    /// Its folder.
    pub folder: String,
    /// Whether it is only the base of the others.
    pub is_base: bool,
    /// SHA-256 of its files of weights.
    pub sha256: Vec<String>,
    /// Length of what it adds to the base, where there is one.
    pub length: Option<f64>,
    /// Tasks whose heads come from it.
    pub tasks: Vec<String>,
}

impl MergeReport {
    /// All tasks of the result.
    pub fn tasks(&self) -> Vec<&str> {
        self.models.iter().flat_map(|model| &model.tasks).map(String::as_str).collect()
    }
}
