//! Linear maps: one matrix, or several side by side that one product does at once, with biases or without.

use candle_core::Tensor;

use super::product::{MatrixGrads, plain};
use super::{Back, Below, Kept, Layer, Matrix, Place, Plain, Rows, Start, TensorShape, Weights};
use crate::Result;
use crate::trunk::pool::Buf;
use crate::trunk::stack::Stack;

/// `x · Wᵀ (+ b)`, for one or several matrices side by side: first all weights, then all biases.
#[derive(Debug)]
pub(in crate::trunk) struct Linear {
    matrix: Matrix,
    has_bias: bool,
}

impl Linear {
    /// One matrix without a bias.
    pub(in crate::trunk) fn new(name: &str, d_in: usize, d_out: usize) -> Self {
        Self { matrix: Matrix::one(name, d_in, d_out), has_bias: false }
    }

    /// Several matrices side by side, each with its name and width, without biases.
    pub(in crate::trunk) fn joined(d_in: usize, parts: &[(&str, usize)]) -> Self {
        let parts = parts.iter().map(|&(name, width)| (name.to_owned(), width)).collect();
        Self { matrix: Matrix { d_in, parts, start: Start::Normal }, has_bias: false }
    }

    /// The same with biases.
    #[must_use]
    pub(in crate::trunk) fn biased(self, has_bias: bool) -> Self {
        Self { has_bias, ..self }
    }
}

impl Layer for Linear {
    fn name(&self) -> &'static str {
        "product"
    }

    fn tensors(&self) -> Vec<TensorShape> {
        let bias = |(name, width): &(String, usize)| {
            TensorShape::vector(&format!("{name}.bias"), *width, Start::Zero)
        };
        let biases = self.matrix.parts.iter().filter(|_| self.has_bias).map(bias);
        self.matrix.tensors().chain(biases).collect()
    }

    fn width(&self) -> usize {
        self.matrix.d_out()
    }

    fn reads_input(&self) -> bool {
        true
    }

    fn matrix(&self) -> Option<(&Matrix, usize)> {
        Some((&self.matrix, 0))
    }

    fn forward(
        &self,
        at: &Place<'_>,
        weights: Weights<'_>,
        input: Rows<'_>,
        _: Option<&[f32]>,
        _: bool,
    ) -> (Kept, Buf) {
        let bias = self.has_bias.then(|| &weights.values[self.matrix.len()..]);
        (Vec::new(), self.matrix.forward(at, weights, &input, bias))
    }

    fn vjp(&self, at: &Place<'_>, weights: Weights<'_>, given: Back<'_>) -> Below {
        let (stack, g, d_out) = (given.stack, given.g, self.width());
        if self.has_bias && !given.grads.is_empty() {
            let sums = stack.sum_rows(at.pool, &g, d_out);
            for (group, grad) in stack.groups.iter().zip(&mut *given.grads) {
                Stack::reduce(group, &sums, d_out, 0, &mut grad[self.matrix.len()..]);
            }
        }
        let input = stack.gather(at.pool, given.input, self.matrix.d_in);
        let grads = MatrixGrads { layer: given.grads, start: 0, lora: given.lora };
        let below = (given.wanted, given.onto);
        let input = self.matrix.backward(at, weights, (stack, &g, &input), grads, below);
        Below { input, residual: None }
    }

    fn plain(
        &self,
        at: &Plain<'_>,
        tensors: &[Tensor],
        input: &Tensor,
        _: Option<&Tensor>,
    ) -> Result<Tensor> {
        plain(at, tensors.split_at(self.matrix.parts.len()), input)
    }
}
