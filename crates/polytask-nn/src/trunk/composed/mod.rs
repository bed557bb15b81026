//! The composed trunk: the same network in the tensor engine's differentiable operations, f32 and f64.
//!
//! The reference that the packed kernels and every gradient are held against: written from the formulas, one
//! sequence at a time, with no fused operation (those of the engine's network crate have no backward). Each layer
//! brings its own ([`Layer::plain`](super::layers)). Dropout uses the same masks as the packed trunk. Each cotangent is one run of the engine's backward over the graph.

mod backward;

use std::marker::PhantomData;
use std::sync::Arc;

use candle_core::{Device, Tensor, Var};
use polytask_core::{Layout, PackedBatch};

use super::check::{self, Sizes};
use super::graph::{BlockGraph, FRONT, Graph, Home, INPUT};
use super::layers::Plain;
use super::{Cotangent, GradSink, Mode, SavedForward, States, Trunk};
use crate::Result;
use crate::params::{Block, Params, Real};

/// A network of layers in differentiable tensor operations.
#[derive(Debug)]
pub struct Composed<T> {
    graph: Arc<Graph>,
    sizes: Sizes,
    precision: PhantomData<fn() -> T>,
}

/// What [`Composed`] keeps between forward and backward: the graph and its leaves.
struct ComposedSaved {
    symbols: PackedBatch,
    /// The rows that the front makes of them.
    batch: PackedBatch,
    mode: Mode,
    /// Leaves per block, empty for frozen ones; their tensors are those of the block, in order.
    leaves: Vec<Vec<Tensor>>,
    /// The states below the first block, a leaf too.
    below: Tensor,
    states: Tensor,
}

impl<T: Real> Composed<T> {
    /// A network.
    pub fn new(graph: impl Into<Arc<Graph>>) -> Self {
        let graph = graph.into();
        Self { sizes: Sizes::new(&graph), graph, precision: PhantomData }
    }

    fn check(&self, params: &Params<T>, batch: &PackedBatch, mode: Mode) -> Result<()> {
        self.sizes.params(params)?;
        check::batch(&self.graph, batch)?;
        check::mode(&self.graph, mode)
    }

    /// Runs `blocks` in the place of those from `from` on; `states` are those below, `table` is that of relative
    /// positions when its block is not among these.
    fn run(
        &self,
        (from, blocks): (usize, &[&Block<T>]),
        (table, adapters): (Option<Tensor>, &[Block<T>]),
        symbols: &PackedBatch,
        states: &[T],
        mode: Mode,
    ) -> Result<ComposedSaved> {
        let batch = &*self.graph.rows(symbols);
        let (n_base, lowest) = (self.graph.n_base(), self.graph.floor(mode.lowest));
        let d = self.graph.width_below(from);
        let shape = (if from > FRONT { batch.n_rows() } else { 0 }, d);
        let below = Tensor::from_slice(if from > FRONT { states } else { &[] }, shape, &Device::Cpu)?;
        let below = Var::from_tensor(&below)?.into_inner();
        let (mut x, mut table) = (below.clone(), table);
        let (own_mode, mut leaves) = (Mode { lowest, ..mode }, vec![Vec::new(); self.n_blocks()]);
        let is_trained = |i: usize| mode.save && n_base + i >= mode.lowest;
        let adapter = |(i, block): (usize, &Block<T>)| block_tensors(block, is_trained(i));
        let adapters: Vec<Vec<Tensor>> = adapters.iter().enumerate().map(adapter).collect::<Result<_>>()?;
        for (i, tensors) in adapters.iter().enumerate().filter(|(i, _)| is_trained(*i)) {
            leaves[n_base + i].clone_from(tensors);
        }
        let places = leaves.iter_mut().enumerate().skip(from).zip(blocks);
        for ((block, own), weights) in places {
            let trained = mode.save && block >= mode.lowest;
            let tensors = block_tensors(weights, trained)?;
            table = self.table(block, &tensors).or(table);
            if batch.n_rows() > 0 {
                let at = Plain { batch, mode: &own_mode, block, relative: table.as_ref(), lora: None };
                let adapter =
                    self.graph.adapter_of(block).map_or(&[][..], |number| &adapters[number - n_base]);
                x = match block {
                    FRONT => self.first_rows(self.graph.front.plain(&tensors, symbols)?, symbols, adapter)?,
                    _ => self.block(&at, (&tensors, adapter), &x)?,
                };
            } else {
                x = Tensor::zeros((0, self.graph.width_below(block + 1)), x.dtype(), &Device::Cpu)?;
            }
            if trained {
                *own = tensors;
            }
        }
        Ok(ComposedSaved { symbols: symbols.clone(), batch: batch.clone(), mode, leaves, below, states: x })
    }

    /// What a pass to the top keeps, without the rows of the prompt.
    fn without_prompt(&self, saved: ComposedSaved) -> Result<ComposedSaved> {
        if self.graph.prompt.is_none() {
            return Ok(saved);
        }
        let states = saved.states.index_select(&self.own_rows(&saved.symbols)?, 0)?;
        Ok(ComposedSaved { states, batch: saved.symbols.clone(), ..saved })
    }

    /// The rows of all inputs, with those of a prompt before each.
    fn first_rows(&self, own: Tensor, symbols: &PackedBatch, adapter: &[Tensor]) -> Result<Tensor> {
        if self.graph.prompt.is_none() {
            return Ok(own);
        }
        let mut rows = Vec::new();
        for s in 0..symbols.n_sequences() {
            rows.push(adapter[0].clone());
            rows.push(own.narrow(0, symbols.rows(s).start, symbols.length(s))?);
        }
        Ok(Tensor::cat(&rows, 0)?)
    }

    /// The numbers of the inputs' own rows among those with a prompt.
    fn own_rows(&self, symbols: &PackedBatch) -> Result<Tensor> {
        let (rows, n) = (self.graph.rows(symbols), self.graph.prompt.map_or(0, |prompt| prompt.rows));
        let own = (0..rows.n_sequences()).flat_map(|s| rows.rows(s).skip(n)).map(|row| row as u32);
        Ok(Tensor::new(own.collect::<Vec<u32>>(), &Device::Cpu)?)
    }

    /// All passes of rows through a block.
    fn block(&self, at: &Plain<'_>, weights: (&[Tensor], &[Tensor]), x: &Tensor) -> Result<Tensor> {
        (0..self.graph.block(at.block).times).try_fold(x.clone(), |x, pass| {
            self.pass(&Plain { mode: &BlockGraph::mode_of(at.mode, pass), ..*at }, weights, &x)
        })
    }

    /// The layers of a block, in order.
    fn pass(&self, at: &Plain<'_>, (tensors, adapter): (&[Tensor], &[Tensor]), x: &Tensor) -> Result<Tensor> {
        let (mut rows, mut first, mut end) = (vec![x.clone()], 0, 0);
        for node in &self.graph.block(at.block).nodes {
            let n = node.layer.tensors().len();
            let (input, residual) = (&rows[node.input], node.residual.map(|number| &rows[number]));
            let lora = node.adapter.as_ref().zip(node.layer.matrix()).map(|(of_node, (matrix, _))| {
                let n = of_node.lora.tensors(matrix).len();
                end += n;
                (&of_node.lora, &adapter[end - n..end])
            });
            let own = match node.home {
                Home::Base => {
                    first += n;
                    &tensors[first - n..first]
                }
                Home::Adapter => {
                    end += n;
                    &adapter[end - n..end]
                }
            };
            let out = node.layer.plain(&Plain { lora, ..*at }, own, input, residual)?;
            rows.push(out);
        }
        Ok(rows.pop().unwrap_or_else(|| rows[INPUT].clone()))
    }

    /// The table of relative positions, where a block holds it.
    fn table(&self, block: usize, tensors: &[Tensor]) -> Option<Tensor> {
        let (holder, range) = self.graph.relative_table()?;
        if block != holder {
            return None;
        }
        let nodes = &self.graph.block(block).nodes;
        let before = nodes.iter().take_while(|node| node.range != range || !node.layer.is_relative_table());
        tensors.get(before.map(|node| node.layer.tensors().len()).sum::<usize>()).cloned()
    }

    /// The table of relative positions of some parameters, as it is below blocks that read it.
    fn table_of(&self, params: &Params<T>) -> Result<Option<Tensor>> {
        match self.graph.relative_table() {
            Some((block, _)) => Ok(self.table(block, &block_tensors(&params.blocks[block], false)?)),
            None => Ok(None),
        }
    }

    /// The blocks of the network without those of adapters.
    fn base<'a>(&self, params: &'a Params<T>) -> Vec<&'a Block<T>> {
        params.blocks[..self.graph.n_base()].iter().collect()
    }

    /// Those of adapters.
    fn adapters<'a>(&self, params: &'a Params<T>) -> &'a [Block<T>] {
        &params.blocks[self.graph.n_base()..]
    }

    fn states(saved: &ComposedSaved) -> Result<States<T>> {
        Ok(States { values: saved.states.flatten_all()?.to_vec1()?, width: saved.states.dim(1)? })
    }
}

/// The tensors of a block, as leaves of the graph when they are trained.
fn block_tensors<T: Real>(block: &Block<T>, trained: bool) -> Result<Vec<Tensor>> {
    let make = |i: usize| -> Result<Tensor> {
        let tensor = Tensor::from_slice(block.tensor(i), block.tensors[i].shape.as_slice(), &Device::Cpu)?;
        Ok(if trained { Var::from_tensor(&tensor)?.into_inner() } else { tensor })
    };
    (0..block.tensors.len()).map(make).collect()
}

impl<T: Real> Trunk<T> for Composed<T> {
    fn d_hidden(&self) -> usize {
        self.graph.d_hidden()
    }

    fn max_positions(&self) -> usize {
        self.graph.max_positions
    }

    fn vocab_size(&self) -> usize {
        self.graph.vocab_size()
    }

    fn n_blocks(&self) -> usize {
        self.graph.n_blocks()
    }

    fn forward(
        &self,
        params: &Params<T>,
        batch: &PackedBatch,
        mode: Mode,
    ) -> Result<(States<T>, SavedForward)> {
        self.check(params, batch, mode)?;
        let saved = self.run((0, &self.base(params)), (None, self.adapters(params)), batch, &[], mode)?;
        let saved = self.without_prompt(saved)?;
        Ok((Self::states(&saved)?, Box::new(saved)))
    }

    fn forward_below(&self, params: &Params<T>, batch: &PackedBatch, lowest: usize) -> Result<States<T>> {
        let mode = Mode { lowest, ..Mode::EVAL };
        self.check(params, batch, mode)?;
        let floor = self.graph.floor(lowest);
        if floor == 0 {
            return Ok(States { values: Vec::new(), width: self.graph.width_below(0) });
        }
        Self::states(&self.run(
            (0, &self.base(params)[..floor]),
            (None, self.adapters(params)),
            batch,
            &[],
            mode,
        )?)
    }

    fn forward_from(
        &self,
        params: &Params<T>,
        batch: &PackedBatch,
        below: &States<T>,
        mode: Mode,
    ) -> Result<(States<T>, SavedForward)> {
        self.check(params, batch, mode)?;
        let floor = self.graph.floor(mode.lowest);
        check::below(&self.graph, batch, floor, below)?;
        let others = (self.table_of(params)?, self.adapters(params));
        let saved = self.run((floor, &self.base(params)[floor..]), others, batch, &below.values, mode)?;
        let saved = self.without_prompt(saved)?;
        Ok((Self::states(&saved)?, Box::new(saved)))
    }

    fn vjp(
        &self,
        _params: &Params<T>,
        saved: &SavedForward,
        cotangents: &[Cotangent<T>],
        sink: &mut dyn GradSink<T>,
    ) -> Result<()> {
        self.backward(saved, cotangents, sink).map(drop)
    }

    fn rows_per_sequence(&self) -> Option<usize> {
        Some(self.graph.front.even()?.rows)
    }

    fn layout(&self, batch: &PackedBatch) -> Layout {
        self.graph.state_rows(batch).layout()
    }

    fn layout_below(&self, batch: &PackedBatch, lowest: usize) -> (Layout, usize) {
        (self.graph.rows(batch).layout(), self.graph.width_below(self.graph.floor(lowest)))
    }

    fn can_be_cut(&self) -> bool {
        self.graph.can_be_cut()
    }

    fn through(
        &self,
        (first, blocks): (usize, &[&Block<T>]),
        batch: &PackedBatch,
        below: &States<T>,
        mode: Mode,
    ) -> Result<(States<T>, SavedForward)> {
        check::can_be_cut(self)?;
        self.sizes.blocks(first, blocks)?;
        check::batch(&self.graph, batch)?;
        check::mode(&self.graph, mode)?;
        check::below(&self.graph, batch, first, below)?;
        let mode = Mode { lowest: mode.lowest.max(first), ..mode };
        let saved = self.run((first, blocks), (None, &[]), batch, &below.values, mode)?;
        Ok((Self::states(&saved)?, Box::new(saved)))
    }

    fn vjp_through(
        &self,
        _blocks: (usize, &[&Block<T>]),
        saved: &SavedForward,
        cotangents: &[Cotangent<T>],
        sink: &mut dyn GradSink<T>,
        below: bool,
    ) -> Result<Vec<Cotangent<T>>> {
        let saved = self.backward(saved, cotangents, sink)?;
        if below { Self::inputs(saved, cotangents) } else { Ok(Vec::new()) }
    }
}
