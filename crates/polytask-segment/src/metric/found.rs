//! Boundaries that were found, within a tolerance.

use serde::Serialize;

use crate::Boundaries;

/// Boundaries that are there, that were said and that were both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct BoundaryCounts {
    /// True boundaries.
    pub reference: usize,
    /// Boundaries that were said.
    pub found: usize,
    /// Boundaries that were said and are true.
    pub hits: usize,
}

impl BoundaryCounts {
    /// Share of what was said that is true; 0 where nothing was said.
    pub fn precision(self) -> f64 {
        share(self.hits, self.found)
    }

    /// Share of what is true that was said; 0 where nothing is.
    pub fn recall(self) -> f64 {
        share(self.hits, self.reference)
    }

    /// Their harmonic mean; 1 where nothing is true and nothing was said.
    pub fn f1(self) -> f64 {
        let n = self.reference + self.found;
        if n == 0 { 1.0 } else { share(2 * self.hits, n) }
    }

    /// Those of two documents together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            reference: self.reference + other.reference,
            found: self.found + other.found,
            hits: self.hits + other.hits,
        }
    }
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Counts the boundaries of a document; each that was said takes the nearest free true one at most `tolerance` units
/// away, the earlier of two.
pub fn boundary_counts(reference: &Boundaries, found: &Boundaries, tolerance: usize) -> BoundaryCounts {
    let (is_true, said) = (reference.marks(), found.places());
    let mut is_free = is_true.to_vec();
    let mut hits = 0;
    for &place in &said {
        let (low, high) = (place.saturating_sub(tolerance), (place + tolerance).min(is_true.len() - 1));
        let nearest = (low..=high).filter(|&at| is_free[at]).min_by_key(|at| at.abs_diff(place));
        if let Some(at) = nearest {
            is_free[at] = false;
            hits += 1;
        }
    }
    BoundaryCounts { reference: reference.count(), found: said.len(), hits }
}
