//! STCH: a smooth form of minimising the worst loss.
//!
//! - **What:** weight goes to the tasks whose loss is worst in relation to where it stood after a warm-up; as μ
//!   falls to 0 this becomes the Tchebycheff scalarisation, which reaches every Pareto-optimal point.
//! - **Paper:** Lin et al.: Smooth Tchebycheff Scalarization for Multi-Objective Optimization. ICML 2024
//!   (2402.19078); the schedule is that of the authors' code and LibMTL.
//! - **Rule:** through epoch E, minimise Σ log lᵢ (wᵢ = 1/lᵢ); the mean loss of epoch E is the nadir zᵢ. Afterwards
//!   uᵢ = log(lᵢ / zᵢ) and the loss is m μ log Σ exp(uᵢ / μ), so wᵢ = m softmax(u / μ)ᵢ / lᵢ.
//! - **Departures:** none where every task is in every batch. Otherwise zᵢ is the mean over the steps the task
//!   was in; a task that comes later warms up in its own first epoch; and m and the softmax go over the step's
//!   tasks that have a nadir. 1e-20 is added before every logarithm as in LibMTL; a loss below 1e-20
//!   counts as that.
//! - **Scale:** as `si`: one task alone is plain training at w = 1 / l. A run of E + 1 epochs or fewer is `si`.
//! - **Cost:** one backward.

use polytask_core::method::{Choice, Range};
use polytask_core::{Family, MethodInfo, ParamInfo};

use crate::Result;
use crate::adapt::ByLoss;
use crate::means::EpochMeans;
use crate::shares::softmax;
use crate::table::{Claim, Entry, Setup};
use crate::{LossWeighting, Step, Weighting};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "stch",
    title: "Smooth Tchebycheff scalarisation",
    paper: "Lin et al., ICML 2024",
    family: Family::LossWeighting,
    about: "gives weight to the tasks whose loss is worst compared with its mean after a warm-up",
    cost: "one backward",
    kinds: &[],
    params: &[
        ParamInfo {
            name: "mu",
            about: "smoothness; towards 0 only the worst task counts",
            default: "1.0",
            range: Range::Positive,
        },
        ParamInfo {
            name: "warmup_epochs",
            about: "epochs before the one whose mean losses are the reference",
            default: "4",
            range: Range::Integer { min: 0 },
        },
    ],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry =
    Entry { info: &INFO, claims: &[Claim::Permutation, Claim::Scaling, Claim::Ratios], make };

/// Added before every logarithm, and the smallest loss and nadir.
const EPS: f64 = 1e-20;

struct SmoothTchebycheff {
    mu: f64,
    /// Means of each task's first epoch after the warm-up.
    nadir: EpochMeans,
}

fn make(choice: &Choice, setup: &Setup) -> Result<Box<dyn Weighting>> {
    let warmup = choice.param(&INFO, "warmup_epochs").as_u64().unwrap_or(4);
    let nadir = EpochMeans::new(setup.tasks.len(), warmup);
    Ok(Box::new(ByLoss(SmoothTchebycheff { mu: choice.real(&INFO, "mu"), nadir })))
}

impl LossWeighting for SmoothTchebycheff {
    fn weights(&mut self, step: &mut Step) -> Vec<f64> {
        self.nadir.add(step.epoch, step.tasks, step.losses);
        let losses = step.losses.iter().map(|loss| loss.max(EPS));
        let pairs: Vec<(f64, Option<f64>)> =
            losses.zip(step.tasks).map(|(loss, &task)| (loss, self.nadir.first(task))).collect();
        let log =
            |(loss, nadir): &(f64, Option<f64>)| nadir.map(|z| (loss / z.max(EPS) + EPS).ln() / self.mu);
        let logs: Vec<f64> = pairs.iter().filter_map(log).collect();
        let mut shares = softmax(&logs, logs.len() as f64).into_iter();
        let weight = |(loss, nadir): (f64, Option<f64>)| match nadir {
            // d log(l / z + ε) / dl
            Some(z) => shares.next().unwrap_or(1.0) / (loss + EPS * z.max(EPS)),
            None => 1.0 / (loss + EPS),
        };
        pairs.into_iter().map(weight).collect()
    }

    fn state(&self) -> Vec<f64> {
        self.nadir.state()
    }

    fn restore(&mut self, state: &[f64]) -> Result<()> {
        self.nadir.restore(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::follow;
    use crate::testing::{FakeProbe, weights};

    #[test]
    fn weights_equal_the_gradient_of_libmtl_s_loss_before_and_after_the_warm_up() {
        follow("stch");
    }

    #[test]
    fn a_task_that_comes_later_warms_up_in_its_own_first_epoch() {
        let mut choice = Choice::named("stch");
        choice.params.insert("warmup_epochs".into(), 0.into());
        let mut method = make(&choice, &Setup::of(&["a", "b", "c"])).unwrap();
        let mut step = |epoch, tasks: &[usize], losses: &[f64]| {
            let mut probe = FakeProbe::random(1, tasks.len(), 3).with_tasks(tasks).at_epoch(epoch);
            probe.set_losses(losses);
            weights(method.as_mut(), &mut probe)
        };
        assert_eq!(step(0, &[0, 1], &[2.0, 4.0]), [0.5, 0.25]);
        // c warms up (1/l); a and b share 2: u = log(1/2), log(2/4) are equal.
        let found = step(1, &[0, 1, 2], &[1.0, 2.0, 8.0]);
        assert!((found[0] - 1.0).abs() < 1e-12 && (found[1] - 0.5).abs() < 1e-12, "{found:?}");
        assert_eq!(found[2], 0.125);
        // Now c has a nadir of 8 and stands at half of it, b at its nadir: shares 2/3 and 4/3 of 2.
        let found = step(2, &[1, 2], &[4.0, 4.0]);
        assert!((found[0] * 4.0 - 4.0 / 3.0).abs() < 1e-12 && (found[1] * 4.0 - 2.0 / 3.0).abs() < 1e-12);
    }
}
