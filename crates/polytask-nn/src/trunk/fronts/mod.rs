//! Fronts: what makes a network's first rows of an input's symbols. One file each; a front is a network's lowest block.

mod patches;
mod words;

use std::fmt::Debug;

use candle_core::Tensor;
use polytask_core::PackedBatch;

pub(in crate::trunk) use patches::Patches;
pub(crate) use patches::Pixels;
pub(in crate::trunk) use words::{Words, stack_values};

use super::GradSink;
use super::kernels::Threads;
use super::layers::TensorShape;
use super::pool::Pool;
use super::stack::Stack;
use crate::Result;

/// What a front reads in a packed pass.
#[derive(Debug, Clone, Copy)]
pub(in crate::trunk) struct FrontPass<'a> {
    /// Its parameters.
    pub(in crate::trunk) values: &'a [f32],
    /// The inputs, as symbols.
    pub(in crate::trunk) symbols: &'a PackedBatch,
    pub(in crate::trunk) pool: &'a Pool,
    pub(in crate::trunk) threads: Threads,
}

/// Gradients at the rows of some tasks.
#[derive(Debug, Clone, Copy)]
pub(in crate::trunk) struct FrontShare<'a> {
    /// Whose rows they are.
    pub(in crate::trunk) stack: &'a Stack,
    /// `[stacked rows, width]`.
    pub(in crate::trunk) g: &'a [f32],
}

/// From the symbols of inputs to rows.
pub(in crate::trunk) trait Front: Debug + Send + Sync {
    /// Name of its block.
    fn name(&self) -> &'static str;

    /// Its tensors, in the order they lie in its block.
    fn tensors(&self) -> Vec<TensorShape>;

    /// Values per row.
    fn width(&self) -> usize;

    /// Number of different symbols: all lie below it.
    fn vocab_size(&self) -> usize;

    /// What every input has, where all have the same; else an input has a row per symbol.
    fn even(&self) -> Option<Even> {
        None
    }

    /// Whether its only tensor is a table of which an input touches few rows.
    fn is_table(&self) -> bool {
        false
    }

    /// Writes the rows of all inputs, `[rows, width]`.
    fn forward(&self, pass: FrontPass<'_>, out: &mut [f32]);

    /// Gives the sink the gradients of its block, which has number `block`.
    ///
    /// # Errors
    /// The sink's.
    fn backward(
        &self,
        pass: FrontPass<'_>,
        shares: &[FrontShare<'_>],
        block: usize,
        sink: &mut dyn GradSink<f32>,
    ) -> Result<()>;

    /// The same rows in differentiable operations.
    ///
    /// # Errors
    /// The tensor engine's.
    fn plain(&self, tensors: &[Tensor], symbols: &PackedBatch) -> Result<Tensor>;
}

/// The sizes of inputs that are all alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::trunk) struct Even {
    /// Symbols of an input.
    pub(in crate::trunk) symbols: usize,
    /// Rows made of them.
    pub(in crate::trunk) rows: usize,
}
