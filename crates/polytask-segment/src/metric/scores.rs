//! The scores of many documents by one convention, which is printed with them.

use std::fmt;

use serde::Serialize;

use super::{BoundaryCounts, WindowStyle, boundary_counts, pk, window_diff};
use crate::Boundaries;

/// Units that a boundary may be off by to count as nearly hit.
const NEAR: usize = 1;

/// What is counted how: scores of two conventions say nothing of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Convention {
    /// Units between the ends of a window.
    pub k: usize,
    /// How many windows there are.
    pub windows: WindowStyle,
    /// Whether all documents are scored as one, so that every document's end is a boundary found for nothing.
    pub joined: bool,
}

impl fmt::Display for Convention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let windows = match self.windows {
            WindowStyle::Segeval => "n-k windows (segeval)",
            WindowStyle::Nltk => "n-k+1 windows (NLTK)",
        };
        let joined = if self.joined { "joined" } else { "per-document" };
        write!(f, "k = {}, {windows}, {joined}", self.k)
    }
}

/// The scores of one document.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct DocumentScores {
    /// Share of windows that disagree whether there is a boundary; none where the document has no more than k units.
    pub pk: Option<f64>,
    /// Share of windows that disagree how many there are.
    pub window_diff: Option<f64>,
    /// Boundaries hit exactly.
    pub exact: BoundaryCounts,
    /// Boundaries hit within one unit.
    pub near: BoundaryCounts,
}

impl DocumentScores {
    /// The scores of what was found in a document.
    pub fn of(reference: &Boundaries, found: &Boundaries, k: usize, windows: WindowStyle) -> Self {
        Self {
            pk: pk(reference, found, k, windows),
            window_diff: window_diff(reference, found, k, windows),
            exact: boundary_counts(reference, found, 0),
            near: boundary_counts(reference, found, NEAR),
        }
    }
}

/// The scores of many documents: windows by the mean over documents (or joined), boundaries counted over all of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SegmentScores {
    /// By which rules.
    pub convention: Convention,
    /// Share of windows that disagree whether there is a boundary.
    pub pk: f64,
    /// Share of windows that disagree how many there are.
    pub window_diff: f64,
    /// Documents.
    pub n_documents: usize,
    /// Documents of no more than k units, which Pk and `WindowDiff` leave out.
    pub n_skipped: usize,
    /// Precision of exact boundaries.
    pub precision: f64,
    /// Recall of exact boundaries.
    pub recall: f64,
    /// F1 of exact boundaries.
    pub f1: f64,
    /// F1 of boundaries within one unit.
    pub f1_near: f64,
}

impl SegmentScores {
    /// The scores of documents, each with its true boundaries and those that were found; not numbers where no document
    /// has a window.
    pub fn of(documents: &[(&Boundaries, &Boundaries)], convention: Convention) -> Self {
        let Convention { k, windows, joined } = convention;
        let each: Vec<DocumentScores> = documents
            .iter()
            .map(|(reference, found)| DocumentScores::of(reference, found, k, windows))
            .collect();
        let all = |counts: fn(&DocumentScores) -> BoundaryCounts| {
            each.iter().map(counts).fold(BoundaryCounts::default(), BoundaryCounts::plus)
        };
        let (exact, near) = (all(|scores| scores.exact), all(|scores| scores.near));
        let (pk, window_diff) = if joined {
            in_one(documents, k, windows)
        } else {
            (mean(each.iter().filter_map(|s| s.pk)), mean(each.iter().filter_map(|s| s.window_diff)))
        };
        Self {
            convention,
            pk,
            window_diff,
            n_documents: each.len(),
            n_skipped: each.iter().filter(|scores| scores.pk.is_none()).count(),
            precision: exact.precision(),
            recall: exact.recall(),
            f1: exact.f1(),
            f1_near: near.f1(),
        }
    }
}

/// Both window scores of all documents that have a window, laid end to end.
fn in_one(documents: &[(&Boundaries, &Boundaries)], k: usize, windows: WindowStyle) -> (f64, f64) {
    let long = || documents.iter().filter(|(reference, _)| reference.n_units() > k);
    let reference = Boundaries::joined(long().map(|(reference, _)| *reference));
    let found = Boundaries::joined(long().map(|(_, found)| *found));
    let score = |of: fn(&Boundaries, &Boundaries, usize, WindowStyle) -> Option<f64>| {
        of(&reference, &found, k, windows).unwrap_or(f64::NAN)
    };
    (score(pk), score(window_diff))
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (n, sum) = values.fold((0_usize, 0.0), |(n, sum), value| (n + 1, sum + value));
    if n == 0 { f64::NAN } else { sum / n as f64 }
}
