//! NTKMTL: slow tasks get more weight, by their neural tangent kernels.
//!
//! - **What:** how fast a task's loss falls is told by the largest eigenvalue of its neural tangent kernel; weights even
//!   these out.
//! - **Paper:** Qin, Wang, Liao, Yan: NTKMTL: Mitigating Task Imbalance in Multi-Task Learning from Neural Tangent Kernel
//!   Perspective. NeurIPS 2025 (arXiv 2510.18258), with one mini-batch per step (n = 1).
//! - **Rule:** λᵢ = ‖gᵢ‖², to which the kernel shrinks at n = 1; wᵢ = (mean λ / λᵢ)^`exponent`, ½ in the paper.
//! - **Departures:** the mean of λ is taken as in the paper's text; the authors' program takes the sum and multiplies the
//!   direction by m once more, a constant for a fixed number of tasks. The
//!   authors' program shortens the direction to `max_norm` (1 in their scripts); here there is no limit unless it is given.
//! - **Scale:** at ½ all weighted gradients have one length, the root mean square of the gradients' lengths. Heads step
//!   with their own plain gradients, as in the authors' program.
//! - **Cost:** the Gramian (one backward per task over shared rows), then one weighted backward. `ntkmtl-sr` looks at
//!   the representation instead and is almost free.

use polytask_core::method::{Choice, Range};
use polytask_core::{Family, MethodInfo, ParamInfo};

use crate::Result;
use crate::adapt::ByGramian;
use crate::solve::square;
use crate::table::{Claim, Entry, Setup};
use crate::{Gramian, GramianWeighting, Needs, Step, Weighting};

/// The exponent of the ratio of eigenvalues, a parameter of both variants.
pub(super) const EXPONENT: ParamInfo = ParamInfo {
    name: "exponent",
    about: "power of the ratio of eigenvalues; larger looks more at slow tasks",
    default: "0.5",
    range: Range::Real { min: 0.0, max: 2.0 },
};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "ntkmtl",
    title: "NTKMTL",
    paper: "Qin, Wang, Liao, Yan, NeurIPS 2025",
    family: Family::GramianWeighting,
    about: "evens out how fast tasks learn, by the largest eigenvalues of their tangent kernels",
    cost: "Gramian + one backward",
    kinds: &[],
    params: &[
        EXPONENT,
        ParamInfo {
            name: "max_norm",
            about: "largest norm of the direction; 0 means no limit",
            default: "0.0",
            range: Range::Real { min: 0.0, max: 1e6 },
        },
    ],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[Claim::Permutation, Claim::Scaling], make };

struct NtkMtl {
    exponent: f64,
    max_norm: f64,
}

fn make(choice: &Choice, _setup: &Setup) -> Result<Box<dyn Weighting>> {
    let weighting =
        NtkMtl { exponent: choice.real(&INFO, "exponent"), max_norm: choice.real(&INFO, "max_norm") };
    Ok(Box::new(ByGramian { weighting, needs: Needs::NONE }))
}

impl GramianWeighting for NtkMtl {
    fn weights(&mut self, _step: &mut Step, gramian: &Gramian) -> Vec<f64> {
        let eigenvalues: Vec<f64> = (0..gramian.n).map(|i| gramian.get(i, i)).collect();
        let mut weights = evened(&eigenvalues, self.exponent);
        let norm = square(gramian, &weights).sqrt();
        if self.longest().is_some_and(|limit| norm > limit) {
            weights.iter_mut().for_each(|w| *w *= self.max_norm / norm);
        }
        weights
    }

    fn longest(&self) -> Option<f64> {
        Some(self.max_norm).filter(|limit| *limit > 0.0)
    }
}

/// Weights from the largest eigenvalue of each task's kernel.
pub(super) fn evened(eigenvalues: &[f64], exponent: f64) -> Vec<f64> {
    let mean = eigenvalues.iter().sum::<f64>() / eigenvalues.len() as f64;
    eigenvalues.iter().map(|value| (mean / value).powf(exponent)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeProbe, gramian_golden, weights};

    #[test]
    fn the_direction_is_no_longer_than_asked() {
        let rows: [&[f32]; 2] = [&[3.0, 0.0], &[0.0, 4.0]];
        for limit in [0.5, 2.0, 100.0] {
            let mut choice = Choice::named("ntkmtl");
            choice.params.insert("max_norm".into(), limit.into());
            let made = |choice: &Choice| make(choice, &Setup::of(&[])).unwrap();
            let length = |choice: &Choice| {
                let w = weights(made(choice).as_mut(), &mut FakeProbe::from_rows(&rows));
                (3.0 * w[0]).hypot(4.0 * w[1])
            };
            let free = length(&Choice::named("ntkmtl"));
            assert!((length(&choice) - free.min(limit)).abs() < 1e-6, "{limit} {free}");
            let mut alone = FakeProbe::from_rows(&rows[..1]);
            let weight = made(&choice).update(&mut alone).unwrap().trunk.weights().unwrap()[0];
            assert!((3.0 * weight - limit.min(3.0)).abs() < 1e-6, "{weight}");
        }
    }

    #[test]
    fn directions_equal_the_published_rule() {
        for (params, case) in gramian_golden("ntkmtl") {
            let mut method = make(&params, &Setup::of(&[])).unwrap();
            case.check(&weights(method.as_mut(), &mut FakeProbe::of(&case)), 1e-6);
        }
    }

    #[test]
    fn weighted_gradients_are_equally_long() {
        let mut method = make(&Choice::named("ntkmtl"), &Setup::of(&[])).unwrap();
        let mut probe = FakeProbe::from_rows(&[&[3.0, 4.0], &[0.0, 50.0], &[0.1, 0.0]]);
        let w = weights(method.as_mut(), &mut probe);
        let expected = ((25.0 + 2500.0 + 0.01_f64) / 3.0).sqrt();
        assert!([5.0, 50.0, 0.1].iter().zip(&w).all(|(norm, w)| (norm * w / expected - 1.0).abs() < 1e-6));
    }
}
