//! A learned factor per value (Touvron et al. 2021, <https://arxiv.org/abs/2103.17239>).

use candle_core::Tensor;
use rayon::prelude::*;

use super::rows::each_row;
use super::{Back, Below, Kept, Layer, Place, Plain, Rows, Start, TensorShape, Weights};
use crate::Result;
use crate::trunk::elementwise::add_product;
use crate::trunk::pool::Buf;
use crate::trunk::stack::Stack;

/// `λ ∘ (x + b)`.
#[derive(Debug)]
pub(in crate::trunk) struct Scale {
    /// Name of the factors, whole.
    pub(in crate::trunk) name: String,
    /// Name of the bias, whole.
    pub(in crate::trunk) bias: String,
    pub(in crate::trunk) width: usize,
}

impl Layer for Scale {
    fn name(&self) -> &'static str {
        "scale"
    }

    fn tensors(&self) -> Vec<TensorShape> {
        let factors = TensorShape::vector(&self.name, self.width, Start::One);
        vec![TensorShape::vector(&self.bias, self.width, Start::Zero), factors]
    }

    fn width(&self) -> usize {
        self.width
    }

    fn reads_input(&self) -> bool {
        true
    }

    fn forward(
        &self,
        at: &Place<'_>,
        weights: Weights<'_>,
        input: Rows<'_>,
        _: Option<&[f32]>,
        _: bool,
    ) -> (Kept, Buf) {
        let ((bias, factors), mut x) = (weights.values.split_at(self.width), input.into_buf(at.pool));
        each_row(
            at.threads,
            &mut x,
            self.width,
            #[inline(always)]
            |_, row| row.iter_mut().zip(bias).zip(factors).for_each(|((x, b), f)| *x = (*x + b) * f),
        );
        (Vec::new(), x)
    }

    fn vjp(&self, at: &Place<'_>, weights: Weights<'_>, given: Back<'_>) -> Below {
        let (d, stack, mut g) = (self.width, given.stack, given.g);
        let (bias, factors) = weights.values.split_at(d);
        let mut sums = at.pool.zeros(stack.chunks.len() * 2 * d);
        let chunks = stack.cut(&mut g, d).into_par_iter().zip(&stack.chunks).zip(sums.par_chunks_mut(2 * d));
        chunks.for_each(|((g, chunk), sums)| {
            let (of_bias, of_factors) = sums.split_at_mut(d);
            for (g, &row) in g.chunks_exact_mut(d).zip(&stack.rows[chunk.clone()]) {
                add_product(of_factors, g, &given.input[row as usize * d..][..d]);
                add_product(of_factors, g, bias);
                add_product(of_bias, g, factors);
                g.iter_mut().zip(factors).for_each(|(g, f)| *g *= f);
            }
        });
        for (group, grad) in stack.groups.iter().zip(given.grads) {
            Stack::reduce(group, &sums, 2 * d, 0, grad);
        }
        Below::of(g, given.onto)
    }

    fn plain(&self, _: &Plain<'_>, tensors: &[Tensor], input: &Tensor, _: Option<&Tensor>) -> Result<Tensor> {
        Ok(input.broadcast_add(&tensors[0])?.broadcast_mul(&tensors[1])?)
    }
}
