//! FORUM: the bilevel problem of MOML as one first-order constrained step.
//!
//! - **What:** instead of differentiating through the look-ahead, the network steps along the losses on other data
//!   and along a constraint that keeps it near the optimum of the weighted losses.
//! - **Paper:** Ye et al.: A First-Order Multi-Gradient Algorithm for Multi-Objective Bi-Level
//!   Optimization. ECAI 2024.
//! - **Rule:** f(a, θ) = Σ softmax(a)ᵢ lᵢ on the step's batch; θ_K is θ after `inner_steps` steps of gradient descent on
//!   f, a held fixed. q = f(a, θ) − f(a, θ_K), ∇q over a and θ with θ_K held fixed. uₜ is the gradient of lₜ on
//!   another batch at length 1, and πₜ = φ − ⟨∇q, uₜ⟩ / ‖∇q‖². (w, ν) = argmin ‖Σ wₜ uₜ + ν ∇q‖² − φ ‖∇q‖² ν over w in
//!   the simplex and ν ≥ max(Σ wₜ πₜ, 0). λ ← λ + (w − λ) / (epoch + 1)^{3/4}; ν = max(Σ λₜ πₜ, 0). Trunk and heads step
//!   along Σ λₜ uₜ + ν ∇q; a takes a step of Adam along ν ∂q/∂a.
//! - **Solver:** the optimum lies where ν is as small as it may be, a hull with corners at each task and, between
//!   two tasks with π of different sign, where Σ wₜ πₜ = 0; the shortest point of that hull is sought as in MGDA.
//! - **Departures:** LibMTL draws two half batches; here the lower level is the step's batch, the upper an extra
//!   one. ‖∇q‖² + 1e-8 stands for ‖∇q‖² and the inner steps end at a loss above 1e5, as in LibMTL. Heads look ahead at
//!   the same rate. A step's λ are scaled to sum to 1 over its tasks; tasks absent from either batch keep theirs.
//!   Gradients are those of the parameters.
//! - **Scale:** Σ λₜ uₜ has a length of at most 1 however large the losses are. A step in which one task pulls
//!   alone is plain training.
//! - **Cost:** the rows, `inner_steps` backwards and one more forward; another batch; memory of the parameters
//!   times the tasks.

use polytask_core::method::{Choice, Range};
use polytask_core::{Family, MethodInfo, ParamInfo};

use super::mgda::shortest;
use crate::Result;
use crate::adapt::Present;
use crate::look_ahead::{Place, square};
use crate::shares::{Shares, pull_back};
use crate::table::{Claim, Entry, Setup};
use crate::{
    At, Direction, Gramian, Heads, JointGradient, Needs, Probe, Spaces, TaskGradients, Update, Weighting,
    dot, refuse_state,
};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "forum",
    title: "FORUM",
    paper: "Ye et al., ECAI 2024",
    family: Family::LossWeighting,
    about: "steps along losses of another batch, held near the optimum of losses with learned weights",
    cost: "rows + five backwards, two batches",
    kinds: &[],
    params: &[
        ParamInfo {
            name: "phi",
            about: "how fast the constraint shall shrink",
            default: "0.1",
            range: Range::Positive,
        },
        ParamInfo {
            name: "inner_steps",
            about: "steps of gradient descent towards the optimum of the weighted losses",
            default: "5",
            range: Range::Integer { min: 1 },
        },
        ParamInfo {
            name: "inner_rate",
            about: "learning rate of those steps",
            default: "0.1",
            range: Range::Positive,
        },
        ParamInfo {
            name: "rate",
            about: "learning rate of the scores behind the weights",
            default: "1e-3",
            range: Range::Positive,
        },
    ],
};

/// Its line in the table.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[Claim::Permutation], make };

/// Added to the squared norm of ∇q.
const EPS: f64 = 1e-8;
/// Inner steps end at a weighted loss above this.
const LARGEST_LOSS: f64 = 1e5;
const GAP: f64 = 1e-13;
const MAX_ITERATIONS: usize = 10_000;

struct Forum {
    phi: f64,
    inner_steps: u64,
    inner_rate: f64,
    rate: f64,
    shares: Shares,
    /// λ, by task of the suite.
    lambda: Vec<f64>,
}

fn make(choice: &Choice, setup: &Setup) -> Result<Box<dyn Weighting>> {
    Ok(Box::new(Forum {
        phi: choice.real(&INFO, "phi"),
        inner_steps: choice.param(&INFO, "inner_steps").as_u64().unwrap_or(5),
        inner_rate: choice.real(&INFO, "inner_rate"),
        rate: choice.real(&INFO, "rate"),
        shares: Shares::new(setup.tasks.len()),
        lambda: vec![0.0; setup.tasks.len()],
    }))
}

/// ∇q: over the scores of the pulling tasks, and over trunk and heads.
struct Constraint {
    scores: Vec<f64>,
    /// Gradient of f at θ; heads' own gradients, of which `weights` are the factors.
    gradient: JointGradient,
    weights: Vec<f64>,
}

impl Constraint {
    fn square(&self) -> f64 {
        self.scores.iter().map(|s| s * s).sum::<f64>() + square(&self.gradient, &self.weights)
    }

    /// Inner product with the gradient of task `t` of the upper level.
    fn product(&self, upper: &TaskGradients, t: usize) -> f64 {
        let head = self.weights[t] * dot(&self.gradient.heads[t], &upper.heads[t]);
        dot(&self.gradient.shared, upper.rows.row(t)) + head
    }
}

/// Which tasks have a say in the upper level, and what ∇q and their unit gradients make with each other.
struct Upper {
    gradients: TaskGradients,
    /// Places of the tasks among those present.
    places: Vec<usize>,
    /// Norms of their gradients.
    norms: Vec<f64>,
    /// Inner products of the unit gradients.
    gramian: Gramian,
}

impl Upper {
    fn new(gradients: TaskGradients, pulling: &[usize]) -> Self {
        let square = |t: usize| {
            dot(gradients.rows.row(t), gradients.rows.row(t)) + dot(&gradients.heads[t], &gradients.heads[t])
        };
        let norm = |&t: &usize| Some((t, square(t).sqrt())).filter(|(_, norm)| norm.is_normal());
        let (places, norms): (Vec<usize>, Vec<f64>) = pulling.iter().filter_map(norm).unzip();
        let n = places.len();
        let entry = |k: usize| {
            let (i, j) = (k / n, k % n);
            let rows = dot(gradients.rows.row(places[i]), gradients.rows.row(places[j]));
            if i == j { 1.0 } else { rows / norms[i] / norms[j] }
        };
        let gramian = Gramian { n, values: (0..n * n).map(entry).collect() };
        Self { gradients, places, norms, gramian }
    }
}

/// The quadratic problem over (w, ν).
struct Problem<'a> {
    gramian: &'a Gramian,
    /// ⟨∇q, uₜ⟩.
    products: &'a [f64],
    /// ‖∇q‖².
    square: f64,
    phi: f64,
}

/// A corner of the lower boundary: a mix of at most two tasks, and the ν it allows.
struct Corner {
    mix: [(usize, f64); 2],
    nu: f64,
}

impl Problem<'_> {
    /// πₜ.
    fn slacks(&self) -> Vec<f64> {
        self.products.iter().map(|product| self.phi - product / (self.square + EPS)).collect()
    }

    fn corners(&self) -> Vec<Corner> {
        let pi = self.slacks();
        let own = |t: usize| Corner { mix: [(t, 1.0), (t, 0.0)], nu: pi[t].max(0.0) };
        let mut corners: Vec<Corner> = (0..pi.len()).map(own).collect();
        for (s, &above) in pi.iter().enumerate().filter(|(_, p)| **p > 0.0) {
            for (t, &below) in pi.iter().enumerate().filter(|(_, p)| **p < 0.0) {
                let share = -below / (above - below);
                corners.push(Corner { mix: [(s, share), (t, 1.0 - share)], nu: 0.0 });
            }
        }
        corners
    }

    /// Inner product of the directions of two corners.
    fn inner(&self, a: &Corner, b: &Corner) -> f64 {
        let along = |c: &Corner| c.mix.iter().map(|(t, w)| w * self.products[*t]).sum::<f64>();
        let pairs = a.mix.iter().flat_map(|(s, v)| b.mix.iter().map(move |(t, w)| (s, t, v * w)));
        let tasks: f64 = pairs.map(|(&s, &t, w)| w * self.gramian.get(s, t)).sum();
        tasks + a.nu * along(b) + b.nu * along(a) + a.nu * b.nu * self.square
    }

    /// The weights of the tasks at the optimum.
    fn solve(&self) -> Vec<f64> {
        let corners = self.corners();
        let n = corners.len();
        let reward = self.phi * (self.square + EPS);
        let largest = corners.iter().map(|corner| corner.nu).fold(0.0, f64::max);
        // Shares of corners sum to 1: half the linear term on either side makes it a part of the quadratic one.
        let entry = |k: usize| {
            let (a, b) = (&corners[k / n], &corners[k % n]);
            self.inner(a, b) + reward * (largest - 0.5 * (a.nu + b.nu))
        };
        let values = (0..n * n).map(entry).collect();
        let shares = shortest(&Gramian { n, values }, MAX_ITERATIONS, GAP);
        let mut weights = vec![0.0; self.gramian.n];
        for (share, corner) in shares.iter().zip(&corners) {
            corner.mix.iter().for_each(|(t, w)| weights[*t] += share * w);
        }
        weights
    }
}

impl Forum {
    fn constraint(&self, probe: &mut dyn Probe, present: &Present) -> Result<Constraint> {
        let shares = self.shares.of(&present.pulling_tasks());
        let weights = present.spread(&shares);
        let gradient = probe.joint(At::default(), &weights)?;
        let optimum = self.inner_descent(probe, &gradient, &weights)?;
        let ahead = present.pick(&probe.losses(optimum.at(0))?);
        let gap: Vec<f64> =
            present.pulling_losses().iter().zip(ahead).map(|(now, then)| now - then).collect();
        Ok(Constraint { scores: pull_back(&shares, &gap), gradient, weights })
    }

    /// θ_K, from the gradient at θ.
    fn inner_descent(&self, probe: &mut dyn Probe, first: &JointGradient, weights: &[f64]) -> Result<Place> {
        let mut place = Place::default();
        let is_too_large = |gradient: &JointGradient| weighted(&gradient.losses, weights) > LARGEST_LOSS;
        if is_too_large(first) {
            return Ok(Place::along(0.0, &first.shared, &first.heads, weights));
        }
        place.descend(self.inner_rate, first, weights);
        for _ in 1..self.inner_steps {
            let gradient = probe.joint(place.at(0), weights)?;
            if is_too_large(&gradient) {
                break;
            }
            place.descend(self.inner_rate, &gradient, weights);
        }
        Ok(place)
    }

    /// λ of these tasks after a step towards `weights`, scaled to sum to 1.
    fn smooth(&mut self, tasks: &[usize], weights: &[f64], epoch: u64) -> Vec<f64> {
        let rate = (epoch as f64 + 1.0).powf(-0.75);
        for (&task, weight) in tasks.iter().zip(weights) {
            self.lambda[task] += rate * (weight - self.lambda[task]);
        }
        let total: f64 = tasks.iter().map(|&task| self.lambda[task]).sum();
        tasks.iter().map(|&task| self.lambda[task] / total).collect()
    }

    /// The update, once everything is known; none where something is not finite.
    fn combine(
        &mut self,
        present: &Present,
        epoch: u64,
        constraint: &Constraint,
        upper: &Upper,
    ) -> Option<Update> {
        let products: Vec<f64> = upper
            .places
            .iter()
            .zip(&upper.norms)
            .map(|(&t, norm)| constraint.product(&upper.gradients, t) / norm)
            .collect();
        let square = constraint.square();
        let is_finite = square.is_finite() && products.iter().all(|p| p.is_finite());
        if upper.places.is_empty() || !is_finite {
            return None;
        }
        let problem = Problem { gramian: &upper.gramian, products: &products, square, phi: self.phi };
        let tasks: Vec<usize> = upper.places.iter().map(|&t| present.tasks[t]).collect();
        let lambda = self.smooth(&tasks, &problem.solve(), epoch);
        let nu = lambda.iter().zip(problem.slacks()).map(|(l, pi)| l * pi).sum::<f64>().max(0.0);
        let scores: Vec<f64> = constraint.scores.iter().map(|s| nu * s).collect();
        self.shares.descend(&present.pulling_tasks(), &scores, self.rate, 0.0);
        Some(direction(constraint, upper, &lambda, nu))
    }
}

/// Σ vᵢ wᵢ over weights that are not 0.
fn weighted(values: &[f64], weights: &[f64]) -> f64 {
    values.iter().zip(weights).filter(|(_, w)| **w != 0.0).map(|(v, w)| v * w).sum()
}

/// Σ λₜ uₜ + ν ∇q over trunk and heads.
fn direction(constraint: &Constraint, upper: &Upper, lambda: &[f64], nu: f64) -> Update {
    let (gradient, rows) = (&constraint.gradient, &upper.gradients.rows);
    let mut factors = vec![0.0; rows.n];
    for ((&t, norm), l) in upper.places.iter().zip(&upper.norms).zip(lambda) {
        factors[t] = l / norm;
    }
    let ahead = rows.weighted(&factors, 0..rows.width);
    let mut total = Place::along(1.0, &ahead, &upper.gradients.heads, &factors);
    total.add(nu, &gradient.shared, &gradient.heads, &constraint.weights);
    let (shared, heads) = total.into_parts();
    Update { trunk: Direction::Gradient(shared), heads: Heads::Gradients(heads) }
}

impl Weighting for Forum {
    fn needs(&self) -> Needs {
        Needs {
            rows: true,
            spaces: Spaces::Parameters,
            weighted_heads: true,
            extra_forwards: self.inner_steps as usize + 1,
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
        let constraint = self.constraint(probe, &present)?;
        let gradients = probe.gradients(At { batch: 1, ..At::default() })?;
        let upper = Upper::new(gradients, &present.pulling);
        let update = self.combine(&present, probe.epoch(), &constraint, &upper);
        // Without an upper level, or with numbers that are not finite: the weighted losses.
        Ok(update.unwrap_or_else(|| present.weighted(&self.shares.of(&present.pulling_tasks()))))
    }

    fn state(&self) -> Vec<f64> {
        let mut state = self.lambda.clone();
        state.extend(self.shares.state());
        state
    }

    fn restore(&mut self, state: &[f64]) -> Result<()> {
        let n = self.lambda.len();
        let Some((lambda, shares)) = state.split_at_checked(n) else { return refuse_state(state.len(), n) };
        self.shares.restore(shares)?;
        self.lambda.copy_from_slice(lambda);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{descend, golden};

    fn fresh(n: usize) -> Forum {
        let (shares, lambda) = (Shares::new(n), vec![0.0; n]);
        Forum { phi: 0.1, inner_steps: 5, inner_rate: 0.1, rate: 1e-3, shares, lambda }
    }

    #[test]
    fn a_task_without_targets_in_the_other_batch_has_no_say_there() {
        let mut held = 0;
        for model in golden().models.iter().filter(|model| model.name.starts_with("random")) {
            let mut model = model.clone().without_extra(1);
            model.at_step(1, 0);
            let mut method = fresh(model.tasks().len());
            let update = method.update(&mut model).unwrap();
            assert_eq!(method.lambda[1], 0.0);
            assert!((method.lambda.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{:?}", method.lambda);
            let (Direction::Gradient(trunk), Heads::Gradients(heads)) = (update.trunk, update.heads) else {
                panic!("expected gradients")
            };
            assert!(trunk.iter().chain(heads.iter().flatten()).all(|v| v.is_finite()));
            // Its head still follows the lower level, where the constraint holds.
            held += usize::from(heads[1].iter().any(|v| *v != 0.0));
        }
        assert!(held > 0);
    }

    #[test]
    fn without_an_upper_level_the_network_follows_the_weighted_losses() {
        let mut model = golden().models[0].clone().without_extra(0).without_extra(1);
        model.at_step(1, 0);
        let update = fresh(2).update(&mut model).unwrap();
        assert_eq!(update.trunk, Direction::Weights(vec![0.5, 0.5]));
    }

    #[test]
    fn directions_equal_libmtl_s_over_steps_of_a_quadratic_model() {
        descend("forum", 1e-5);
    }

    #[test]
    fn no_mix_of_tasks_is_better_than_the_solution() {
        let gramian = Gramian { n: 3, values: vec![1.0, 0.2, -0.5, 0.2, 1.0, 0.1, -0.5, 0.1, 1.0] };
        for products in [[0.3, -0.2, 0.9], [2.0, 1.5, 3.0], [-1.0, 0.01, 0.4]] {
            let problem = Problem { gramian: &gramian, products: &products, square: 4.0, phi: 0.1 };
            let value = |w: &[f64]| {
                let nu = w.iter().zip(problem.slacks()).map(|(w, pi)| w * pi).sum::<f64>().max(0.0);
                let tasks: f64 = w.iter().zip(gramian.times(w)).map(|(w, g)| w * g).sum();
                let along: f64 = w.iter().zip(products).map(|(w, p)| w * p).sum();
                tasks + 2.0 * nu * along + nu * nu * 4.0 - 0.1 * (4.0 + EPS) * nu
            };
            let best = value(&problem.solve());
            for i in 0..=40 {
                for j in 0..=40 - i {
                    let w = [i as f64 / 40.0, j as f64 / 40.0, (40 - i - j) as f64 / 40.0];
                    assert!(best <= value(&w) + 1e-9, "{products:?} {w:?} {best} {}", value(&w));
                }
            }
        }
    }
}
