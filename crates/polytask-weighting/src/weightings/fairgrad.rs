//! FairGrad: the direction is shared out by α-fairness.
//!
//! - **What:** the step maximises the α-fair utility of the tasks' gains. α = 1 is proportional fairness (Nash-MTL),
//!   towards large α only the worst-off task counts.
//! - **Paper:** Ban, Ji: Fair Resource Allocation in Multi-Task Learning. ICML 2024, equation 6.
//! - **Rule:** w > 0 with G w = w^(−1/α), element by element; direction Jᵀ w.
//! - **Solved** as the minimum of the strictly convex ½ wᵀ G w − Σ wᵢ^(1−1/α) / (1 − 1/α) (log wᵢ at α = 1) by damped
//!   Newton steps on cosines; the paper's and LibMTL's implementations call a bounded least-squares routine on the
//!   equation, whose minimum it is when that converges.
//! - **Gradients that cancel** (a positive combination of them is zero) have no such w. A ridge of 1e-10 on the cosines
//!   then gives large weights in the cancelling proportion and next to no direction. Gradients that are dependent
//!   but do not cancel have one direction, found as any other.
//! - **Departures:** none in the mathematics. α is 1 where nothing is said, as in LibMTL; another published
//!   implementation takes 2. The head of a task whose trunk gradient is zero trains with weight 1.
//! - **Scale:** the method sets it: a direction is c^((1−α)/(1+α)) times as long when gradients are c times as long, and
//!   of length √m at α = 1. Clip, or tune the rate. Heads get the weights too, as in the published implementations.
//! - **Cost:** the Gramian (one backward per task over shared rows), then one weighted backward.

use polytask_core::method::{Choice, Range};
use polytask_core::{Family, MethodInfo, ParamInfo};

use crate::Result;
use crate::adapt::ByGramian;
use crate::solve::{balance, cosines, norms};
use crate::table::{Claim, Entry, Setup};
use crate::{Gramian, GramianWeighting, Needs, Step, Weighting};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "fairgrad",
    title: "FairGrad",
    paper: "Ban, Ji, ICML 2024",
    family: Family::GramianWeighting,
    about: "shares the step out among the tasks by alpha-fairness of their gains",
    cost: "Gramian + one backward",
    kinds: &[],
    params: &[ParamInfo {
        name: "alpha",
        about: "degree of fairness: 1 is proportional (Nash-MTL), larger looks more at the worst-off task",
        default: "1.0",
        range: Range::Real { min: 0.1, max: 10.0 },
    }],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[Claim::Permutation], make };

struct FairGrad {
    alpha: f64,
}

fn make(choice: &Choice, _setup: &Setup) -> Result<Box<dyn Weighting>> {
    let weighting = FairGrad { alpha: choice.real(&INFO, "alpha") };
    Ok(Box::new(ByGramian { weighting, needs: Needs { weighted_heads: true, ..Needs::NONE } }))
}

impl GramianWeighting for FairGrad {
    fn weights(&mut self, _step: &mut Step, gramian: &Gramian) -> Vec<f64> {
        fair(gramian, self.alpha)
    }
}

/// The w > 0 with G w = w^(−1/α).
pub(super) fn fair(gramian: &Gramian, alpha: f64) -> Vec<f64> {
    let (p, norms) = (1.0 / alpha, norms(gramian));
    // With x = w ‖g‖ the equation reads C x = ‖g‖^(p−1) x⁻ᵖ on the cosines C. Lengths are counted in their geometric
    // mean u, and counting them so multiplies w by u^(2/(1+p)).
    let unit = (norms.iter().map(|norm| norm.ln()).sum::<f64>() / norms.len() as f64).exp();
    let lengths: Vec<f64> = norms.iter().map(|norm| norm / unit).collect();
    let k: Vec<f64> = lengths.iter().map(|length| length.powf(p - 1.0)).collect();
    let factor = unit.powf(-2.0 / (1.0 + p));
    let found = balance(&cosines(gramian), &k, p);
    found.iter().zip(&lengths).map(|(x, length)| x / length * factor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeProbe, gramian_golden, weights};

    fn with(alpha: f64) -> Box<dyn Weighting> {
        let mut choice = Choice::named("fairgrad");
        choice.params.insert("alpha".into(), alpha.into());
        make(&choice, &Setup::of(&[])).unwrap()
    }

    #[test]
    fn directions_equal_an_independent_solver() {
        for (params, case) in gramian_golden("fairgrad") {
            let mut method = make(&params, &Setup::of(&[])).unwrap();
            case.check(&weights(method.as_mut(), &mut FakeProbe::of(&case)), 1e-4);
        }
    }

    #[test]
    fn the_equation_holds_at_any_scale() {
        for alpha in [0.5, 1.0, 2.0, 5.0] {
            for size in [1e-12_f32, 1.0, 1e12] {
                let rows: [&[f32]; 2] = [&[size, 0.0], &[-0.5 * size, 3.0 * size]];
                let mut probe = FakeProbe::from_rows(&rows);
                let w = weights(with(alpha).as_mut(), &mut probe);
                let gramian = crate::Probe::gramian(&mut probe, crate::At::default()).unwrap();
                for (gain, w) in gramian.times(&w).iter().zip(&w) {
                    assert!((gain * w.powf(1.0 / alpha) - 1.0).abs() < 1e-6, "{alpha} {size} {gain} {w}");
                }
            }
        }
    }

    #[test]
    fn a_larger_alpha_serves_the_worse_task_more() {
        let mut probe = FakeProbe::from_rows(&[&[1.0, 0.0], &[0.0, 10.0]]);
        let ratio = |alpha: f64, probe: &mut FakeProbe| {
            let w = weights(with(alpha).as_mut(), probe);
            // Gains of the two tasks.
            w[0] / (100.0 * w[1])
        };
        let (even, fair, fairest) = (ratio(0.5, &mut probe), ratio(1.0, &mut probe), ratio(5.0, &mut probe));
        assert!(even < fair && fair < fairest && fairest < 1.0, "{even} {fair} {fairest}");
    }
}
