//! Pk (Beeferman, Berger & Lafferty 1999) and `WindowDiff` (Pevzner & Hearst 2002).

use serde::{Deserialize, Serialize};

use crate::Boundaries;

/// How many windows are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WindowStyle {
    /// A window for each pair of units that lie `k` apart, `n − k` in all: the library segeval.
    #[default]
    Segeval,
    /// A window of `k` marks over the marks of all units, the last one's too, `n − k + 1` in all: the library NLTK.
    Nltk,
}

impl WindowStyle {
    fn n_windows(self, n_units: usize, k: usize) -> usize {
        match self {
            Self::Segeval => n_units.saturating_sub(k),
            Self::Nltk => (n_units + 1).saturating_sub(k),
        }
    }
}

/// Half the mean segment, at least 2; halves to even, as the language Python rounds.
pub fn half_segment(mean_segment: f64) -> usize {
    ((mean_segment / 2.0).round_ties_even() as usize).max(2)
}

/// Share of windows in which one of both has a boundary and the other none; `None` where no window fits.
pub fn pk(reference: &Boundaries, found: &Boundaries, k: usize, style: WindowStyle) -> Option<f64> {
    disagreeing(reference, found, k, style, |a, b| (a > 0) != (b > 0))
}

/// Share of windows in which both have another number of boundaries; `None` where no window fits.
pub fn window_diff(reference: &Boundaries, found: &Boundaries, k: usize, style: WindowStyle) -> Option<f64> {
    disagreeing(reference, found, k, style, |a, b| a != b)
}

fn disagreeing(
    reference: &Boundaries,
    found: &Boundaries,
    k: usize,
    style: WindowStyle,
    differ: fn(usize, usize) -> bool,
) -> Option<f64> {
    let n = reference.n_units();
    debug_assert_eq!(n, found.n_units());
    // With no more than k units there is no pair that far apart, whatever the style.
    if n <= k || k == 0 {
        return None;
    }
    let (a, b) = (counts_before(reference), counts_before(found));
    let n_windows = style.n_windows(n, k);
    let disagree = (0..n_windows).filter(|&i| differ(a[i + k] - a[i], b[i + k] - b[i])).count();
    Some(disagree as f64 / n_windows as f64)
}

/// Boundaries among the first `i` units, for every `i`.
fn counts_before(boundaries: &Boundaries) -> Vec<usize> {
    let mut counts = vec![0];
    let mut n = 0;
    counts.extend(boundaries.marks().iter().map(|&mark| {
        n += usize::from(mark);
        n
    }));
    counts
}
