//! UPGrad: every gradient projected so that it hurts no task, then averaged.
//!
//! - **What:** each task's gradient is replaced by the nearest direction that has a negative inner product with no task
//!   gradient; the mean of these is followed. Unlike PCGrad's, the result conflicts with nobody.
//! - **Paper:** Quinton, Rey: Jacobian Descent for Multi-Objective Optimization. 2024 (arXiv 2406.16232), section 3.
//! - **Rule:** w⁽ⁱ⁾ = argmin vᵀ (G / trace G + `reg_eps` I) v over v ≥ eᵢ/m; direction Jᵀ Σᵢ w⁽ⁱ⁾.
//! - **Departures:** none in the mathematics. TorchJD replaces a Gramian of trace below 1e-4 (`norm_eps`) by zeros, so
//!   that small gradients are simply averaged; gradients of fine-tuning are that small, so here the Gramian is always
//!   divided by its trace.
//! - **Scale:** of a mean, where `equal` is a sum. Heads step with their own plain gradients.
//! - **Cost:** the Gramian (one backward per task over shared rows), then one weighted backward; one small quadratic
//!   program per task.

use polytask_core::method::Choice;
use polytask_core::{Family, MethodInfo};
use rayon::prelude::*;

use super::dualproj::REG_EPS;
use crate::Result;
use crate::adapt::ByGramian;
use crate::solve::{over_trace, shortest_above, with_ridge};
use crate::table::{Claim, Entry, Setup};
use crate::{Gramian, GramianWeighting, Needs, Step, Weighting};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "upgrad",
    title: "UPGrad",
    paper: "Quinton, Rey, 2024",
    family: Family::GramianWeighting,
    about: "projects each task's gradient so that it conflicts with no other's, then takes the mean",
    cost: "Gramian + one backward",
    kinds: &[],
    params: &[REG_EPS],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[Claim::Permutation, Claim::Scaling], make };

struct UpGrad {
    reg_eps: f64,
}

fn make(choice: &Choice, _setup: &Setup) -> Result<Box<dyn Weighting>> {
    let weighting = UpGrad { reg_eps: choice.real(&INFO, "reg_eps") };
    Ok(Box::new(ByGramian { weighting, needs: Needs::NONE }))
}

impl GramianWeighting for UpGrad {
    fn weights(&mut self, _step: &mut Step, gramian: &Gramian) -> Vec<f64> {
        let n = gramian.n;
        let ridged = with_ridge(over_trace(gramian), self.reg_eps);
        let projected = |i: usize| {
            let mut own = vec![0.0; n];
            own[i] = 1.0 / n as f64;
            shortest_above(&ridged, &own).unwrap_or(own)
        };
        // Each program stands alone, and together they are a good part of a step on a small network.
        let all: Vec<Vec<f64>> = (0..n).into_par_iter().map(projected).collect();
        let mut sum = vec![0.0; n];
        for weights in all {
            sum.iter_mut().zip(weights).for_each(|(s, w)| *s += w);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeProbe, gramian_golden, weights};

    #[test]
    fn directions_equal_torchjd() {
        for (params, case) in gramian_golden("upgrad") {
            let mut method = make(&params, &Setup::of(&[])).unwrap();
            case.check(&weights(method.as_mut(), &mut FakeProbe::of(&case)), 1e-4);
        }
    }

    #[test]
    fn small_gradients_are_projected_like_large_ones() {
        let method = || make(&Choice::named("upgrad"), &Setup::of(&[])).unwrap();
        let large = weights(method().as_mut(), &mut FakeProbe::from_rows(&[&[1.0, 0.0], &[-1.0, 1.0]]));
        let small = weights(method().as_mut(), &mut FakeProbe::from_rows(&[&[1e-6, 0.0], &[-1e-6, 1e-6]]));
        // g1 projects to ½(1, 1) = g1 + ½ g2 and g2 to (0, 1) = g2 + g1; their mean is half of 2 g1 + 1.5 g2.
        assert!((large[0] - 1.0).abs() < 1e-3 && (large[1] - 0.75).abs() < 1e-3, "{large:?}");
        assert!(large.iter().zip(&small).all(|(l, s)| (l - s).abs() < 1e-6), "{small:?}");
    }

    #[test]
    fn no_task_is_hurt() {
        let mut method = make(&Choice::named("upgrad"), &Setup::of(&[])).unwrap();
        for seed in 0..20 {
            let mut probe = FakeProbe::random(seed, 5, 7);
            let w = weights(method.as_mut(), &mut probe);
            let gramian = crate::Probe::gramian(&mut probe, crate::At::default()).unwrap();
            let trace: f64 = (0..5).map(|i| gramian.get(i, i)).sum();
            // Up to the ridge: the products are at least −reg_eps · trace · w.
            let products = gramian.times(&w);
            assert!(products.iter().zip(&w).all(|(p, w)| *p >= -1.01e-4 * trace * w - 1e-9), "{products:?}");
        }
    }
}
