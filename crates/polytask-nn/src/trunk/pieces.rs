//! A trunk that takes a batch in pieces: losses see the whole batch, memory holds the activations of one piece (gradient
//! caching; Gao et al. 2021, <https://arxiv.org/abs/2101.06983>).
//!
//! The forward runs every piece and keeps nothing but states. The backward runs each piece again, keeps its activations
//! and sends its share of the cotangents down; what all pieces say of a block is added up before the sink gets it. Without
//! dropout gradients are those of the whole batch to rounding; masks are drawn piece by piece.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use polytask_core::rng::{self, Purpose};
use polytask_core::{Layout, PackedBatch};

use super::shape_error::shape;
use super::{BlockGrad, Cotangent, GradSink, LaidOut, Mode, SavedForward, States, TaskGrad, Trunk};
use crate::Result;
use crate::params::Params;

/// A trunk whose training passes go in pieces.
pub struct InPieces {
    inner: Arc<dyn Trunk>,
    /// Tokens of a piece, unless one text is longer.
    tokens: usize,
}

/// What a pass in pieces keeps.
struct PiecesSaved {
    batch: PackedBatch,
    /// States below the first block of the pass, where it did not start at the bottom.
    below: Option<States>,
    mode: Mode,
}

impl InPieces {
    /// A trunk in pieces of at most `tokens`.
    ///
    /// # Errors
    /// One whose inputs depend on each other in training, or whose tasks have states of their own.
    pub fn new(inner: Arc<dyn Trunk>, tokens: usize) -> Result<Self> {
        if inner.is_coupled() || inner.n_views() > 1 {
            let found = "a network with batch norms or with states per task";
            return shape("micro_tokens", found, "an encoder that reads each input by itself");
        }
        Ok(Self { inner, tokens })
    }

    /// Sequences of each piece.
    fn pieces(&self, batch: &PackedBatch) -> Vec<Range<usize>> {
        let mut pieces = Vec::new();
        let mut from = 0;
        while from < batch.n_sequences() {
            let first = batch.starts[from] as usize;
            let fits = |s: usize| s == from || batch.starts[s + 1] as usize - first <= self.tokens;
            let n = (from..batch.n_sequences()).take_while(|&s| fits(s)).count();
            pieces.push(from..from + n);
            from += n;
        }
        pieces
    }

    /// A pass of one piece.
    fn piece(
        &self,
        params: &Params,
        saved: &PiecesSaved,
        (number, sequences): (usize, &Range<usize>),
        save: bool,
    ) -> Result<(States, SavedForward)> {
        let PiecesSaved { batch, below, mode } = saved;
        let own = PackedBatch::pack(sequences.clone().map(|s| &batch.ids[batch.rows(s)]));
        let seed = rng::key(mode.seed, Purpose::Dropout, &[number as u64]);
        let mode = Mode { seed, save, ..*mode };
        let Some(below) = below else { return self.inner.forward(params, &own, mode) };
        let (layout, width) = self.inner.layout_below(batch, mode.lowest);
        let rows = layout.starts[sequences.start] as usize..layout.starts[sequences.end] as usize;
        let values = below.values.get(rows.start * width..rows.end * width).unwrap_or_default().to_vec();
        self.inner.forward_from(params, &own, &States { values, width }, mode)
    }

    /// A pass in pieces, or as it is where one piece is enough.
    fn pass(
        &self,
        params: &Params,
        batch: &PackedBatch,
        below: Option<&States>,
        mode: Mode,
    ) -> Result<(States, SavedForward)> {
        let pieces = self.pieces(batch);
        if pieces.len() < 2 || !mode.save {
            return match below {
                Some(below) => self.inner.forward_from(params, batch, below, mode),
                None => self.inner.forward(params, batch, mode),
            };
        }
        let saved = PiecesSaved { batch: batch.clone(), below: below.cloned(), mode };
        let mut states = States { values: Vec::new(), width: self.inner.d_hidden() };
        for piece in pieces.iter().enumerate() {
            states.values.extend(self.piece(params, &saved, piece, false)?.0.values);
        }
        Ok((states, Box::new(saved)))
    }

    /// The part of a cotangent that lies in a piece; none where it touches no sequence of it.
    fn part(&self, cotangent: &Cotangent, layout: &Layout, piece: &Range<usize>) -> Option<Cotangent> {
        let width = self.inner.d_hidden();
        let (mut sequences, mut values) = (Vec::new(), Vec::new());
        let mut rest = &cotangent.values[..];
        for &s in &cotangent.sequences {
            let (own, later) = rest.split_at(layout.length(s as usize) * width);
            if piece.contains(&(s as usize)) {
                sequences.push(s - piece.start as u32);
                values.extend_from_slice(own);
            }
            rest = later;
        }
        (!sequences.is_empty()).then(|| Cotangent { sequences, values: values.into(), ..*cotangent })
    }
}

/// Gradients by task.
type ByTask<G> = BTreeMap<usize, G>;

/// Gradients of some rows of a table.
type TableRows = BTreeMap<u32, Vec<f32>>;

/// Gradients of several passes, added up by block and task.
#[derive(Default)]
pub(in crate::trunk) struct Added {
    /// Of all parameters of a block.
    dense: BTreeMap<usize, ByTask<Vec<f32>>>,
    /// Of the rows of a table that are touched.
    sparse: BTreeMap<usize, ByTask<TableRows>>,
    /// Parameters of each block.
    sizes: Vec<usize>,
}

impl Added {
    fn new(params: &Params) -> Self {
        Self::of_sizes(params.blocks.iter().map(|block| block.values.len()).collect())
    }

    /// Of blocks with so many parameters each.
    pub(in crate::trunk) fn of_sizes(sizes: Vec<usize>) -> Self {
        Self { sizes, ..Self::default() }
    }

    /// Gives the sink every block once, top first.
    pub(in crate::trunk) fn send(&self, sink: &mut dyn GradSink<f32>) -> Result<()> {
        for block in (0..self.sizes.len()).rev() {
            if let Some(tasks) = self.dense.get(&block) {
                let pairs = tasks.iter().map(|(&task, values)| (task, BlockGrad::Dense(values)));
                let grads: Vec<TaskGrad<'_>> = pairs.map(|(task, grad)| TaskGrad { task, grad }).collect();
                sink.block(block, &grads)?;
            }
            if let Some(tasks) = self.sparse.get(&block) {
                send_rows(block, tasks, sink)?;
            }
        }
        Ok(())
    }
}

/// Gives the sink the touched rows of a table.
fn send_rows(block: usize, tasks: &ByTask<TableRows>, sink: &mut dyn GradSink<f32>) -> Result<()> {
    let flat = |(task, rows): (&usize, &TableRows)| {
        let width = rows.values().next().map_or(0, Vec::len);
        let numbers: Vec<u32> = rows.keys().copied().collect();
        (*task, numbers, width, rows.values().flatten().copied().collect::<Vec<f32>>())
    };
    let tasks: Vec<(usize, Vec<u32>, usize, Vec<f32>)> = tasks.iter().map(flat).collect();
    let grads: Vec<TaskGrad<'_>> = tasks
        .iter()
        .map(|(task, rows, width, values)| TaskGrad {
            task: *task,
            grad: BlockGrad::Sparse { rows, width: *width, values },
        })
        .collect();
    sink.block(block, &grads)
}

impl GradSink<f32> for Added {
    fn block(&mut self, block: usize, grads: &[TaskGrad<'_>]) -> Result<()> {
        let n = self.sizes[block];
        for &TaskGrad { task, grad } in grads {
            let mut add = |first: usize, values: &[f32]| {
                let sums = self.dense.entry(block).or_default().entry(task).or_insert_with(|| vec![0.0; n]);
                sums[first..first + values.len()].iter_mut().zip(values).for_each(|(sum, v)| *sum += v);
            };
            match grad {
                BlockGrad::Dense(values) => add(0, values),
                BlockGrad::Part { first, values } => add(first, values),
                BlockGrad::Sparse { rows, width, values } => {
                    let sums = self.sparse.entry(block).or_default().entry(task).or_default();
                    for (row, values) in rows.iter().zip(values.chunks_exact(width.max(1))) {
                        let sum = sums.entry(*row).or_insert_with(|| vec![0.0; width]);
                        sum.iter_mut().zip(values).for_each(|(sum, v)| *sum += v);
                    }
                }
            }
        }
        Ok(())
    }
}

impl Trunk<f32> for InPieces {
    fn d_hidden(&self) -> usize {
        self.inner.d_hidden()
    }

    fn max_positions(&self) -> usize {
        self.inner.max_positions()
    }

    fn vocab_size(&self) -> usize {
        self.inner.vocab_size()
    }

    fn n_blocks(&self) -> usize {
        self.inner.n_blocks()
    }

    fn symbols_per_pass(&self) -> usize {
        self.inner.symbols_per_pass()
    }

    fn rows_per_sequence(&self) -> Option<usize> {
        self.inner.rows_per_sequence()
    }

    fn layout(&self, batch: &PackedBatch) -> Layout {
        self.inner.layout(batch)
    }

    fn is_fresh(&self, block: usize) -> bool {
        self.inner.is_fresh(block)
    }

    fn forward(&self, params: &Params, batch: &PackedBatch, mode: Mode) -> Result<(States, SavedForward)> {
        self.pass(params, batch, None, mode)
    }

    fn lay_out(&self, params: &Params) -> Result<LaidOut> {
        self.inner.lay_out(params)
    }

    fn infer(&self, params: &Params, laid_out: &LaidOut, batch: &PackedBatch) -> Result<States> {
        self.inner.infer(params, laid_out, batch)
    }

    fn layout_below(&self, batch: &PackedBatch, lowest: usize) -> (Layout, usize) {
        self.inner.layout_below(batch, lowest)
    }

    fn forward_below(&self, params: &Params, batch: &PackedBatch, lowest: usize) -> Result<States> {
        self.inner.forward_below(params, batch, lowest)
    }

    fn forward_from(
        &self,
        params: &Params,
        batch: &PackedBatch,
        below: &States,
        mode: Mode,
    ) -> Result<(States, SavedForward)> {
        self.pass(params, batch, Some(below), mode)
    }

    fn vjp(
        &self,
        params: &Params,
        saved: &SavedForward,
        cotangents: &[Cotangent],
        sink: &mut dyn GradSink<f32>,
    ) -> Result<()> {
        let Some(whole) = saved.downcast_ref::<PiecesSaved>() else {
            return self.inner.vjp(params, saved, cotangents, sink);
        };
        let layout = self.inner.layout(&whole.batch);
        super::check::cotangents(self.inner.d_hidden(), &layout, cotangents)?;
        let mut added = Added::new(params);
        for piece in self.pieces(&whole.batch).iter().enumerate() {
            let own: Vec<Cotangent> =
                cotangents.iter().filter_map(|cotangent| self.part(cotangent, &layout, piece.1)).collect();
            if own.is_empty() {
                continue;
            }
            let (_, saved) = self.piece(params, whole, piece, true)?;
            self.inner.vjp(params, &saved, &own, &mut added)?;
        }
        added.send(sink)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trunk::sinks::{RowsSink, Sum};
    use crate::trunk::{BertConfig, Packed};

    fn batch() -> PackedBatch {
        PackedBatch::pack([vec![7, 3, 9], vec![4; 5], vec![8, 7], vec![], vec![1, 2, 3, 4, 5, 6]])
    }

    fn cotangents(width: usize) -> Vec<Cotangent> {
        let batch = batch();
        let make = |task: usize, sequences: &[u32], lowest: usize| {
            let n: usize = sequences.iter().map(|&s| batch.length(s as usize)).sum();
            let values: Vec<f32> =
                (0..n * width).map(|i| ((i * 31 + task * 7) % 13) as f32 / 13.0 - 0.4).collect();
            Cotangent { task, sequences: sequences.to_vec(), values: values.into(), lowest }
        };
        vec![make(0, &[0, 1, 4], 0), make(1, &[2, 3], 1), make(2, &[0, 1, 2, 3, 4], 0)]
    }

    #[test]
    fn gradients_are_those_of_the_whole_batch() {
        let config = BertConfig { vocab_size: 50, ..BertConfig::tiny() };
        let inner: Arc<dyn Trunk> = Arc::new(Packed::new(config.graph()));
        let params = config.graph().init(1);
        for tokens in [1, 6, 9, 100] {
            let pieces = InPieces::new(inner.clone(), tokens).unwrap();
            for lowest in [0, 2] {
                let mode = Mode { save: true, lowest, ..Mode::EVAL };
                let rows = |trunk: &dyn Trunk| {
                    let below = trunk.forward_below(&params, &batch(), lowest).unwrap();
                    let (states, saved) = trunk.forward_from(&params, &batch(), &below, mode).unwrap();
                    let mut sink = RowsSink::new(&params, 3, lowest);
                    trunk.vjp(&params, &saved, &cotangents(config.hidden_size), &mut sink).unwrap();
                    (states, (0..3).map(|task| sink.row(task).to_vec()).collect::<Vec<_>>())
                };
                let ((states, found), (expected_states, expected)) = (rows(&pieces), rows(&*inner));
                assert_eq!(states, expected_states, "{tokens} {lowest}");
                for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
                    assert!(
                        (found - expected).abs() < 1e-5 * expected.abs().max(1.0),
                        "{tokens}: {found} {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_repeated_pass_drops_what_the_first_one_dropped() {
        let config = BertConfig { vocab_size: 50, ..BertConfig::tiny() };
        let pieces = InPieces::new(Arc::new(Packed::new(config.graph())), 6).unwrap();
        let params = config.graph().init(1);
        let mode = Mode { save: true, dropout: 0.3, seed: 5, step: 2, train: true, ..Mode::EVAL };
        let (states, saved) = pieces.forward(&params, &batch(), mode).unwrap();
        // Along its own states the loss is half their square: its gradient by a bias of the top is their sum.
        let sequences = (0..5).collect();
        let cotangent = Cotangent { task: 0, sequences, values: states.values.clone().into(), lowest: 0 };
        let mut sum = Sum::new(&params, &[1.0]);
        pieces.vjp(&params, &saved, &[cotangent], &mut sum).unwrap();
        let top = params.blocks.len() - 1;
        let bias = params.blocks[top].tensors.last().unwrap().clone();
        let found = &sum.gradient(top).unwrap()[bias.range()];
        for (column, found) in found.iter().enumerate() {
            let expected: f32 = states.values.iter().skip(column).step_by(states.width).sum();
            assert!((found - expected).abs() < 1e-4 * expected.abs().max(1.0), "{found} {expected}");
        }
    }

    #[test]
    fn networks_whose_inputs_depend_on_each_other_are_refused() {
        let size = polytask_core::image::ImageSize { channels: 1, height: 12, width: 12 };
        let config = crate::trunk::ImageConfig::new("resnet18", size);
        let trunk = crate::trunk::NetTrunk::new(crate::trunk::NetConfig::Image(config)).unwrap();
        assert!(InPieces::new(Arc::new(trunk), 10).is_err());
    }
}
