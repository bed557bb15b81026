//! Layers: the parts that networks on packed rows are composed of. One file each.
//!
//! A layer has named parameters, a packed forward that keeps what its backward needs, the backward (the
//! vector-Jacobian product, for the rows of several tasks at once), and the same function written plainly in the
//! tensor engine's differentiable operations. Tests hold one form against the other for every layer.

mod attention;
mod bias;
mod feed_forward;
mod grid;
mod head_norm;
mod linear;
mod lora;
mod matrix;
mod norm;
mod positions;
mod product;
mod relative;
mod residual;
mod rotary;
mod rows;
mod scale;

use std::fmt::Debug;
use std::ops::Deref;

use candle_core::Tensor;
use polytask_core::PackedBatch;

pub(in crate::trunk) use attention::Attention;
pub(in crate::trunk) use bias::Bias;
pub(in crate::trunk) use feed_forward::FeedForward;
pub(in crate::trunk) use grid::{GridPositions, Interpolation};
pub(in crate::trunk) use head_norm::HeadNorm;
pub(in crate::trunk) use linear::Linear;
pub(in crate::trunk) use lora::Lora;
pub(in crate::trunk) use matrix::Matrix;
pub(in crate::trunk) use norm::{Norm, NormSpec};
pub(in crate::trunk) use positions::Positions;
pub(in crate::trunk) use product::Weights;
pub(in crate::trunk) use relative::{Buckets, Relative, RelativeTable};
pub(in crate::trunk) use residual::Residual;
pub(in crate::trunk) use rotary::{Rotary, RotaryTable};
pub(in crate::trunk) use scale::Scale;

use super::Mode;
use super::dropout::{Dropout, Site};
use super::kernels::Threads;
use super::pool::{Buf, Pool};
use super::stack::Stack;
use crate::Result;

/// How a fresh tensor starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::trunk) enum Start {
    /// Drawn from N(0, 0.02²).
    Normal,
    /// Drawn evenly from ±1/√n of n inputs, as PyTorch's linear maps start (He et al. 2015).
    Kaiming,
    /// All ones.
    One,
    /// All zeros.
    Zero,
}

/// A tensor of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::trunk) struct TensorShape {
    /// Its name in the published weights file.
    pub name: String,
    /// Its shape, row-major.
    pub shape: Vec<usize>,
    /// How it starts.
    pub start: Start,
}

impl TensorShape {
    /// A matrix `[d_out, d_in]`.
    pub(in crate::trunk) fn matrix(name: &str, d_out: usize, d_in: usize) -> Self {
        Self { name: name.into(), shape: vec![d_out, d_in], start: Start::Normal }
    }

    /// A vector.
    pub(in crate::trunk) fn vector(name: &str, n: usize, start: Start) -> Self {
        Self { name: name.into(), shape: vec![n], start }
    }

    /// Number of values.
    pub(in crate::trunk) fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

/// What surrounds a layer in a packed pass.
#[derive(Debug, Clone, Copy)]
pub(in crate::trunk) struct Place<'a> {
    /// The inputs, which the front reads.
    pub(in crate::trunk) symbols: &'a PackedBatch,
    /// The rows that the front makes of them.
    pub(in crate::trunk) batch: &'a PackedBatch,
    pub(in crate::trunk) mode: &'a Mode,
    pub(in crate::trunk) pool: &'a Pool,
    /// Index of the layer's block: keys its masks.
    pub(in crate::trunk) block: usize,
    pub(in crate::trunk) threads: Threads,
    /// The table of relative positions that all layers read; empty in networks without one.
    pub(in crate::trunk) relative: &'a [f32],
    /// Rows of the sequence before those of the batch: 0 but where one is read token by token.
    pub(in crate::trunk) past: usize,
}

impl Place<'_> {
    /// Dropout of a site of this block.
    pub(in crate::trunk) fn drop(&self, site: Option<Site>) -> Option<Dropout> {
        Dropout::new(self.mode, self.block, site?)
    }
}

/// Rows that go into a layer: its own where nobody else reads them again.
#[derive(Debug)]
pub(in crate::trunk) enum Rows<'a> {
    Own(Buf),
    Lent(&'a [f32]),
}

impl Deref for Rows<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match self {
            Self::Own(values) => values,
            Self::Lent(values) => values,
        }
    }
}

impl Rows<'_> {
    /// Rows to be changed in place.
    pub(in crate::trunk) fn into_buf(self, pool: &Pool) -> Buf {
        match self {
            Self::Own(values) => values,
            Self::Lent(values) => {
                let mut copy = pool.take(values.len());
                copy.copy_from_slice(values);
                copy
            }
        }
    }
}

/// What a layer keeps for its backward, in an order of its own.
pub(in crate::trunk) type Kept = Vec<Buf>;

/// What the backward of a layer starts from.
pub(in crate::trunk) struct Back<'a> {
    pub(in crate::trunk) kept: &'a [Buf],
    /// The rows that went in, where the layer reads them again ([`Layer::reads_input`]).
    pub(in crate::trunk) input: &'a [f32],
    /// Which saved row each row of `g` belongs to, and for which task.
    pub(in crate::trunk) stack: &'a Stack,
    /// dL/d output, `[stacked rows, width]`.
    pub(in crate::trunk) g: Buf,
    /// What the gradient at the input is added to.
    pub(in crate::trunk) onto: Option<Buf>,
    /// Whether the gradient at the input is wanted.
    pub(in crate::trunk) wanted: bool,
    /// Per group: gradients of the layer's parameters, to be written; none where these are frozen.
    pub(in crate::trunk) grads: &'a mut [Buf],
    /// Per group: gradients of the adapter of its matrix, to be written; none where it has none.
    pub(in crate::trunk) lora: &'a mut [Buf],
    /// Per group: gradients of the table of relative positions, to be added to.
    pub(in crate::trunk) relative: &'a mut [Buf],
}

/// Gradients at what went into a layer.
#[derive(Debug, Default)]
pub(in crate::trunk) struct Below {
    pub(in crate::trunk) input: Option<Buf>,
    pub(in crate::trunk) residual: Option<Buf>,
}

impl Below {
    /// The gradient at the only input: added to what is there already.
    pub(in crate::trunk) fn of(g: Buf, onto: Option<Buf>) -> Self {
        Self { input: Some(sum(g, onto)), residual: None }
    }
}

/// `g` plus what it is added to.
pub(in crate::trunk) fn sum(mut g: Buf, onto: Option<Buf>) -> Buf {
    if let Some(onto) = onto {
        g.iter_mut().zip(onto.iter()).for_each(|(g, other)| *g += other);
    }
    g
}

/// What surrounds a layer in the reference.
pub(in crate::trunk) struct Plain<'a> {
    pub(in crate::trunk) batch: &'a PackedBatch,
    pub(in crate::trunk) mode: &'a Mode,
    pub(in crate::trunk) block: usize,
    /// The table of relative positions, where the network has one.
    pub(in crate::trunk) relative: Option<&'a Tensor>,
    /// The adapter of the layer's matrix and its tensors, where it has one.
    pub(in crate::trunk) lora: Option<(&'a Lora, &'a [Tensor])>,
}

impl Plain<'_> {
    /// Dropout of a site on rows.
    pub(in crate::trunk) fn dropped(&self, site: Option<Site>, x: &Tensor) -> Result<Tensor> {
        match site.and_then(|site| Dropout::new(self.mode, self.block, site)) {
            Some(drop) => {
                let (rows, width) = x.dims2()?;
                Ok((x * mask(&drop, 0..rows as u64, width, x)?)?)
            }
            None => Ok(x.clone()),
        }
    }
}

/// The factors of some rows, `[rows, width]`, in the precision of `like`.
pub(in crate::trunk) fn mask(
    drop: &Dropout,
    rows: impl Iterator<Item = u64>,
    width: usize,
    like: &Tensor,
) -> Result<Tensor> {
    let values: Vec<f64> = rows.flat_map(|row| drop.factors(row, width)).map(f64::from).collect();
    let n = values.len() / width;
    Ok(Tensor::from_vec(values, (n, width), like.device())?.to_dtype(like.dtype())?)
}

/// A layer of a network on packed rows.
pub(in crate::trunk) trait Layer: Debug + Send + Sync {
    /// What it is.
    fn name(&self) -> &'static str;

    /// What it is, with the last names of its matrices: the same for the same layer of every block.
    fn label(&self) -> String {
        let Some((matrix, _)) = self.matrix() else { return self.name().to_owned() };
        let last = |(name, _): &(String, usize)| name.rsplit('.').next().unwrap_or_default().to_owned();
        let names: Vec<String> = matrix.parts.iter().map(last).collect();
        format!("{} {}", self.name(), names.join("+"))
    }

    /// Its tensors, in the order they lie in its block.
    fn tensors(&self) -> Vec<TensorShape>;

    /// Values per row of its output.
    fn width(&self) -> usize;

    /// Whether its backward reads the rows that went in.
    fn reads_input(&self) -> bool {
        false
    }

    /// Its matrix, and where that begins among its parameters.
    fn matrix(&self) -> Option<(&Matrix, usize)> {
        None
    }

    /// The layer itself, where it is the end of a half layer.
    fn as_residual(&self) -> Option<&Residual> {
        None
    }

    /// The table of relative positions, in the layer that holds it.
    fn is_relative_table(&self) -> bool {
        false
    }

    /// Rows `[rows, width]` from rows, with `residual` rows added where the layer adds some; and with `keep` what the
    /// backward needs.
    fn forward(
        &self,
        at: &Place<'_>,
        weights: Weights<'_>,
        input: Rows<'_>,
        residual: Option<&[f32]>,
        keep: bool,
    ) -> (Kept, Buf);

    /// Whether a row depends on rows after it.
    fn sees_ahead(&self) -> bool {
        false
    }

    /// The next rows of one sequence, whose earlier ones `past` remembers as the layer needs them; most need none.
    fn next(
        &self,
        at: &Place<'_>,
        _past: &mut Vec<f32>,
        weights: Weights<'_>,
        input: Rows<'_>,
        residual: Option<&[f32]>,
    ) -> Buf {
        self.forward(at, weights, input, residual, false).1
    }

    /// From the gradient at the output to those at what went in; writes those of the parameters.
    fn vjp(&self, at: &Place<'_>, weights: Weights<'_>, back: Back<'_>) -> Below;

    /// The same function of the same tensors in differentiable operations.
    ///
    /// # Errors
    /// The tensor engine's.
    fn plain(
        &self,
        at: &Plain<'_>,
        tensors: &[Tensor],
        input: &Tensor,
        residual: Option<&Tensor>,
    ) -> Result<Tensor>;
}
