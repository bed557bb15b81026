//! Second-order products of a step: what a term's slopes at a task's saliency ask of its head and of the states.
//!
//! For the objective F of a task (its loss, or the loss's logarithm), states Z and a direction V, the derivative of
//! ⟨dF/dZ, V⟩ by the head's parameters and by Z is the Hessian times V. The inner product is how F changes as Z moves
//! along V, and that is a graph of its own: pooling and head hand V on, the loss takes its slope along what comes out,
//! and one backward through all of it is what a double backward gives, kinks held fixed.
//!
//! All in f64: a term's slopes are largest where saliencies are smallest, as at samples that are fitted well. A
//! difference of two gradients would have to use one step for the whole batch, and crosses kinks of the head there.

use polytask_nn::objective;
use polytask_nn::{Block, States};

use crate::Result;
use crate::assemble::{StepBatch, TaskBatch};
use crate::engine::Engine;

/// A Hessian's product with a direction, in the layout of a task's gradients.
pub(super) struct Product {
    /// By the head's parameters.
    pub(super) head: Vec<f64>,
    /// By the states of the task's sequences.
    pub(super) states: Vec<f64>,
}

/// What second-order products of a step are taken of.
pub(super) struct SecondOrder<'a> {
    engine: &'a Engine<'a>,
    heads: &'a [Block],
    pub(super) batch: &'a StepBatch,
    step: u64,
    /// What is added to losses under a logarithm; `None` for losses themselves.
    log: Option<f64>,
    states: States<f64>,
    pooled: States<f64>,
}

impl<'a> SecondOrder<'a> {
    /// On the states of a step.
    pub(super) fn new(
        engine: &'a Engine<'a>,
        (heads, batch): (&'a [Block], &'a StepBatch),
        states: &States,
        step: u64,
        log: Option<f64>,
    ) -> Self {
        let values = states.values.iter().map(|&v| f64::from(v)).collect();
        let states = States { values, width: states.width };
        let pooled = engine.pooling.forward(&states, &batch.layout);
        Self { engine, heads, batch, step, log, states, pooled }
    }

    /// Number of values of all states.
    pub(super) fn n_values(&self) -> usize {
        self.states.values.len()
    }

    /// A task's product with a direction in the space of the states, under the step's dropout masks; `None` where it is
    /// not finite.
    pub(super) fn product(&self, part: &TaskBatch, direction: Vec<f64>) -> Result<Option<Product>> {
        let (engine, head) = (self.engine, &self.engine.heads[part.task]);
        let direction = States { values: direction, width: self.states.width };
        let d_pooled = engine.pooling.jvp(&self.states, &direction, &self.batch.layout);
        let (input, mask) = engine.input(&self.batch.layout, part, (&self.states, &self.pooled), self.step);
        let (d_input, _) = engine.input(&self.batch.layout, part, (&direction, &d_pooled), self.step);
        let block = self.heads[part.task].cast();
        let mut found =
            objective::second_order(&*head.head, &block, &*head.loss, &input, &d_input.z, self.log)?;
        found.d_z.iter_mut().zip(&mask).for_each(|(g, m)| *g *= f64::from(*m));
        found.d_z.iter_mut().chain(&mut found.d_head).for_each(|g| *g *= head.loss_weight);
        let states = engine.states_gradient(self.batch, part, &self.states, &found.d_z);
        let is_finite = found.d_head.iter().chain(&states).all(|v| v.is_finite());
        Ok(is_finite.then_some(Product { head: found.d_head, states }))
    }
}
