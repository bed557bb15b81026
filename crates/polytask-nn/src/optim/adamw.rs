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
