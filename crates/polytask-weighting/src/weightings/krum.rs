//! Krum: the gradients that have the nearest neighbours.
//!
//! - **What:** a defence against broken participants: up to `n_byzantine` gradients may be arbitrary, and the
//!   `n_selected` gradients closest to their neighbours are averaged, the rest left out (Multi-Krum; one is Krum).
//! - **Paper:** Blanchard, El Mhamdi, Guerraoui, Stainer: Machine Learning with Adversaries: Byzantine Tolerant Gradient
//!   Descent. NeurIPS 2017, section 4.
//! - **Rule:** score of task i = sum of its squared distances ‖gᵢ − gⱼ‖² to the m − `n_byzantine` − 2 nearest others; weight
//!   1 / `n_selected` on the lowest scores.
//! - **Departures:** squared distances, as in the paper; TorchJD sums distances themselves and sometimes chooses
//!   others. The paper needs m ≥ `n_byzantine` + 3; batches of a multi-task run have what they have, so with fewer tasks
//!   one neighbour counts, and `n_selected` is at most m. Equal scores share their places equally: two tasks are
//!   each other's only neighbour and are averaged.
//! - **Use:** a task outside the selection does not train the trunk in that step. This is a robust mean for many tasks
//!   of one kind, and a baseline elsewhere.
//! - **Cost:** the Gramian (one backward per task over shared rows), then one weighted backward.

use polytask_core::method::{Choice, Range};
use polytask_core::{Family, MethodInfo, ParamInfo};

use crate::Result;
use crate::adapt::ByGramian;
use crate::solve::norms;
use crate::table::{Claim, Entry, Setup};
use crate::{Gramian, GramianWeighting, Needs, Step, Weighting};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "krum",
    title: "Krum",
    paper: "Blanchard, El Mhamdi, Guerraoui, Stainer, NeurIPS 2017",
    family: Family::GramianWeighting,
    about: "averages the gradients closest to their neighbours and leaves out the others",
    cost: "Gramian + one backward",
    kinds: &[],
    params: &[
        ParamInfo {
            name: "n_byzantine",
            about: "number of tasks whose gradients may be arbitrary",
            default: "1",
            range: Range::Integer { min: 0 },
        },
        ParamInfo {
            name: "n_selected",
            about: "number of gradients averaged",
            default: "1",
            range: Range::Integer { min: 1 },
        },
    ],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[Claim::Permutation, Claim::Scaling], make };

/// Scores this close, as a share of the largest, are equal: they are sums of the same distances in another order.
const EQUAL: f64 = 1e-12;

struct Krum {
    n_byzantine: usize,
    n_selected: usize,
}

fn make(choice: &Choice, _setup: &Setup) -> Result<Box<dyn Weighting>> {
    let count = |name: &str| choice.param(&INFO, name).as_u64().unwrap_or(1) as usize;
    let weighting = Krum { n_byzantine: count("n_byzantine"), n_selected: count("n_selected") };
    Ok(Box::new(ByGramian { weighting, needs: Needs::NONE }))
}

impl GramianWeighting for Krum {
    fn weights(&mut self, _step: &mut Step, gramian: &Gramian) -> Vec<f64> {
        let n = gramian.n;
        let neighbours = n.saturating_sub(self.n_byzantine + 2).max(1);
        let scores: Vec<f64> = (0..n).map(|i| score(gramian, i, neighbours)).collect();
        select(&scores, self.n_selected.min(n))
    }
}

/// Sum of the squared distances of task `i` to its nearest neighbours, in units of the longest gradient.
fn score(gramian: &Gramian, i: usize, neighbours: usize) -> f64 {
    let unit = norms(gramian).into_iter().fold(0.0, f64::max);
    let scaled = |a: usize, b: usize| gramian.get(a, b) / unit / unit;
    let distance = |j: usize| (scaled(i, i) + scaled(j, j) - 2.0 * scaled(i, j)).max(0.0);
    let mut distances: Vec<f64> = (0..gramian.n).filter(|&j| j != i).map(distance).collect();
    distances.sort_by(f64::total_cmp);
    distances.iter().take(neighbours).sum()
}

/// Equal weights, summing to 1, on the lowest scores; those tied for the last places share them.
fn select(scores: &[f64], n_selected: usize) -> Vec<f64> {
    let mut sorted = scores.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (bar, slack) = (sorted[n_selected - 1], EQUAL * sorted[sorted.len() - 1]);
    let is_tied = |score: f64| (score - bar).abs() <= slack;
    let (below, tied) = (
        scores.iter().filter(|s| **s < bar && !is_tied(**s)).count(),
        scores.iter().filter(|s| is_tied(**s)).count(),
    );
    let place = 1.0 / n_selected as f64;
    let shared = place * (n_selected - below) as f64 / tied as f64;
    let weight = |&s: &f64| match (is_tied(s), s < bar) {
        (true, _) => shared,
        (false, true) => place,
        (false, false) => 0.0,
    };
    scores.iter().map(weight).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeProbe, gramian_golden, weights};

    fn with(n_byzantine: usize, n_selected: usize) -> Box<dyn Weighting> {
        let mut choice = Choice::named("krum");
        choice.params.insert("n_byzantine".into(), n_byzantine.into());
        choice.params.insert("n_selected".into(), n_selected.into());
        make(&choice, &Setup::of(&[])).unwrap()
    }

    #[test]
    fn directions_equal_an_independent_implementation() {
        for (params, case) in gramian_golden("krum") {
            let mut method = make(&params, &Setup::of(&[])).unwrap();
            case.check(&weights(method.as_mut(), &mut FakeProbe::of(&case)), 1e-6);
        }
    }

    #[test]
    fn an_arbitrary_gradient_is_never_selected() {
        let rows: [&[f32]; 5] = [&[1.0, 0.13], &[1.11, 0.02], &[0.88, -0.1], &[1.0, 0.0], &[-50.0, 9.0]];
        for n_selected in 1..=4 {
            let found = weights(with(1, n_selected).as_mut(), &mut FakeProbe::from_rows(&rows));
            assert_eq!(found[4], 0.0);
            assert_eq!(found.iter().filter(|w| **w > 0.0).count(), n_selected, "{found:?}");
            assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn equal_scores_share_their_places() {
        assert_eq!(weights(with(1, 1).as_mut(), &mut FakeProbe::random(1, 2, 5)), [0.5, 0.5]);
        assert_eq!(select(&[3.0, 1.0, 3.0, 5.0], 2), [0.25, 0.5, 0.25, 0.0]);
        assert_eq!(select(&[0.0, 0.0, 0.0], 3), [1.0 / 3.0; 3]);
        assert_eq!(weights(with(3, 9).as_mut(), &mut FakeProbe::random(1, 4, 5)), [0.25; 4]);
    }
}
