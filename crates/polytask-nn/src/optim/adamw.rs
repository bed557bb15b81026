//! AdamW (Loshchilov & Hutter, ICLR 2019), as `torch.optim.AdamW`.
//!
//! One pass over values, gradient and both moments; each chunk is independent of all others, so any number of
//! threads gives the same bytes.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::params::Block;

/// Values per unit of parallel work.
const CHUNK: usize = 1 << 14;

/// Settings of AdamW.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AdamW {
    /// Decay rates of the first and second moment.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled decay per step and unit of learning rate, for tensors that decay.
    pub weight_decay: f64,
}

impl Default for AdamW {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.01 }
    }
}

/// Running moments of a block's gradient.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Moments {
    /// First moment, one per value of the block.
    pub m: Vec<f32>,
    /// Second moment, one per value of the block.
    pub v: Vec<f32>,
}

impl Moments {
    /// Moments before the first step of a block of `n` values.
    pub fn zeros(n: usize) -> Self {
        Self { m: vec![0.0; n], v: vec![0.0; n] }
    }
}

/// What a chunk of the pass works on.
struct Chunk<'a> {
    values: &'a mut [f32],
    grad: &'a [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
    decays: bool,
}

/// The numbers of a step, the same for all values.
#[derive(Clone, Copy)]
struct Factors {
    betas: [f32; 2],
    rest: [f32; 2],
    eps: f32,
    step_size: f32,
    /// 1/√(1 − β₂ᵗ).
    v_factor: f32,
}

impl AdamW {
    /// Step `t` (from 1, counted per block) of a block with gradient `grad`.
    ///
    /// # Panics
    /// If `grad` or `moments` have another number of values than the block: a bug.
    pub fn step(&self, block: &mut Block, grad: &[f32], moments: &mut Moments, t: u64, lr: f64) {
        let n = block.values.len();
        assert!(
            grad.len() == n && moments.m.len() == n && moments.v.len() == n,
            "block `{}` has {n} values, its gradient {}, its moments {} and {}",
            block.name,
            grad.len(),
            moments.m.len(),
            moments.v.len()
        );
        let factors = self.factors(t, lr);
        let keep = (1.0 - lr * self.weight_decay) as f32;
        chunks(block, grad, moments).into_par_iter().for_each(|chunk| {
            let keep = if chunk.decays { keep } else { 1.0 };
            step_chunk(chunk, factors, keep);
        });
    }

    fn factors(&self, t: u64, lr: f64) -> Factors {
        let [beta1, beta2] = self.betas;
        let t = t.max(1) as f64;
        Factors {
            betas: [beta1 as f32, beta2 as f32],
            rest: [(1.0 - beta1) as f32, (1.0 - beta2) as f32],
            eps: self.eps as f32,
            step_size: (lr / (1.0 - beta1.powf(t))) as f32,
            v_factor: (1.0 / (1.0 - beta2.powf(t)).sqrt()) as f32,
        }
    }
}

/// The block cut into chunks that lie within one tensor each.
fn chunks<'a>(block: &'a mut Block, grad: &'a [f32], moments: &'a mut Moments) -> Vec<Chunk<'a>> {
    let Block { tensors, values, .. } = block;
    let (mut values, mut grad) = (&mut values[..], grad);
    let (mut m, mut v) = (&mut moments.m[..], &mut moments.v[..]);
    let mut chunks = Vec::new();
    for spec in tensors.iter() {
        let mut left = spec.len();
        while left > 0 {
            let n = left.min(CHUNK);
            let (values_head, values_tail) = values.split_at_mut(n);
            let (grad_head, grad_tail) = grad.split_at(n);
            let (m_head, m_tail) = m.split_at_mut(n);
            let (v_head, v_tail) = v.split_at_mut(n);
            chunks.push(Chunk {
                values: values_head,
                grad: grad_head,
                m: m_head,
                v: v_head,
                decays: spec.decays,
            });
            (values, grad, m, v) = (values_tail, grad_tail, m_tail, v_tail);
            left -= n;
        }
    }
    chunks
}

/// `θ ← keep·θ − step · m / (√v · v_factor + ε)` after the moments moved towards g and g².
fn step_chunk(chunk: Chunk<'_>, f: Factors, keep: f32) {
    let Chunk { values, grad, m, v, .. } = chunk;
    for (((value, &g), m), v) in values.iter_mut().zip(grad).zip(m).zip(v) {
        *m = f.betas[0] * *m + f.rest[0] * g;
        *v = f.betas[1] * *v + f.rest[1] * g * g;
        *value = keep * *value - f.step_size * *m / (v.sqrt() * f.v_factor + f.eps);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Golden {
        adamw: Case,
    }

    #[derive(Deserialize)]
    struct Case {
        start: Vec<f32>,
        grads: Vec<Vec<f32>>,
        values: Vec<Vec<f32>>,
        lr: f64,
        betas: [f64; 2],
        eps: f64,
        weight_decay: f64,
    }

    #[test]
    fn five_steps_equal_pytorch() {
        // From xtask/parity/heads_losses.py.
        let Golden { adamw: case } = serde_json::from_str(include_str!("../golden.json")).unwrap();
        let mut block = Block::zeros("head.t", &[("weight", &[3, 4], true), ("bias", &[4], false)]);
        block.values.clone_from(&case.start);
        let mut moments = Moments::zeros(16);
        let adamw = AdamW { betas: case.betas, eps: case.eps, weight_decay: case.weight_decay };
        for (t, (grad, expected)) in case.grads.iter().zip(&case.values).enumerate() {
            adamw.step(&mut block, grad, &mut moments, t as u64 + 1, case.lr);
            for (a, b) in block.values.iter().zip(expected) {
                assert!((a - b).abs() <= 2e-7 * b.abs().max(1.0), "step {t}: {a} {b}");
            }
        }
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bytes() {
        let shape = [7, 9_001];
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut block: Block = Block::zeros("b", &[("w", &shape, true), ("b", &[9_001], false)]);
            let n = block.values.len();
            let grad: Vec<f32> = (0..n).map(|i| ((i * 37) % 101) as f32 - 50.0).collect();
            let mut moments = Moments::zeros(n);
            pool.install(|| {
                for t in 1..4 {
                    AdamW::default().step(&mut block, &grad, &mut moments, t, 1e-3);
                }
            });
            (block, moments, pool.install(|| super::super::norm(&[&grad, &grad[5..]])))
        };
        let (one, three) = (run(1), run(3));
        assert!(one == three);
        assert!(one.0.values.iter().enumerate().all(|(i, &x)| x != 0.0 || one.1.m[i] == 0.0));
    }

    #[test]
    fn a_zero_gradient_only_decays_the_tensors_that_decay() {
        let mut block = Block::zeros("b", &[("weight", &[2], true), ("bias", &[2], false)]);
        block.values = vec![1.0; 4];
        let adamw = AdamW { weight_decay: 0.1, ..AdamW::default() };
        adamw.step(&mut block, &[0.0; 4], &mut Moments::zeros(4), 1, 0.5);
        assert_eq!(block.values, [0.95, 0.95, 1.0, 1.0]);
    }
}
