//! Conflict methods: from what tasks want to one step.
//!
//! A method never sees the network. It asks a [`Probe`] for what it needs (losses, the Gramian, the rows, a second
//! batch, displaced weights) and answers with an [`Update`]; the loop applies it. Most methods are one of
//! three small traits ([`LossWeighting`], [`GramianWeighting`], [`Aggregator`]) and come into the loop through
//! an adaptor; a method with its own schedule (look-ahead, sharpness, bilevel) implements [`Method`] itself.
//!
//! Adding one = one file here and one line in [`table::METHODS`].

use polytask_core::Rng;

use crate::Result;

/// What a method asks of the loop; shown to users as its cost and used to refuse impossible combinations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// Inner products of task gradients.
    pub gramian: bool,
    /// Task gradients themselves.
    pub rows: bool,
    /// Works with gradients of the representation too.
    pub representation: bool,
    /// Heads get their loss times the method's weight (otherwise times 1).
    pub weighted_heads: bool,
    /// Forward passes on the same batch after or beside the main one.
    pub extra_forwards: usize,
    /// Batches drawn beside the main one.
    pub extra_batches: usize,
    /// Evaluates at displaced weights.
    pub displaced: bool,
}

/// Where a probe evaluates.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct At<'a> {
    /// 0 is the step's batch; k the k-th extra one.
    pub batch: usize,
    /// Added to the shared trainable parameters for this evaluation only, `[params]`.
    pub displacement: Option<&'a [f32]>,
}

/// Inner products of task gradients, `[tasks, tasks]`, row-major, f64.
#[derive(Debug, Clone, PartialEq)]
pub struct Gramian {
    /// Number of tasks.
    pub n: usize,
    /// The values.
    pub values: Vec<f64>,
}

impl Gramian {
    /// The inner product of tasks `i` and `j`.
    pub fn get(&self, i: usize, j: usize) -> f64 {
        self.values[i * self.n + j]
    }

    /// Cosine of tasks `i` and `j`; `None` where a gradient is zero.
    pub fn cosine(&self, i: usize, j: usize) -> Option<f64> {
        let norm = (self.get(i, i) * self.get(j, j)).sqrt();
        (norm > 0.0 && norm.is_finite()).then(|| (self.get(i, j) / norm).clamp(-1.0, 1.0))
    }
}

/// Task gradients, `[tasks, params]`, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Jacobian {
    /// Number of tasks.
    pub n: usize,
    /// Number of parameters.
    pub width: usize,
    /// The values.
    pub values: Vec<f32>,
}

impl Jacobian {
    /// The gradient of task `i`.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.width..(i + 1) * self.width]
    }
}

/// What a method can ask during a step. Tasks are those present in the step's batch, in suite order; a task
/// without known targets there is absent from every list.
pub trait Probe {
    /// Optimiser step, from 1.
    fn step(&self) -> u64;
    /// Suite indices of the tasks present.
    fn tasks(&self) -> &[usize];
    /// The learning rate of this step.
    fn lr(&self) -> f64;
    /// Draws of the method for this step.
    fn rng(&self) -> Rng;
    /// Loss of each task present.
    fn losses(&mut self, at: At) -> Result<Vec<f64>>;
    /// Gramian in the run's gradient space (parameters or representation).
    fn gramian(&mut self, at: At) -> Result<Gramian>;
    /// Task gradients in the run's gradient space.
    fn rows(&mut self, at: At) -> Result<Jacobian>;
    /// Gradient of the weighted sum of losses with respect to the shared trainable parameters, `[params]`.
    fn gradient(&mut self, at: At, weights: &[f64]) -> Result<Vec<f32>>;
}

/// What the loop shall do with the trunk and the heads.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// The trunk's direction.
    pub trunk: Direction,
    /// Factor on each present task's head gradient.
    pub heads: Vec<f64>,
}

/// The trunk's direction.
#[derive(Debug, Clone, PartialEq)]
pub enum Direction {
    /// The weighted sum of task gradients: one backward of merged cotangents.
    Weights(Vec<f64>),
    /// A vector in the space of the rows asked for (parameters or representation).
    Vector(Vec<f32>),
    /// A gradient of the shared trainable parameters, whatever the run's gradient space.
    Gradient(Vec<f32>),
}

/// A conflict method in the loop.
pub trait Method: Send {
    /// What it asks of the loop.
    fn needs(&self) -> Needs;

    /// One step: ask the probe, answer with an update.
    fn update(&mut self, probe: &mut dyn Probe) -> Result<Update>;

    /// Called after the optimiser's step, with the same batch at the new weights.
    fn after_step(&mut self, _probe: &mut dyn Probe) -> Result<()> {
        Ok(())
    }

    /// Everything that must survive a restart.
    fn state(&self) -> Vec<f64> {
        Vec::new()
    }

    /// Takes back what [`Method::state`] gave.
    fn restore(&mut self, _state: &[f64]) {}
}

/// Task weights from losses: one backward.
pub trait LossWeighting: Send {
    /// Weights of the tasks present; `tasks` are their suite indices, for state kept per task.
    fn weights(&mut self, tasks: &[usize], losses: &[f64], lr: f64, rng: &mut Rng) -> Vec<f64>;
    /// Everything that must survive a restart.
    fn state(&self) -> Vec<f64> {
        Vec::new()
    }
    /// Takes the state back.
    fn restore(&mut self, _state: &[f64]) {}
}

/// Task weights from the Gramian: the direction is the weighted sum of task gradients.
pub trait GramianWeighting: Send {
    /// Weights of the tasks present.
    fn weights(&mut self, tasks: &[usize], gramian: &Gramian, rng: &mut Rng) -> Vec<f64>;
    /// Everything that must survive a restart.
    fn state(&self) -> Vec<f64> {
        Vec::new()
    }
    /// Takes the state back.
    fn restore(&mut self, _state: &[f64]) {}
}

/// A direction from the rows themselves (element-wise methods).
pub trait Aggregator: Send {
    /// The direction, `[params]`.
    fn direction(&mut self, tasks: &[usize], jacobian: &Jacobian, rng: &mut Rng) -> Vec<f32>;
    /// Everything that must survive a restart.
    fn state(&self) -> Vec<f64> {
        Vec::new()
    }
    /// Takes the state back.
    fn restore(&mut self, _state: &[f64]) {}
}
