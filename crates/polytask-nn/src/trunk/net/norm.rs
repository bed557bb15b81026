//! Norms: over the batch (per channel) and over channels (per place), each with its backward.

use std::ops::Range;

use rayon::prelude::*;

use super::patches::Images;
use super::stack::Stack;
use crate::trunk::elementwise;
use crate::trunk::pool::{Buf, Pool};
use crate::trunk::simd;

/// Added to variances, as in PyTorch.
const EPS: f32 = 1e-5;

/// Rows per unit of parallel work; fixed, so sums do not depend on the number of threads.
const CHUNK: usize = 256;

/// The moments a batch norm used, per channel.
#[derive(Debug, Clone)]
pub(super) struct Moments {
    pub(super) mean: Vec<f32>,
    /// Of the batch: divided by the number of rows, not one less.
    pub(super) variance: Vec<f32>,
    /// Rows they were taken over; 0 for running statistics.
    pub(super) rows: usize,
}

impl Moments {
    /// Of rows `[rows, channels]`: mean first, then squares around it.
    pub(super) fn of(pool: &Pool, x: &[f32], channels: usize) -> Self {
        let rows = x.len() / channels;
        let n = rows.max(1) as f64;
        let mean: Vec<f32> = sums(pool, x.len() / channels, channels, |rows, sum| {
            x[rows.start * channels..rows.end * channels]
                .chunks_exact(channels)
                .for_each(|row| elementwise::add(sum, row));
        })
        .into_iter()
        .map(|s| (s / n) as f32)
        .collect();
        let variance = sums(pool, rows, channels, |rows, sum| {
            for row in x[rows.start * channels..rows.end * channels].chunks_exact(channels) {
                for ((s, x), m) in sum.iter_mut().zip(row).zip(&mean) {
                    *s += (x - m) * (x - m);
                }
            }
        });
        Self { variance: variance.into_iter().map(|s| (s / n) as f32).collect(), mean, rows }
    }

    fn inverse(&self) -> Vec<f32> {
        self.variance.iter().map(|v| 1.0 / (v + EPS).sqrt()).collect()
    }
}

/// Σ over rows, chunk by chunk; `add` adds a chunk's rows to its sum.
fn sums(pool: &Pool, rows: usize, width: usize, add: impl Fn(Range<usize>, &mut [f32]) + Sync) -> Vec<f64> {
    let mut parts = pool.take(rows.div_ceil(CHUNK) * width);
    parts.par_chunks_mut(width).enumerate().for_each(|(i, part)| {
        part.fill(0.0);
        simd::wide(
            #[inline(always)]
            || add(i * CHUNK..((i + 1) * CHUNK).min(rows), part),
        );
    });
    let mut total = vec![0.0; width];
    for part in parts.chunks_exact(width) {
        total.iter_mut().zip(part).for_each(|(t, p)| *t += f64::from(*p));
    }
    total
}

/// A batch norm: scale and shift per channel.
#[derive(Clone, Copy)]
pub(super) struct BatchNorm<'a> {
    pub(super) weight: &'a [f32],
    pub(super) bias: &'a [f32],
    pub(super) relu: bool,
    pub(super) pool: &'a Pool,
}

impl BatchNorm<'_> {
    /// `relu(weight · (x − mean) / std + bias + plus)`.
    pub(super) fn forward(&self, x: &[f32], moments: &Moments, plus: Option<&[f32]>) -> Buf {
        let c = self.weight.len();
        let inverse = moments.inverse();
        let scale: Vec<f32> = self.weight.iter().zip(&inverse).map(|(w, i)| w * i).collect();
        let shift: Vec<f32> =
            self.bias.iter().zip(&scale).zip(&moments.mean).map(|((b, s), m)| b - s * m).collect();
        let mut y = self.pool.take(x.len());
        y.par_chunks_mut(CHUNK * c).enumerate().for_each(|(i, y)| {
            let at = i * CHUNK * c..i * CHUNK * c + y.len();
            simd::wide(
                #[inline(always)]
                || {
                    for (y, x) in y.chunks_exact_mut(c).zip(x[at.clone()].chunks_exact(c)) {
                        for k in 0..c {
                            y[k] = x[k] * scale[k] + shift[k];
                        }
                    }
                    if let Some(plus) = plus {
                        elementwise::add(y, &plus[at]);
                    }
                    if self.relu {
                        y.iter_mut().for_each(|v| *v = if *v > 0.0 { *v } else { 0.0 });
                    }
                },
            );
        });
        y
    }

    /// dL/dx from dL/dy (behind the ReLU); writes dL/d weight and dL/d bias of each group to the front of its `grads`.
    pub(super) fn backward(
        &self,
        x: &Images<'_>,
        moments: &Moments,
        g: &[f32],
        stack: &Stack,
        grads: &mut [&mut [f32]],
    ) -> Buf {
        let c = self.weight.len();
        let (inverse, size, places) = (moments.inverse(), x.size, x.size / c);
        let mut dx = self.pool.take(g.len());
        for (group, grad) in stack.groups.iter().zip(grads) {
            let first = group.images.start;
            let (d_weight, d_bias) = self.parameters(x, moments, g, (group.images.clone(), &inverse));
            grad[..c].copy_from_slice(&d_weight);
            grad[c..2 * c].copy_from_slice(&d_bias);
            let n = if moments.rows > 0 { (group.images.len() * places) as f32 } else { f32::INFINITY };
            let range = group.images.start * size..group.images.end * size;
            dx[range.clone()].par_chunks_mut(size).zip(g[range].par_chunks(size)).enumerate().for_each(
                |(i, (dx, g))| {
                    let x = x.get(first + i);
                    simd::wide(
                        #[inline(always)]
                        || {
                            for ((dx, g), x) in
                                dx.chunks_exact_mut(c).zip(g.chunks_exact(c)).zip(x.chunks_exact(c))
                            {
                                for k in 0..c {
                                    let hat = (x[k] - moments.mean[k]) * inverse[k];
                                    let centred = g[k] - (d_bias[k] + hat * d_weight[k]) / n;
                                    dx[k] = self.weight[k] * inverse[k] * centred;
                                }
                            }
                        },
                    );
                },
            );
        }
        dx
    }

    /// dL/d weight and dL/d bias over some stacked images.
    fn parameters(
        &self,
        x: &Images<'_>,
        moments: &Moments,
        g: &[f32],
        (images, inverse): (Range<usize>, &[f32]),
    ) -> (Vec<f32>, Vec<f32>) {
        let (c, size) = (self.weight.len(), x.size);
        let mut parts = self.pool.take(images.len() * 2 * c);
        parts.par_chunks_mut(2 * c).zip(images.into_par_iter()).for_each(|(part, image)| {
            part.fill(0.0);
            let (x, g) = (x.get(image), &g[image * size..(image + 1) * size]);
            let (weight, bias) = part.split_at_mut(c);
            simd::wide(
                #[inline(always)]
                || {
                    for (x, g) in x.chunks_exact(c).zip(g.chunks_exact(c)) {
                        for k in 0..c {
                            weight[k] += g[k] * (x[k] - moments.mean[k]) * inverse[k];
                            bias[k] += g[k];
                        }
                    }
                },
            );
        });
        let mut total = vec![0.0_f64; 2 * c];
        for part in parts.chunks_exact(2 * c) {
            total.iter_mut().zip(part).for_each(|(t, p)| *t += f64::from(*p));
        }
        let total: Vec<f32> = total.into_iter().map(|t| t as f32).collect();
        (total[..c].to_vec(), total[c..].to_vec())
    }
}

/// A layer norm over the channels of each place, with a ReLU.
#[derive(Clone, Copy)]
pub(super) struct LayerNorm<'a> {
    pub(super) weight: &'a [f32],
    pub(super) bias: &'a [f32],
    pub(super) pool: &'a Pool,
}

impl LayerNorm<'_> {
    /// `relu(weight · standardised(x) + bias)`.
    pub(super) fn forward(&self, x: &[f32]) -> Buf {
        let c = self.weight.len();
        let mut y = self.pool.take(x.len());
        y.par_chunks_mut(CHUNK * c).enumerate().for_each(|(i, y)| {
            let mut hat = self.pool.take(y.len());
            hat.copy_from_slice(&x[i * CHUNK * c..][..y.len()]);
            simd::wide(
                #[inline(always)]
                || {
                    for (y, hat) in y.chunks_exact_mut(c).zip(hat.chunks_exact_mut(c)) {
                        elementwise::norm(hat, self.weight, self.bias, EPS, y);
                    }
                    y.iter_mut().for_each(|v| *v = if *v > 0.0 { *v } else { 0.0 });
                },
            );
        });
        y
    }

    /// As [`BatchNorm::backward`]; `g` becomes dL/dx.
    pub(super) fn backward(&self, x: &Images<'_>, g: &mut [f32], stack: &Stack, grads: &mut [&mut [f32]]) {
        let (c, size) = (self.weight.len(), x.size);
        let mut parts = self.pool.take(stack.len() * 2 * c);
        parts.par_chunks_mut(2 * c).zip(g.par_chunks_mut(size)).enumerate().for_each(|(i, (part, g))| {
            part.fill(0.0);
            let mut scratch = self.pool.take(2 * c);
            let (hat, out) = scratch.split_at_mut(c);
            let (weight, bias) = part.split_at_mut(c);
            simd::wide(
                #[inline(always)]
                || {
                    for (x, g) in x.get(i).chunks_exact(c).zip(g.chunks_exact_mut(c)) {
                        hat.copy_from_slice(x);
                        let inverse = elementwise::norm(hat, self.weight, self.bias, EPS, out);
                        for k in 0..c {
                            weight[k] += g[k] * hat[k];
                            bias[k] += g[k];
                        }
                        elementwise::norm_backward(g, self.weight, hat, inverse);
                    }
                },
            );
        });
        for (group, grad) in stack.groups.iter().zip(grads) {
            let grad = &mut grad[..2 * c];
            grad.fill(0.0);
            for part in parts[group.images.start * 2 * c..group.images.end * 2 * c].chunks_exact(2 * c) {
                elementwise::add(grad, part);
            }
        }
    }
}
