//! GradNorm: weights are learned that bring weighted gradient norms to a common size, larger for tasks that lag.
//!
//! - **What:** a task whose loss has fallen less than the others' may pull harder.
//! - **Paper:** Chen et al.: GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep Multitask
//!   Networks. ICML 2018.
//! - **Rule:** w = m softmax(s), nᵢ = wᵢ ‖gᵢ‖, rᵢ = (lᵢ / lᵢ(0)) / mean over tasks; s descends
//!   Σ |nᵢ − mean(n) rᵢ^α|, the target held fixed. The first epoch has w = 1, and lᵢ(0) is its mean loss (LibMTL);
//!   with `initial = "step"` both are those of the first step, as in the paper.
//! - **Departures:** s has its own Adam with rate `rate` times the run's schedule instead of the network's
//!   optimiser, for the reason given for `uw`. The softmax is LibMTL's; the paper rescales w to sum to m. Norms are
//!   of all shared parameters (or of the representation), not of one layer. A task that comes later has w = 1
//!   until it has an lᵢ(0), after its own first epoch; the others share their number among themselves.
//! - **Scale:** weights sum to m like those of `equal`. Heads step with their own plain gradients, as in LibMTL.
//! - **Cost:** one backward in the first epoch; then the Gramian and one weighted backward.

use polytask_core::method::{Choice, Range};
use polytask_core::{Family, MethodInfo, ParamInfo};

use crate::Result;
use crate::adam::{Learned, Pace};
use crate::adapt::Present;
use crate::means::EpochMeans;
use crate::shares::{pull_back, softmax};
use crate::table::{Claim, Entry, Setup};
use crate::{At, Needs, Probe, Update, Weighting};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "gradnorm",
    title: "GradNorm",
    paper: "Chen et al., ICML 2018",
    family: Family::LossWeighting,
    about: "learns weights that bring gradient norms to one size, larger where the loss lags",
    cost: "Gramian + one backward",
    kinds: &[],
    params: &[
        ParamInfo {
            name: "alpha",
            about: "how much harder a task that lags may pull; 0 = equal norms",
            default: "1.5",
            range: Range::Real { min: 0.0, max: 20.0 },
        },
        ParamInfo {
            name: "rate",
            about: "learning rate of the scores behind the weights at the peak of the run's schedule",
            default: "0.01",
            range: Range::Positive,
        },
        ParamInfo {
            name: "initial",
            about: "whether progress counts from the mean loss of the first epoch or from the first step",
            default: "\"epoch\"",
            range: Range::OneOf(&["epoch", "step"]),
        },
    ],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[Claim::Permutation], make };

/// Largest size of a score.
const BOUND: f64 = 40.0;
/// A loss below this counts as this much.
const SMALLEST_LOSS: f64 = 1e-20;

struct GradNorm {
    alpha: f64,
    pace: Pace,
    by_step: bool,
    initial: EpochMeans,
    /// Scores behind the weights; only their differences count.
    scores: Learned,
}

fn make(choice: &Choice, setup: &Setup) -> Result<Box<dyn Weighting>> {
    Ok(Box::new(GradNorm {
        alpha: choice.real(&INFO, "alpha"),
        pace: Pace::new(choice.real(&INFO, "rate"), setup),
        by_step: choice.param(&INFO, "initial").as_str() == Some("step"),
        initial: EpochMeans::new(setup.tasks.len(), 0),
        scores: Learned::new(setup.tasks.len(), 0.0),
    }))
}

/// A task that has an initial loss, as it stands in the step.
struct Started {
    /// Suite index.
    task: usize,
    /// Loss in units of the initial one.
    progress: f64,
    /// Norm of its gradient.
    norm: f64,
}

impl GradNorm {
    /// The pulling tasks that have an initial loss, with their places among them.
    fn started(&self, present: &Present, squares: &[f64]) -> (Vec<usize>, Vec<Started>) {
        let start = |(k, &i): (usize, &usize)| {
            let (task, loss) = (present.tasks[i], present.losses[i].max(SMALLEST_LOSS));
            let initial = self.initial.first(task)?.max(SMALLEST_LOSS);
            Some((k, Started { task, progress: loss / initial, norm: squares[i].sqrt() }))
        };
        present.pulling.iter().enumerate().filter_map(start).unzip()
    }

    /// The weights of these tasks now, which sum to their number; then a step of their scores.
    fn balance(&mut self, started: &[Started], rate: f64) -> Vec<f64> {
        let m = started.len() as f64;
        let scores: Vec<f64> = started.iter().map(|s| self.scores.get(s.task)).collect();
        let weights = softmax(&scores, m);
        let norms: Vec<f64> = weights.iter().zip(started).map(|(w, s)| w * s.norm).collect();
        let mean_norm = norms.iter().sum::<f64>() / m;
        let mean_progress = started.iter().map(|s| s.progress).sum::<f64>() / m;
        let target = |s: &Started| mean_norm * (s.progress / mean_progress).powf(self.alpha);
        let slope: Vec<f64> =
            norms.iter().zip(started).map(|(n, s)| sign(n - target(s)) * s.norm * m).collect();
        let gradient = pull_back(&softmax(&scores, 1.0), &slope);
        if gradient.iter().all(|g| g.is_finite()) {
            started.iter().zip(gradient).for_each(|(s, g)| self.scores.descend(s.task, g, rate, BOUND));
        }
        weights
    }
}

/// −1, 0 or 1, the subgradient of the absolute value.
fn sign(value: f64) -> f64 {
    if value == 0.0 { 0.0 } else { value.signum() }
}

impl Weighting for GradNorm {
    fn needs(&self) -> Needs {
        Needs { gramian: true, ..Needs::NONE }
    }

    fn update(&mut self, probe: &mut dyn Probe) -> Result<Update> {
        let seen = Present::new(probe, None)?;
        let clock = if self.by_step { probe.step() } else { probe.epoch() };
        self.initial.add(clock, &seen.pulling_tasks(), &seen.pulling_losses());
        let is_started = |&&i: &&usize| self.initial.first(seen.tasks[i]).is_some();
        if seen.pulling.iter().filter(is_started).count() < 2 {
            return Ok(seen.plain());
        }
        let gramian = probe.gramian(At::default())?;
        let squares: Vec<f64> = (0..gramian.n).map(|i| gramian.get(i, i)).collect();
        let present = Present::new(probe, Some(&squares))?;
        let (places, started) = self.started(&present, &squares);
        let mut weights = vec![1.0; present.pulling.len()];
        if started.len() > 1 {
            let balanced = self.balance(&started, self.pace.rate(probe.lr()));
            places.into_iter().zip(balanced).for_each(|(k, weight)| weights[k] = weight);
        }
        Ok(present.trunk_weighted(&weights))
    }

    fn state(&self) -> Vec<f64> {
        let mut state = self.initial.state();
        state.extend(self.scores.state());
        state
    }

    fn restore(&mut self, state: &[f64]) -> Result<()> {
        let (initial, scores) = state.split_at(self.initial.n_saved().min(state.len()));
        self.initial.restore(initial)?;
        self.scores.restore(scores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::follow_rows;
    use crate::testing::{FakeProbe, weights};

    #[test]
    fn weights_equal_libmtl_s_learned_by_adam() {
        follow_rows("gradnorm");
    }

    fn with(params: &[(&str, serde_json::Value)]) -> Box<dyn Weighting> {
        let mut choice = Choice::named("gradnorm");
        choice.params.extend(params.iter().map(|(k, v)| ((*k).to_string(), v.clone())));
        make(&choice, &Setup::of(&["a", "b", "c"])).unwrap()
    }

    #[test]
    fn with_alpha_zero_weighted_norms_become_equal() {
        let mut method = with(&[("alpha", 0.0.into()), ("initial", "step".into())]);
        let probe = FakeProbe::from_rows(&[&[3.0, 0.0], &[0.0, 1.0]]);
        let mut at = |step| weights(method.as_mut(), &mut probe.clone().at_step(step));
        assert_eq!(at(1), [1.0, 1.0]);
        let last = (2..2000).map(at).last().unwrap();
        assert!((last[0] - 0.5).abs() < 0.02 && (last[1] - 1.5).abs() < 0.02, "{last:?}");
    }

    #[test]
    fn the_first_epoch_and_a_task_without_initial_loss_have_weight_one() {
        let mut method = with(&[]);
        let rows: [&[f32]; 3] = [&[3.0, 0.0], &[0.0, 1.0], &[2.0, 2.0]];
        let pair = FakeProbe::from_rows(&rows[..2]);
        assert_eq!(weights(method.as_mut(), &mut pair.clone().at_epoch(0)), [1.0, 1.0]);
        (0..50).for_each(|_| drop(weights(method.as_mut(), &mut pair.clone().at_epoch(1))));
        let found = weights(method.as_mut(), &mut FakeProbe::from_rows(&rows).at_epoch(1));
        assert!(found[0] < 0.8 && (found[0] + found[1] - 2.0).abs() < 1e-12, "{found:?}");
        assert_eq!(found[2], 1.0);
    }
}
