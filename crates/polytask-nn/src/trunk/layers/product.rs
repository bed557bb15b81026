//! The product of a layer's matrix with its rows, its adapter's included.
//!
//! Every layer with a matrix uses it, so an adapter on any of them is written once ([`super::lora`]).

use candle_core::{D, Tensor};

use super::lora::{self, Lora};
use super::matrix::Matrix;
use super::rows::each_row;
use super::{Place, Plain};
use crate::Result;
use crate::trunk::elementwise::add;
use crate::trunk::kernels::{Mat, MatMut, Threads, matmul};
use crate::trunk::panels::{Panels, Start};
use crate::trunk::pool::{Buf, Pool};
use crate::trunk::stack::{Group, Stack};

/// A matrix's values in a pass: as they lie in their block, laid out where they serve many passes, and its adapter's.
#[derive(Debug, Clone, Copy)]
pub(in crate::trunk) struct Weights<'a> {
    pub(in crate::trunk) values: &'a [f32],
    pub(in crate::trunk) panels: Option<&'a Panels>,
    pub(in crate::trunk) lora: Option<(&'a Lora, &'a [f32])>,
}

/// Where the gradients of a matrix go.
#[derive(Debug)]
pub(in crate::trunk) struct MatrixGrads<'a> {
    /// Per group: of the layer's parameters; none where these are frozen.
    pub(in crate::trunk) layer: &'a mut [Buf],
    /// Where the matrix begins among them.
    pub(in crate::trunk) start: usize,
    /// Per group: of the adapter's parameters; none where there is no adapter.
    pub(in crate::trunk) lora: &'a mut [Buf],
}

impl Matrix {
    /// `x · weightᵀ` plus a bias if there is one, plus what the adapter adds: `[rows, d_in]` → `[rows, d_out]`;
    /// `weights` begin with the matrix.
    pub(in crate::trunk) fn forward(
        &self,
        at: &Place<'_>,
        weights: Weights<'_>,
        x: &[f32],
        bias: Option<&[f32]>,
    ) -> Buf {
        let (d_in, d_out, rows) = (self.d_in, self.d_out(), x.len() / self.d_in);
        let mut out = at.pool.take(rows * d_out);
        let rows_in = Mat::new(x, rows, d_in);
        if let Some(panels) = weights.panels {
            let start = bias.map_or(Start::Zero, Start::Bias);
            panels.multiply(MatMut::new(&mut out, rows, d_out), rows_in, start, at.threads);
        } else {
            let weight = Mat::new(&weights.values[..d_in * d_out], d_out, d_in);
            matmul(MatMut::new(&mut out, rows, d_out), false, rows_in, weight.t(), 1.0, at.threads);
            if let Some(bias) = bias {
                each_row(
                    at.threads,
                    &mut out,
                    d_out,
                    #[inline(always)]
                    |_, row| add(row, bias),
                );
            }
        }
        if let Some((lora, values)) = weights.lora {
            lora.add_to(at, self, values, x, &mut out);
        }
        out
    }

    /// Gradients of matrix and adapter; and, where it is wanted, the one at the input, added to `onto`.
    ///
    /// # Shapes
    /// `g`: `[stacked rows, d_out]`, `x`: `[stacked rows, d_in]`.
    pub(in crate::trunk) fn backward(
        &self,
        at: &Place<'_>,
        weights: Weights<'_>,
        (stack, g, x): (&Stack, &[f32], &[f32]),
        grads: MatrixGrads<'_>,
        (wanted, onto): (bool, Option<Buf>),
    ) -> Option<Buf> {
        let (d_in, d_out) = (self.d_in, self.d_out());
        for (group, grad) in stack.groups.iter().zip(grads.layer) {
            outer(&mut grad[grads.start..grads.start + d_in * d_out], group, g, x, d_out);
        }
        let weight = &weights.values[..d_in * d_out];
        let mut below = wanted.then(|| back(at.pool, g, weight, d_in, onto));
        if let Some((lora, values)) = weights.lora {
            lora.backward(at, self, values, (stack, g, x), grads.lora, below.as_deref_mut());
        }
        below
    }
}

/// `g · weight` (+ `onto`): gradient at a product's input, `[n, d_out]` → `[n, d_in]`.
fn back(pool: &Pool, g: &[f32], weight: &[f32], d_in: usize, onto: Option<Buf>) -> Buf {
    let d_out = weight.len() / d_in;
    let n = g.len() / d_out;
    let adds = onto.is_some();
    let mut out = onto.unwrap_or_else(|| pool.take(n * d_in));
    let (g, weight) = (Mat::new(g, n, d_out), Mat::new(weight, d_out, d_in));
    matmul(MatMut::new(&mut out, n, d_in), adds, g, weight, 1.0, Threads::All);
    out
}

/// Weight gradient `gᵀ · x` over the rows of a group: `[d_out, d_in]`.
pub(super) fn outer(out: &mut [f32], group: &Group, g: &[f32], x: &[f32], d_out: usize) {
    let d_in = out.len() / d_out;
    let (g, x) = (Mat::new(g, g.len() / d_out, d_out), Mat::new(x, x.len() / d_in, d_in));
    let (g, x) = (g.rows(group.rows.clone()), x.rows(group.rows.clone()));
    matmul(MatMut::new(out, d_out, d_in), false, g.t(), x, 1.0, Threads::All);
}

/// The product in differentiable operations.
pub(super) fn plain(at: &Plain<'_>, (weights, biases): (&[Tensor], &[Tensor]), x: &Tensor) -> Result<Tensor> {
    let part = |(i, weight): (usize, &Tensor)| {
        let out = x.matmul(&weight.t()?)?;
        let out = match biases.get(i) {
            Some(bias) => out.broadcast_add(bias)?,
            None => out,
        };
        match at.lora {
            Some((lora, tensors)) => lora::plain(lora, at, (i, tensors), x, &out),
            None => Ok(out),
        }
    };
    let parts: Result<Vec<Tensor>> = weights.iter().enumerate().map(part).collect();
    Ok(Tensor::cat(&parts?, D::Minus1)?)
}
