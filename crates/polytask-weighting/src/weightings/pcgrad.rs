//! PCGrad: projecting conflicting gradients.
//!
//! - **What:** each task's gradient loses its component along every other task's gradient it conflicts with; the
//!   results are added.
//! - **Paper:** Yu, Kumar, Gupta, Levine, Hausman, Finn: Gradient Surgery for Multi-Task Learning. NeurIPS 2020,
//!   algorithm 1.
//! - **Rule:** v = gᵢ; for j ≠ i in random order, if v·gⱼ < 0 then v ← v − (v·gⱼ / ‖gⱼ‖²) gⱼ; direction Σᵢ v. Here
//!   on coefficients: v = Σ cⱼ gⱼ, so v·gⱼ = (G c)ⱼ and the projection is cⱼ ← cⱼ − (G c)ⱼ / Gⱼⱼ.
//! - **Departures:** none in the mathematics. No epsilon in the division: zero gradients never get here. The order
//!   comes from the step's own draws, so a resumed run repeats it.
//! - **Cost:** the Gramian (one backward per task over shared rows, about one over disjoint rows), then one
//!   weighted backward.

use polytask_core::method::Choice;
use polytask_core::{Family, MethodInfo};

use crate::Result;
use crate::adapt::ByGramian;
use crate::table::{Claim, Entry, Setup};
use crate::{Gramian, GramianWeighting, Needs, Step, Weighting};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "pcgrad",
    title: "PCGrad",
    paper: "Yu, Kumar, Gupta, Levine, Hausman, Finn, NeurIPS 2020",
    family: Family::GramianWeighting,
    about: "takes from each task's gradient what conflicts with another task's, then adds them up",
    cost: "Gramian + one backward",
    kinds: &[],
    params: &[],
};

/// Its line in the table. The order of projections is random, so the direction does not follow a permutation of
/// three or more tasks.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[Claim::Scaling], make };

struct PcGrad;

fn make(_choice: &Choice, _setup: &Setup) -> Result<Box<dyn Weighting>> {
    Ok(Box::new(ByGramian { weighting: PcGrad, needs: Needs::NONE }))
}

impl GramianWeighting for PcGrad {
    fn weights(&mut self, step: &mut Step, gramian: &Gramian) -> Vec<f64> {
        let mut sum = vec![0.0; gramian.n];
        for i in 0..gramian.n {
            let mut order: Vec<usize> = (0..gramian.n).filter(|&j| j != i).collect();
            step.rng.shuffle(&mut order);
            for (total, c) in sum.iter_mut().zip(project(gramian, i, &order)) {
                *total += c;
            }
        }
        sum
    }
}

/// Coefficients of task `i`'s gradient after its projections in this order, `[tasks]`.
fn project(gramian: &Gramian, i: usize, order: &[usize]) -> Vec<f64> {
    let mut c = vec![0.0; gramian.n];
    c[i] = 1.0;
    for &j in order {
        let product: f64 = c.iter().enumerate().map(|(k, ck)| ck * gramian.get(j, k)).sum();
        if product < 0.0 {
            c[j] -= product / gramian.get(j, j);
        }
    }
    c
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeProbe, golden, weights};

    #[test]
    fn projections_in_a_given_order_equal_the_published_algorithm() {
        for case in golden().pcgrad {
            let gramian = case.gramian();
            let mut sum = vec![0.0; gramian.n];
            for (i, order) in case.orders.iter().enumerate() {
                sum.iter_mut().zip(project(&gramian, i, order)).for_each(|(s, c)| *s += c);
            }
            case.check(&sum, 1e-6);
        }
    }

    #[test]
    fn two_tasks_equal_torchjd() {
        for case in golden().pcgrad_two {
            let mut method = make(&Choice::named("pcgrad"), &Setup::of(&["a", "b"])).unwrap();
            let found = weights(method.as_mut(), &mut FakeProbe::of(&case));
            case.check(&found, 1e-6);
        }
    }

    #[test]
    fn tasks_that_agree_are_simply_added() {
        let mut method = make(&Choice::named("pcgrad"), &Setup::of(&["a", "b", "c"])).unwrap();
        let mut probe = FakeProbe::from_rows(&[&[1.0, 0.0], &[1.0, 1.0], &[0.0, 3.0]]);
        assert_eq!(weights(method.as_mut(), &mut probe), [1.0, 1.0, 1.0]);
    }

    #[test]
    fn a_conflict_of_two_leaves_both_without_the_shared_line() {
        let mut method = make(&Choice::named("pcgrad"), &Setup::of(&["a", "b"])).unwrap();
        let mut probe = FakeProbe::from_rows(&[&[1.0, 0.0], &[-1.0, 1.0]]);
        // g1 loses its part along g2: (1,0) + ½(−1,1) = (½,½); g2 loses its part along g1: (0,1).
        assert_eq!(weights(method.as_mut(), &mut probe), [2.0, 1.5]);
    }
}
