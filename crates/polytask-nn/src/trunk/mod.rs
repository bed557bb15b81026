//! The trunk: one forward, many task gradients.
//!
//! A trunk maps packed token rows to states `[rows, d_hidden]` and keeps what its backward needs. [`Trunk::vjp`]
//! then takes any number of cotangents, each naming the task it belongs to and the sequences it touches, and
//! feeds a [`GradSink`] block by block, top block first. The sink decides what the sweep becomes:
//!
//! | sink | result | memory |
//! | --- | --- | --- |
//! | [`sinks::Sum`] | weighted sum of task gradients (the plain step) | parameters |
//! | [`sinks::GramianSink`] | inner products `[tasks, tasks]` | largest block × tasks |
//! | [`sinks::RowsSink`] | the Jacobian `[tasks, parameters]` | parameters × tasks |
//!
//! Tasks with disjoint sequences cost about one backward in all. Two implementations: packed kernels
//! (`packed`: CPU, hand-written backward) and composed tensor operations (`composed`: the reference, in f64 for
//! finite differences). Tests hold one against the other.

pub(crate) mod activation;
pub mod adapters;
pub(crate) mod check;
mod composed;
mod dropout;
mod elementwise;
pub mod families;
pub(crate) mod fronts;
pub mod graph;
pub(crate) mod kernels;
mod layers;
pub mod net;
mod packed;
mod panels;
mod pieces;
mod pool;
pub mod products;
pub(crate) mod shape_error;
pub mod simd;
pub mod sinks;
pub(crate) mod stack;

pub use activation::Activation;
pub use adapters::LoraSpec;
pub use composed::Composed;
pub use families::bert::BertConfig;
pub use graph::Graph;
pub use net::{ImageConfig, NetConfig, NetTrunk, TableConfig};
pub use packed::{Decoding, LayerTime, Packed, bare_product};
pub use pieces::InPieces;

use std::sync::Arc;

use polytask_core::{Layout, PackedBatch};

use crate::Result;
use crate::params::{Block, Params, Real};

/// How a forward pass is meant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mode {
    /// Share of values dropped in the trainable part; 0 when not training.
    pub dropout: f64,
    /// Run seed; with `step` it keys the masks, so a repeated pass drops the same values.
    pub seed: u64,
    /// Optimiser step.
    pub step: u64,
    /// Whether [`Trunk::vjp`] will be called: without, nothing is saved.
    pub save: bool,
    /// Blocks below this index are frozen: they run without dropout and save nothing.
    pub lowest: usize,
    /// Whether only each layer's input is saved and the rest computed again in the backward: the same gradients
    /// from a fraction of the memory, for about a third more time.
    pub recompute: bool,
    /// Whether this is a pass of training: batch norms then use the moments of the batch.
    pub train: bool,
    /// Blocks whose batch norms keep to their running statistics all the same: those frozen above a trained one.
    pub still: Blocks,
}

impl Mode {
    /// Inference: no dropout, nothing saved.
    pub const EVAL: Self = Self {
        dropout: 0.0,
        seed: 0,
        step: 0,
        save: false,
        lowest: 0,
        recompute: false,
        train: false,
        still: Blocks(0),
    };
}

/// Some of the lowest [`Blocks::MOST`] blocks of a trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Blocks(u64);

impl Blocks {
    /// More blocks than any network with batch norms has.
    pub const MOST: usize = u64::BITS as usize;

    /// Those that are not trained.
    pub fn frozen(trainable: &[bool]) -> Self {
        let low = trainable.iter().enumerate().take(Self::MOST);
        Self(low.filter(|(_, trained)| !**trained).map(|(block, _)| 1 << block).sum())
    }

    /// Those that a condition holds for.
    pub fn from_fn(is_one: impl Fn(usize) -> bool) -> Self {
        Self((0..Self::MOST).filter(|block| is_one(*block)).map(|block| 1 << block).sum())
    }

    /// Whether a block is among them.
    pub fn contains(self, block: usize) -> bool {
        block < Self::MOST && self.0 >> block & 1 == 1
    }
}

/// States of packed rows: `[rows, d_hidden]`, row-major.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct States<T = f32> {
    /// The values.
    pub values: Vec<T>,
    /// Values per row.
    pub width: usize,
}

impl<T> States<T> {
    /// One row.
    pub fn row(&self, i: usize) -> &[T] {
        &self.values[i * self.width..(i + 1) * self.width]
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.values.len().checked_div(self.width).unwrap_or(0)
    }
}

/// What a forward kept for its backward; opaque, and only good for the trunk and parameters that made it.
pub type SavedForward = Box<dyn std::any::Any + Send + Sync>;

/// Weights arranged for many passes; opaque, and only good for the trunk and parameters that made it.
pub type LaidOut = Box<dyn std::any::Any + Send + Sync>;

/// dL/dz of one task at the trunk's output, on the sequences it touches; sequences and rows are those of the
/// trunk's [layout](Trunk::layout).
#[derive(Debug, Clone, PartialEq)]
pub struct Cotangent<T = f32> {
    /// Index of the task (row of the Gramian or Jacobian).
    pub task: usize,
    /// Sequences of the layout it touches, ascending, each once.
    pub sequences: Vec<u32>,
    /// Values for the rows of those sequences laid end to end, `[rows of sequences, d_hidden]`; shared by clones.
    pub values: Arc<Vec<T>>,
    /// Lowest block that gets this task's gradient: the sweep stops above everything lower.
    pub lowest: usize,
}

/// The gradient of one block for one task.
#[derive(Debug, Clone, Copy)]
pub enum BlockGrad<'a, T = f32> {
    /// One value per parameter of the block.
    Dense(&'a [T]),
    /// A look-up table of which few rows were touched: `values[i]` belongs to row `rows[i]`; rows ascend.
    Sparse {
        /// Touched rows of the table.
        rows: &'a [u32],
        /// Values per row.
        width: usize,
        /// `[rows, width]`.
        values: &'a [T],
    },
    /// Consecutive parameters of the block; the others come in other calls.
    Part {
        /// The first of them.
        first: usize,
        /// One value each.
        values: &'a [T],
    },
}

/// A block's gradient and the task it belongs to.
#[derive(Debug, Clone, Copy)]
pub struct TaskGrad<'a, T = f32> {
    /// Index of the task, as in its [`Cotangent`].
    pub task: usize,
    /// The gradient; the slice is only valid during the call.
    pub grad: BlockGrad<'a, T>,
}

/// Receives gradients block by block.
pub trait GradSink<T = f32>: Send {
    /// Takes the gradients of all tasks that reach `block`, in ascending order of task; each block comes once, or once
    /// in each of its parts.
    fn block(&mut self, block: usize, grads: &[TaskGrad<'_, T>]) -> Result<()>;
}

/// A shared network over packed rows.
pub trait Trunk<T: Real = f32>: Send + Sync {
    /// Values per state.
    fn d_hidden(&self) -> usize;

    /// Longest sequence it can read, in tokens.
    fn max_positions(&self) -> usize;

    /// Size of the vocabulary: token ids lie below it.
    fn vocab_size(&self) -> usize;

    /// Number of parameter blocks; block order is that of [`Params::blocks`], lowest first.
    fn n_blocks(&self) -> usize;

    /// Versions of its states that each sequence has: one, or one per task where the tasks share only a part of
    /// the network.
    fn n_views(&self) -> usize {
        1
    }

    /// Symbols per pass that keeps nothing: enough to keep all threads busy, little enough for the memory.
    fn symbols_per_pass(&self) -> usize {
        8192
    }

    /// Whether, in passes of training, the states of a sequence depend on the other sequences of its batch.
    fn is_coupled(&self) -> bool {
        false
    }

    /// States of each sequence, where all have the same number whatever their length.
    fn rows_per_sequence(&self) -> Option<usize> {
        None
    }

    /// Where the states of a batch lie. With several views the layout has `n_views × n_sequences` sequences: view
    /// `v` of sequence `s` is number `v × n_sequences + s`.
    fn layout(&self, batch: &PackedBatch) -> Layout {
        batch.layout()
    }

    /// States of all rows, and what the backward needs when `mode.save`.
    ///
    /// # Shapes
    /// `batch`: `[rows]` ids → states `[rows of the layout, d_hidden]`.
    fn forward(
        &self,
        params: &Params<T>,
        batch: &PackedBatch,
        mode: Mode,
    ) -> Result<(States<T>, SavedForward)>;

    /// Arranges weights that will not change for passes that keep nothing.
    fn lay_out(&self, _params: &Params<T>) -> Result<LaidOut> {
        Ok(Box::new(()))
    }

    /// States of all rows with arranged weights: what [`Trunk::forward`] gives with [`Mode::EVAL`].
    fn infer(&self, params: &Params<T>, _laid_out: &LaidOut, batch: &PackedBatch) -> Result<States<T>> {
        Ok(self.forward(params, batch, Mode::EVAL)?.0)
    }

    /// Where the states that [`Trunk::forward_below`] gives lie, and their width.
    fn layout_below(&self, batch: &PackedBatch, _lowest: usize) -> (Layout, usize) {
        (batch.layout(), self.d_hidden())
    }

    /// States after the frozen blocks below `lowest`, to be cached and fed to [`Trunk::forward_from`].
    fn forward_below(&self, params: &Params<T>, batch: &PackedBatch, lowest: usize) -> Result<States<T>>;

    /// As [`Trunk::forward`] from the states [`Trunk::forward_below`] gave for `mode.lowest`; the same to rounding.
    fn forward_from(
        &self,
        params: &Params<T>,
        batch: &PackedBatch,
        below: &States<T>,
        mode: Mode,
    ) -> Result<(States<T>, SavedForward)>;

    /// As [`Trunk::forward`], or with `below` as [`Trunk::forward_from`], where only some sequences of each view are
    /// wanted (`[views]`, ascending): the states of others may be anything, and cotangents there are left out.
    fn forward_for(
        &self,
        params: &Params<T>,
        batch: &PackedBatch,
        below: Option<&States<T>>,
        mode: Mode,
        _wanted: &[Vec<u32>],
    ) -> Result<(States<T>, SavedForward)> {
        match below {
            Some(below) => self.forward_from(params, batch, below, mode),
            None => self.forward(params, batch, mode),
        }
    }

    /// Sends cotangents back and feeds `sink` from the top block to the lowest any cotangent asks for.
    fn vjp(
        &self,
        params: &Params<T>,
        saved: &SavedForward,
        cotangents: &[Cotangent<T>],
        sink: &mut dyn GradSink<T>,
    ) -> Result<()>;

    /// Moves the network's running statistics, if it has any, towards those of a training pass. A pass itself never
    /// does: only the loop knows which one is the step's own, at undisplaced weights. Frozen blocks keep theirs.
    fn update_statistics(&self, _params: &mut Params<T>, _saved: &SavedForward) {}

    /// Whether the trunk can run some of its blocks: [`Trunk::through`] and its backward. One with running statistics
    /// cannot: nothing of a pass through some blocks reaches [`Trunk::update_statistics`].
    fn can_be_cut(&self) -> bool {
        false
    }

    /// States above some consecutive blocks: `blocks` stand in for those from `first` on, `below` are the states
    /// under them (none when `first` is 0). Blocks below `mode.lowest` are frozen.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] for a trunk that cannot be cut.
    fn through(
        &self,
        (_first, _blocks): (usize, &[&Block<T>]),
        _batch: &PackedBatch,
        _below: &States<T>,
        _mode: Mode,
    ) -> Result<(States<T>, SavedForward)> {
        shape_error::shape("sharing", "a trunk that cannot be cut", "`sharing = \"hard\"` for this encoder")
    }

    /// The backward of [`Trunk::through`]; with `below`, also the cotangents at the states under the blocks, of
    /// those that reach so far, in ascending order of task.
    fn vjp_through(
        &self,
        (_first, _blocks): (usize, &[&Block<T>]),
        _saved: &SavedForward,
        _cotangents: &[Cotangent<T>],
        _sink: &mut dyn GradSink<T>,
        _below: bool,
    ) -> Result<Vec<Cotangent<T>>> {
        shape_error::shape("sharing", "a trunk that cannot be cut", "`sharing = \"hard\"` for this encoder")
    }

    /// The only view whose states depend on a block, when there are several views; such a block is its task's own.
    fn owner(&self, _block: usize) -> Option<usize> {
        None
    }

    /// Whether a block's weights are new (a gate, a mask) rather than those of the encoder.
    fn is_fresh(&self, _block: usize) -> bool {
        false
    }

    /// What the trunk itself wants, whatever the losses: the value of its regulariser on the sequences of each view
    /// in `touched`, and its gradient to `sink`, numbered as one task.
    fn penalty(
        &self,
        _params: &Params<T>,
        _saved: &SavedForward,
        _touched: &[(usize, Vec<u32>)],
        _sink: &mut dyn GradSink<T>,
    ) -> Result<f64> {
        Ok(0.0)
    }
}

#[cfg(test)]
mod tests;
