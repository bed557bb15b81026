//! Splits of categories: each alone where there are few, else sets in the order of their slopes.

use super::candidate::{BinRule, Candidate, Parent, keep};
use super::node::score_of_both;
use crate::bins::BinnedColumn;

/// Most categories in a set.
const MOST_IN_SET: usize = 64;
/// Most margins whose order of categories is tried.
const MOST_ORDERS: usize = 16;

/// The best set of categories that go right; the rest, and codes that no row here has, go left.
pub(super) fn best(
    (index, column): (usize, &BinnedColumn),
    bins: &[f64],
    parent: Parent<'_>,
    right: &mut Vec<f64>,
) -> Option<Candidate> {
    let stride = parent.lanes.n();
    let has_rows = |bin: u32| parent.lanes.rows(&bins[bin as usize * stride..][..stride]) > 0.0;
    let mut present: Vec<u32> = (0..column.n_known as u32).filter(|&bin| has_rows(bin)).collect();
    let mut search = Search { index, bins, missing: column.n_known, parent, best: None };
    if present.len() <= parent.params.max_cat_to_onehot {
        present.iter().for_each(|bin| search.consider(std::slice::from_ref(bin), right));
        return search.best;
    }
    for margin in 0..parent.lanes.width.min(MOST_ORDERS) {
        let slope = |bin: u32| {
            let sums = &bins[bin as usize * stride..][..stride];
            sums[2 * margin] / (sums[1 + 2 * margin] + parent.params.cat_smooth)
        };
        // Of equal slopes the lower code first, so that the order is one.
        present.sort_by(|&a, &b| slope(a).total_cmp(&slope(b)).then(a.cmp(&b)));
        search.scan(&present, right);
        present.reverse();
        search.scan(&present, right);
    }
    search.best
}

struct Search<'a> {
    index: usize,
    bins: &'a [f64],
    /// The bin of what is missing.
    missing: usize,
    parent: Parent<'a>,
    best: Option<Candidate>,
}

impl Search<'_> {
    /// Tries the first categories of an order as sets, up to half of them.
    fn scan(&mut self, order: &[u32], right: &mut Vec<f64>) {
        right.clear();
        right.resize(self.parent.sums.len(), 0.0);
        for n in 1..=(order.len() / 2).min(MOST_IN_SET) {
            self.add(order[n - 1] as usize, right);
            self.compare(&order[..n], right);
        }
    }

    fn consider(&mut self, set: &[u32], right: &mut Vec<f64>) {
        right.clear();
        right.resize(self.parent.sums.len(), 0.0);
        set.iter().for_each(|&bin| self.add(bin as usize, right));
        self.compare(set, right);
    }

    fn add(&self, bin: usize, right: &mut [f64]) {
        let stride = right.len();
        right.iter_mut().zip(&self.bins[bin * stride..][..stride]).for_each(|(sum, part)| *sum += part);
    }

    /// A set on the right with what is missing on the right, then on the left.
    fn compare(&mut self, set: &[u32], right: &mut [f64]) {
        let missing = &self.bins[self.missing * right.len()..][..right.len()];
        let has_missing = self.parent.lanes.rows(missing) > 0.0;
        if has_missing {
            self.add(self.missing, right);
            self.judge(set, right, false);
            let (stride, missing) = (right.len(), self.missing);
            right
                .iter_mut()
                .zip(&self.bins[missing * stride..][..stride])
                .for_each(|(sum, part)| *sum -= part);
        }
        // Nothing missing here: what is missing later goes with what no row here has.
        self.judge(set, right, true);
    }

    fn judge(&mut self, set: &[u32], right: &[f64], default_left: bool) {
        // Both sides are judged alike, so the one that is there may be either.
        let Some(both) = score_of_both(right, self.parent) else { return };
        let column = self.index;
        keep(&mut self.best, both - self.parent.score, |gain| {
            let mut set = set.to_vec();
            set.sort_unstable();
            Candidate { gain, column, rule: BinRule::In(set), default_left }
        });
    }
}
