//! How well segments of documents were found, as data.

use serde::{Deserialize, Serialize};

/// The scores of one way to place boundaries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SegmentationRow {
    /// What it is called: the segmentation, `texttiling`, or a trivial row.
    pub name: String,
    /// Share of windows that disagree whether there is a boundary; lower is better.
    #[serde(deserialize_with = "crate::nan::null_is_nan")]
    pub pk: f64,
    /// Share of windows that disagree how many boundaries there are; lower is better.
    #[serde(deserialize_with = "crate::nan::null_is_nan")]
    pub window_diff: f64,
    /// Precision of exact boundaries.
    pub precision: f64,
    /// Recall of exact boundaries.
    pub recall: f64,
    /// F1 of exact boundaries.
    pub f1: f64,
    /// F1 of boundaries within one unit.
    pub f1_near: f64,
}

/// How well sentences were put into classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SegmentClasses {
    /// Share of sentences in their class.
    pub accuracy: f64,
    /// Mean F1 of the classes.
    pub macro_f1: f64,
    /// Sentences of each class.
    pub supports: Vec<(String, usize)>,
}

/// A segmentation's scores beside what needs no reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SegmentationReport {
    /// Its name.
    pub name: String,
    /// The split the scores are of; empty where files were named.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub split: String,
    /// By which rules: k, windows, documents joined or not. Scores of two conventions say nothing of each other.
    pub convention: String,
    /// Documents.
    pub n_documents: usize,
    /// Documents of no more than k units, which Pk and `WindowDiff` leave out.
    pub n_skipped: usize,
    /// Units of a mean segment of train.
    pub mean_segment: f64,
    /// Share of the places of train that are boundaries.
    pub rate: f64,
    /// The score above which a place is a boundary; none where each document has its own.
    pub threshold: Option<f64>,
    /// F1 on the documents the threshold was chosen on, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub f1_on_valid: Option<f64>,
    /// The ways to ask the heads about a place that were tried on valid, each with its F1 there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<(String, f64)>,
    /// The segmentation first.
    pub rows: Vec<SegmentationRow>,
    /// Its classes, where it says any and they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<SegmentClasses>,
}
