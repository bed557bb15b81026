//! DualProj: the mean gradient, projected so that it hurts no task.
//!
//! - **What:** the direction nearest to the mean gradient that has a negative inner product with no task gradient.
//! - **Paper:** Lopez-Paz, Ranzato: Gradient Episodic Memory for Continual Learning. NeurIPS 2017, equation 11 (there:
//!   the new task's gradient against those of the tasks kept).
//! - **Rule:** w = argmin vᵀ (G / trace G + `reg_eps` I) v over v ≥ 1/m; direction Jᵀ w.
//! - **Departures:** none in the mathematics; the ridge and the mean are TorchJD's. TorchJD replaces a Gramian of trace
//!   below 1e-4 (`norm_eps`) by zeros, so that small gradients are simply averaged; gradients of fine-tuning are that
//!   small, so here the Gramian is always divided by its trace.
//! - **Scale:** of a mean, where `equal` is a sum. Heads step with their own plain gradients.
//! - **Cost:** the Gramian (one backward per task over shared rows), then one weighted backward.

use polytask_core::method::{Choice, Range};
use polytask_core::{Family, MethodInfo, ParamInfo};

use crate::Result;
use crate::adapt::ByGramian;
use crate::solve::{over_trace, shortest_above, with_ridge};
use crate::table::{Claim, Entry, Setup};
use crate::{Gramian, GramianWeighting, Needs, Step, Weighting};

/// The ridge of a projection on the dual cone, a parameter of more than one method.
pub(super) const REG_EPS: ParamInfo = ParamInfo {
    name: "reg_eps",
    about: "what is added to the diagonal of the Gramian, as a share of its trace",
    default: "1e-4",
    range: Range::Real { min: 1e-8, max: 1.0 },
};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "dualproj",
    title: "DualProj",
    paper: "Lopez-Paz, Ranzato, NeurIPS 2017",
    family: Family::GramianWeighting,
    about: "follows the mean gradient, projected so that it conflicts with no task's gradient",
    cost: "Gramian + one backward",
    kinds: &[],
    params: &[REG_EPS],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[Claim::Permutation, Claim::Scaling], make };

struct DualProj {
    reg_eps: f64,
}

fn make(choice: &Choice, _setup: &Setup) -> Result<Box<dyn Weighting>> {
    let weighting = DualProj { reg_eps: choice.real(&INFO, "reg_eps") };
    Ok(Box::new(ByGramian { weighting, needs: Needs::NONE }))
}

impl GramianWeighting for DualProj {
    fn weights(&mut self, _step: &mut Step, gramian: &Gramian) -> Vec<f64> {
        let mean = vec![1.0 / gramian.n as f64; gramian.n];
        shortest_above(&with_ridge(over_trace(gramian), self.reg_eps), &mean).unwrap_or(mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeProbe, gramian_golden, weights};

    fn method() -> Box<dyn Weighting> {
        make(&Choice::named("dualproj"), &Setup::of(&[])).unwrap()
    }

    #[test]
    fn directions_equal_torchjd() {
        for (params, case) in gramian_golden("dualproj") {
            let mut method = make(&params, &Setup::of(&[])).unwrap();
            case.check(&weights(method.as_mut(), &mut FakeProbe::of(&case)), 1e-4);
        }
    }

    #[test]
    fn a_mean_that_hurts_nobody_is_followed_as_it_is() {
        let mut probe = FakeProbe::from_rows(&[&[1.0, 0.0], &[1.0, 1.0]]);
        let found = weights(method().as_mut(), &mut probe);
        assert!(found.iter().all(|w| (w - 0.5).abs() < 1e-6), "{found:?}");
    }

    #[test]
    fn a_hurt_task_is_lifted_until_it_is_not() {
        // The mean (-1, 0.5) hurts task 1; its projection on what does not is (0, 0.5).
        let mut probe = FakeProbe::from_rows(&[&[1.0, 0.0], &[-3.0, 1.0]]);
        let w = weights(method().as_mut(), &mut probe);
        assert!((w[0] - 3.0 * w[1]).abs() < 0.01 && (w[1] - 0.5).abs() < 1e-6, "{w:?}");
    }
}
