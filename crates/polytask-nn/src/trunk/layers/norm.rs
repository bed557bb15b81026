//! Norms of rows: with the mean taken off (layer norm) or without (RMS norm), with a bias or without.
#![allow(clippy::inline_always)] // code must land in the caller that was compiled for wide vectors

use candle_core::{D, Tensor};
use rayon::prelude::*;

use super::{Back, Below, Kept, Layer, Place, Plain, Rows, Start, TensorShape, Weights};
use crate::Result;
use crate::trunk::dropout::{Dropout, Site};
use crate::trunk::elementwise::{add, add_product, norm, norm_backward, rms_norm, rms_norm_backward};
use crate::trunk::pool::{Buf, Pool};
use crate::trunk::simd::wide;
use crate::trunk::stack::{CHUNK, Stack};

/// What a norm is.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::trunk) struct NormSpec {
    /// Name of its tensors, without `.weight`.
    pub(in crate::trunk) name: String,
    /// Values per row.
    pub(in crate::trunk) width: usize,
    /// Added to the variance.
    pub(in crate::trunk) eps: f64,
    /// Whether a bias follows the weight.
    pub(in crate::trunk) has_bias: bool,
    /// Whether the mean is left in (RMS norm; Zhang and Sennrich 2019, <https://arxiv.org/abs/1910.07467>).
    pub(in crate::trunk) is_rms: bool,
}

impl NormSpec {
    /// A layer norm with a bias (Ba et al. 2016, <https://arxiv.org/abs/1607.06450>).
    pub(in crate::trunk) fn layer(name: &str, width: usize, eps: f64) -> Self {
        Self { name: name.into(), width, eps, has_bias: true, is_rms: false }
    }

    /// An RMS norm, without a bias.
    pub(in crate::trunk) fn rms(name: &str, width: usize, eps: f64) -> Self {
        Self { name: name.into(), width, eps, has_bias: false, is_rms: true }
    }

    pub(in crate::trunk) fn tensors(&self) -> Vec<TensorShape> {
        let weight = TensorShape::vector(&format!("{}.weight", self.name), self.width, Start::One);
        let bias = TensorShape::vector(&format!("{}.bias", self.name), self.width, Start::Zero);
        std::iter::once(weight).chain(self.has_bias.then_some(bias)).collect()
    }

    /// The row becomes x̂, `out` the norm's output; `weights` are weight and bias. Returns 1/σ.
    #[inline(always)]
    pub(in crate::trunk) fn row(&self, row: &mut [f32], weights: &[f32], out: &mut [f32]) -> f32 {
        let (weight, bias) = weights.split_at(self.width);
        if self.is_rms {
            rms_norm(row, weight, self.eps as f32, out)
        } else {
            norm(row, weight, bias, self.eps as f32, out)
        }
    }

    /// Backward of residual, dropout and norm on the stacked rows: `g` becomes the gradient of the residual branch,
    /// `branch` that of the other one (before dropout).
    ///
    /// Returns per-chunk sums `[chunks, 3, width]`: of g·x̂ (norm weight), g (norm bias) and of the other branch's
    /// gradient (its bias).
    pub(in crate::trunk) fn backward(
        &self,
        pool: &Pool,
        stack: &Stack,
        (hat, inverse, weight): (&[f32], &[f32], &[f32]),
        drop: Option<Dropout>,
        g: &mut [f32],
        branch: Option<&mut [f32]>,
    ) -> Buf {
        let d = self.width;
        let weight = &weight[..d];
        let mut sums = pool.take(stack.chunks.len() * 3 * d);
        let branches = match branch {
            Some(branch) => stack.cut(branch, d),
            None => stack.chunks.iter().map(|_| <&mut [f32]>::default()).collect(),
        };
        let chunks =
            stack.cut(g, d).into_par_iter().zip(branches).zip(&stack.chunks).zip(sums.par_chunks_mut(3 * d));
        chunks.for_each(|(((g, branch), chunk), sums)| {
            sums.fill(0.0);
            let (for_weight, rest) = sums.split_at_mut(d);
            let (for_bias, for_branch) = rest.split_at_mut(d);
            wide(
                #[inline(always)]
                || {
                    for (i, (g, &row)) in g.chunks_exact_mut(d).zip(&stack.rows[chunk.clone()]).enumerate() {
                        let hat = &hat[row as usize * d..][..d];
                        add_product(for_weight, g, hat);
                        add(for_bias, g);
                        if self.is_rms {
                            rms_norm_backward(g, weight, hat, inverse[row as usize]);
                        } else {
                            norm_backward(g, weight, hat, inverse[row as usize]);
                        }
                        let Some(branch) = branch.get_mut(i * d..(i + 1) * d) else { continue };
                        branch.copy_from_slice(g);
                        if let Some(drop) = &drop {
                            drop.apply(u64::from(row), branch);
                        }
                        add(for_branch, branch);
                    }
                },
            );
        });
        sums
    }

    /// Gradients of weight and bias from the sums of [`Self::backward`].
    pub(in crate::trunk) fn reduce(
        &self,
        group: &crate::trunk::stack::Group,
        sums: &[f32],
        grad: &mut [f32],
    ) {
        let d = self.width;
        let (weight, bias) = grad.split_at_mut(d);
        Stack::reduce(group, sums, 3 * d, 0, weight);
        Stack::reduce(group, sums, 3 * d, d, bias);
    }

    /// The norm in differentiable operations.
    pub(in crate::trunk) fn plain(&self, x: &Tensor, tensors: &[Tensor]) -> Result<Tensor> {
        let centred = if self.is_rms { x.clone() } else { x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)? };
        let deviation = (centred.sqr()?.mean_keepdim(D::Minus1)? + self.eps)?.sqrt()?;
        let scaled = centred.broadcast_div(&deviation)?.broadcast_mul(&tensors[0])?;
        Ok(match tensors.get(1) {
            Some(bias) => scaled.broadcast_add(bias)?,
            None => scaled,
        })
    }
}

/// A norm that stands alone, and perhaps dropout after it.
#[derive(Debug)]
pub(in crate::trunk) struct Norm {
    spec: NormSpec,
    drop: Option<Site>,
}

impl Norm {
    /// A norm.
    pub(in crate::trunk) fn new(spec: NormSpec) -> Self {
        Self { spec, drop: None }
    }

    /// The same with dropout of its output.
    #[must_use]
    pub(in crate::trunk) fn dropped(self, site: Site) -> Self {
        Self { drop: Some(site), ..self }
    }
}

impl Layer for Norm {
    fn name(&self) -> &'static str {
        "norm"
    }

    fn tensors(&self) -> Vec<TensorShape> {
        self.spec.tensors()
    }

    fn width(&self) -> usize {
        self.spec.width
    }

    fn forward(
        &self,
        at: &Place<'_>,
        weights: Weights<'_>,
        input: Rows<'_>,
        _: Option<&[f32]>,
        _: bool,
    ) -> (Kept, Buf) {
        let (d, mut hat) = (self.spec.width, input.into_buf(at.pool));
        let (mut out, mut inverse) = (at.pool.take(hat.len()), at.pool.take(hat.len() / d));
        let drop = at.drop(self.drop);
        let chunks = hat.par_chunks_mut(CHUNK * d).zip(out.par_chunks_mut(CHUNK * d));
        let chunks = chunks.zip(inverse.par_chunks_mut(CHUNK)).enumerate();
        chunks.with_min_len(at.threads.least()).for_each(|(c, ((hat, out), inverse))| {
            wide(
                #[inline(always)]
                || {
                    let rows = hat.chunks_exact_mut(d).zip(out.chunks_exact_mut(d)).zip(inverse);
                    for (i, ((hat, out), inverse)) in rows.enumerate() {
                        *inverse = self.spec.row(hat, weights.values, out);
                        if let Some(drop) = &drop {
                            drop.apply((c * CHUNK + i) as u64, out);
                        }
                    }
                },
            );
        });
        (vec![hat, inverse], out)
    }

    fn vjp(&self, at: &Place<'_>, weights: Weights<'_>, given: Back<'_>) -> Below {
        let (d, stack, mut g) = (self.spec.width, given.stack, given.g);
        if let Some(drop) = at.drop(self.drop) {
            g.par_chunks_mut(d).zip(&stack.rows).with_min_len(CHUNK).for_each(|(row, &saved_row)| {
                wide(
                    #[inline(always)]
                    || drop.apply(u64::from(saved_row), row),
                );
            });
        }
        let saved = (&given.kept[0][..], &given.kept[1][..], weights.values);
        let sums = self.spec.backward(at.pool, stack, saved, None, &mut g, None);
        for (group, grad) in stack.groups.iter().zip(given.grads) {
            self.spec.reduce(group, &sums, grad);
        }
        Below::of(g, given.onto)
    }

    fn plain(
        &self,
        at: &Plain<'_>,
        tensors: &[Tensor],
        input: &Tensor,
        _: Option<&Tensor>,
    ) -> Result<Tensor> {
        at.dropped(self.drop, &self.spec.plain(input, tensors)?)
    }
}
