//! SAMO: sharpness-aware multi-task learning with one gradient and two evaluations per task for the displacements.
//!
//! - **What:** like `flat` every task is displaced towards a worst case, but towards a mixture of the mean gradient of
//!   all tasks and a random direction of its own, whose slope two forwards tell. The gradients there are combined by
//!   the method named in `of`.
//! - **Paper:** Ban, Yang, Ji: SAMO: A Lightweight Sharpness-Aware Approach for Multi-Task Optimization with Joint
//!   Global-Local Perturbation. ICCV 2025 (arXiv 2507.07883); details as in the authors' code.
//! - **Rule:** ḡ = mean gradient; u ~ N(0, I) per task, zᵢ = (lᵢ(θ + εu) − lᵢ(θ − εu)) / (2ε) u; in each tensor
//!   dᵢ = (1 − β) ḡ + β ‖ḡ‖ zᵢ / ‖zᵢ‖; eᵢ = ρ dᵢ / ‖dᵢ‖ over the whole trunk, on the head ρ hᵢ / ‖hᵢ‖; adaptive: ρ θ² ∘ d / ‖|θ| ∘ d‖.
//!   Trunk: Agg of the gradients at the displaced weights; heads step with theirs.
//! - **Departures:** losses at θ ± εu keep the step's dropout masks (the code turns dropout off there). No epsilon: a
//!   zero gradient moves nothing, and a task whose two losses are equal moves along the mean alone. The code for NYUv2 adds
//!   β zᵢ as it is: `match_norm = false`.
//! - **Cost:** one backward for the mean, then per task two forwards, one more forward and one backward; task gradients
//!   kept. Against `flat` it spares the gradients at the weights themselves, and pays two forwards each.

use polytask_core::method::{Choice, Range};
use polytask_core::{Family, MethodInfo, ParamInfo, Purpose, Rng};
use rayon::prelude::*;

use crate::Result;
use crate::ball::{self, Ball, Center};
use crate::inner::{Inner, Rows, join, split};
use crate::table::{Entry, Setup};
use crate::{
    At, Direction, Heads, Jacobian, Needs, Observation, Part, Probe, Spaces, TaskGradient, Update, Weighting,
    dot,
};

/// What the method says about itself.
pub(crate) const INFO: MethodInfo = MethodInfo {
    id: "samo",
    title: "SAMO",
    paper: "Ban, Yang, Ji, ICCV 2025",
    family: Family::Aggregator,
    about: "combines task gradients taken at worst cases that the mean gradient and two forwards per task suggest",
    cost: "one backward, and per task three forwards and one backward; task gradients kept",
    kinds: &[],
    params: &[
        ParamInfo {
            name: "of",
            about: "the weighting that combines gradients",
            default: "\"equal\"",
            range: Range::Part,
        },
        ParamInfo { default: "0.001", ..ball::RHO },
        ParamInfo {
            name: "beta",
            about: "share of a task's own direction in its displacement",
            default: "0.1",
            range: Range::Real { min: 0.0, max: 1.0 },
        },
        ParamInfo {
            name: "eps",
            about: "size of the two steps along the random direction",
            default: "0.01",
            range: Range::Positive,
        },
        ParamInfo {
            name: "match_norm",
            about: "whether a task's own direction is as long as the mean gradient in each tensor",
            default: "true",
            range: Range::Bool,
        },
        ball::ADAPTIVE,
    ],
};

/// Its line in the table. What holds for its directions is what holds for the inner method's.
pub(crate) const ENTRY: Entry = Entry { info: &INFO, claims: &[], make };

/// Values drawn from one stream.
const CHUNK: usize = 1 << 16;

/// What all displacements of a step start from.
struct Scene {
    /// Places of the tasks that are finite among those of the step, and their suite indices.
    places: Vec<usize>,
    tasks: Vec<usize>,
    /// Losses and head gradients of all tasks of the step.
    losses: Vec<f64>,
    heads: Vec<Vec<f32>>,
    /// The mean gradient of the finite ones.
    mean: Vec<f32>,
    parts: Vec<Part>,
    center: Center,
}

impl Scene {
    fn new(probe: &mut dyn Probe, ball: &Ball) -> Result<Self> {
        let losses = probe.losses(At::default())?;
        let (places, mean) = mean_gradient(probe, &losses)?;
        let tasks = places.iter().map(|&place| probe.tasks()[place]).collect();
        let (heads, parts, center) = (probe.heads(At::default())?, probe.parts(), ball.center(probe));
        Ok(Self { places, tasks, losses, heads, mean, parts, center })
    }
}

struct Samo {
    inner: Inner,
    ball: Ball,
    beta: f64,
    eps: f64,
    match_norm: bool,
    seen: Vec<Observation>,
}

fn make(choice: &Choice, setup: &Setup) -> Result<Box<dyn Weighting>> {
    Ok(Box::new(Samo::new(choice, setup)?))
}

impl Samo {
    fn new(choice: &Choice, setup: &Setup) -> Result<Self> {
        Ok(Self {
            inner: Inner::new(INFO.id, &choice.param(&INFO, "of"), setup, 0)?,
            ball: Ball::new(choice, &INFO),
            beta: choice.real(&INFO, "beta"),
            eps: choice.real(&INFO, "eps"),
            match_norm: choice.param(&INFO, "match_norm").as_bool().unwrap_or(true),
            seen: Vec::new(),
        })
    }

    /// A step with the random directions `draw` gives for a task of the suite, `[params]`.
    fn step(&mut self, probe: &mut dyn Probe, draw: &dyn Fn(usize, usize) -> Vec<f32>) -> Result<Update> {
        self.seen.clear();
        let scene = Scene::new(probe, &self.ball)?;
        let mut heads: Vec<Vec<f32>> = scene.heads.iter().map(|head| vec![0.0; head.len()]).collect();
        let mut rows = Jacobian { n: scene.places.len(), width: scene.mean.len(), values: Vec::new() };
        for (&place, &task) in scene.places.iter().zip(&scene.tasks) {
            let there = self.visit(probe, &scene, place, &draw(task, scene.mean.len()))?;
            let value = there.loss - scene.losses[place];
            self.seen.push(Observation { name: "sharpness", task: Some(task), value });
            rows.values.extend_from_slice(&there.row);
            heads[place] = there.head;
        }
        let losses: Vec<f64> = scene.places.iter().map(|&place| scene.losses[place]).collect();
        let asked = Rows { jacobian: &rows, tasks: &scene.tasks, losses: &losses, places: &scene.places };
        let answer = self.inner.ask(probe, &asked)?;
        answer.scale_heads(&scene.places, &mut heads);
        self.seen.extend(answer.weights("weight", &scene.tasks));
        Ok(Update { trunk: Direction::Vector(answer.vector), heads: Heads::Gradients(heads) })
    }

    /// A task's gradients at its displaced weights; at the weights themselves where those are not finite (the loop
    /// then names the task and asks again without it).
    fn visit(&self, probe: &mut dyn Probe, scene: &Scene, place: usize, own: &[f32]) -> Result<TaskGradient> {
        let slope = self.slope(probe, place, own)?;
        let own = Own { values: own, slope, match_norm: self.match_norm };
        let mixed = mix(&scene.mean, &own, self.beta, &scene.parts);
        let (trunk, head) = self.ball.ascend(probe, &scene.center, &mixed, &[(place, &scene.heads[place])]);
        let mut displaced = vec![Vec::new(); scene.heads.len()];
        displaced[place] = head.into_iter().next().unwrap_or_default();
        let at = At { displacement: Some(&trunk), heads: Some(&displaced), ..At::default() };
        let there = probe.task(at, place)?;
        if there.is_finite() { Ok(there) } else { probe.task(At::default(), place) }
    }

    /// A task's slope along `own`, by central differences.
    fn slope(&self, probe: &mut dyn Probe, place: usize, own: &[f32]) -> Result<f64> {
        let mut loss = |step: f64| -> Result<f64> {
            let moved: Vec<f32> = own.iter().map(|u| (step * f64::from(*u)) as f32).collect();
            Ok(probe.losses(At { displacement: Some(&moved), ..At::default() })?[place])
        };
        let slope = (loss(self.eps)? - loss(-self.eps)?) / (2.0 * self.eps);
        Ok(if slope.is_finite() { slope } else { 0.0 })
    }
}

/// The places of the tasks that are finite, and the mean of their gradients.
fn mean_gradient(probe: &mut dyn Probe, losses: &[f64]) -> Result<(Vec<usize>, Vec<f32>)> {
    let mut places: Vec<usize> = (0..losses.len()).filter(|&i| losses[i].is_finite()).collect();
    let mean = |probe: &mut dyn Probe, places: &[usize]| {
        let mut weights = vec![0.0; losses.len()];
        places.iter().for_each(|&place| weights[place] = 1.0 / places.len() as f64);
        probe.gradient(At::default(), &weights)
    };
    let mut found = mean(probe, &places)?;
    if !found.iter().all(|g| g.is_finite()) {
        let squares = probe.rows(At::default())?.squares();
        places.retain(|&place| squares[place].is_finite());
        found = mean(probe, &places)?;
    }
    Ok((places, found))
}

/// A task's random direction: z is `values` times `slope`.
struct Own<'a> {
    values: &'a [f32],
    slope: f64,
    match_norm: bool,
}

impl Own<'_> {
    /// What the values of a tensor are multiplied by, next to a mean gradient there.
    fn factor(&self, values: &[f32], mean: &[f32]) -> f64 {
        if !self.match_norm {
            return self.slope;
        }
        let size = dot(values, values).sqrt();
        // Of the slope its sign is left once z is divided by its norm.
        let sign = if self.slope == 0.0 { 0.0 } else { self.slope.signum() };
        if size > 0.0 { sign * dot(mean, mean).sqrt() / size } else { 0.0 }
    }
}

/// (1 − β) ḡ + β ‖ḡ‖ z / ‖z‖ in each tensor, or (1 − β) ḡ + β z where norms are not matched.
fn mix(mean: &[f32], own: &Own, beta: f64, parts: &[Part]) -> Vec<f32> {
    let mut mixed = Vec::with_capacity(mean.len());
    for part in parts {
        let (mean, values) = (&mean[part.range.clone()], &own.values[part.range.clone()]);
        let factor = beta * own.factor(values, mean);
        let both = mean.iter().zip(values);
        mixed.extend(both.map(|(&g, &u)| ((1.0 - beta) * f64::from(g) + factor * f64::from(u)) as f32));
    }
    mixed
}

/// Normal draws of a task, the same on any number of threads.
fn normal(seed: u64, task: usize, n: usize) -> Vec<f32> {
    let mut values = vec![0.0; n];
    values.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, values)| {
        let mut rng = Rng::new(seed, Purpose::Method, &[task as u64, chunk as u64]);
        values.iter_mut().for_each(|v| *v = rng.normal() as f32);
    });
    values
}

impl Weighting for Samo {
    fn needs(&self) -> Needs {
        Needs {
            rows: true,
            spaces: Spaces::Parameters,
            displaced: true,
            after_step: self.inner.has_after_step(),
            ..Needs::NONE
        }
    }

    fn update(&mut self, probe: &mut dyn Probe) -> Result<Update> {
        let seed = probe.rng().next_u64();
        self.step(probe, &|task, n| normal(seed, task, n))
    }

    fn after_step(&mut self, probe: &mut dyn Probe) -> Result<()> {
        self.inner.after_step(probe)
    }

    fn observations(&self) -> Vec<Observation> {
        self.seen.clone()
    }

    fn state(&self) -> Vec<f64> {
        join(std::iter::once(self.inner.state()))
    }

    fn restore(&mut self, state: &[f64]) -> Result<()> {
        split(state, std::iter::once(&mut self.inner), |method, state| method.restore(state))
    }

    fn mark(&self) -> Vec<f64> {
        join(std::iter::once(self.inner.mark()))
    }

    fn rewind(&mut self, mark: &[f64]) -> Result<()> {
        split(mark, std::iter::once(&mut self.inner), |method, mark| method.rewind(mark))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy::{Close, Toy, golden, vector_of};

    #[test]
    fn steps_with_given_draws_equal_the_published_algorithm() {
        let golden = golden();
        let mut checked = 0;
        for case in golden.samo.iter().filter(|case| case.is_made()) {
            let mut toy = Toy::of(&golden.models[case.model]);
            let mut samo = Samo::new(&case.choice("samo"), &toy.setup()).unwrap();
            let update = samo.step(&mut toy, &|task, _| case.draws[task].clone()).unwrap();
            case.check(&update, &vector_of(&update, &mut toy), case.tolerance());
            checked += 1;
        }
        assert!(checked >= 18, "{checked}");
    }

    #[test]
    fn draws_do_not_depend_on_how_many_are_drawn_together() {
        let (few, many) = (normal(3, 1, CHUNK), normal(3, 1, 2 * CHUNK + 5));
        assert_eq!(few, many[..CHUNK]);
        assert_ne!(few, many[CHUNK..2 * CHUNK]);
        assert_ne!(few, normal(3, 2, CHUNK));
    }

    #[test]
    fn without_a_share_of_its_own_a_task_moves_along_the_mean() {
        let parts = Toy::of(&golden().models[0]).parts();
        let mean = [1.0, -2.0, 0.5, 3.0, 0.0];
        let with =
            |values, beta, match_norm| mix(&mean, &Own { values, slope: -0.5, match_norm }, beta, &parts);
        with(&[1.0; 5], 0.0, true).close(&mean.map(f64::from), 1e-7, "beta 0");
        let own = with(&[2.0, 0.0, 0.0, 0.0, -1.0], 1.0, true);
        let plain = with(&[2.0, 0.0, 0.0, 0.0, -1.0], 1.0, false);
        plain.close(&[-1.0, 0.0, 0.0, 0.0, 0.5], 1e-6, "z as it is");
        own.close(&[-(5.25_f64.sqrt()), 0.0, 0.0, 0.0, 3.0], 1e-6, "beta 1");
    }
}
