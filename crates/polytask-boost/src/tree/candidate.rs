//! Candidates for the split of a node.

use super::lanes::Lanes;
use crate::params::TreeParams;

/// Gain at or below which a split is noise.
pub(super) const LEAST_GAIN: f64 = 1e-6;
/// What makes a later candidate of equal worth lose.
pub(super) const STRICTLY: f64 = 1e-9;

/// Where known values part, in bins.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum BinRule {
    /// Bins up to this one go left.
    UpTo(usize),
    /// These bins, ascending, go right.
    In(Vec<u32>),
}

/// A candidate.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Candidate {
    pub(super) gain: f64,
    pub(super) column: usize,
    pub(super) rule: BinRule,
    pub(super) default_left: bool,
}

/// A node as a scan sees it.
#[derive(Clone, Copy)]
pub(super) struct Parent<'a> {
    pub(super) sums: &'a [f64],
    pub(super) lanes: Lanes,
    pub(super) score: f64,
    pub(super) params: &'a TreeParams,
}

/// Keeps the better of two candidates; `rule` is asked for only when the new one is better.
pub(super) fn keep(best: &mut Option<Candidate>, gain: f64, make: impl FnOnce(f64) -> Candidate) {
    let bar = best.as_ref().map_or(LEAST_GAIN, |best| best.gain);
    if gain > bar + STRICTLY {
        *best = Some(make(gain));
    }
}
