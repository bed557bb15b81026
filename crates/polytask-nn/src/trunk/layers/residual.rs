//! The end of a half layer: bias, dropout, the residual added, and in post-norm networks the norm of the sum.

use candle_core::Tensor;
use rayon::prelude::*;

use super::{Back, Below, Kept, Layer, NormSpec, Place, Plain, Rows, Start, TensorShape, Weights};
use crate::Result;
use crate::trunk::dropout::Site;
use crate::trunk::elementwise::add;
use crate::trunk::pool::Buf;
use crate::trunk::simd::wide;
use crate::trunk::stack::{CHUNK, Stack};

/// Norm of (dropout of (x + bias) + residual), with or without the norm and the bias.
#[derive(Debug, Clone)]
pub(in crate::trunk) struct Residual {
    width: usize,
    /// Name of the bias, whole.
    bias: Option<String>,
    /// Where values are dropped, if they are.
    site: Option<Site>,
    norm: Option<NormSpec>,
}

impl Residual {
    /// Dropout of x, plus the residual.
    pub(in crate::trunk) fn new(width: usize, site: Site) -> Self {
        Self { width, bias: None, site: Some(site), norm: None }
    }

    /// x plus the residual.
    pub(in crate::trunk) fn plain(width: usize) -> Self {
        Self { width, bias: None, site: None, norm: None }
    }

    /// Name of its bias.
    pub(in crate::trunk) fn bias(&self) -> Option<&str> {
        self.bias.as_deref()
    }

    /// The same without the bias.
    pub(in crate::trunk) fn without_bias(&self) -> Self {
        Self { bias: None, ..self.clone() }
    }

    /// The same with a bias first.
    #[must_use]
    pub(in crate::trunk) fn biased(self, name: &str) -> Self {
        Self { bias: Some(name.into()), ..self }
    }

    /// The same with a norm of the sum.
    #[must_use]
    pub(in crate::trunk) fn normed(self, norm: NormSpec) -> Self {
        Self { norm: Some(norm), ..self }
    }

    /// Bias, and the norm's tensors.
    fn parts<'a>(&self, weights: &'a [f32]) -> (&'a [f32], &'a [f32]) {
        weights.split_at(if self.bias.is_some() { self.width } else { 0 })
    }

    /// dL/d sum to the branch's gradient, and per-chunk sums `[chunks, 3, width]`, of which the last is the bias's.
    fn without_norm(&self, at: &Place<'_>, stack: &Stack, g: &[f32], branch: &mut [f32]) -> Buf {
        let (d, drop) = (self.width, at.drop(self.site));
        let mut sums = at.pool.zeros(stack.chunks.len() * 3 * d);
        let chunks = stack.cut(branch, d).into_par_iter().zip(&stack.chunks).zip(sums.par_chunks_mut(3 * d));
        chunks.for_each(|((branch, chunk), sums)| {
            branch.copy_from_slice(&g[chunk.start * d..chunk.end * d]);
            wide(
                #[inline(always)]
                || {
                    for (branch, &row) in branch.chunks_exact_mut(d).zip(&stack.rows[chunk.clone()]) {
                        if let Some(drop) = &drop {
                            drop.apply(u64::from(row), branch);
                        }
                        add(&mut sums[2 * d..], branch);
                    }
                },
            );
        });
        sums
    }
}

impl Layer for Residual {
    fn name(&self) -> &'static str {
        "residual"
    }

    fn tensors(&self) -> Vec<TensorShape> {
        let bias = self.bias.iter().map(|name| TensorShape::vector(name, self.width, Start::Zero));
        bias.chain(self.norm.iter().flat_map(NormSpec::tensors)).collect()
    }

    fn width(&self) -> usize {
        self.width
    }

    fn as_residual(&self) -> Option<&Residual> {
        Some(self)
    }

    fn forward(
        &self,
        at: &Place<'_>,
        weights: Weights<'_>,
        input: Rows<'_>,
        residual: Option<&[f32]>,
        _: bool,
    ) -> (Kept, Buf) {
        let (d, mut x, residual) = (self.width, input.into_buf(at.pool), residual.unwrap_or_default());
        let (drop, (bias, norm_weights)) = (at.drop(self.site), self.parts(weights.values));
        let normed = if self.norm.is_some() { x.len() } else { 0 };
        let (mut out, mut inverse) = (at.pool.take(normed), at.pool.take(normed / d));
        let no_rows =
            || (0..x.len().div_ceil(CHUNK * d)).map(|_| <&mut [f32]>::default()).collect::<Vec<_>>();
        let (outs, inverses) = match &self.norm {
            Some(_) => (out.chunks_mut(CHUNK * d).collect(), inverse.chunks_mut(CHUNK).collect()),
            None => (no_rows(), no_rows()),
        };
        let chunks = x.par_chunks_mut(CHUNK * d).zip(outs).zip(inverses).zip(residual.par_chunks(CHUNK * d));
        chunks.enumerate().with_min_len(at.threads.least()).for_each(
            |(c, (((x, out), inverse), residual))| {
                wide(
                    #[inline(always)]
                    || {
                        for (i, (x, residual)) in
                            x.chunks_exact_mut(d).zip(residual.chunks_exact(d)).enumerate()
                        {
                            add(x, bias);
                            if let Some(drop) = &drop {
                                drop.apply((c * CHUNK + i) as u64, x);
                            }
                            add(x, residual);
                            if let Some(norm) = &self.norm {
                                inverse[i] = norm.row(x, norm_weights, &mut out[i * d..(i + 1) * d]);
                            }
                        }
                    },
                );
            },
        );
        if self.norm.is_none() {
            return (Vec::new(), x);
        }
        (vec![x, inverse], out)
    }

    fn vjp(&self, at: &Place<'_>, weights: Weights<'_>, given: Back<'_>) -> Below {
        let (d, stack, mut g) = (self.width, given.stack, given.g);
        let mut branch = at.pool.take(g.len());
        let sums = match &self.norm {
            Some(norm) => {
                let saved = (&given.kept[0][..], &given.kept[1][..], self.parts(weights.values).1);
                norm.backward(at.pool, stack, saved, at.drop(self.site), &mut g, Some(&mut branch))
            }
            None => self.without_norm(at, stack, &g, &mut branch),
        };
        for (group, grad) in stack.groups.iter().zip(given.grads) {
            let (bias, norm_grads) = grad.split_at_mut(if self.bias.is_some() { d } else { 0 });
            if let Some(norm) = &self.norm {
                norm.reduce(group, &sums, norm_grads);
            }
            Stack::reduce(group, &sums, 3 * d, 2 * d, bias);
        }
        Below { input: Some(super::sum(branch, given.onto)), residual: Some(g) }
    }

    fn plain(
        &self,
        at: &Plain<'_>,
        tensors: &[Tensor],
        input: &Tensor,
        residual: Option<&Tensor>,
    ) -> Result<Tensor> {
        let (bias, rest) = tensors.split_at(usize::from(self.bias.is_some()));
        let x = match bias.first() {
            Some(bias) => input.broadcast_add(bias)?,
            None => input.clone(),
        };
        let x = at.dropped(self.site, &x)?;
        let x = match residual {
            Some(residual) => (x + residual)?,
            None => x,
        };
        self.norm.as_ref().map_or_else(|| Ok(x.clone()), |norm| norm.plain(&x, rest))
    }
}
