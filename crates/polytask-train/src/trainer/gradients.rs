//! From a method's update to the flat gradients that the optimiser steps with.

use super::Trainer;
use crate::Result;
use crate::assemble::StepBatch;
use crate::engine::{Evaluation, empty_sum};
use crate::optimise::Gradients;
use crate::swept::Swept;
use crate::vectors::{BlockWeighted, unflatten};
use polytask_weighting::{Direction, Heads, Update};

impl Trainer<'_> {
    /// From a method's update to flat gradients.
    pub(super) fn gradients(
        &self,
        batch: &StepBatch,
        evaluation: &Evaluation,
        tasks: &[usize],
        update: Update,
        swept: Option<&Swept>,
    ) -> Result<Gradients> {
        let (engine, weights) = (&self.engine, &self.state.trunk);
        let mut heads = vec![None; engine.heads.len()];
        let kept = swept.and_then(|swept| self.sum_of_rows(swept, &update.trunk));
        // Weights that are the heads' factors too: the one sweep gives the tasks' own blocks what is theirs.
        let at_once = kept.is_none()
            && matches!((&update.trunk, &update.heads),
                (Direction::Weights(weights), Heads::Factors(factors)) if weights == factors);
        let mut trunk = match kept {
            Some(sum) => sum,
            None => self.trunk_gradient(batch, evaluation, tasks, update.trunk, at_once)?,
        };
        match update.heads {
            Heads::Factors(factors) if at_once => {
                for (part, factor) in evaluation.parts.iter().zip(factors) {
                    let scaled = part.d_head.iter().map(|g| (f64::from(*g) * factor) as f32);
                    heads[part.task] = Some(scaled.collect());
                }
            }
            Heads::Factors(factors) => {
                for (part, factor) in evaluation.parts.iter().zip(factors) {
                    let mut flat = part.d_head.clone();
                    flat.extend(engine.own_gradient(weights, evaluation, part.task)?);
                    flat.iter_mut().for_each(|g| *g = (f64::from(*g) * factor) as f32);
                    heads[part.task] = Some(engine.place_own(weights, part.task, flat, &mut trunk));
                }
            }
            Heads::Gradients(own) => {
                for (&task, flat) in tasks.iter().zip(own) {
                    heads[task] = Some(engine.place_own(weights, task, flat, &mut trunk));
                }
            }
        }
        let mut gradients = Gradients { trunk, heads };
        engine.add_penalty(weights, batch, evaluation, &mut gradients)?;
        Ok(gradients)
    }

    /// The trunk's gradient from gradients that were kept, when they were and the direction is a weighted sum of them.
    fn sum_of_rows(&self, swept: &Swept, direction: &Direction) -> Option<Vec<Vec<f32>>> {
        let shared = self.engine.shared();
        match direction {
            Direction::Weights(weights) => swept.sum(&shared, |_| weights),
            Direction::BlockWeights(weights) => {
                // Other blocks have no weights, and no gradient.
                let place = |block: usize| shared[..block].iter().filter(|shared| **shared).count();
                swept.sum(&shared, |block| &weights[place(block)])
            }
            Direction::Vector(_) | Direction::Gradient(_) => None,
        }
    }

    /// The trunk's gradient, `[blocks][values]`; empty for blocks nothing reached, and for those of one task unless
    /// `with_own`.
    fn trunk_gradient(
        &self,
        batch: &StepBatch,
        evaluation: &Evaluation,
        tasks: &[usize],
        direction: Direction,
        with_own: bool,
    ) -> Result<Vec<Vec<f32>>> {
        let (engine, trunk, shared) = (&self.engine, &self.state.trunk, self.engine.shared());
        let kept = if with_own { engine.trainable } else { &shared };
        let mut sum = empty_sum(trunk, evaluation);
        match direction {
            Direction::Gradient(flat) => return Ok(unflatten(&flat, trunk, &shared)),
            Direction::Vector(flat)
                if self.spec.gradients != polytask_core::suite::GradientSpace::Representation =>
            {
                return Ok(unflatten(&flat, trunk, &shared));
            }
            Direction::Vector(values) => engine.pull_back(trunk, batch, evaluation, values, &mut sum)?,
            Direction::Weights(weights) => {
                engine.weighted_sum(trunk, batch, evaluation, (tasks, &weights), &mut sum)?;
            }
            Direction::BlockWeights(weights) => {
                let mut weights = weights.into_iter();
                let of_block = |trained: &bool| trained.then(|| weights.next()).flatten().unwrap_or_default();
                let weights = shared.iter().map(of_block).collect();
                let mut sink = BlockWeighted { sum: &mut sum, weights };
                engine.sweep(trunk, evaluation, tasks, &mut sink)?;
            }
        }
        let of_block = |(i, trained): (usize, &bool)| match sum.gradient(i) {
            Some(gradient) if *trained => gradient.to_vec(),
            _ => Vec::new(),
        };
        Ok(kept.iter().enumerate().map(of_block).collect())
    }
}
