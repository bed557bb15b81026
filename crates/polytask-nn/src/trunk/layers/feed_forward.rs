//! The narrowing half of a feed-forward layer: bias, activation (with a gate or without), and the product after it.
//!
//! The activation's output is the widest of a layer's rows; it is not kept but computed again in the backward, in the
//! same pass over memory as its derivative.

use candle_core::{D, Tensor};
use rayon::prelude::*;

use super::product::{MatrixGrads, outer, plain};
use super::rows::each_row;
use super::{Back, Below, Kept, Layer, Matrix, Place, Plain, Rows, Start, TensorShape, Weights, sum};
use crate::Result;
use crate::trunk::activation::Activation;
use crate::trunk::elementwise::{
    activate, activate_again, activate_backward, activate_in_place, add, gate, gate_backward,
};
use crate::trunk::pool::Buf;
use crate::trunk::simd::wide;
use crate::trunk::stack::{CHUNK, Stack};

/// `act(x + b) · Wᵀ`, or with a gate `(act(x₁) ∘ x₂) · Wᵀ` of the two halves of x (Shazeer 2020,
/// <https://arxiv.org/abs/2002.05202>).
#[derive(Debug)]
pub(in crate::trunk) struct FeedForward {
    /// Name of the bias before the activation, whole.
    bias: Option<String>,
    act: Activation,
    is_gated: bool,
    matrix: Matrix,
    d_wide: usize,
}

impl FeedForward {
    /// Activation and product.
    pub(in crate::trunk) fn new(act: Activation, name: &str, d_wide: usize, d_out: usize) -> Self {
        Self { bias: None, act, is_gated: false, matrix: Matrix::one(name, d_wide, d_out), d_wide }
    }

    /// The same of a gated pair of halves.
    #[must_use]
    pub(in crate::trunk) fn gated(self) -> Self {
        Self { is_gated: true, ..self }
    }

    /// The same, starting from a matrix of zeros.
    #[must_use]
    pub(in crate::trunk) fn zeroed(self) -> Self {
        Self { matrix: Matrix { start: Start::Zero, ..self.matrix }, ..self }
    }

    /// The same with a bias before the activation.
    #[must_use]
    pub(in crate::trunk) fn biased(self, name: &str) -> Self {
        Self { bias: Some(name.into()), ..self }
    }

    /// Values per row that go in.
    fn d_in(&self) -> usize {
        if self.is_gated { 2 * self.d_wide } else { self.d_wide }
    }

    /// Number of biases.
    fn n_bias(&self) -> usize {
        if self.bias.is_some() { self.d_in() } else { 0 }
    }

    /// Adds the bias to `x` in place and returns the activation of the sum; in `x` itself where it need not be kept.
    fn activation(&self, at: &Place<'_>, x: &mut [f32], bias: &[f32], keep: bool) -> Option<Buf> {
        let (width, f) = (self.d_in(), self.d_wide);
        if !keep && !self.is_gated && !bias.is_empty() {
            each_row(
                at.threads,
                x,
                f,
                #[inline(always)]
                |_, row| activate_in_place(self.act, row, bias),
            );
            return None;
        }
        let mut out = at.pool.take(x.len() / width * f);
        let chunks = x.par_chunks_mut(CHUNK * width).zip(out.par_chunks_mut(CHUNK * f));
        chunks.with_min_len(at.threads.least()).for_each(|(x, out)| {
            wide(
                #[inline(always)]
                || {
                    for (x, out) in x.chunks_exact_mut(width).zip(out.chunks_exact_mut(f)) {
                        if self.is_gated {
                            add(x, bias);
                            gate(self.act, x, out);
                        } else {
                            activate(self.act, x, bias, out);
                        }
                    }
                },
            );
        });
        Some(out)
    }

    /// The activation once more, on the stacked rows, `[n, d_wide]`.
    fn activation_again(&self, at: &Place<'_>, x: &[f32], stack: &Stack) -> Buf {
        let (width, f) = (self.d_in(), self.d_wide);
        let mut active = at.pool.take(stack.n_rows() * f);
        active.par_chunks_mut(f).zip(&stack.rows).with_min_len(CHUNK).for_each(|(active, &row)| {
            let x = &x[row as usize * width..][..width];
            wide(
                #[inline(always)]
                || {
                    if self.is_gated {
                        gate(self.act, x, active);
                    } else {
                        activate_again(self.act, x, active);
                    }
                },
            );
        });
        active
    }

    /// From dL/d activation `[n, d_wide]`: the activation again, dL/d x `[n, d_in]`, and its sums per chunk.
    fn activation_backward(&self, at: &Place<'_>, x: &[f32], stack: &Stack, mut g: Buf) -> (Buf, Buf, Buf) {
        let (width, f) = (self.d_in(), self.d_wide);
        let mut active = at.pool.take(g.len());
        let mut sums = at.pool.take(stack.chunks.len() * width);
        let mut halves = at.pool.take(if self.is_gated { stack.n_rows() * width } else { 0 });
        let (gs, outs) = if self.is_gated {
            (stack.cut(&mut g, f), stack.cut(&mut halves, width))
        } else {
            (stack.chunks.iter().map(|_| <&mut [f32]>::default()).collect(), stack.cut(&mut g, width))
        };
        let chunks = outs.into_par_iter().zip(gs).zip(stack.cut(&mut active, f)).zip(&stack.chunks);
        chunks.zip(sums.par_chunks_mut(width)).for_each(|((((out, g), active), chunk), sums)| {
            sums.fill(0.0);
            let rows =
                out.chunks_exact_mut(width).zip(active.chunks_exact_mut(f)).zip(&stack.rows[chunk.clone()]);
            wide(
                #[inline(always)]
                || {
                    for (i, ((out, active), &row)) in rows.enumerate() {
                        let x = &x[row as usize * width..][..width];
                        if self.is_gated {
                            gate_backward(self.act, x, &g[i * f..(i + 1) * f], out, active);
                        } else {
                            activate_backward(self.act, x, out, active);
                        }
                        add(sums, out);
                    }
                },
            );
        });
        (active, if self.is_gated { halves } else { g }, sums)
    }
}

impl Layer for FeedForward {
    fn name(&self) -> &'static str {
        "activation and product"
    }

    fn tensors(&self) -> Vec<TensorShape> {
        let bias = self.bias.iter().map(|name| TensorShape::vector(name, self.d_in(), Start::Zero));
        bias.chain(self.matrix.tensors()).collect()
    }

    fn width(&self) -> usize {
        self.matrix.d_out()
    }

    fn matrix(&self) -> Option<(&Matrix, usize)> {
        Some((&self.matrix, self.n_bias()))
    }

    fn forward(
        &self,
        at: &Place<'_>,
        weights: Weights<'_>,
        input: Rows<'_>,
        _: Option<&[f32]>,
        keep: bool,
    ) -> (Kept, Buf) {
        let (bias, matrix) = weights.values.split_at(self.n_bias());
        let mut x = input.into_buf(at.pool);
        let active = self.activation(at, &mut x, bias, keep);
        let weights = Weights { values: matrix, ..weights };
        let out = self.matrix.forward(at, weights, active.as_deref().unwrap_or(&x), None);
        (if keep { vec![x] } else { Vec::new() }, out)
    }

    fn vjp(&self, at: &Place<'_>, weights: Weights<'_>, given: Back<'_>) -> Below {
        let (stack, n_bias, x) = (given.stack, self.n_bias(), &given.kept[0]);
        let weights = Weights { values: &weights.values[n_bias..], ..weights };
        // The adapter's share of the gradient needs the activation, and so comes with it.
        let active = weights.lora.map(|_| self.activation_again(at, x, stack));
        let grads = MatrixGrads { layer: &mut [], start: n_bias, lora: given.lora };
        let rows = (stack, &given.g[..], active.as_deref().unwrap_or_default());
        let wide = self.matrix.backward(at, weights, rows, grads, (true, None));
        let (active, g, sums) =
            self.activation_backward(at, x, stack, wide.unwrap_or_else(|| at.pool.take(0)));
        for (group, grad) in stack.groups.iter().zip(given.grads) {
            let (bias, matrix) = grad.split_at_mut(n_bias);
            outer(matrix, group, &given.g, &active, self.width());
            Stack::reduce(group, &sums, self.d_in(), 0, bias);
        }
        Below { input: Some(sum(g, given.onto)), residual: None }
    }

    fn plain(
        &self,
        at: &Plain<'_>,
        tensors: &[Tensor],
        input: &Tensor,
        _: Option<&Tensor>,
    ) -> Result<Tensor> {
        let (bias, matrix) = tensors.split_at(usize::from(self.bias.is_some()));
        let x = match bias.first() {
            Some(bias) => input.broadcast_add(bias)?,
            None => input.clone(),
        };
        let half = |at: usize| x.narrow(D::Minus1, at * self.d_wide, self.d_wide);
        let active =
            if self.is_gated { (self.act.plain(&half(0)?)? * half(1)?)? } else { self.act.plain(&x)? };
        plain(at, (matrix, &[]), &active)
    }
}
