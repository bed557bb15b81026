//! The loop's side of a regularizer: from the slopes of a term to additions to the step's gradients.

use std::sync::Arc;

use polytask_nn::{Block, States};

use super::{Gradients, Penalty, Regularizer, Saliencies, Slopes, product};
use crate::Result;
use crate::assemble::{Part, StepBatch};
use crate::engine::{Engine, Evaluation, PartGradient};
use crate::method::Observation;

/// Added to a loss before its logarithm is taken.
const LOG_EPS: f64 = 1e-8;

/// What a regularizer saw in a step.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Seen {
    /// Values to be recorded.
    pub observed: Vec<Observation>,
    /// What a user should know.
    pub notes: Vec<&'static str>,
}

/// Adds a term's gradients to those of an evaluation at these heads; with log losses, all become gradients of
/// logarithms. Losses stay as they are.
pub fn regularize(
    regularizer: &dyn Regularizer,
    engine: &Engine,
    heads: &[Block],
    batch: &StepBatch,
    evaluation: &mut Evaluation,
    (step, epoch): (u64, u64),
) -> Result<Seen> {
    if regularizer.log_losses() {
        log_losses(&mut evaluation.parts, engine);
    }
    let saliencies = Saliencies::gather(batch, &evaluation.parts, engine.trunk.d_hidden());
    let Penalty { slopes, observed, notes } = regularizer.penalty(&saliencies, epoch);
    let second = SecondOrder { regularizer, engine, heads, batch, step };
    if let Some(slopes) = &slopes {
        for part in &batch.parts {
            second.add(part, &saliencies, slopes, evaluation)?;
        }
    }
    let observed = observed.into_iter().map(|(name, value)| Observation { name, task: None, value });
    Ok(Seen { observed: observed.collect(), notes })
}

/// Makes gradients of losses those of their logarithms.
pub(crate) fn log_losses(parts: &mut [PartGradient], engine: &Engine) {
    parts.iter_mut().for_each(|part| take_logarithm(part, engine));
}

/// From the gradients of loss_weight · L to those of loss_weight · log(L + 1e-8).
fn take_logarithm(part: &mut PartGradient, engine: &Engine) {
    let weight = engine.heads[part.task].loss_weight;
    let loss = if weight > 0.0 { part.loss / weight } else { part.loss };
    let factor = 1.0 / (loss.max(0.0) + LOG_EPS);
    let values = part.d_head.iter_mut().chain(&mut part.cotangent.values);
    values.for_each(|g| *g = (f64::from(*g) * factor) as f32);
}

/// What a second-order product is taken of.
struct SecondOrder<'a> {
    regularizer: &'a dyn Regularizer,
    engine: &'a Engine<'a>,
    heads: &'a [Block],
    batch: &'a StepBatch,
    step: u64,
}

impl SecondOrder<'_> {
    /// Adds the term's gradient through one task's saliency to that task's gradients.
    fn add(
        &self,
        part: &Part,
        saliencies: &Saliencies,
        slopes: &Slopes,
        evaluation: &mut Evaluation,
    ) -> Result<()> {
        let forward = evaluation.forward.clone();
        let states = &forward.states;
        let direction = spread(saliencies, slopes, part.task, states.values.len());
        let moved = |values: Vec<f32>| {
            let states = States { values, width: states.width };
            self.gradients(part, &states, &forward)
        };
        let product = product(&states.values, &direction, self.regularizer.difference(), moved)?;
        let own = evaluation.parts.iter_mut().find(|own| own.task == part.task);
        if let (Some(product), Some(own)) = (product, own) {
            add(&mut own.d_head, &product.head);
            add(&mut own.cotangent.values, &product.states);
        }
        Ok(())
    }

    /// The task's gradients on other states, under the same dropout masks; `None` where they are not finite.
    fn gradients(
        &self,
        part: &Part,
        states: &States,
        forward: &Arc<crate::engine::Forward>,
    ) -> Result<Option<Gradients<f32>>> {
        let (engine, forward) = (self.engine, forward.clone());
        let evaluation =
            engine.run_heads(self.heads, self.batch, &[part], forward, Some(states), self.step)?;
        let logarithm = |mut part: PartGradient| {
            if self.regularizer.log_losses() {
                take_logarithm(&mut part, engine);
            }
            Gradients { head: part.d_head, states: part.cotangent.values }
        };
        Ok(evaluation.parts.into_iter().next().map(logarithm))
    }
}

/// A task's slopes over all states, by its saliency as the batch's mean loss gives it.
fn spread(saliencies: &Saliencies, slopes: &Slopes, task: usize, len: usize) -> Vec<f64> {
    let (mut direction, n) = (vec![0.0; len], saliencies.samples.len() as f64);
    for (sample, slopes) in saliencies.samples.iter().zip(slopes) {
        let Some(i) = sample.tasks.iter().position(|&t| t == task) else { continue };
        let at = sample.rows.start * saliencies.width..sample.rows.end * saliencies.width;
        direction[at].iter_mut().zip(&slopes[i]).for_each(|(d, slope)| *d = n * slope);
    }
    direction
}

fn add(to: &mut [f32], from: &[f64]) {
    to.iter_mut().zip(from).for_each(|(t, f)| *t = (f64::from(*t) + f) as f32);
}
