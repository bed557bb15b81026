//! The best split of a node by one column.

use super::candidate::{BinRule, Candidate, Parent, keep};
use super::categories;
use super::node::score_of_both;
use crate::bins::BinnedColumn;
use crate::table::ColumnSort;

/// The best split by a column; of equal ones the first: missing right before left, lower cuts first.
pub(super) fn best(
    (index, column): (usize, &BinnedColumn),
    bins: &[f64],
    parent: Parent<'_>,
    scratch: &mut Vec<f64>,
) -> Option<Candidate> {
    match column.sort {
        ColumnSort::Number => by_cut((index, column), bins, parent, scratch),
        ColumnSort::Category => categories::best((index, column), bins, parent, scratch),
    }
}

fn by_cut(
    (index, column): (usize, &BinnedColumn),
    bins: &[f64],
    parent: Parent<'_>,
    left: &mut Vec<f64>,
) -> Option<Candidate> {
    let stride = parent.sums.len();
    let (known, missing) = bins.split_at(column.n_known * stride);
    let mut best = None;
    let mut consider = |left: &[f64], last: usize, default_left: bool| {
        let Some(score) = score_of_both(left, parent.sums, parent.params) else { return };
        keep(&mut best, score - parent.score, |gain| Candidate {
            gain,
            column: index,
            rule: BinRule::UpTo(last),
            default_left,
            n_left: left[0],
        });
    };
    let has_missing = missing[0] > 0.0;
    for default_left in [false, true].into_iter().take(1 + usize::from(has_missing)) {
        left.clear();
        left.resize(stride, 0.0);
        if default_left {
            left.copy_from_slice(missing);
        }
        for (bin, sums) in known.chunks_exact(stride).enumerate() {
            // A cut behind an empty bin parts the same rows as the one before it.
            if sums[0] == 0.0 {
                continue;
            }
            left.iter_mut().zip(sums).for_each(|(sum, part)| *sum += part);
            if bin + 1 < column.n_known {
                consider(left, bin, default_left);
            }
        }
    }
    // All that is known on the left, all that is missing on the right.
    if has_missing {
        left.copy_from_slice(parent.sums);
        left.iter_mut().zip(missing).for_each(|(sum, part)| *sum -= part);
        consider(left, column.n_known - 1, false);
    }
    best
}
