//! How sharp a task's loss is around the weights: L(θ + e) − L(θ), where e leads to the worst place of a ball.
//!
//! To first order that place lies along the task's own gradient: e = ρ g / ‖g‖ (Foret, Kleiner, Mobahi, Neyshabur:
//! Sharpness-Aware Minimization for Efficiently Improving Generalization. ICLR 2021), or e = ρ θ² ∘ g / ‖|θ| ∘ g‖ in
//! the adaptive form (Kwon, Kim, Park, Choi: ASAM. ICML 2021). Only the trunk's shared trained parameters move; heads,
//! and blocks that are a task's own, stay. The flat gradient is the gradient at θ + e minus the one at θ: what the
//! method `flat` aggregates apart from the plain gradients.

mod look;

use std::borrow::Cow;
use std::sync::Arc;

use polytask_nn::{Mode, Params};

use crate::Result;
use crate::assemble::{StepBatch, TaskBatch};
use crate::engine::{Engine, Evaluation, Forward, Weights};
use crate::vectors::displace;
use polytask_weighting::ball::{Ball, Center};
use polytask_weighting::dot;

pub use look::{SharpnessOptions, of_model};

/// Radius of the ball when nothing else is said, the value of the SAM paper's image experiments.
pub const RHO: f64 = 0.05;

/// The ball in which the worst place is looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reach {
    /// Its radius.
    pub rho: f64,
    /// Whether each weight moves in proportion to its size.
    pub adaptive: bool,
}

impl Default for Reach {
    fn default() -> Self {
        Self { rho: RHO, adaptive: false }
    }
}

impl Reach {
    /// From the shared trained weights `theta` to the worst place of a loss with this gradient there; `None` where the
    /// gradient is zero or not finite.
    fn climb(self, gradient: &[f32], theta: impl FnOnce() -> Vec<f32>) -> Option<Vec<f32>> {
        let ball = Ball::of_trunk(self.rho, self.adaptive);
        let e = ball.ascend_trunk(&Center::of(&ball, theta), gradient);
        let moves = e.iter().any(|d| *d != 0.0) && e.iter().all(|d| d.is_finite());
        moves.then_some(e)
    }
}

/// A batch at some weights, in a mode that saves.
#[derive(Clone, Copy)]
pub struct Spot<'a> {
    /// The unchanging parts; heads have the dropout of these.
    pub engine: &'a Engine<'a>,
    /// The weights that are looked around.
    pub weights: Weights<'a>,
    /// The batch.
    pub batch: &'a StepBatch,
    /// How the trunk runs.
    pub mode: Mode,
}

/// A task's loss here and at the worst place, and its gradients by the shared parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// Suite index of the task.
    pub task: usize,
    /// The loss here (times `loss_weight`, as all of these).
    pub loss: f64,
    /// The loss at the worst place.
    pub worst: f64,
    /// Norm of the gradient here.
    pub gradient: f64,
    /// Norm of the flat gradient.
    pub flat: f64,
    /// Cosine of the two; `None` where the flat gradient is zero.
    pub cosine: Option<f64>,
}

/// Tasks that are not finite: (suite index, what).
pub type Broken = Vec<(usize, String)>;

impl Row {
    /// From loss and gradient here and there.
    fn of(task: usize, (loss, here): (f64, &[f32]), (worst, there): (f64, &[f32])) -> Self {
        let flat: Vec<f32> = there.iter().zip(here).map(|(there, here)| there - here).collect();
        let (gradient, norm) = (dot(here, here).sqrt(), dot(&flat, &flat).sqrt());
        let cosine = (norm > 0.0).then(|| (dot(here, &flat) / gradient / norm).clamp(-1.0, 1.0));
        Self { task, loss, worst, gradient, flat: norm, cosine }
    }

    /// How far the loss rises.
    pub fn sharpness(&self) -> f64 {
        self.worst - self.loss
    }

    fn is_finite(&self) -> bool {
        [self.loss, self.worst, self.gradient, self.flat].iter().all(|value| value.is_finite())
    }
}

impl Spot<'_> {
    /// The loss of a task with this gradient at its worst place; `None` where that place or the loss is undefined.
    pub fn worst(&self, reach: Reach, task: usize, gradient: &[f32]) -> Result<Option<f64>> {
        let Some(trunk) = self.climb(reach, gradient) else { return Ok(None) };
        let there = Weights { trunk: &trunk, heads: self.weights.heads };
        let batch = self.batch_of(task);
        let losses = self.engine.losses_in(self.mode, there, &batch)?;
        let place = batch.parts.iter().position(|part| part.task == task);
        Ok(place.map(|place| losses[place]).filter(|loss| loss.is_finite()))
    }

    /// The sharpness of each task of the batch that has one.
    pub fn rises(&self, reach: Reach) -> Result<Vec<f64>> {
        let evaluation = self.engine.evaluate_in(self.mode, self.weights, self.batch)?;
        let mut rises = Vec::new();
        for part in &evaluation.parts {
            let gradient = self.gradient(self.weights.trunk, &evaluation, part.task)?;
            rises.extend(self.worst(reach, part.task, &gradient)?.map(|worst| worst - part.loss));
        }
        Ok(rises)
    }

    /// All there is to know of each task of the batch that has a sharpness, and the tasks whose loss or gradient here
    /// or at the worst place is not finite.
    pub fn rows(&self, reach: Reach) -> Result<(Vec<Row>, Broken)> {
        let mut evaluation = self.engine.evaluate_in(self.mode, self.weights, self.batch)?;
        let (mut rows, mut broken) = (Vec::new(), std::mem::take(&mut evaluation.broken));
        for part in &evaluation.parts {
            let here = self.gradient(self.weights.trunk, &evaluation, part.task)?;
            if !here.iter().all(|g| g.is_finite()) {
                broken.push((part.task, "gradient in the trunk is not finite".into()));
                continue;
            }
            let Some(trunk) = self.climb(reach, &here) else { continue };
            let there = Weights { trunk: &trunk, heads: self.weights.heads };
            let mut moved = self.evaluate_part(there, part.task)?;
            broken.extend(
                moved.broken.drain(..).map(|(task, what)| (task, format!("{what}, at the worst place"))),
            );
            let Some(worst) = moved.part(part.task) else { continue };
            let gradient = self.gradient(&trunk, &moved, part.task)?;
            let row = Row::of(part.task, (part.loss, &here), (worst.loss, &gradient));
            if row.is_finite() {
                rows.push(row);
            } else {
                broken.push((part.task, "a figure at the worst place is not finite".into()));
            }
        }
        Ok((rows, broken))
    }

    /// The evaluation of one task's part at some weights.
    fn evaluate_part(&self, weights: Weights, task: usize) -> Result<Evaluation> {
        let (engine, batch) = (self.engine, self.batch_of(task));
        let (states, saved) = engine.forward_batch(weights.trunk, &batch, self.mode)?;
        let forward = Arc::new(Forward { states, saved });
        let part: Vec<&TaskBatch> = batch.parts.iter().filter(|part| part.task == task).collect();
        engine.run_heads(weights.heads, &batch, &part, forward, None, self.mode.step)
    }

    /// The batch a task is looked at on alone.
    fn batch_of(&self, task: usize) -> Cow<'_, StepBatch> {
        self.engine.batch_of(self.batch, task, self.mode.train && self.engine.trunk.is_coupled())
    }

    /// A task's gradient by the shared trained parameters.
    fn gradient(&self, trunk: &Params, evaluation: &Evaluation, task: usize) -> Result<Vec<f32>> {
        Ok(self.engine.rows(trunk, evaluation, &[task])?.values)
    }

    /// The trunk at the worst place of a task with this gradient.
    fn climb(&self, reach: Reach, gradient: &[f32]) -> Option<Params> {
        let (trunk, shared) = (self.weights.trunk, self.engine.shared());
        let blocks = trunk.blocks.iter().zip(&shared).filter(|(_, shared)| **shared);
        let theta = || blocks.flat_map(|(block, _)| block.values.iter().copied()).collect();
        Some(displace(trunk, &shared, &reach.climb(gradient, theta)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ½ Σ aᵢ θᵢ²: its value and gradient.
    fn bowl(a: &[f32], theta: &[f32]) -> (f64, Vec<f32>) {
        let terms = a.iter().zip(theta).map(|(a, t)| f64::from(*a) * f64::from(*t).powi(2) / 2.0);
        (terms.sum(), a.iter().zip(theta).map(|(a, t)| a * t).collect())
    }

    const A: [f32; 3] = [4.0, 1.0, 0.25];
    const THETA: [f32; 3] = [0.5, -2.0, 3.0];

    /// The bowl seen from `THETA`.
    fn row(reach: Reach) -> Row {
        let (loss, here) = bowl(&A, &THETA);
        let e = reach.climb(&here, || THETA.to_vec()).unwrap();
        let moved: Vec<f32> = THETA.iter().zip(e).map(|(t, e)| t + e).collect();
        let (worst, there) = bowl(&A, &moved);
        Row::of(0, (loss, &here), (worst, &there))
    }

    /// ρ g·u + ½ ρ² u·Au and Au, of a step u.
    fn closed_form(rho: f64, u: &[f64; 3]) -> (f64, [f64; 3]) {
        let a = A.map(f64::from);
        let slope: f64 = (0..3).map(|k| a[k] * f64::from(THETA[k]) * u[k]).sum();
        let bend: f64 = (0..3).map(|k| a[k] * u[k] * u[k]).sum();
        (rho * slope + rho * rho * bend / 2.0, [0, 1, 2].map(|k| rho * a[k] * u[k]))
    }

    fn norm(v: &[f64; 3]) -> f64 {
        v.iter().map(|v| v * v).sum::<f64>().sqrt()
    }

    #[test]
    fn on_a_quadratic_every_column_is_its_closed_form() {
        let g: [f64; 3] = [0, 1, 2].map(|k| f64::from(A[k] * THETA[k]));
        let theta = THETA.map(f64::from);
        let scaled = norm(&[0, 1, 2].map(|k| theta[k] * g[k]));
        let plain = g.map(|x| x / norm(&g));
        let adaptive = [0, 1, 2].map(|k| theta[k] * theta[k] * g[k] / scaled);
        for (is_adaptive, u) in [(false, plain), (true, adaptive)] {
            for rho in [1e-3, 0.05, 0.7] {
                let row = row(Reach { rho, adaptive: is_adaptive });
                let (rise, flat) = closed_form(rho, &u);
                assert!((row.sharpness() - rise).abs() < 1e-6, "{rho} {is_adaptive}: {row:?} {rise}");
                assert!((row.gradient - norm(&g)).abs() < 1e-6 && (row.flat - norm(&flat)).abs() < 1e-6);
                let cosine = (0..3).map(|k| g[k] * flat[k]).sum::<f64>() / norm(&g) / norm(&flat);
                assert!((row.cosine.unwrap() - cosine).abs() < 1e-3, "{row:?} {cosine}");
            }
        }
    }

    #[test]
    fn a_gradient_that_is_zero_or_not_finite_leads_nowhere() {
        let reach = Reach::default();
        assert_eq!(reach.climb(&[0.0; 3], || THETA.to_vec()), None);
        assert_eq!(reach.climb(&[1.0, f32::NAN, 0.0], || THETA.to_vec()), None);
        let adaptive = Reach { adaptive: true, ..reach };
        assert_eq!(adaptive.climb(&[1.0, 1.0, 1.0], || vec![0.0; 3]), None, "weights of zero stay");
    }

    #[test]
    fn a_plane_has_a_flat_gradient_of_zero_and_no_cosine() {
        let row = Row::of(0, (1.0, &[3.0, 4.0]), (1.25, &[3.0, 4.0]));
        assert_eq!((row.sharpness(), row.gradient, row.flat, row.cosine), (0.25, 5.0, 0.0, None));
    }
}
