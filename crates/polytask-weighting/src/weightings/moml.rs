//! MOML: as Auto-Lambda, but every task's loss after the look-ahead is an objective of its own.
//!
//! - **What:** weights move so that no task's loss on other data rises: their gradients for all tasks are combined
//!   as MGDA combines task gradients.
//! - **Paper:** Ye et al.: Multi-Objective Meta Learning. NeurIPS 2021, with one step of the lower level.
//! - **Rule:** w = softmax(a) and θ′ = θ − `inner_rate` Jᵀ w on the step's batch; for each task t, ∂lₜ(θ′; other
//!   batch)/∂a = −`inner_rate` g′ₜ Jᵀ (∂w/∂a), scaled to length 1; a takes a step of Adam along the shortest vector
//!   in their convex hull, then the network follows the new w. J, g′ and θ hold trunk and heads.
//! - **Departures:** the shortest vector is found to 1e-6, and one shorter than 1e-5 is a stationary point: a
//!   stays (LibMTL's solver ends at 1e-5 in the weights, and Adam would turn the rest into a full step). As for
//!   `auto-lambda`, the lower level is the step's batch itself; the softmax goes over the step's tasks, others keep a.
//!   A task without a gradient on the other batch has no say. Gradients are those of the parameters.
//! - **Scale:** weights sum to 1; a step in which one task pulls alone is plain training.
//! - **Cost:** the rows twice, and one backward; another batch; memory of the parameters times twice the tasks.

use polytask_core::method::{Choice, Range};
use polytask_core::{Family, MethodInfo, ParamInfo};

use super::mgda::shortest;
use crate::Result;
use crate::adapt::Present;
use crate::look_ahead::Place;
use crate::shares::{Shares, pull_back};
use crate::table::{Claim, Entry, Setup};
use crate::{At, Gramian, Needs, Probe, Spaces, TaskGradients, Update, Weighting, dot};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "moml",
    title: "MOML",
    paper: "Ye et al., NeurIPS 2021",
    family: Family::LossWeighting,
    about: "learns weights by a look-ahead in which no task's loss on another batch shall rise",
    cost: "rows twice + one backward, two batches",
    kinds: &[],
    params: &[
        ParamInfo {
            name: "rate",
            about: "learning rate of the scores behind the weights",
            default: "1e-3",
            range: Range::Positive,
        },
        ParamInfo {
            name: "inner_rate",
            about: "learning rate of the look-ahead step",
            default: "0.1",
            range: Range::Positive,
        },
    ],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[Claim::Permutation], make };

/// The solver's duality gap; its root is how far a length may be off.
const GAP: f64 = 1e-12;
const MAX_ITERATIONS: usize = 10_000;
/// A shorter vector in the hull of unit vectors is zero.
const SHORTEST: f64 = 1e-5;

struct Moml {
    shares: Shares,
    rate: f64,
    inner_rate: f64,
}

fn make(choice: &Choice, setup: &Setup) -> Result<Box<dyn Weighting>> {
    Ok(Box::new(Moml {
        shares: Shares::new(setup.tasks.len()),
        rate: choice.real(&INFO, "rate"),
        inner_rate: choice.real(&INFO, "inner_rate"),
    }))
}

impl Moml {
    /// A step of the scores of the tasks that pull.
    fn learn(&mut self, probe: &mut dyn Probe, present: &Present) -> Result<()> {
        let tasks = present.pulling_tasks();
        let shares = self.shares.of(&tasks);
        let weights = present.spread(&shares);
        let inner = probe.gradients(At::default())?;
        let shared = inner.rows.weighted(&weights, 0..inner.rows.width);
        let ahead = Place::along(-self.inner_rate, &shared, &inner.heads, &weights);
        let outer = probe.gradients(ahead.at(1))?;
        let wish = |&t: &usize| {
            let slope: Vec<f64> =
                present.pulling.iter().map(|&i| -self.inner_rate * product(&outer, t, &inner, i)).collect();
            unit(pull_back(&shares, &slope))
        };
        let wishes: Vec<Vec<f64>> = present.pulling.iter().filter_map(wish).collect();
        if !wishes.is_empty() {
            self.shares.descend(&tasks, &common(&wishes), self.rate, 0.0);
        }
        Ok(())
    }
}

/// Inner product of task `t`'s gradient of trunk and head in `a` with task `i`'s in `b`.
fn product(a: &TaskGradients, t: usize, b: &TaskGradients, i: usize) -> f64 {
    let heads = if t == i { dot(&a.heads[t], &b.heads[i]) } else { 0.0 };
    dot(a.rows.row(t), b.rows.row(i)) + heads
}

/// The vector at length 1; none for one that is zero or not finite.
fn unit(vector: Vec<f64>) -> Option<Vec<f64>> {
    let norm = vector.iter().map(|v| v * v).sum::<f64>().sqrt();
    (norm.is_normal()).then(|| vector.into_iter().map(|v| v / norm).collect())
}

/// The shortest vector in the convex hull of unit vectors.
fn common(vectors: &[Vec<f64>]) -> Vec<f64> {
    let n = vectors.len();
    let inner = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let values = (0..n * n).map(|k| inner(&vectors[k / n], &vectors[k % n])).collect();
    let weights = shortest(&Gramian { n, values }, MAX_ITERATIONS, GAP);
    let entry = |k: usize| weights.iter().zip(vectors).map(|(w, v)| w * v[k]).sum();
    let found: Vec<f64> = (0..vectors[0].len()).map(entry).collect();
    let is_zero = inner(&found, &found).sqrt() < SHORTEST;
    if is_zero { vec![0.0; found.len()] } else { found }
}

impl Weighting for Moml {
    fn needs(&self) -> Needs {
        Needs {
            rows: true,
            spaces: Spaces::Parameters,
            weighted_heads: true,
            extra_forwards: 1,
            extra_batches: 1,
            displaced: true,
            ..Needs::NONE
        }
    }

    fn update(&mut self, probe: &mut dyn Probe) -> Result<Update> {
        let present = Present::new(probe, None)?;
        if present.pulling.len() < 2 {
            return Ok(present.plain());
        }
        self.learn(probe, &present)?;
        Ok(present.weighted(&self.shares.of(&present.pulling_tasks())))
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
    use crate::golden::{descend, golden};
    use crate::testing::weights;

    #[test]
    fn weights_equal_libmtl_over_steps_of_a_quadratic_model() {
        descend("moml", 1e-6);
    }

    #[test]
    fn a_task_without_targets_in_the_other_batch_has_no_say() {
        let made = || make(&Choice::named("moml"), &Setup::of(&["a", "b", "c", "d"])).unwrap();
        let first = |model: crate::quadratic::Quadratic| {
            let mut model = model;
            model.at_step(1, 0);
            weights(made().as_mut(), &mut model)
        };
        let model = &golden().models[2];
        let (whole, lacking) = (first(model.clone()), first(model.clone().without_extra(1)));
        assert!(lacking.iter().all(|w| w.is_finite() && *w > 0.0) && whole.len() == lacking.len());
        let mut silent = model.clone();
        for task in 0..whole.len() {
            silent = silent.without_extra(task);
        }
        assert_eq!(first(silent), vec![1.0 / whole.len() as f64; whole.len()]);
    }

    #[test]
    fn opposite_wishes_leave_the_scores_and_a_single_wish_is_granted() {
        assert_eq!(common(&[vec![0.6, -0.8], vec![-0.6, 0.8]]), [0.0, 0.0]);
        assert_eq!(common(&[vec![0.6, -0.8]]), [0.6, -0.8]);
    }
}
