//! From the trunk's blocks to one vector of shared parameters and back, and sums with weights of their own per block.

use polytask_nn::trunk::sinks;
use polytask_nn::{Block, BlockGrad, GradSink, Params, TaskGrad};

/// The gradients of the trained blocks, end to end; zeros for those nothing reached.
pub(crate) fn flatten(sum: &sinks::Sum, trunk: &Params, trainable: &[bool]) -> Vec<f32> {
    let mut flat = Vec::new();
    for (i, block) in trunk.blocks.iter().enumerate().filter(|(i, _)| trainable[*i]) {
        match sum.gradient(i) {
            Some(gradient) => flat.extend_from_slice(gradient),
            None => flat.resize(flat.len() + block.values.len(), 0.0),
        }
    }
    flat
}

/// The inverse of flattening: one buffer per block, empty where a block is frozen.
pub fn unflatten(flat: &[f32], trunk: &Params, trainable: &[bool]) -> Vec<Vec<f32>> {
    let mut rest = flat;
    let mut take = |(block, trained): (&Block, &bool)| {
        let (here, later) = rest.split_at(if *trained { block.values.len() } else { 0 });
        rest = later;
        here.to_vec()
    };
    trunk.blocks.iter().zip(trainable).map(&mut take).collect()
}

/// The trunk's parameters with `displacement` added to the trained blocks.
pub(crate) fn displace(trunk: &Params, trainable: &[bool], displacement: &[f32]) -> Params {
    let mut moved = trunk.clone();
    for (block, d) in moved.blocks.iter_mut().zip(unflatten(displacement, trunk, trainable)) {
        block.values.iter_mut().zip(d).for_each(|(v, d)| *v += d);
    }
    moved
}

/// A sum in which every block has task weights of its own (per-block methods).
pub struct BlockWeighted<'a> {
    /// Where the sum goes, numbered as one task.
    pub sum: &'a mut sinks::Sum,
    /// Weights of the tasks for each trunk block, `[blocks][tasks]`; frozen blocks have none.
    pub weights: Vec<Vec<f64>>,
}

impl GradSink for BlockWeighted<'_> {
    fn block(&mut self, block: usize, grads: &[TaskGrad<'_>]) -> polytask_nn::Result<()> {
        for grad in grads {
            let weight = self.weights[block].get(grad.task).copied().unwrap_or(0.0) as f32;
            let scaled = |values: &[f32]| values.iter().map(|v| v * weight).collect::<Vec<_>>();
            let values = scaled(match grad.grad {
                BlockGrad::Dense(values)
                | BlockGrad::Part { values, .. }
                | BlockGrad::Sparse { values, .. } => values,
            });
            let grad = match grad.grad {
                BlockGrad::Dense(_) => BlockGrad::Dense(&values),
                BlockGrad::Part { first, .. } => BlockGrad::Part { first, values: &values },
                BlockGrad::Sparse { rows, width, .. } => BlockGrad::Sparse { rows, width, values: &values },
            };
            self.sum.block(block, &[TaskGrad { task: 0, grad }])?;
        }
        Ok(())
    }
}
