//! The loop's side of a regularizer: from the slopes of a term to additions to the step's gradients.

use std::sync::Arc;

use polytask_nn::Block;

use super::second_order::SecondOrder;
use super::{Penalty, Regularizer, Saliencies, Slopes};
use crate::Result;
use crate::assemble::StepBatch;
use crate::engine::{Engine, Evaluation, PartGradient};
use polytask_weighting::Observation;

/// Added to a loss before its logarithm is taken.
const LOG_EPS: f64 = 1e-8;

/// What a regularizer saw in a step.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RegularizerRecord {
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
) -> Result<RegularizerRecord> {
    if regularizer.log_losses() {
        log_losses(&mut evaluation.parts, engine);
    }
    let saliencies = Saliencies::gather(batch, &evaluation.parts, engine.trunk.d_hidden());
    let Penalty { slopes, observed, notes } = regularizer.penalty(&saliencies, epoch);
    if let Some(slopes) = &slopes {
        let log = regularizer.log_losses().then_some(LOG_EPS);
        let forward = evaluation.forward.clone();
        let second = SecondOrder::new(engine, (heads, batch), &forward.states, step, log);
        add_products(&second, &saliencies, slopes, &mut evaluation.parts)?;
    }
    let observed = observed.into_iter().map(|(name, value)| Observation { name, task: None, value });
    Ok(RegularizerRecord { observed: observed.collect(), notes })
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
    let values = part.d_head.iter_mut().chain(Arc::make_mut(&mut part.cotangent.values));
    values.for_each(|g| *g = (f64::from(*g) * factor) as f32);
}

/// Adds the term's gradients through the tasks' saliencies to the tasks' gradients.
fn add_products(
    second: &SecondOrder,
    saliencies: &Saliencies,
    slopes: &Slopes,
    parts: &mut [PartGradient],
) -> Result<()> {
    for own in parts {
        let Some(part) = second.batch.parts.iter().find(|part| part.task == own.task) else { continue };
        let direction = spread(saliencies, slopes, own.task, second.n_values());
        if let Some(product) = second.product(part, direction)? {
            add(&mut own.d_head, &product.head);
            add(&mut Arc::make_mut(&mut own.cotangent.values)[..], &product.states);
        }
    }
    Ok(())
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
