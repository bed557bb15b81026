//! FAMO: every loss shall fall at the same relative speed, judged from the losses alone.
//!
//! - **What:** after every step the losses of the same batch are looked at again; tasks that fell least in
//!   relation to themselves gain weight.
//! - **Paper:** Liu, Feng, Stone, Liu: FAMO: Fast Adaptive Multitask Optimization. NeurIPS 2023.
//! - **Rule:** z = softmax(ξ), Dᵢ = lᵢ + 1e-8, c = 1 / Σ zᵢ/Dᵢ; minimise c Σ zᵢ log Dᵢ, so wᵢ = c zᵢ / Dᵢ. After the
//!   step δᵢ = log Dᵢ − log D′ᵢ, and ξ takes a step of Adam (`rate`, weight decay `decay` added to the gradient)
//!   against (∂z/∂ξ)ᵀ δ.
//! - **Departures:** none where every task is in every batch. Otherwise the softmax goes over the step's tasks and
//!   only their ξ move. The lower bound of the losses is 0, as in the authors' code; a negative loss counts as 0.
//! - **Scale:** weights sum to 1; one task alone is plain training.
//! - **Cost:** one backward and one more forward.

use polytask_core::method::{Choice, Range};
use polytask_core::{Family, MethodInfo, ParamInfo};

use crate::Result;
use crate::adapt::Present;
use crate::shares::{Shares, pull_back};
use crate::table::{Claim, Entry, Setup};
use crate::{At, Needs, Probe, Update, Weighting};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "famo",
    title: "FAMO",
    paper: "Liu, Feng, Stone, Liu, NeurIPS 2023",
    family: Family::LossWeighting,
    about: "gives more weight to tasks whose loss the last steps lowered least in relation to itself",
    cost: "one backward + one forward",
    kinds: &[],
    params: &[
        ParamInfo {
            name: "rate",
            about: "learning rate of the scores behind the weights",
            default: "0.025",
            range: Range::Positive,
        },
        ParamInfo {
            name: "decay",
            about: "weight decay of the scores; larger = closer to equal relative speeds",
            default: "1e-3",
            range: Range::Real { min: 0.0, max: f64::INFINITY },
        },
    ],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry =
    Entry { info: &INFO, claims: &[Claim::Permutation, Claim::Scaling, Claim::Ratios], make };

/// Added to every loss.
const EPS: f64 = 1e-8;

struct Famo {
    shares: Shares,
    rate: f64,
    decay: f64,
    /// Tasks and losses of the step under way; none where a task pulls alone.
    before: Vec<(usize, f64)>,
}

fn make(choice: &Choice, setup: &Setup) -> Result<Box<dyn Weighting>> {
    Ok(Box::new(Famo {
        shares: Shares::new(setup.tasks.len()),
        rate: choice.real(&INFO, "rate"),
        decay: choice.real(&INFO, "decay"),
        before: Vec::new(),
    }))
}

/// A loss above its lower bound.
fn above_bound(loss: f64) -> f64 {
    loss.max(0.0) + EPS
}

impl Weighting for Famo {
    fn needs(&self) -> Needs {
        Needs { weighted_heads: true, extra_forwards: 1, after_step: true, ..Needs::NONE }
    }

    fn update(&mut self, probe: &mut dyn Probe) -> Result<Update> {
        let present = Present::new(probe, None)?;
        self.before.clear();
        if present.pulling.len() < 2 {
            return Ok(present.plain());
        }
        let (tasks, losses) = (present.pulling_tasks(), present.pulling_losses());
        let shares = self.shares.of(&tasks);
        let steep: Vec<f64> = shares.iter().zip(&losses).map(|(z, &loss)| z / above_bound(loss)).collect();
        let total: f64 = steep.iter().sum();
        self.before = tasks.into_iter().zip(losses).collect();
        Ok(present.weighted(&steep.iter().map(|w| w / total).collect::<Vec<_>>()))
    }

    fn after_step(&mut self, probe: &mut dyn Probe) -> Result<()> {
        let before = std::mem::take(&mut self.before);
        if before.is_empty() {
            return Ok(());
        }
        let now = probe.losses(At::default())?;
        let loss = |task: usize| probe.tasks().iter().position(|&t| t == task).map_or(f64::NAN, |i| now[i]);
        let fall = |&(task, before): &(usize, f64)| {
            let now = loss(task);
            now.is_finite().then(|| (task, above_bound(before).ln() - above_bound(now).ln()))
        };
        let (tasks, falls): (Vec<usize>, Vec<f64>) = before.iter().filter_map(fall).unzip();
        let gradient = pull_back(&self.shares.of(&tasks), &falls);
        self.shares.descend(&tasks, &gradient, self.rate, self.decay);
        Ok(())
    }

    fn state(&self) -> Vec<f64> {
        self.shares.state()
    }

    fn restore(&mut self, state: &[f64]) -> Result<()> {
        self.shares.restore(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::descend;
    use crate::testing::{FakeProbe, weights};

    #[test]
    fn weights_equal_libmtl_over_steps_of_a_quadratic_model() {
        descend("famo", 1e-6);
    }

    #[test]
    fn the_task_that_fell_less_gains_weight_and_an_absent_one_keeps_its_score() {
        let mut method = make(&Choice::named("famo"), &Setup::of(&["a", "b", "c"])).unwrap();
        let mut probe = FakeProbe::random(1, 2, 4).with_tasks(&[0, 2]);
        probe.set_losses(&[1.0, 1.0]);
        assert_eq!(weights(method.as_mut(), &mut probe), [0.5, 0.5]);
        probe.set_losses(&[0.9, 0.5]);
        method.after_step(&mut probe).unwrap();
        probe.set_losses(&[1.0, 1.0]);
        let found = weights(method.as_mut(), &mut probe);
        assert!((found[0] / found[1] - 0.05_f64.exp()).abs() < 1e-4, "{found:?}");
        let mut other = FakeProbe::random(1, 2, 4).with_tasks(&[0, 1]);
        other.set_losses(&[1.0, 1.0]);
        let found = weights(method.as_mut(), &mut other);
        assert!((found[0] / found[1] - 0.025_f64.exp()).abs() < 1e-4, "{found:?}");
    }
}
