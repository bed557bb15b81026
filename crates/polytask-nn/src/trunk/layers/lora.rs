//! LoRA (Hu et al. 2021, <https://arxiv.org/abs/2106.09685>): a matrix stays as it is, and a product of two narrow ones
//! is added to it: `W x + (alpha / rank) · B A x`, where A starts random and B zero.
//!
//! Only A and B get gradients; the dense gradient of W is never formed.

use candle_core::Tensor;
use rayon::prelude::*;

use super::matrix::Matrix;
use super::{Place, Plain, Start, TensorShape, mask};
use crate::Result;
use crate::trunk::Mode;
use crate::trunk::dropout::Dropout;
use crate::trunk::kernels::{Mat, MatMut, Threads, matmul};
use crate::trunk::pool::Buf;
use crate::trunk::stack::{CHUNK, Stack};

/// The adapter of a layer's matrix.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::trunk) struct Lora {
    pub(in crate::trunk) rank: usize,
    /// What the added product is multiplied by.
    pub(in crate::trunk) scale: f32,
    /// Share of the input's values that the added product does not see in training.
    pub(in crate::trunk) dropout: f64,
    /// Whether each part of the matrix has one.
    pub(in crate::trunk) targets: Vec<bool>,
    /// The layer's number in its block: keys its masks.
    pub(in crate::trunk) node: u64,
}

/// A part's place in the added product.
struct Target {
    /// Which of the narrow products.
    number: usize,
    /// Where its B begins.
    start: usize,
    /// Its columns in the whole product.
    columns: std::ops::Range<usize>,
}

impl Lora {
    /// The tensors: A of all targets, `[rank, d_in]` each, then B, `[width, rank]`.
    pub(in crate::trunk) fn tensors(&self, matrix: &Matrix) -> Vec<TensorShape> {
        let parts = || matrix.parts.iter().zip(&self.targets).filter(|(_, is_target)| **is_target);
        let a = parts().map(|((name, _), _)| {
            let a = TensorShape::matrix(&format!("{name}.lora_A.weight"), self.rank, matrix.d_in);
            TensorShape { start: Start::Kaiming, ..a }
        });
        let b = parts().map(|((name, width), _)| {
            let b = TensorShape::matrix(&format!("{name}.lora_B.weight"), *width, self.rank);
            TensorShape { start: Start::Zero, ..b }
        });
        a.chain(b).collect()
    }

    fn n_targets(&self) -> usize {
        self.targets.iter().filter(|is_target| **is_target).count()
    }

    /// Width of all narrow products side by side.
    fn width(&self) -> usize {
        self.rank * self.n_targets()
    }

    fn targets(&self, matrix: &Matrix) -> Vec<Target> {
        let mut start = self.width() * matrix.d_in;
        let parts = matrix.columns().zip(&self.targets).filter(|(_, is_target)| **is_target);
        let place = |(number, (columns, _)): (usize, (std::ops::Range<usize>, _))| {
            let target = Target { number, start, columns };
            start += target.columns.len() * self.rank;
            target
        };
        parts.enumerate().map(place).collect()
    }

    /// A of all targets, `[width, d_in]`.
    fn a<'a>(&self, matrix: &Matrix, values: &'a [f32]) -> Mat<'a> {
        Mat::new(&values[..self.width() * matrix.d_in], self.width(), matrix.d_in)
    }

    /// Narrow rows `x · Aᵀ`, `[rows, width]`.
    fn narrow(&self, at: &Place<'_>, matrix: &Matrix, values: &[f32], x: &[f32], threads: Threads) -> Buf {
        let rows = x.len() / matrix.d_in;
        let mut low = at.pool.take(rows * self.width());
        let x = Mat::new(x, rows, matrix.d_in);
        let out = MatMut::new(&mut low, rows, self.width());
        matmul(out, false, x, self.a(matrix, values).t(), 1.0, threads);
        low
    }

    fn drop(&self, mode: &Mode, block: usize) -> Option<Dropout> {
        Dropout::of_adapter(mode, block, self.node, self.dropout)
    }

    /// The input as the added product sees it; `None` where it is the input itself. `row` gives the number of each
    /// row in the batch.
    fn dropped(&self, at: &Place<'_>, d: usize, x: &[f32], row: impl Fn(usize) -> u64 + Sync) -> Option<Buf> {
        let drop = self.drop(at.mode, at.block)?;
        let mut copy = at.pool.take(x.len());
        copy.par_chunks_mut(d).zip(x.par_chunks(d)).enumerate().with_min_len(CHUNK).for_each(
            |(i, (to, from))| {
                to.copy_from_slice(from);
                drop.apply(row(i), to);
            },
        );
        Some(copy)
    }

    /// Adds the product to `out`, `[rows, d_out]`.
    pub(super) fn add_to(&self, at: &Place<'_>, matrix: &Matrix, values: &[f32], x: &[f32], out: &mut [f32]) {
        let (rows, d_out) = (x.len() / matrix.d_in, matrix.d_out());
        let dropped = self.dropped(at, matrix.d_in, x, |row| row as u64);
        let low = self.narrow(at, matrix, values, dropped.as_deref().unwrap_or(x), at.threads);
        let low = Mat::new(&low, rows, self.width());
        let mut rest = MatMut::new(out, rows, d_out);
        let mut done = 0;
        for target in self.targets(matrix) {
            let (_, from) = rest.split_cols(target.columns.start - done);
            let (own, right) = from.split_cols(target.columns.len());
            (rest, done) = (right, target.columns.end);
            let b = &values[target.start..target.start + target.columns.len() * self.rank];
            let b = Mat::new(b, target.columns.len(), self.rank);
            let low = low.cols(target.number * self.rank..(target.number + 1) * self.rank);
            matmul(own, true, low, b.t(), self.scale, at.threads);
        }
    }

    /// Gradients of A and B per group, and what the product adds to the gradient at the input.
    pub(super) fn backward(
        &self,
        at: &Place<'_>,
        matrix: &Matrix,
        values: &[f32],
        (stack, g, x): (&Stack, &[f32], &[f32]),
        grads: &mut [Buf],
        below: Option<&mut [f32]>,
    ) {
        let (d_in, n, targets) = (matrix.d_in, stack.n_rows(), self.targets(matrix));
        let saved_row = |row: usize| u64::from(stack.rows[row]);
        let dropped = self.dropped(at, d_in, x, saved_row);
        let x = dropped.as_deref().unwrap_or(x);
        let low = self.narrow(at, matrix, values, x, Threads::All);
        let (low, x, g) =
            (Mat::new(&low, n, self.width()), Mat::new(x, n, d_in), Mat::new(g, n, matrix.d_out()));
        let mut d_low = at.pool.take(n * self.width());
        let mut rest = MatMut::new(&mut d_low, n, self.width());
        for target in &targets {
            let (own, right) = rest.split_cols(self.rank);
            rest = right;
            let b = &values[target.start..target.start + target.columns.len() * self.rank];
            let b = Mat::new(b, target.columns.len(), self.rank);
            matmul(own, false, g.cols(target.columns.clone()), b, self.scale, Threads::All);
        }
        let d_low = Mat::new(&d_low, n, self.width());
        for (group, grad) in stack.groups.iter().zip(grads) {
            let (rows, (a, b)) = (group.rows.clone(), grad.split_at_mut(self.width() * d_in));
            let a = MatMut::new(a, self.width(), d_in);
            matmul(a, false, d_low.rows(rows.clone()).t(), x.rows(rows.clone()), 1.0, Threads::All);
            for target in &targets {
                let first = target.start - self.width() * d_in;
                let width = target.columns.len();
                let b = MatMut::new(&mut b[first..first + width * self.rank], width, self.rank);
                let low = low.cols(target.number * self.rank..(target.number + 1) * self.rank);
                let g = g.cols(target.columns.clone());
                matmul(b, false, g.rows(rows.clone()).t(), low.rows(rows.clone()), self.scale, Threads::All);
            }
        }
        let Some(below) = below else { return };
        let Some(drop) = self.drop(at.mode, at.block) else {
            matmul(MatMut::new(below, n, d_in), true, d_low, self.a(matrix, values), 1.0, Threads::All);
            return;
        };
        let mut d_x = at.pool.take(n * d_in);
        matmul(MatMut::new(&mut d_x, n, d_in), false, d_low, self.a(matrix, values), 1.0, Threads::All);
        let rows = below.par_chunks_mut(d_in).zip(d_x.par_chunks_mut(d_in)).enumerate();
        rows.with_min_len(CHUNK).for_each(|(row, (below, d_x))| {
            drop.apply(saved_row(row), d_x);
            below.iter_mut().zip(d_x).for_each(|(below, d_x)| *below += *d_x);
        });
    }

    /// The matrix with the product added to it, in place.
    pub(in crate::trunk) fn merge(&self, matrix: &Matrix, values: &[f32], weight: &mut [f32]) {
        let mut rest = MatMut::new(weight, matrix.d_out(), matrix.d_in);
        let (a, mut done) = (self.a(matrix, values), 0);
        for target in self.targets(matrix) {
            let (_, from) = rest.split_rows(target.columns.start - done);
            let (own, below) = from.split_rows(target.columns.len());
            (rest, done) = (below, target.columns.end);
            let b = &values[target.start..target.start + target.columns.len() * self.rank];
            let b = Mat::new(b, target.columns.len(), self.rank);
            let a = a.rows(target.number * self.rank..(target.number + 1) * self.rank);
            matmul(own, true, b, a, self.scale, Threads::All);
        }
    }
}

/// `out` with the product added, for part `i` of a matrix, in differentiable operations.
pub(super) fn plain(
    lora: &Lora,
    at: &Plain<'_>,
    (i, tensors): (usize, &[Tensor]),
    x: &Tensor,
    out: &Tensor,
) -> Result<Tensor> {
    if !lora.targets[i] {
        return Ok(out.clone());
    }
    let number = lora.targets[..i].iter().filter(|is_target| **is_target).count();
    let (a, b) = (&tensors[number], &tensors[lora.n_targets() + number]);
    let x = match lora.drop(at.mode, at.block) {
        Some(drop) => (x * mask(&drop, 0..x.dim(0)? as u64, x.dim(1)?, x)?)?,
        None => x.clone(),
    };
    Ok((out + (x.matmul(&a.t()?)?.matmul(&b.t()?)? * f64::from(lora.scale))?)?)
}
