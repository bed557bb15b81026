//! RAM: entries that one model alone moved are added whole, those of several averaged; with counts, the former are
//! stretched by how much a model shares.

use super::{Prepared, Setting};
use crate::Result;
use crate::tensor::{Block, Tensor};

/// Counts what each model shares where that matters.
pub(super) fn prepare(tensor: &Tensor<'_>, setting: &Setting, plus: bool) -> Result<Box<dyn Prepared>> {
    let (epsilon, n) = (setting.real("epsilon"), tensor.n_models());
    let mut ram = Ram { epsilon: epsilon as f32, stretch: vec![1.0; n] };
    if plus {
        let counts = tensor.sums(2 * n, |block| ram.counts(&block.deltas()))?;
        let (r, alpha) = (setting.real("r"), setting.real("alpha"));
        let of = |m: usize| 1.0 + r * (counts[n + m] / counts[m].max(epsilon)).clamp(0.0, alpha);
        ram.stretch = (0..n).map(|m| of(m) as f32).collect();
    }
    Ok(Box::new(ram))
}

struct Ram {
    /// Changes up to this are none.
    epsilon: f32,
    /// Of what a model alone moved.
    stretch: Vec<f32>,
}

impl Ram {
    fn n_active(&self, deltas: &[Vec<f32>], i: usize) -> usize {
        deltas.iter().filter(|d| d[i].abs() > self.epsilon).count()
    }

    /// Entries each model moved alone, then those it shares.
    fn counts(&self, deltas: &[Vec<f32>]) -> Vec<f64> {
        let n = deltas.len();
        let mut counts = vec![0.0; 2 * n];
        for i in 0..deltas.first().map_or(0, Vec::len) {
            let shared = self.n_active(deltas, i) > 1;
            for (m, _) in deltas.iter().enumerate().filter(|(_, d)| d[i].abs() > self.epsilon) {
                counts[if shared { n + m } else { m }] += 1.0;
            }
        }
        counts
    }
}

impl Prepared for Ram {
    fn apply(&self, block: &Block<'_>) -> Vec<f32> {
        let (deltas, base) = (block.deltas(), block.base());
        let of = |i: usize| {
            let n = self.n_active(&deltas, i);
            let active = deltas.iter().zip(&self.stretch).filter(|(d, _)| d[i].abs() > self.epsilon);
            let added: f32 = active.map(|(d, s)| if n == 1 { s * d[i] } else { d[i] / n as f32 }).sum();
            base[i] + added
        };
        (0..base.len()).map(of).collect()
    }
}
