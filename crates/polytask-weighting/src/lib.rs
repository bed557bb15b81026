//! Weightings and aggregators: from what tasks want to one step.
//!
//! A weighting never sees the network. It asks a [`Probe`] for what it needs (losses, the Gramian, the rows, another
//! batch, displaced weights) and answers with an [`Update`]; the loop applies it. Most weightings are one of
//! three small traits ([`LossWeighting`], [`GramianWeighting`], [`Aggregator`]) and come into the loop through
//! an adaptor ([`adapt`]); a weighting with its own schedule (look-ahead, sharpness, bilevel) implements [`Weighting`]
//! itself.
//!
//! Two rules hold for every weighting that sees gradients and are kept by the adaptors, so that no solver meets a
//! degenerate case: a task whose gradient is zero gets weight 0, and a step in which one task pulls alone is plain
//! training, no longer than the weighting allows where it sets a limit.
//!
//! Adding one = one file in `weightings`, with its `mod` line and one line in [`WEIGHTINGS`] there.

// Headers name papers, authors and venues in prose, and documentation pages are made from them.
#![allow(clippy::doc_markdown)]
#![cfg_attr(test, allow(clippy::unwrap_used))]
// All makers share one signature; most of them cannot fail.
#![allow(clippy::unnecessary_wraps)]

mod adam;
pub mod adapt;
pub mod ball;
mod batches;
mod buffers;
mod entry;
mod error;
#[cfg(test)]
mod golden;
mod inner;
pub mod layers;
mod look_ahead;
mod means;
mod probe;
#[cfg(test)]
mod quadratic;
mod shares;
mod simplex;
mod solve;
pub mod table;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod toy;
mod weightings;

use polytask_core::Rng;

pub use error::{Error, Result};
pub use probe::{
    At, Gramian, Jacobian, JointGradient, OutputStates, Part, Probe, TaskGradient, TaskGradients, blocks, dot,
};
pub use weightings::WEIGHTINGS;

/// Which gradients a weighting can work with; the suite's `train.gradients` must be among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Spaces {
    /// Of the parameters (all together or by layer) or of the representation, as the suite says.
    #[default]
    Either,
    /// Of the shared parameters only (several batches, displaced weights).
    Parameters,
    /// Of the trunk's output states only (saliencies).
    Representation,
}

/// What a weighting asks of the loop; shown to users as its cost and used to refuse impossible combinations.
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
    /// Heads get their loss times the weighting's weight (otherwise times 1).
    pub weighted_heads: bool,
    /// Forward passes on the same batch after or beside the main one.
    pub extra_forwards: usize,
    /// Batches drawn beside the main one.
    pub extra_batches: usize,
    /// Evaluates at displaced weights or states.
    pub displaced: bool,
    /// Wants [`Weighting::after_step`], with the step's batch kept until then.
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

impl Direction {
    /// The weights of the tasks, where it is made of them.
    pub fn weights(&self) -> Option<&[f64]> {
        match self {
            Self::Weights(weights) => Some(weights),
            _ => None,
        }
    }

    /// As [`Self::weights`], and of weights by block their means.
    pub fn mean_weights(&self) -> Option<Vec<f64>> {
        let Self::BlockWeights(all) = self else { return self.weights().map(<[f64]>::to_vec) };
        let mean = |task: usize| all.iter().map(|weights| weights[task]).sum::<f64>() / all.len() as f64;
        all.first().map(|weights| (0..weights.len()).map(mean).collect())
    }
}

/// What the heads of the present tasks step with.
#[derive(Debug, Clone, PartialEq)]
pub enum Heads {
    /// A factor on each task's own head gradient, `[tasks]`.
    Factors(Vec<f64>),
    /// The gradients themselves (sharpness, bilevel), `[tasks][head params]`.
    Gradients(Vec<Vec<f32>>),
}

/// Something a weighting measured during a step, for the log and the report.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// What it is: `sharpness`.
    pub name: &'static str,
    /// Suite index of the task it is of; none for the step as a whole.
    pub task: Option<usize>,
    /// Its value.
    pub value: f64,
}

/// A weighting in the loop.
pub trait Weighting: Send {
    /// What it asks of the loop.
    fn needs(&self) -> Needs;

    /// One step: ask the probe, answer with an update.
    fn update(&mut self, probe: &mut dyn Probe) -> Result<Update>;

    /// Called after the optimiser's step when [`Needs::after_step`]: the same tasks, batch and masks, new weights.
    fn after_step(&mut self, _probe: &mut dyn Probe) -> Result<()> {
        Ok(())
    }

    /// What the last update measured beside its weights, which the loop sees itself.
    fn observations(&self) -> Vec<Observation> {
        Vec::new()
    }

    /// Everything that must survive a restart.
    fn state(&self) -> Vec<f64> {
        Vec::new()
    }

    /// Takes back what [`Weighting::state`] gave; refuses a state of another shape.
    fn restore(&mut self, state: &[f64]) -> Result<()> {
        refuse_state(state.len(), 0)
    }

    /// What [`Weighting::rewind`] needs when a step is tried again without a task that was not finite. A weighting whose
    /// state is as large as the gradients leaves its buffers out and knows itself which step they hold.
    fn mark(&self) -> Vec<f64> {
        self.state()
    }

    /// Back to before the step's first try.
    fn rewind(&mut self, mark: &[f64]) -> Result<()> {
        self.restore(mark)
    }
}

/// What an adaptor tells a weighting about the step. Every list holds the tasks that pull (finite, gradient not zero).
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
    /// Weights known without this step's Gramian, in weightings that solve every few steps only; asked first, and
    /// answered so, it spares the step the backwards of the Gramian.
    fn kept(&mut self, _step: &Step) -> Option<Vec<f64>> {
        None
    }
    /// Factors of the heads of the step's tasks, where they are neither 1 nor the weights; asked before the weights.
    fn heads(&self, _step: &Step) -> Option<Vec<f64>> {
        None
    }
    /// Weights of the tasks of the step.
    fn weights(&mut self, step: &mut Step, gramian: &Gramian) -> Vec<f64>;
    /// The longest direction a step may have; none where there is no limit. A task that pulls alone obeys it too.
    fn longest(&self) -> Option<f64> {
        None
    }
    /// Everything that must survive a restart.
    fn state(&self) -> Vec<f64> {
        Vec::new()
    }
    /// Takes the state back; refuses one of another shape.
    fn restore(&mut self, state: &[f64]) -> Result<()> {
        refuse_state(state.len(), 0)
    }
}

/// A direction from the rows themselves (element-wise weightings).
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
    /// As [`Weighting::mark`].
    fn mark(&self) -> Vec<f64> {
        self.state()
    }
    /// As [`Weighting::rewind`].
    fn rewind(&mut self, mark: &[f64]) -> Result<()> {
        self.restore(mark)
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
