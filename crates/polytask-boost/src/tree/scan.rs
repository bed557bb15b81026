//! The best split of a node by one column.

use super::candidate::{BinRule, Candidate, LEAST_GAIN, Parent, keep};
use super::categories;
use super::lanes::{Count, Lanes, NOTHING};
use super::node::{Bars, Worth, score_of_both};
use crate::bins::BinnedColumn;
use crate::table::ColumnSort;

/// Room for what is known of every cut of a column.
#[derive(Default)]
pub(super) struct Scratch {
    /// Sums of one side.
    pub(super) side: Vec<f64>,
    /// Slope of a margin left of every cut.
    slopes: Vec<f64>,
    /// Its curvature.
    curvatures: Vec<f64>,
    /// Rows left of every cut, where they are counted.
    rows: Vec<f64>,
    /// Curvature of all margins left of every cut.
    below: Vec<f64>,
    /// Scores of both children of every cut.
    scores: Vec<f64>,
}

/// The best split by a column; of equal ones the first: missing right before left, lower cuts first.
pub(super) fn best(
    (index, column): (usize, &BinnedColumn),
    bins: &[f64],
    parent: Parent<'_>,
    scratch: &mut Scratch,
) -> Option<Candidate> {
    match column.sort {
        ColumnSort::Number => by_cut((index, column), bins, parent, scratch),
        ColumnSort::Category => categories::best((index, column), bins, parent, &mut scratch.side),
    }
}

fn by_cut(
    (index, column): (usize, &BinnedColumn),
    bins: &[f64],
    parent: Parent<'_>,
    scratch: &mut Scratch,
) -> Option<Candidate> {
    let lanes = parent.lanes;
    let (known, missing) = bins.split_at(column.n_known * lanes.n());
    let missing = &missing[..lanes.n()];
    let has_missing = lanes.rows(missing) > 0.0;
    let mut best = None;
    for default_left in [false, true].into_iter().take(1 + usize::from(has_missing)) {
        scratch.score(known, default_left.then_some(missing), parent);
        scratch.choose(known, &mut best, (index, default_left), parent);
    }
    if has_missing {
        all_known_left(&mut best, (index, column.n_known - 1), missing, parent, &mut scratch.side);
    }
    best
}

/// All that is known on the left, all that is missing on the right.
fn all_known_left(
    best: &mut Option<Candidate>,
    (column, last): (usize, usize),
    missing: &[f64],
    parent: Parent<'_>,
    left: &mut Vec<f64>,
) {
    left.clear();
    left.extend(parent.sums.iter().zip(missing).map(|(sum, part)| sum - part));
    let Some(score) = score_of_both(left, parent) else { return };
    keep(best, score - parent.score, |gain| Candidate {
        gain,
        column,
        rule: BinRule::UpTo(last),
        default_left: false,
    });
}

impl Scratch {
    /// Scores of the children of every cut, `start` on the left before the first bin.
    ///
    /// Sums run from bin to bin, but what they are worth is reckoned apart, so that several cuts are at one time.
    fn score(&mut self, known: &[f64], start: Option<&[f64]>, parent: Parent<'_>) {
        let (lanes, worth) = (parent.lanes, Worth::new(parent.params));
        let n = known.len() / lanes.n();
        for sums in [&mut self.below, &mut self.scores, &mut self.slopes, &mut self.curvatures] {
            sums.resize(n, 0.0);
        }
        let at_start = |lane: usize| start.map_or(0.0, |start| start[lane]);
        for (m, [slope, curvature]) in lanes.margins(parent.sums).enumerate() {
            self.run(known, (2 * m, lanes.n()), [at_start(2 * m), at_start(2 * m + 1)]);
            let (g, h) = (&self.slopes[..n], &self.curvatures[..n]);
            let (scores, below) = (&mut self.scores[..n], &mut self.below[..n]);
            let both = |at: usize| worth.of(g[at], h[at]) + worth.of(slope - g[at], curvature - h[at]);
            if m == 0 {
                (0..n).for_each(|at| scores[at] = both(at));
                below.copy_from_slice(h);
            } else {
                (0..n).for_each(|at| scores[at] += both(at));
                (0..n).for_each(|at| below[at] += h[at]);
            }
            if m == 0 && lanes.count == Count::Curvature {
                self.rows.clone_from(&self.curvatures);
            }
        }
        if lanes.count == Count::Own {
            self.count(known, lanes, at_start(2 * lanes.width));
        }
    }

    /// Slope and curvature of a margin left of every cut.
    fn run(&mut self, known: &[f64], (lane, n): (usize, usize), [mut slope, mut curvature]: [f64; 2]) {
        let (slopes, curvatures) = (&mut self.slopes[..], &mut self.curvatures[..]);
        for bin in 0..slopes.len().min(curvatures.len()) {
            slope += known[bin * n + lane];
            curvature += known[bin * n + lane + 1];
            slopes[bin] = slope;
            curvatures[bin] = curvature;
        }
    }

    /// Rows left of every cut.
    fn count(&mut self, known: &[f64], lanes: Lanes, start: f64) {
        let mut rows = start;
        self.rows.clear();
        for bin in known.chunks_exact(lanes.n()) {
            rows += bin[2 * lanes.width];
            self.rows.push(rows);
        }
    }

    /// Keeps the best cut where both children may be.
    fn choose(
        &self,
        known: &[f64],
        best: &mut Option<Candidate>,
        (column, default_left): (usize, bool),
        parent: Parent<'_>,
    ) {
        let lanes = parent.lanes;
        let bar = |best: &Option<Candidate>| best.as_ref().map_or(LEAST_GAIN, |best| best.gain);
        let mut least = parent.score + bar(best);
        // The last bin has no cut behind it.
        for bin in 0..self.scores.len().saturating_sub(1) {
            if self.scores[bin] <= least {
                continue;
            }
            let gain = self.scores[bin] - parent.score;
            // A cut behind an empty bin parts the same rows as the one before it.
            let is_empty = lanes.rows(&known[bin * lanes.n()..][..lanes.n()]) == 0.0;
            if !is_empty && self.may_part(bin, parent) {
                let rule = BinRule::UpTo(bin);
                keep(best, gain, |gain| Candidate { gain, column, rule, default_left });
                least = parent.score + bar(best);
            }
        }
    }

    fn may_part(&self, bin: usize, parent: Parent<'_>) -> bool {
        let (lanes, below) = (parent.lanes, self.below[bin]);
        let above = lanes.curvature(parent.sums) - below;
        let is_any = |curvature: f64| f64::from(u8::from(curvature > NOTHING));
        let [left, right] = match lanes.count {
            Count::Any => [is_any(below), is_any(above)],
            Count::Curvature | Count::Own => [self.rows[bin], lanes.rows(parent.sums) - self.rows[bin]],
        };
        Bars::new(parent).pass([left, below], [right, above])
    }
}
