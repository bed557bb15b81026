//! The optimiser's side of a step: flat gradients, clipping, AdamW per block.
//!
//! A block that got no gradient, or zeros only, takes no step: its weights, moments and count stay, as if the step
//! had not been. So a head whose weight is 0, or whose rows count nothing, does not decay either.

use polytask_nn::optim::{self, AdamW, Moments};
use polytask_nn::{Block, Params};

/// A block's moments and how often it was stepped.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Slot {
    /// AdamW's moments; empty before the first step.
    pub moments: Moments,
    /// Steps taken.
    pub count: u64,
}

/// Optimiser state of a training.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Slots {
    /// One per trunk block.
    pub trunk: Vec<Slot>,
    /// One per suite task.
    pub heads: Vec<Slot>,
}

/// A step's gradients: trunk blocks without gradient are empty, heads that are absent are `None`.
#[derive(Debug, Default)]
pub struct Gradients {
    /// `[blocks][values]`.
    pub trunk: Vec<Vec<f32>>,
    /// `[tasks]`.
    pub heads: Vec<Option<Vec<f32>>>,
}

impl Gradients {
    /// The norm of everything, in f64 and in a fixed order.
    pub fn norm(&self) -> f64 {
        let trunk = self.trunk.iter().map(Vec::as_slice);
        let heads = self.heads.iter().flatten().map(Vec::as_slice);
        optim::norm(&trunk.chain(heads).collect::<Vec<_>>())
    }

    /// Brings the norm down to `max`.
    pub fn clip(&mut self, norm: f64, max: f64) {
        let factor = optim::clip_factor(norm, max) as f32;
        if factor < 1.0 {
            let all = self.trunk.iter_mut().chain(self.heads.iter_mut().flatten());
            all.for_each(|gradient| gradient.iter_mut().for_each(|g| *g *= factor));
        }
    }
}

impl Slots {
    /// State before the first step.
    pub fn new(n_blocks: usize, n_tasks: usize) -> Self {
        Self { trunk: vec![Slot::default(); n_blocks], heads: vec![Slot::default(); n_tasks] }
    }

    /// Steps every block that has a gradient; `factors` are the shares of the rate of trunk blocks and of heads.
    pub fn step(
        &mut self,
        adamw: &AdamW,
        trunk: &mut Params,
        heads: &mut [Block],
        gradients: &Gradients,
        lr: f64,
        (trunk_factors, head_factors): (&[f64], &[f64]),
    ) {
        let blocks = trunk.blocks.iter_mut().zip(&mut self.trunk).zip(&gradients.trunk).zip(trunk_factors);
        for (((block, slot), gradient), factor) in blocks {
            slot.step(adamw, block, gradient, lr * factor);
        }
        let heads = heads.iter_mut().zip(&mut self.heads).zip(&gradients.heads).zip(head_factors);
        for (((block, slot), gradient), factor) in heads {
            if let Some(gradient) = gradient {
                slot.step(adamw, block, gradient, lr * factor);
            }
        }
    }
}

impl Slot {
    fn step(&mut self, adamw: &AdamW, block: &mut Block, gradient: &[f32], lr: f64) {
        if gradient.iter().all(|g| *g == 0.0) {
            return;
        }
        if self.moments.m.is_empty() {
            self.moments = Moments::zeros(gradient.len());
        }
        self.count += 1;
        adamw.step(block, gradient, &mut self.moments, self.count, lr);
    }
}
