//! IMTL-L: every task's loss is scaled, by learning, to the same size.
//!
//! - **What:** a learned scale per task brings every scaled loss to 1, without a bound between tasks.
//! - **Paper:** Liu et al.: Towards Impartial Multi-task Learning. ICLR 2021 (the half that balances losses).
//! - **Rule:** minimise Σ e^{sᵢ} lᵢ − sᵢ over the network and s; so wᵢ = e^{sᵢ}, and ∂/∂sᵢ = e^{sᵢ} lᵢ − 1. sᵢ settles
//!   at −log lᵢ, where wᵢ lᵢ = 1. s starts at 0 (w = 1).
//! - **Departures:** s has its own Adam with rate `rate` times the run's schedule instead of the network's
//!   optimiser, for the reason given for `uw`; it is kept within ±40, which bounds w for a loss that has become 0.
//! - **Scale:** one task alone is plain training at w = e^s times the rate, which AdamW cancels.
//! - **Cost:** one backward.

use polytask_core::method::{Choice, Range};
use polytask_core::{Family, MethodInfo, ParamInfo};

use crate::Result;
use crate::adam::{Learned, Pace};
use crate::adapt::ByLoss;
use crate::table::{Claim, Entry, Setup};
use crate::{LossWeighting, Step, Weighting};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "imtl-l",
    title: "IMTL-L",
    paper: "Liu et al., ICLR 2021",
    family: Family::LossWeighting,
    about: "learns a scale per task that brings every loss to the same size",
    cost: "one backward",
    kinds: &[],
    params: &[ParamInfo {
        name: "rate",
        about: "learning rate of the logarithms of the scales at the peak of the run's schedule",
        default: "0.01",
        range: Range::Positive,
    }],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry =
    Entry { info: &INFO, claims: &[Claim::Permutation, Claim::Scaling, Claim::Separate], make };

/// Largest size of a scale's logarithm.
const BOUND: f64 = 40.0;

/// The learned scales.
pub(super) struct Impartial {
    /// Logarithms of the scales, one per task of the suite.
    log_scale: Learned,
    pace: Pace,
}

fn make(choice: &Choice, setup: &Setup) -> Result<Box<dyn Weighting>> {
    Ok(Box::new(ByLoss(Impartial::new(choice.real(&INFO, "rate"), setup))))
}

impl Impartial {
    /// All at 1, learned at `rate`.
    pub(super) fn new(rate: f64, setup: &Setup) -> Self {
        Self { log_scale: Learned::new(setup.tasks.len(), 0.0), pace: Pace::new(rate, setup) }
    }

    /// The scales of the step's tasks.
    pub(super) fn scales(&self, step: &Step) -> Vec<f64> {
        step.tasks.iter().map(|&task| self.log_scale.get(task).exp()).collect()
    }
}

impl LossWeighting for Impartial {
    fn weights(&mut self, step: &mut Step) -> Vec<f64> {
        let rate = self.pace.rate(step.lr);
        let mut weights = Vec::with_capacity(step.tasks.len());
        for (&task, &loss) in step.tasks.iter().zip(step.losses) {
            let weight = self.log_scale.get(task).exp();
            weights.push(weight);
            self.log_scale.descend(task, weight * loss - 1.0, rate, BOUND);
        }
        weights
    }

    fn state(&self) -> Vec<f64> {
        self.log_scale.state()
    }

    fn restore(&mut self, state: &[f64]) -> Result<()> {
        self.log_scale.restore(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::follow;
    use crate::testing::{FakeProbe, weights};

    #[test]
    fn weights_follow_the_published_loss_learned_by_adam() {
        follow("imtl-l");
    }

    #[test]
    fn scaled_losses_settle_at_one_and_an_absent_task_keeps_its_scale() {
        let mut method = make(&Choice::named("imtl-l"), &Setup::of(&["a", "b", "c"])).unwrap();
        let mut probe = FakeProbe::random(1, 2, 4).with_tasks(&[0, 2]);
        probe.set_losses(&[0.1, 7.0]);
        let last = (0..5000).map(|_| weights(method.as_mut(), &mut probe)).last().unwrap();
        assert!((last[0] * 0.1 - 1.0).abs() < 0.01 && (last[1] * 7.0 - 1.0).abs() < 0.01, "{last:?}");
        let mut absent = FakeProbe::random(1, 1, 4).with_tasks(&[1]);
        assert_eq!(weights(method.as_mut(), &mut absent), [1.0]);
    }
}
