//! Uncertainty weighting.
//!
//! - **What:** every task has a learned log variance; a task whose loss stays large is taken to be noisy and gets
//!   less weight.
//! - **Paper:** Kendall, Gal, Cipolla: Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and
//!   Semantics. CVPR 2018, equation 7 with one form for all kinds of loss.
//! - **Rule:** minimise Σ lᵢ / (2 e^{sᵢ}) + sᵢ / 2 over the network and sᵢ = log σᵢ²; so wᵢ = 1 / (2 e^{sᵢ}), and
//!   ∂/∂sᵢ = (1 − lᵢ e^{−sᵢ}) / 2. sᵢ settles at log lᵢ, where wᵢ lᵢ = 1/2.
//! - **Departures:** the paper learns s with the network's optimiser and rate. Rates of fine-tuning (1e-5 to 1e-4)
//!   would move s by less than 0.1 in a thousand steps, that is, not at all; so s has its own Adam, whose
//!   rate is `rate` times the run's schedule (lr now / peak lr). With 0.01 a loss ten times another is balanced
//!   within about 250 steps. s starts at −0.5 as in LibMTL (w = 0.82) and is kept within ±40, which bounds w by 1e17
//!   for a loss that has become exactly 0.
//! - **Scale:** one task alone is plain training at w = 1 / (2 e^s) times the rate, which AdamW cancels.
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
    id: "uw",
    title: "Uncertainty weighting",
    paper: "Kendall, Gal, Cipolla, CVPR 2018",
    family: Family::LossWeighting,
    about: "learns a log variance per task and divides its loss by the variance",
    cost: "one backward",
    kinds: &[],
    params: &[
        ParamInfo {
            name: "rate",
            about: "learning rate of the log variances at the peak of the run's schedule",
            default: "0.01",
            range: Range::Positive,
        },
        ParamInfo {
            name: "init",
            about: "log variance every task starts with",
            default: "-0.5",
            range: Range::Real { min: -20.0, max: 20.0 },
        },
    ],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry =
    Entry { info: &INFO, claims: &[Claim::Permutation, Claim::Scaling, Claim::Separate], make };

/// Largest size of a log variance.
const BOUND: f64 = 40.0;

struct Uncertainty {
    /// Log variances, one per task of the suite.
    log_variance: Learned,
    pace: Pace,
}

fn make(choice: &Choice, setup: &Setup) -> Result<Box<dyn Weighting>> {
    Ok(Box::new(ByLoss(Uncertainty::new(choice, setup))))
}

impl Uncertainty {
    fn new(choice: &Choice, setup: &Setup) -> Self {
        let log_variance = Learned::new(setup.tasks.len(), choice.real(&INFO, "init"));
        Self { log_variance, pace: Pace::new(choice.real(&INFO, "rate"), setup) }
    }
}

impl LossWeighting for Uncertainty {
    fn weights(&mut self, step: &mut Step) -> Vec<f64> {
        let rate = self.pace.rate(step.lr);
        let mut weights = Vec::with_capacity(step.tasks.len());
        for (&task, &loss) in step.tasks.iter().zip(step.losses) {
            let precision = (-self.log_variance.get(task)).exp();
            weights.push(0.5 * precision);
            let gradient = 0.5 * (1.0 - loss * precision);
            self.log_variance.descend(task, gradient, rate, BOUND);
        }
        weights
    }

    fn state(&self) -> Vec<f64> {
        self.log_variance.state()
    }

    fn restore(&mut self, state: &[f64]) -> Result<()> {
        self.log_variance.restore(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeProbe, golden, weights};

    #[test]
    fn weights_follow_the_published_loss_learned_by_adam() {
        let mut method = make(&Choice::named("uw"), &Setup::of(&["a", "b", "c"])).unwrap();
        let mut probe = FakeProbe::random(1, 3, 4);
        for (losses, expected) in golden().uw {
            probe.set_losses(&losses);
            for (found, expected) in weights(method.as_mut(), &mut probe).iter().zip(expected) {
                assert!((found / expected - 1.0).abs() < 1e-9, "{found} {expected}");
            }
        }
    }

    #[test]
    fn weighted_losses_settle_at_one_half() {
        let mut method = make(&Choice::named("uw"), &Setup::of(&["a", "b"])).unwrap();
        let mut probe = FakeProbe::random(1, 2, 4);
        probe.set_losses(&[0.1, 7.0]);
        let last = (0..5000).map(|_| weights(method.as_mut(), &mut probe)).last().unwrap();
        assert!((last[0] * 0.1 - 0.5).abs() < 0.01 && (last[1] * 7.0 - 0.5).abs() < 0.01, "{last:?}");
    }

    #[test]
    fn an_absent_task_keeps_its_variance() {
        let setup = Setup::of(&["a", "b"]);
        let mut method = Uncertainty::new(&Choice::named("uw"), &setup);
        let mut probe = FakeProbe::random(1, 1, 4).with_tasks(&[1]);
        let mut adapted = ByLoss(Uncertainty::new(&Choice::named("uw"), &setup));
        weights(&mut adapted, &mut probe);
        method.restore(&adapted.state()).unwrap();
        assert_eq!(method.log_variance.get(0), -0.5);
        assert_ne!(method.log_variance.get(1), -0.5);
    }
}
