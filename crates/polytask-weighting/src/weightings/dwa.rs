//! DWA: a task whose loss falls more slowly from epoch to epoch gets more weight.
//!
//! - **What:** weights of an epoch come from the rates at which the losses fell between the last two.
//! - **Paper:** Liu, Johns, Davison: End-To-End Multi-Task Learning with Attention. CVPR 2019.
//! - **Rule:** rᵢ = l̄ᵢ(e−1) / l̄ᵢ(e−2) of mean losses per epoch; w = m softmax(r / T). In epochs 0 and 1, w = 1.
//! - **Departures:** none where every task is in every batch. Otherwise a task's mean counts the steps it was in,
//!   its r comes from the last two epochs it was in (r = 1 before it has two), and m and the softmax go over all
//!   tasks seen so far, so that an epoch's weights do not depend on which tasks share a batch.
//! - **Scale:** weights sum to m like those of `equal`; one task alone is plain training. A run of two epochs or
//!   fewer is `equal`.
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
    id: "dwa",
    title: "Dynamic weight average",
    paper: "Liu, Johns, Davison, CVPR 2019",
    family: Family::LossWeighting,
    about: "gives more weight to tasks whose loss fell more slowly between the last two epochs",
    cost: "one backward",
    kinds: &[],
    params: &[ParamInfo {
        name: "temperature",
        about: "what the rates are divided by before the softmax; larger = more equal weights",
        default: "2.0",
        range: Range::Positive,
    }],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry =
    Entry { info: &INFO, claims: &[Claim::Permutation, Claim::Scaling, Claim::Ratios], make };

/// A mean loss below this counts as this much.
const SMALLEST_LOSS: f64 = 1e-20;

struct DynamicAverage {
    /// Tasks of the suite.
    n_tasks: usize,
    means: EpochMeans,
    temperature: f64,
}

fn make(choice: &Choice, setup: &Setup) -> Result<Box<dyn Weighting>> {
    let n_tasks = setup.tasks.len();
    let means = EpochMeans::new(n_tasks, 0);
    Ok(Box::new(ByLoss(DynamicAverage { n_tasks, means, temperature: choice.real(&INFO, "temperature") })))
}

impl DynamicAverage {
    /// How slowly the task's loss falls; 1 = not at all, or not known yet.
    fn rate(&self, task: usize) -> f64 {
        let ratio = |(last, before): (f64, f64)| last.max(SMALLEST_LOSS) / before.max(SMALLEST_LOSS);
        self.means.last_two(task).map_or(1.0, ratio)
    }
}

impl LossWeighting for DynamicAverage {
    fn weights(&mut self, step: &mut Step) -> Vec<f64> {
        self.means.add(step.epoch, step.tasks, step.losses);
        let seen = self.means.seen();
        let rates: Vec<f64> = seen.iter().map(|&task| self.rate(task) / self.temperature).collect();
        let mut weights = vec![1.0; self.n_tasks];
        for (task, weight) in seen.iter().zip(softmax(&rates, seen.len() as f64)) {
            weights[*task] = weight;
        }
        step.tasks.iter().map(|&task| weights[task]).collect()
    }

    fn state(&self) -> Vec<f64> {
        self.means.state()
    }

    fn restore(&mut self, state: &[f64]) -> Result<()> {
        self.means.restore(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::follow;
    use crate::testing::{FakeProbe, weights};

    #[test]
    fn weights_equal_libmtl_over_epochs() {
        follow("dwa");
    }

    #[test]
    fn weights_of_an_epoch_do_not_depend_on_which_tasks_share_a_batch() {
        let mut method = make(&Choice::named("dwa"), &Setup::of(&["a", "b", "c"])).unwrap();
        let mut step = |epoch, tasks: &[usize], losses: &[f64]| {
            let mut probe = FakeProbe::random(1, tasks.len(), 3).with_tasks(tasks).at_epoch(epoch);
            probe.set_losses(losses);
            weights(method.as_mut(), &mut probe)
        };
        assert_eq!(step(0, &[0, 1], &[4.0, 1.0]), [1.0, 1.0]);
        assert_eq!(step(1, &[0], &[1.0]), [1.0]);
        assert_eq!(step(1, &[1], &[1.0]), [1.0]);
        // Rates 1/4 and 1 over temperature 2.
        let (fast, slow) = (0.125_f64.exp(), 0.5_f64.exp());
        let expected = [2.0 * fast / (fast + slow), 2.0 * slow / (fast + slow)];
        let (both, first, second) =
            (step(2, &[0, 1], &[1.0; 2]), step(2, &[0], &[1.0]), step(2, &[1], &[1.0]));
        assert_eq!((both[0], both[1]), (first[0], second[0]));
        assert!((both[0] - expected[0]).abs() < 1e-12 && (both[1] - expected[1]).abs() < 1e-12, "{both:?}");
    }
}
