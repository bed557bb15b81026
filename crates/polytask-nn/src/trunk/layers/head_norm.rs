//! RMS norms of each head's queries and keys, before their positions (Qwen3).

use candle_core::{D, Tensor};
use rayon::prelude::*;

use super::{Back, Below, Kept, Layer, Place, Plain, Rows, Start, TensorShape, Weights, sum};
use crate::Result;
use crate::trunk::elementwise::{add_product, rms_norm, rms_norm_backward};
use crate::trunk::pool::Buf;
use crate::trunk::simd::wide;
use crate::trunk::stack::{CHUNK, Stack};

/// Norms the queries and keys in rows of queries, keys and values.
#[derive(Debug)]
pub(in crate::trunk) struct HeadNorm {
    /// Names of the weights of queries and keys, whole.
    names: [String; 2],
    heads: usize,
    kv_heads: usize,
    d_head: usize,
    eps: f64,
}

impl HeadNorm {
    /// For rows of `heads` queries, `kv_heads` keys and as many values.
    pub(in crate::trunk) fn new(
        names: [String; 2],
        (heads, kv_heads, d_head): (usize, usize, usize),
        eps: f64,
    ) -> Self {
        Self { names, heads, kv_heads, d_head, eps }
    }

    /// Heads that are normed.
    fn normed(&self) -> usize {
        self.heads + self.kv_heads
    }

    /// The weight of a head.
    fn weight<'a>(&self, weights: &'a [f32], head: usize) -> &'a [f32] {
        let start = if head < self.heads { 0 } else { self.d_head };
        &weights[start..start + self.d_head]
    }
}

impl Layer for HeadNorm {
    fn name(&self) -> &'static str {
        "norm of heads"
    }

    fn tensors(&self) -> Vec<TensorShape> {
        self.names.iter().map(|name| TensorShape::vector(name, self.d_head, Start::One)).collect()
    }

    fn width(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.d_head
    }

    fn forward(
        &self,
        at: &Place<'_>,
        weights: Weights<'_>,
        input: Rows<'_>,
        _: Option<&[f32]>,
        _: bool,
    ) -> (Kept, Buf) {
        let (width, d, normed, mut hat) = (self.width(), self.d_head, self.normed(), input.into_buf(at.pool));
        let (mut out, mut inverse) = (at.pool.take(hat.len()), at.pool.take(hat.len() / width * normed));
        let rows =
            hat.par_chunks_mut(width).zip(out.par_chunks_mut(width)).zip(inverse.par_chunks_mut(normed));
        rows.with_min_len(CHUNK.max(at.threads.least())).for_each(|((hat, out), inverse)| {
            wide(
                #[inline(always)]
                || {
                    out.copy_from_slice(hat);
                    let heads = hat.chunks_exact_mut(d).zip(out.chunks_exact_mut(d)).zip(inverse);
                    for (head, ((hat, out), inverse)) in heads.enumerate() {
                        *inverse = rms_norm(hat, self.weight(weights.values, head), self.eps as f32, out);
                    }
                },
            );
        });
        (vec![hat, inverse], out)
    }

    fn vjp(&self, at: &Place<'_>, weights: Weights<'_>, given: Back<'_>) -> Below {
        let (width, d, normed, stack, mut g) =
            (self.width(), self.d_head, self.normed(), given.stack, given.g);
        let (hat, inverse) = (&given.kept[0], &given.kept[1]);
        let mut sums = at.pool.zeros(stack.chunks.len() * 2 * d);
        let chunks =
            stack.cut(&mut g, width).into_par_iter().zip(&stack.chunks).zip(sums.par_chunks_mut(2 * d));
        chunks.for_each(|((g, chunk), sums)| {
            wide(
                #[inline(always)]
                || {
                    for (g, &row) in g.chunks_exact_mut(width).zip(&stack.rows[chunk.clone()]) {
                        let hat = &hat[row as usize * width..][..width];
                        let inverse = &inverse[row as usize * normed..][..normed];
                        for (head, inverse) in inverse.iter().enumerate() {
                            let (g, hat) = (&mut g[head * d..(head + 1) * d], &hat[head * d..(head + 1) * d]);
                            let start = if head < self.heads { 0 } else { d };
                            add_product(&mut sums[start..start + d], g, hat);
                            rms_norm_backward(g, self.weight(weights.values, head), hat, *inverse);
                        }
                    }
                },
            );
        });
        for (group, grad) in stack.groups.iter().zip(given.grads) {
            Stack::reduce(group, &sums, 2 * d, 0, grad);
        }
        Below { input: Some(sum(g, given.onto)), residual: None }
    }

    fn plain(&self, _: &Plain<'_>, tensors: &[Tensor], input: &Tensor, _: Option<&Tensor>) -> Result<Tensor> {
        let (rows, d) = (input.dim(0)?, self.d_head);
        let mut parts = Vec::new();
        for (weight, first, heads) in [(&tensors[0], 0, self.heads), (&tensors[1], self.heads, self.kv_heads)]
        {
            let x = input.narrow(1, first * d, heads * d)?.reshape((rows, heads, d))?;
            let deviation = (x.sqr()?.mean_keepdim(D::Minus1)? + self.eps)?.sqrt()?;
            let x = x.broadcast_div(&deviation)?.broadcast_mul(weight)?;
            parts.push(x.reshape((rows, heads * d))?);
        }
        parts.push(input.narrow(1, self.normed() * d, self.kv_heads * d)?);
        Ok(Tensor::cat(&parts, D::Minus1)?)
    }
}
