//! Mixes: `z = Σₖ wₖ·xₖ`, one weight per input and sequence, and their backward.

use std::fmt::Debug;

use polytask_core::{Layout, Rng};
use rayon::prelude::*;

use super::needed::Needed;
use crate::params::Real;
use crate::trunk::{Cotangent, States};

/// When and where weights are drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// Seed of the run.
    pub(super) seed: u64,
    /// Optimiser step; 0 outside training, where nothing is drawn.
    pub(super) step: u64,
    /// The weigher's block.
    pub(super) block: u64,
}

/// What gives the weights of a mix; its arithmetic is in f64 whatever the trunk's, for it is small.
///
/// `values` are its own weights, `mean` is the mean state of the sequence it reads (empty when it reads none).
pub(super) trait Weigher: Debug + Send + Sync {
    /// Names and shapes of its weights.
    fn shapes(&self) -> Vec<(&'static str, Vec<usize>)>;

    /// Fresh weights, end to end.
    fn init(&self, rng: &mut Rng) -> Vec<f64>;

    /// The weight of each input for one sequence.
    fn weights(&self, values: &[f64], mean: &[f64], moment: &Moment) -> Vec<f64>;

    /// Adds what `d_weights` becomes at its own weights and at the mean.
    fn vjp(
        &self,
        values: &[f64],
        mean: &[f64],
        moment: &Moment,
        d_weights: &[f64],
        into: (&mut [f64], &mut [f64]),
    );

    /// Its regulariser on one sequence, the gradient added to `d_values`; `None` when it has none.
    fn penalty(&self, _values: &[f64], _mean: &[f64], _d_values: &mut [f64]) -> Option<f64> {
        None
    }
}

/// A mix in a pass.
pub(super) struct Mixing<'a, T> {
    pub(super) weigher: &'a dyn Weigher,
    pub(super) values: Vec<f64>,
    pub(super) moment: Moment,
    pub(super) layout: &'a Layout,
    pub(super) reads: Option<&'a States<T>>,
    pub(super) inputs: Vec<&'a States<T>>,
}

/// What a cotangent becomes below a mix.
pub(super) struct MixGrads<T> {
    /// At the weigher's weights.
    pub(super) values: Vec<f64>,
    /// At each input; empty where all its weights are 0.
    pub(super) inputs: Vec<Vec<T>>,
    /// At the states the weigher reads.
    pub(super) reads: Vec<T>,
}

impl<T: Real> Mixing<'_, T> {
    /// The mean state that a sequence's weights depend on.
    pub(super) fn mean(&self, s: usize) -> Vec<f64> {
        let Some(states) = self.reads else { return Vec::new() };
        let rows = self.layout.rows(s);
        let share = 1.0 / rows.len().max(1) as f64;
        let mut mean = vec![0.0; states.width];
        for row in rows {
            mean.iter_mut().zip(states.row(row)).for_each(|(m, v)| *m += v.f64());
        }
        mean.iter_mut().for_each(|m| *m *= share);
        mean
    }

    /// The weight of each input for a sequence.
    fn weights(&self, s: usize) -> Vec<f64> {
        self.weigher.weights(&self.values, &self.mean(s), &self.moment)
    }

    /// The mixed states, zeros where they are not needed.
    pub(super) fn forward(&self, needed: &Needed) -> States<T> {
        let width = self.inputs.first().map_or(0, |states| states.width);
        let mix = |s: usize| {
            let rows = self.layout.rows(s);
            let span = rows.start * width..rows.end * width;
            if needed.as_ref().is_some_and(|needed| needed.binary_search(&(s as u32)).is_err()) {
                return vec![T::ZERO; span.len()];
            }
            let weights = self.weights(s);
            let mut out: Vec<T> = Vec::new();
            for (weight, states) in weights.iter().map(|&w| T::of(w)).zip(&self.inputs) {
                let values = &states.values[span.clone()];
                if out.is_empty() {
                    out = values.iter().map(|v| weight * *v).collect();
                } else {
                    out.iter_mut().zip(values).for_each(|(o, v)| *o += weight * *v);
                }
            }
            out
        };
        let parts: Vec<Vec<T>> = (0..self.layout.n_sequences()).into_par_iter().map(mix).collect();
        States { values: parts.concat(), width }
    }

    /// The backward of one cotangent.
    pub(super) fn vjp(&self, cotangent: &Cotangent<T>) -> MixGrads<T> {
        let width = self.inputs.first().map_or(0, |states| states.width);
        let mut spans = Vec::new();
        let mut at = 0;
        for &s in &cotangent.sequences {
            let n = self.layout.length(s as usize) * width;
            spans.push((s as usize, &cotangent.values[at..at + n]));
            at += n;
        }
        let parts: Vec<SequenceGrads<T>> =
            spans.into_par_iter().map(|(s, g)| self.sequence_vjp(s, g, width)).collect();
        self.gather(&parts)
    }

    fn sequence_vjp(&self, s: usize, g: &[T], width: usize) -> SequenceGrads<T> {
        let (mean, rows) = (self.mean(s), self.layout.rows(s));
        let weights = self.weigher.weights(&self.values, &mean, &self.moment);
        let span = rows.start * width..rows.end * width;
        let product = |states: &&States<T>| -> f64 {
            states.values[span.clone()].iter().zip(g).map(|(x, g)| x.f64() * g.f64()).sum()
        };
        let d_weights: Vec<f64> = self.inputs.iter().map(product).collect();
        let (mut d_values, mut d_mean) = (vec![0.0; self.values.len()], vec![0.0; mean.len()]);
        self.weigher.vjp(&self.values, &mean, &self.moment, &d_weights, (&mut d_values, &mut d_mean));
        let scaled = |&w: &f64| g.iter().map(|g| T::of(w) * *g).collect();
        let share = 1.0 / rows.len().max(1) as f64;
        let row: Vec<T> = d_mean.iter().map(|d| T::of(d * share)).collect();
        let reads = row.iter().copied().cycle().take(row.len() * rows.len()).collect();
        SequenceGrads { inputs: weights.iter().map(scaled).collect(), weights, values: d_values, reads }
    }

    fn gather(&self, parts: &[SequenceGrads<T>]) -> MixGrads<T> {
        let mut values = vec![0.0; self.values.len()];
        for part in parts {
            values.iter_mut().zip(&part.values).for_each(|(sum, v)| *sum += v);
        }
        let input = |k: usize| {
            let is_used = parts.iter().any(|part| part.weights[k] != 0.0);
            let pieces = parts.iter().filter(|_| is_used).map(|part| part.inputs[k].as_slice());
            pieces.collect::<Vec<_>>().concat()
        };
        let reads: Vec<&[T]> = parts.iter().map(|part| part.reads.as_slice()).collect();
        MixGrads { values, inputs: (0..self.inputs.len()).map(input).collect(), reads: reads.concat() }
    }

    /// The regulariser over some sequences and its gradient at the weigher's weights; none without either.
    pub(super) fn penalty(&self, sequences: &[usize]) -> Option<(f64, Vec<f64>)> {
        let mut gradient = vec![0.0; self.values.len()];
        let mut sum = 0.0;
        sequences.first()?;
        for &s in sequences {
            sum += self.weigher.penalty(&self.values, &self.mean(s), &mut gradient)?;
        }
        Some((sum, gradient))
    }
}

/// What one sequence gives.
struct SequenceGrads<T> {
    weights: Vec<f64>,
    values: Vec<f64>,
    inputs: Vec<Vec<T>>,
    reads: Vec<T>,
}

/// Softmax in place.
pub(super) fn softmax(logits: &mut [f64]) {
    let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    logits.iter_mut().for_each(|x| *x = (*x - top).exp());
    let sum: f64 = logits.iter().sum();
    logits.iter_mut().for_each(|x| *x /= sum);
}

/// From a derivative at softmax's output `p` to the one at its input.
pub(super) fn softmax_vjp(p: &[f64], d: &[f64]) -> Vec<f64> {
    let mean: f64 = p.iter().zip(d).map(|(p, d)| p * d).sum();
    p.iter().zip(d).map(|(p, d)| p * (d - mean)).collect()
}

/// `weight · x + bias`, `weight` `[bias.len(), x.len()]`.
pub(super) fn affine(weight: &[f64], bias: &[f64], x: &[f64]) -> Vec<f64> {
    let row = |(row, b): (&[f64], &f64)| b + row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
    weight.chunks_exact(x.len().max(1)).zip(bias).map(row).collect()
}

/// Adds what `d` at the output of [`affine`] becomes at its weight, bias and input.
pub(super) fn affine_vjp(
    weight: &[f64],
    x: &[f64],
    d: &[f64],
    (d_weight, d_bias): (&mut [f64], &mut [f64]),
    d_x: &mut [f64],
) {
    let n = x.len().max(1);
    for ((i, d), d_bias) in d.iter().enumerate().zip(d_bias) {
        *d_bias += d;
        d_weight[i * n..(i + 1) * n].iter_mut().zip(x).for_each(|(w, x)| *w += d * x);
        d_x.iter_mut().zip(&weight[i * n..(i + 1) * n]).for_each(|(x, w)| *x += d * w);
    }
}
