//! Conflict methods: from what tasks want to one step.
//!
//! A method never sees the network. It asks a [`Probe`] for what it needs (losses, the Gramian, the rows, another
//! batch, displaced weights) and answers with an [`Update`]; the loop applies it. Most methods are one of
//! three small traits ([`LossWeighting`], [`GramianWeighting`], [`Aggregator`]) and come into the loop through
//! an adaptor ([`adapt`]); a method with its own schedule (look-ahead, sharpness, bilevel) implements [`Method`]
//! itself.
//!
//! Two rules hold for every method that sees gradients and are kept by the adaptors, so that no solver meets a
//! degenerate case: a task whose gradient is zero gets weight 0, and a step in which one task pulls alone is plain
//! training.
//!
//! Adding one = one file here, with its `mod` line below, and one line in [`table::METHODS`].

// Headers name papers, authors and venues in prose, and documentation pages are made from them.
#![allow(clippy::doc_markdown)]
// All makers share one signature; most of them cannot fail.
#![allow(clippy::unnecessary_wraps)]

mod adam;
pub mod adapt;
mod constant;
mod equal;
mod mgda;
mod pcgrad;
pub mod table;
#[cfg(test)]
mod testing;
mod uw;

use std::ops::Range;

use polytask_core::Rng;

use crate::Result;

/// Which gradients a method can work with; the suite's `train.gradients` must be among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Spaces {
    /// Of the parameters or of the representation, as the suite says.
    #[default]
    Either,
    /// Of the shared parameters only (several batches, displaced weights).
    Parameters,
    /// Of the trunk's output states only (saliencies).
    Representation,
}

/// What a method asks of the loop; shown to users as its cost and used to refuse impossible combinations.
// Independent wants, each a line of the cost table.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// Inner products of task gradients.
    pub gramian: bool,
    /// Task gradients themselves.
    pub rows: bool,
    /// Which gradients it can work with.
    pub spaces: Spaces,
    /// Heads get their loss times the method's weight (otherwise times 1).
    pub weighted_heads: bool,
    /// Forward passes on the same batch after or beside the main one.
    pub extra_forwards: usize,
    /// Batches drawn beside the main one.
    pub extra_batches: usize,
    /// Evaluates at displaced weights or states.
    pub displaced: bool,
    /// Wants [`Method::after_step`], with the step's batch kept until then.
    pub after_step: bool,
}

impl Needs {
    /// The needs nothing but losses have.
    pub const NONE: Self = Self {
        gramian: false,
        rows: false,
        spaces: Spaces::Either,
        weighted_heads: false,
        extra_forwards: 0,
        extra_batches: 0,
        displaced: false,
        after_step: false,
    };
}

/// Where a probe evaluates. Displacements are added for this evaluation only.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct At<'a> {
    /// 0 is the step's batch; k the k-th extra one.
    pub batch: usize,
    /// Added to the shared trainable parameters, `[params]`.
    pub displacement: Option<&'a [f32]>,
    /// Added to the parameters of each present task's head, `[tasks][head params]`.
    pub heads: Option<&'a [Vec<f32>]>,
    /// Added to the trunk's output states, `[rows, d_hidden]`; the trunk itself is not run again.
    pub states: Option<&'a [f32]>,
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
        let norm = self.get(i, i).sqrt() * self.get(j, j).sqrt();
        (norm > 0.0 && norm.is_finite()).then(|| (self.get(i, j) / norm).clamp(-1.0, 1.0))
    }

    /// The product with a vector of task weights, `[tasks]`.
    pub fn times(&self, weights: &[f64]) -> Vec<f64> {
        let row = |i: usize| (0..self.n).map(|j| self.get(i, j) * weights[j]).sum();
        (0..self.n).map(row).collect()
    }

    /// The Gramian of the tasks at `kept` only.
    #[must_use]
    pub fn select(&self, kept: &[usize]) -> Self {
        let values = kept.iter().flat_map(|&i| kept.iter().map(move |&j| self.get(i, j))).collect();
        Self { n: kept.len(), values }
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

    /// The Jacobian of the tasks at `kept` only.
    #[must_use]
    pub fn select(&self, kept: &[usize]) -> Self {
        let values = kept.iter().flat_map(|&i| self.row(i)).copied().collect();
        Self { n: kept.len(), width: self.width, values }
    }

    /// The inner products of the rows, summed in f64 over the columns of `span`.
    pub fn gramian(&self, span: Range<usize>) -> Gramian {
        let mut values = vec![0.0; self.n * self.n];
        for i in 0..self.n {
            for j in i..self.n {
                let product = dot(&self.row(i)[span.clone()], &self.row(j)[span.clone()]);
                values[i * self.n + j] = product;
                values[j * self.n + i] = product;
            }
        }
        Gramian { n: self.n, values }
    }
}

/// Inner product in f64, in the order of the values.
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
}

/// A tensor in the vector of shared trainable parameters: methods work by tensor or block, or leave out norms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Name of its block: `layer.3`; the parts of a block follow each other.
    pub block: String,
    /// Name of the tensor.
    pub tensor: String,
    /// Its place in `[params]`.
    pub range: Range<usize>,
    /// Whether it is a matrix (biases and norms are not).
    pub matrix: bool,
}

/// The trunk's output states of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct States {
    /// `[rows, width]`.
    pub values: Vec<f32>,
    /// Values per state.
    pub width: usize,
    /// First row of each sample, and after the last one the number of rows, `[samples + 1]`.
    pub samples: Vec<usize>,
}

/// One task's loss and gradients.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskGradient {
    /// Its loss.
    pub loss: f64,
    /// Its gradient in the run's gradient space, as a row of the Jacobian.
    pub row: Vec<f32>,
    /// The gradient of its head, `[head params]`.
    pub head: Vec<f32>,
}

/// What a method can ask during a step.
///
/// Tasks are those present in the step's batch, in suite order; a task without known targets there is absent from
/// every list. In an extra batch such a task has loss NaN and a zero row. Losses carry the suite's `loss_weight`.
/// Every evaluation of one batch uses the same dropout masks; none but the main one changes running statistics.
/// Displaced weights are put back even when the evaluation fails.
pub trait Probe {
    /// Optimiser step, from 1.
    fn step(&self) -> u64;
    /// Epoch of this step, from 0.
    fn epoch(&self) -> u64;
    /// Suite indices of the tasks present.
    fn tasks(&self) -> &[usize];
    /// The learning rate of this step.
    fn lr(&self) -> f64;
    /// Draws of the method for this step; every call gives the same stream from its start.
    fn rng(&self) -> Rng;
    /// Loss of each task present.
    fn losses(&mut self, at: At) -> Result<Vec<f64>>;
    /// Gramian in the run's gradient space (parameters or representation).
    fn gramian(&mut self, at: At) -> Result<Gramian>;
    /// Task gradients in the run's gradient space.
    fn rows(&mut self, at: At) -> Result<Jacobian>;
    /// Gradient of the weighted sum of losses with respect to the shared trainable parameters, `[params]`.
    fn gradient(&mut self, at: At, weights: &[f64]) -> Result<Vec<f32>>;
    /// Gradient of each present task's own loss with respect to its head, `[tasks][head params]`.
    fn heads(&mut self, at: At) -> Result<Vec<Vec<f32>>>;
    /// The trunk's output states.
    fn states(&mut self, at: At) -> Result<States>;
    /// The tensors of the shared trainable parameters, in the order of `[params]`.
    fn parts(&self) -> Vec<Part>;
    /// The shared trainable parameters, `[params]`.
    fn shared(&self) -> Vec<f32>;
    /// The parameters of the head of the `i`-th present task, `[head params]`.
    fn head(&self, i: usize) -> Vec<f32>;

    /// Loss and gradients of the `i`-th present task alone; a loop that runs only this task's part is cheaper.
    fn task(&mut self, at: At, i: usize) -> Result<TaskGradient> {
        let (loss, row) = (self.losses(at)?[i], self.rows(at)?.row(i).to_vec());
        Ok(TaskGradient { loss, row, head: self.heads(at)?.swap_remove(i) })
    }

    /// Inner product of each task's gradient with `direction`, `[tasks]`.
    fn products(&mut self, at: At, direction: &[f32]) -> Result<Vec<f64>> {
        let rows = self.rows(at)?;
        Ok((0..rows.n).map(|i| dot(rows.row(i), direction)).collect())
    }

    /// The Gramian of each block of [`Probe::parts`] (parameters only), lowest block first.
    fn block_gramians(&mut self, at: At) -> Result<Vec<Gramian>> {
        let spans = blocks(&self.parts());
        let rows = self.rows(at)?;
        Ok(spans.into_iter().map(|span| rows.gramian(span)).collect())
    }

    /// The step the run's optimiser would take on the shared parameters for `gradient`, not taken; plain gradient
    /// descent where the loop cannot tell.
    fn advance(&self, gradient: &[f32]) -> Vec<f32> {
        gradient.iter().map(|&g| (-self.lr() * f64::from(g)) as f32).collect()
    }
}

/// The place in `[params]` of each block of `parts`.
pub fn blocks(parts: &[Part]) -> Vec<Range<usize>> {
    let same = |a: &Part, b: &Part| a.block == b.block;
    let span = |run: &[Part]| run[0].range.start..run[run.len() - 1].range.end;
    parts.chunk_by(same).map(span).collect()
}

/// What the loop shall do with the trunk and the heads.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// The trunk's direction.
    pub trunk: Direction,
    /// What the heads step with.
    pub heads: Heads,
}

/// The trunk's direction.
#[derive(Debug, Clone, PartialEq)]
pub enum Direction {
    /// The weighted sum of task gradients, `[tasks]`: one backward of merged cotangents.
    Weights(Vec<f64>),
    /// Weights of their own for each block of [`blocks`], `[blocks][tasks]`.
    BlockWeights(Vec<Vec<f64>>),
    /// A vector in the space of the rows asked for (parameters or representation).
    Vector(Vec<f32>),
    /// A gradient of the shared trainable parameters, whatever the run's gradient space.
    Gradient(Vec<f32>),
}

/// What the heads of the present tasks step with.
#[derive(Debug, Clone, PartialEq)]
pub enum Heads {
    /// A factor on each task's own head gradient, `[tasks]`.
    Factors(Vec<f64>),
    /// The gradients themselves (sharpness, bilevel), `[tasks][head params]`.
    Gradients(Vec<Vec<f32>>),
}

/// A conflict method in the loop.
pub trait Method: Send {
    /// What it asks of the loop.
    fn needs(&self) -> Needs;

    /// One step: ask the probe, answer with an update.
    fn update(&mut self, probe: &mut dyn Probe) -> Result<Update>;

    /// Called after the optimiser's step when [`Needs::after_step`]: the same tasks, batch and masks, new weights.
    fn after_step(&mut self, _probe: &mut dyn Probe) -> Result<()> {
        Ok(())
    }

    /// Everything that must survive a restart.
    fn state(&self) -> Vec<f64> {
        Vec::new()
    }

    /// Takes back what [`Method::state`] gave; refuses a state of another shape.
    fn restore(&mut self, state: &[f64]) -> Result<()> {
        refuse_state(state.len(), 0)
    }
}

/// What an adaptor tells a method about the step. Every list holds the tasks that pull (finite, gradient not zero).
#[derive(Debug)]
pub struct Step<'a> {
    /// Optimiser step, from 1.
    pub number: u64,
    /// Epoch, from 0.
    pub epoch: u64,
    /// The learning rate of this step.
    pub lr: f64,
    /// Suite indices of the tasks, for state kept per task.
    pub tasks: &'a [usize],
    /// Their losses.
    pub losses: &'a [f64],
    /// Draws of this step.
    pub rng: Rng,
}

/// Task weights from losses: one backward.
pub trait LossWeighting: Send {
    /// Weights of the tasks of the step.
    fn weights(&mut self, step: &mut Step) -> Vec<f64>;
    /// Everything that must survive a restart.
    fn state(&self) -> Vec<f64> {
        Vec::new()
    }
    /// Takes the state back; refuses one of another shape.
    fn restore(&mut self, state: &[f64]) -> Result<()> {
        refuse_state(state.len(), 0)
    }
}

/// Task weights from the Gramian: the direction is the weighted sum of task gradients.
pub trait GramianWeighting: Send {
    /// Weights of the tasks of the step.
    fn weights(&mut self, step: &mut Step, gramian: &Gramian) -> Vec<f64>;
    /// Everything that must survive a restart.
    fn state(&self) -> Vec<f64> {
        Vec::new()
    }
    /// Takes the state back; refuses one of another shape.
    fn restore(&mut self, state: &[f64]) -> Result<()> {
        refuse_state(state.len(), 0)
    }
}

/// A direction from the rows themselves (element-wise methods).
pub trait Aggregator: Send {
    /// The direction, `[params]`.
    fn direction(&mut self, step: &mut Step, jacobian: &Jacobian) -> Vec<f32>;
    /// Everything that must survive a restart.
    fn state(&self) -> Vec<f64> {
        Vec::new()
    }
    /// Takes the state back; refuses one of another shape.
    fn restore(&mut self, state: &[f64]) -> Result<()> {
        refuse_state(state.len(), 0)
    }
}

/// Refuses a saved state whose length is not the one expected.
pub fn refuse_state(found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    let what = format!("state of the weighting has {found} values, expected {expected}");
    let remedy = "resume with the suite the checkpoint was made with";
    Err(polytask_core::Problem::new(what).try_this(remedy).into())
}
