//! IMTL: losses balanced for the heads, gradients balanced for the trunk.
//!
//! - **What:** every task has a learned scale that brings its loss to about 1 (IMTL-L); the heads learn from scaled
//!   losses; the trunk follows IMTL-G of the scaled gradients.
//! - **Paper:** Liu, Li, Kuang, Xue, Chen, Yang, Liao, Zhang: Towards Impartial Multi-task Learning. ICLR 2021,
//!   algorithm 1 (the hybrid).
//! - **Rule:** minimise Σ e^{sᵢ} lᵢ − sᵢ over sᵢ and the heads, so ∂/∂sᵢ = e^{sᵢ} lᵢ − 1 and sᵢ settles at −log lᵢ; the
//!   trunk's weights are α of IMTL-G on the gradients e^{sᵢ} gᵢ, times e^{sᵢ}. IMTL-G sees directions only, so the scales
//!   change the length of the trunk's step and not its direction.
//! - **Departures:** the paper learns s with the network's optimiser and rate. Rates of fine-tuning would not move it at
//!   all, so s has its own Adam, as in `imtl-l`. Dependent gradients as in IMTL-G. A task that pulls alone steps plainly and keeps its s.
//! - **Scale:** IMTL-G's times the mean of the scales as its weights see them. Heads step with e^{sᵢ} times their gradient.
//! - **Cost:** the Gramian (one backward per task over shared rows), then one weighted backward.

use polytask_core::method::{Choice, Range};
use polytask_core::{Family, MethodInfo, ParamInfo};

use super::imtl_g::impartial;
use super::imtl_l::Impartial;
use crate::Result;
use crate::adapt::ByGramian;
use crate::table::{Claim, Entry, Setup};
use crate::{Gramian, GramianWeighting, LossWeighting, Needs, Step, Weighting};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "imtl",
    title: "IMTL",
    paper: "Liu, Li, Kuang, Xue, Chen, Yang, Liao, Zhang, ICLR 2021",
    family: Family::GramianWeighting,
    about: "learns a scale per loss (IMTL-L) and follows IMTL-G of the scaled gradients",
    cost: "Gramian + one backward",
    kinds: &[],
    params: &[ParamInfo {
        name: "rate",
        about: "learning rate of the log scales at the peak of the run's schedule",
        default: "0.01",
        range: Range::Positive,
    }],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[Claim::Permutation, Claim::Scaling], make };

struct Imtl(Impartial);

fn make(choice: &Choice, setup: &Setup) -> Result<Box<dyn Weighting>> {
    let weighting = Imtl(Impartial::new(choice.real(&INFO, "rate"), setup));
    Ok(Box::new(ByGramian { weighting, needs: Needs::NONE }))
}

impl GramianWeighting for Imtl {
    fn heads(&self, step: &Step) -> Option<Vec<f64>> {
        Some(self.0.scales(step))
    }

    fn weights(&mut self, step: &mut Step, gramian: &Gramian) -> Vec<f64> {
        impartial(gramian, &self.0.weights(step))
    }

    fn state(&self) -> Vec<f64> {
        self.0.state()
    }

    fn restore(&mut self, state: &[f64]) -> Result<()> {
        self.0.restore(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Heads;
    use crate::testing::{FakeProbe, gramian_steps, weights};

    #[test]
    fn successive_steps_equal_the_published_rule_learned_by_adam() {
        let mut method = make(&Choice::named("imtl"), &Setup::of(&["a", "b", "c"])).unwrap();
        for case in gramian_steps("imtl") {
            let mut probe = FakeProbe::of(&case);
            probe.set_losses(&case.losses);
            let update = method.update(&mut probe).unwrap();
            let crate::Direction::Weights(found) = &update.trunk else { panic!("expected weights") };
            case.check(found, 1e-6);
            let Heads::Factors(heads) = update.heads else { panic!("expected factors") };
            for (found, expected) in heads.iter().zip(&case.heads) {
                assert!((found / expected - 1.0).abs() < 1e-9, "{found} {expected}");
            }
        }
    }

    #[test]
    fn scaled_losses_settle_at_one_and_the_direction_is_that_of_imtl_g() {
        let mut method = make(&Choice::named("imtl"), &Setup::of(&["a", "b"])).unwrap();
        let mut probe = FakeProbe::random(1, 2, 4);
        probe.set_losses(&[0.1, 7.0]);
        let last = (0..5000).map(|_| method.update(&mut probe).unwrap()).last().unwrap();
        let Heads::Factors(heads) = last.heads else { panic!("expected factors") };
        assert!((heads[0] * 0.1 - 1.0).abs() < 0.02 && (heads[1] * 7.0 - 1.0).abs() < 0.02, "{heads:?}");
        let found = weights(method.as_mut(), &mut probe);
        let mut plain = crate::table::make(&Choice::named("imtl-g"), &Setup::of(&[])).unwrap();
        let plain = weights(plain.as_mut(), &mut probe);
        assert!((found[0] / found[1] / (plain[0] / plain[1]) - 1.0).abs() < 1e-12);
    }
}
