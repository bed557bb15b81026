//! The task-arithmetic family: sparsify, weigh, elect signs, add, normalise, scale.

use super::{Prepared, Rules, Setting};
use crate::Result;
use crate::parts::{Sparsify, Thinned, agrees, divisor, major};
use crate::tensor::{Block, Tensor};

/// Thins the task vectors.
pub(super) fn prepare(
    tensor: &Tensor<'_>,
    setting: &Setting,
    rules: Rules,
    (sparsify, consensus): (Sparsify, bool),
) -> Result<Box<dyn Prepared>> {
    let thinned = sparsify.thin(tensor, &setting.sparsify(), setting.rescale(), rules.seed)?;
    Ok(Box::new(Arithmetic::new(thinned, setting, consensus)))
}

pub(super) struct Arithmetic {
    thinned: Thinned,
    weights: Vec<f32>,
    consensus: bool,
    normalize: bool,
    lambda: f32,
}

impl Arithmetic {
    pub(super) fn new(thinned: Thinned, setting: &Setting, consensus: bool) -> Self {
        Self {
            thinned,
            weights: setting.each("weight").into_iter().map(|w| w as f32).collect(),
            consensus,
            normalize: setting.flag("normalize"),
            lambda: setting.real("lambda") as f32,
        }
    }
}

impl Prepared for Arithmetic {
    fn unit(&self) -> usize {
        self.thinned.unit()
    }

    fn apply(&self, block: &Block<'_>) -> Vec<f32> {
        let mut deltas = self.thinned.apply(block);
        for (delta, weight) in deltas.iter_mut().zip(&self.weights) {
            delta.iter_mut().for_each(|v| *v *= weight);
        }
        let base = block.base();
        let all: f32 = self.weights.iter().sum();
        let of = |i: usize| {
            let total: f32 = deltas.iter().map(|d| d[i]).sum();
            let (sum, weights) = if self.consensus { self.elected(&deltas, i, total) } else { (total, all) };
            let mixed = if self.normalize { sum / self.divisor(weights) } else { sum };
            base[i] + mixed * self.lambda
        };
        (0..base.len()).map(of).collect()
    }
}

impl Arithmetic {
    /// The sum of those with the elected sign, and of their weights.
    fn elected(&self, deltas: &[Vec<f32>], i: usize, total: f32) -> (f32, f32) {
        let is_positive = major(total);
        let who = deltas.iter().zip(&self.weights).filter(|(d, _)| agrees(d[i], is_positive));
        who.fold((0.0, 0.0), |(sum, weights), (d, w)| (sum + d[i], weights + w))
    }

    fn divisor(&self, weights: f32) -> f32 {
        // Of those who agree only a sum of exactly 0 is none.
        if self.consensus { if weights == 0.0 { 1.0 } else { weights } } else { divisor(weights) }
    }
}
