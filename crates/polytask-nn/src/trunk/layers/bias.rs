//! A learned vector added to every row.

use candle_core::Tensor;

use super::rows::each_row;
use super::{Back, Below, Kept, Layer, Place, Plain, Rows, Start, TensorShape, Weights};
use crate::Result;
use crate::trunk::elementwise::add;
use crate::trunk::pool::Buf;
use crate::trunk::stack::Stack;

/// `x + b`: where a bias cannot be part of the layer after it.
#[derive(Debug)]
pub(in crate::trunk) struct Bias {
    name: String,
    width: usize,
}

impl Bias {
    /// A bias of this whole name.
    pub(in crate::trunk) fn new(name: &str, width: usize) -> Self {
        Self { name: name.into(), width }
    }
}

impl Layer for Bias {
    fn name(&self) -> &'static str {
        "bias"
    }

    fn tensors(&self) -> Vec<TensorShape> {
        vec![TensorShape::vector(&self.name, self.width, Start::Zero)]
    }

    fn width(&self) -> usize {
        self.width
    }

    fn forward(
        &self,
        at: &Place<'_>,
        weights: Weights<'_>,
        input: Rows<'_>,
        _: Option<&[f32]>,
        _: bool,
    ) -> (Kept, Buf) {
        let mut x = input.into_buf(at.pool);
        each_row(
            at.threads,
            &mut x,
            self.width,
            #[inline(always)]
            |_, row| add(row, weights.values),
        );
        (Vec::new(), x)
    }

    fn vjp(&self, at: &Place<'_>, _: Weights<'_>, given: Back<'_>) -> Below {
        if !given.grads.is_empty() {
            let sums = given.stack.sum_rows(at.pool, &given.g, self.width);
            for (group, grad) in given.stack.groups.iter().zip(given.grads) {
                Stack::reduce(group, &sums, self.width, 0, grad);
            }
        }
        Below::of(given.g, given.onto)
    }

    fn plain(&self, _: &Plain<'_>, tensors: &[Tensor], input: &Tensor, _: Option<&Tensor>) -> Result<Tensor> {
        Ok(input.broadcast_add(&tensors[0])?)
    }
}
