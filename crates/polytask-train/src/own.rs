//! Trunk blocks that are a task's own (gates, masks, experts of one task): they go with the task's head.
//!
//! What a method knows as a task's head parameters is the head, then these blocks, end to end: a displacement, a
//! gradient or a factor for the one is for all of them.

use polytask_nn::trunk::sinks::Sum;
use polytask_nn::{Block, Cotangent, GradSink, Params, TaskGrad};

use crate::Result;
use crate::assemble::StepBatch;
use crate::engine::{Engine, Evaluation};
use crate::optimise::Gradients;

/// Takes the gradients that reach a task's own blocks.
struct Own<'a> {
    sum: &'a mut Sum,
    blocks: &'a [usize],
}

impl GradSink for Own<'_> {
    fn block(&mut self, block: usize, grads: &[TaskGrad<'_>]) -> polytask_nn::Result<()> {
        if self.blocks.contains(&block) { self.sum.block(block, grads) } else { Ok(()) }
    }
}

impl Engine<'_> {
    /// Gradient of a task's loss with respect to its own trunk blocks, end to end; empty when it has none.
    pub fn own_gradient(&self, trunk: &Params, evaluation: &Evaluation, task: usize) -> Result<Vec<f32>> {
        let blocks = self.own(task);
        let n = blocks.iter().map(|&block| trunk.blocks[block].values.len()).sum();
        let (Some(part), Some(&first)) = (evaluation.part(task), blocks.first()) else {
            return Ok(vec![0.0; n]);
        };
        let mut sum = Sum::new(trunk, &[1.0]);
        let lowest = part.cotangent.lowest.max(first);
        let cotangent = Cotangent { task: 0, lowest, ..part.cotangent.clone() };
        let mut sink = Own { sum: &mut sum, blocks: &blocks };
        self.trunk.vjp(trunk, &evaluation.forward.saved, &[cotangent], &mut sink)?;
        let mut flat = Vec::with_capacity(n);
        for &block in &blocks {
            match sum.gradient(block) {
                Some(gradient) => flat.extend_from_slice(gradient),
                None => flat.resize(flat.len() + trunk.blocks[block].values.len(), 0.0),
            }
        }
        Ok(flat)
    }

    /// Values of a task's own trunk blocks, end to end.
    pub fn own_values(&self, trunk: &Params, task: usize) -> Vec<f32> {
        self.own(task).into_iter().flat_map(|block| trunk.blocks[block].values.iter().copied()).collect()
    }

    /// Moves what follows the head in a task's displacement to its own trunk blocks.
    pub fn displace_own(&self, trunk: &mut Params, head: &Block, task: usize, displacement: &[f32]) {
        let mut rest = displacement.get(head.values.len()..).unwrap_or_default().iter();
        for block in self.own(task) {
            trunk.blocks[block].values.iter_mut().zip(rest.by_ref()).for_each(|(v, d)| *v += d);
        }
    }

    /// Splits a task's gradient of head and own trunk blocks, and puts the latter in their places.
    pub fn place_own(
        &self,
        trunk: &Params,
        task: usize,
        mut flat: Vec<f32>,
        gradients: &mut [Vec<f32>],
    ) -> Vec<f32> {
        let blocks = self.own(task);
        let n: usize = blocks.iter().map(|&block| trunk.blocks[block].values.len()).sum();
        let mut rest = flat.split_off(flat.len().saturating_sub(n));
        for block in blocks {
            let later = rest.split_off(trunk.blocks[block].values.len().min(rest.len()));
            gradients[block] = std::mem::replace(&mut rest, later);
        }
        flat
    }

    /// Adds the gradient of the trunk's own regulariser on what the batch touched; gives its value.
    pub fn add_penalty(
        &self,
        trunk: &Params,
        batch: &StepBatch,
        evaluation: &Evaluation,
        gradients: &mut Gradients,
    ) -> Result<f64> {
        if self.trunk.n_views() < 2 {
            return Ok(0.0);
        }
        let touched: Vec<(usize, Vec<u32>)> =
            batch.parts.iter().map(|part| (self.view_of(part.task), part.sequences.clone())).collect();
        let mut sum = Sum::new(trunk, &[1.0]);
        let value = self.trunk.penalty(trunk, &evaluation.forward.saved, &touched, &mut sum)?;
        for (block, gradient) in gradients.trunk.iter_mut().enumerate().filter(|(b, _)| self.trainable[*b]) {
            let Some(own) = sum.gradient(block) else { continue };
            gradient.resize(own.len(), 0.0);
            gradient.iter_mut().zip(own).for_each(|(g, own)| *g += own);
        }
        Ok(value)
    }
}
