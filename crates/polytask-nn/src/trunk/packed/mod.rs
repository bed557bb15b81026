//! The packed trunk: f32 kernels for the CPU with a hand-written backward, no padding anywhere.
//!
//! It runs a [`Graph`] block by block, and a block layer by layer ([`blocks`]). Results do not depend on the number of
//! threads: row-wise work goes over fixed chunks of rows. [`Stack`](super::stack::Stack) is how many tasks share one backward.

mod blocks;
mod clock;
mod decode;
mod groups;
mod prompt;
mod span;
mod sweep;

use std::borrow::Cow;
use std::sync::Arc;

use polytask_core::{Layout, PackedBatch};
use rayon::prelude::*;

use self::blocks::{BlockPanels, KeptBlock};
use self::clock::Clock;
pub use self::clock::{LayerTime, bare_product};
pub use self::decode::Decoding;
use self::groups::Group;
use self::span::Span;
use super::check::{self, Sizes};
use super::graph::{FRONT, Graph};
use super::kernels::Threads;
use super::layers::Place;
use super::pool::{Buf, Pool};
use super::shape_error::shape;
use super::{Cotangent, GradSink, LaidOut, Mode, SavedForward, States, Trunk};
use crate::Result;
use crate::params::{Block, Params};

/// A network of layers in packed f32 kernels.
#[derive(Debug)]
pub struct Packed {
    pub(in crate::trunk) graph: Arc<Graph>,
    sizes: Sizes,
    pool: Pool,
    /// Stacked rows that go down a layer together.
    rows_per_share: usize,
    /// Times the layers, where that is asked for.
    clock: Option<Clock>,
}

/// What [`Packed`] keeps between forward and backward.
struct PackedSaved {
    /// The inputs; none where the front is not trained and makes rows of its own.
    symbols: PackedBatch,
    /// The rows of the inputs, where they are others than the symbols.
    rows: Option<PackedBatch>,
    /// Its lowest block is that the pass goes down to: the lowest trained one, or one whose adapter is trained.
    mode: Mode,
    /// Of the blocks from `mode.lowest` up.
    blocks: Vec<KeptBlock>,
    /// Whether the blocks themselves are trained, not adapters alone.
    trains_base: bool,
}

impl PackedSaved {
    /// The rows of the inputs.
    fn rows(&self) -> &PackedBatch {
        self.rows.as_ref().unwrap_or(&self.symbols)
    }
}

impl Packed {
    /// A network.
    pub fn new(graph: impl Into<Arc<Graph>>) -> Self {
        let graph = graph.into();
        Self {
            sizes: Sizes::new(&graph),
            graph,
            pool: Pool::default(),
            rows_per_share: sweep::ROWS,
            clock: None,
        }
    }

    /// All blocks of some parameters.
    fn span<'a>(&self, params: &'a Params, blocks: &'a [&'a Block], first: usize) -> Span<'a> {
        let table = self.graph.relative_table();
        let relative = table.map(|(block, range)| &params.blocks[block].values[range]).unwrap_or_default();
        let adapters = &params.blocks[self.graph.n_base()..];
        Span { first, blocks, relative, adapters, trains_base: true }
    }

    /// One pass through some blocks, on the thread pool.
    fn pass(&self, span: Span, symbols: &PackedBatch, states: &[f32], mode: Mode) -> (States, SavedForward) {
        rayon::scope(|_| {
            // Masks are keyed by rows of the whole batch: a pass with dropout is not cut.
            let drops = mode.dropout > 0.0 || mode.train && !self.graph.adapted.is_empty();
            if !mode.save && !drops {
                let states = self.through_groups(span, symbols, states, &self.lay_out_blocks(span));
                return (states, Box::new(()) as SavedForward);
            }
            let (x, saved) = self.run(span, symbols, states, mode);
            (self.states(&[x], span), Box::new(saved) as SavedForward)
        })
    }

    /// States of a pass that keeps nothing: each group of sequences goes through all blocks on one thread;
    /// `panels` are the laid-out blocks among them.
    fn through_groups(
        &self,
        span: Span,
        symbols: &PackedBatch,
        states: &[f32],
        panels: &[BlockPanels],
    ) -> States {
        let groups = groups::cut(symbols, &self.graph.rows(symbols));
        let threads = if groups.len() == 1 { Threads::All } else { Threads::One };
        let through = |group: &Group| {
            let rows = self.graph.rows(&group.symbols);
            let inputs = (&group.symbols, &*rows);
            (span.first..span.end()).fold(self.below(span, &rows, states, group.first_row), |x, block| {
                let place = Place { threads, ..self.place(span, inputs, &Mode::EVAL, block) };
                self.through_block(span, &place, Some(&panels[block - span.first]), x, false).1
            })
        };
        let xs: Vec<Buf> = groups.par_iter().map(through).collect();
        self.states(&xs, span)
    }

    /// Some blocks, laid out.
    fn lay_out_blocks(&self, span: Span) -> Vec<BlockPanels> {
        let of = |block: usize| {
            if block == FRONT {
                return BlockPanels::default();
            }
            let values = (span.values(block), self.adapter_values(span, block));
            BlockPanels::new(self.graph.block(block), &self.pool, values)
        };
        (span.first..span.end()).map(of).collect()
    }

    /// Runs some blocks; `states` are those below the first (none when it is 0).
    fn run(&self, span: Span, symbols: &PackedBatch, states: &[f32], mode: Mode) -> (Buf, PackedSaved) {
        let rows = self.graph.rows(symbols);
        let mut x = self.below(span, &rows, states, 0);
        let mut blocks = Vec::new();
        for block in span.first..span.end() {
            let keep = mode.save && block >= mode.lowest;
            let place = self.place(span, (symbols, &rows), &mode, block);
            let input = (keep && mode.recompute && block != FRONT).then(|| self.copy(&x));
            let (kept, out) = self.through_block(span, &place, None, x, keep && input.is_none());
            if keep {
                blocks.push(input.map_or(kept, KeptBlock::input));
            }
            x = out;
        }
        let rows = match rows {
            Cow::Borrowed(_) => None,
            Cow::Owned(rows) => Some(rows),
        };
        let symbols = if self.graph.front.even().is_some() && mode.lowest > FRONT {
            PackedBatch::default()
        } else {
            symbols.clone()
        };
        (x, PackedSaved { symbols, rows, mode, blocks, trains_base: span.trains_base })
    }

    fn copy(&self, values: &[f32]) -> Buf {
        let mut copy = self.pool.take(values.len());
        copy.copy_from_slice(values);
        copy
    }

    /// The states that a pass starts from: some rows of `states`, or room for those of the front when there are none.
    fn below(&self, span: Span, rows: &PackedBatch, states: &[f32], first_row: usize) -> Buf {
        let d = self.graph.width_below(span.first);
        let mut x = self.pool.take(rows.n_rows() * d);
        if let Some(states) = states.get(first_row * d..first_row * d + x.len()) {
            x.copy_from_slice(states);
        }
        x
    }

    fn place<'a>(
        &'a self,
        span: Span<'a>,
        (symbols, batch): (&'a PackedBatch, &'a PackedBatch),
        mode: &'a Mode,
        block: usize,
    ) -> Place<'a> {
        let (pool, relative) = (&self.pool, span.relative);
        Place { symbols, batch, mode, pool, block, threads: Threads::All, relative, past: 0 }
    }

    /// Rows of consecutive groups as states.
    fn states(&self, groups: &[Buf], span: Span) -> States {
        let mut values = Vec::with_capacity(groups.iter().map(|group| group.len()).sum());
        groups.iter().for_each(|group| values.extend_from_slice(group));
        States { values, width: self.graph.width_below(span.end()) }
    }

    /// Checks what goes into a pass; its mode in blocks of the network, and whether these are trained themselves.
    fn check(&self, params: &Params, batch: &PackedBatch, mode: Mode) -> Result<(Mode, bool)> {
        self.sizes.params(params)?;
        check::batch(&self.graph, batch)?;
        check::mode(&self.graph, mode)?;
        let lowest = self.graph.floor(mode.lowest);
        Ok((Mode { lowest, ..mode }, mode.lowest < self.graph.n_base()))
    }

    /// The blocks of the network without those of adapters.
    fn base<'a>(&self, params: &'a Params) -> Vec<&'a Block> {
        params.blocks[..self.graph.n_base()].iter().collect()
    }
}

impl Trunk<f32> for Packed {
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

    fn forward(&self, params: &Params, batch: &PackedBatch, mode: Mode) -> Result<(States, SavedForward)> {
        let (mode, trains_base) = self.check(params, batch, mode)?;
        let blocks = self.base(params);
        let span = Span { trains_base, ..self.span(params, &blocks, 0) };
        let (states, saved) = self.pass(span, batch, &[], mode);
        Ok((self.without_prompt(states, batch), saved))
    }

    fn lay_out(&self, params: &Params) -> Result<LaidOut> {
        self.sizes.params(params)?;
        let layers = rayon::scope(|_| self.lay_out_blocks(self.span(params, &self.base(params), 0)));
        Ok(Box::new(layers))
    }

    fn infer(&self, params: &Params, laid_out: &LaidOut, batch: &PackedBatch) -> Result<States> {
        let panels = laid_out.downcast_ref::<Vec<BlockPanels>>();
        let Some(panels) = panels.filter(|panels| panels.len() == self.graph.n_base()) else {
            return shape("forward", "weights that another trunk laid out", "what `lay_out` returned");
        };
        self.check(params, batch, Mode::EVAL)?;
        let blocks = self.base(params);
        let span = self.span(params, &blocks, 0);
        let states = rayon::scope(|_| self.through_groups(span, batch, &[], panels));
        Ok(self.without_prompt(states, batch))
    }

    fn symbols_per_pass(&self) -> usize {
        self.graph.symbols_per_pass()
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

    fn forward_below(&self, params: &Params, batch: &PackedBatch, lowest: usize) -> Result<States> {
        let (mode, _) = self.check(params, batch, Mode { lowest, ..Mode::EVAL })?;
        let lowest = mode.lowest;
        if lowest == 0 {
            return Ok(States { values: Vec::new(), width: self.graph.width_below(0) });
        }
        Ok(self.pass(self.span(params, &self.base(params)[..lowest], 0), batch, &[], mode).0)
    }

    fn forward_from(
        &self,
        params: &Params,
        batch: &PackedBatch,
        below: &States,
        mode: Mode,
    ) -> Result<(States, SavedForward)> {
        let (mode, trains_base) = self.check(params, batch, mode)?;
        check::below(&self.graph, batch, mode.lowest, below)?;
        let blocks = self.base(params);
        let span = Span { trains_base, ..self.span(params, &blocks[mode.lowest..], mode.lowest) };
        let (states, saved) = self.pass(span, batch, &below.values, mode);
        Ok((self.without_prompt(states, batch), saved))
    }

    fn vjp(
        &self,
        params: &Params,
        saved: &SavedForward,
        cotangents: &[Cotangent],
        sink: &mut dyn GradSink<f32>,
    ) -> Result<()> {
        self.sizes.params(params)?;
        let blocks = self.base(params);
        self.backward_through(self.span(params, &blocks, 0), saved, cotangents, sink, false).map(drop)
    }

    fn can_be_cut(&self) -> bool {
        self.graph.can_be_cut()
    }

    fn through(
        &self,
        (first, blocks): (usize, &[&Block]),
        batch: &PackedBatch,
        below: &States,
        mode: Mode,
    ) -> Result<(States, SavedForward)> {
        check::can_be_cut(self)?;
        self.sizes.blocks(first, blocks)?;
        check::batch(&self.graph, batch)?;
        check::mode(&self.graph, mode)?;
        check::below(&self.graph, batch, first, below)?;
        let mode = Mode { lowest: mode.lowest.max(first), ..mode };
        Ok(self.pass(Span { first, blocks, ..Span::default() }, batch, &below.values, mode))
    }

    fn vjp_through(
        &self,
        (first, blocks): (usize, &[&Block]),
        saved: &SavedForward,
        cotangents: &[Cotangent],
        sink: &mut dyn GradSink<f32>,
        below: bool,
    ) -> Result<Vec<Cotangent>> {
        check::can_be_cut(self)?;
        self.sizes.blocks(first, blocks)?;
        self.backward_through(Span { first, blocks, ..Span::default() }, saved, cotangents, sink, below)
    }
}

impl Packed {
    /// Checks and sends cotangents down on the thread pool.
    fn backward_through(
        &self,
        span: Span,
        saved: &SavedForward,
        cotangents: &[Cotangent],
        sink: &mut dyn GradSink<f32>,
        below: bool,
    ) -> Result<Vec<Cotangent>> {
        let Some(saved) = saved.downcast_ref::<PackedSaved>().filter(|saved| saved.mode.save) else {
            return shape("backward", "nothing saved by this trunk", "what a forward with `save` returned");
        };
        check::batch(&self.graph, &saved.symbols)?;
        let layout = match self.graph.prompt {
            Some(_) => saved.symbols.layout(),
            None => saved.rows().layout(),
        };
        check::cotangents(self.graph.width_below(span.end()), &layout, cotangents)?;
        let floor = |cotangent: &Cotangent| {
            let lowest = self.graph.floor(cotangent.lowest);
            self.with_prompt(Cotangent { lowest, ..cotangent.clone() }, saved, span)
        };
        let cotangents: Vec<Cotangent> = cotangents.iter().map(floor).collect();
        let span = Span { trains_base: saved.trains_base, ..span };
        rayon::scope(|_| self.sweep(span, saved, &cotangents, sink, below))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BertConfig, sinks};
    use super::*;

    fn trunk_blocks(params: &Params) -> Vec<&Block> {
        params.blocks.iter().collect()
    }

    /// A training step and an inference pass on sequences of these lengths.
    fn step(trunk: &Packed, params: &Params, lengths: &[usize]) {
        let batch = PackedBatch::pack(lengths.iter().map(|&n| vec![7; n]));
        let mode = Mode { save: true, dropout: 0.1, ..Mode::EVAL };
        let (states, saved) = trunk.forward(params, &batch, mode).unwrap();
        let sequences = (0..lengths.len() as u32).collect();
        let cotangent = Cotangent { task: 0, sequences, values: states.values.into(), lowest: 0 };
        let mut sum = sinks::Sum::new(params, &[1.0]);
        trunk.vjp(params, &saved, &[cotangent], &mut sum).unwrap();
        trunk.forward(params, &batch, Mode::EVAL).unwrap();
    }

    #[test]
    fn tasks_in_several_shares_get_the_gradients_they_get_together() {
        let config = BertConfig { vocab_size: 50, ..BertConfig::tiny() };
        let together = Packed::new(config.graph());
        let apart = Packed { rows_per_share: 8, ..Packed::new(config.graph()) };
        let (params, d) = (config.graph().init(1), config.hidden_size);
        let batch = PackedBatch::pack([vec![7, 3, 9], vec![4; 5], vec![8, 7]]);
        let cotangent = |task: usize, sequences: &[u32], lowest: usize| {
            let n: usize = sequences.iter().map(|&s| batch.length(s as usize)).sum();
            let values: Vec<f32> =
                (0..n * d).map(|i| ((i * 31 + task * 7) % 13) as f32 / 13.0 - 0.4).collect();
            Cotangent { task, sequences: sequences.to_vec(), values: values.into(), lowest }
        };
        let cotangents = [
            cotangent(0, &[0, 1], 0),
            cotangent(3, &[2], 1),
            cotangent(1, &[1, 2], 2),
            cotangent(3, &[0], 0),
            cotangent(2, &[0, 1, 2], 0),
        ];
        let mut sink = sinks::GramianSink::new(4, params.blocks.len());
        let close = |a: &[f32], b: &[f32]| {
            assert_eq!(a.len(), b.len());
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-6 * a.abs().max(1.0)));
        };
        for recompute in [false, true] {
            let mode = Mode { save: true, dropout: 0.1, recompute, ..Mode::EVAL };
            let rows = |trunk: &Packed| {
                let (_, saved) = trunk.forward(&params, &batch, mode).unwrap();
                let mut rows = sinks::RowsSink::new(&params, 4, 0);
                trunk.vjp(&params, &saved, &cotangents, &mut rows).unwrap();
                rows
            };
            close(rows(&together).values(), rows(&apart).values());
            let mode = Mode { lowest: 2, ..mode };
            let span = Span { first: 0, blocks: &trunk_blocks(&params), ..Span::default() };
            let mut below = |trunk: &Packed| {
                let (_, saved) = trunk.forward(&params, &batch, mode).unwrap();
                trunk.backward_through(span, &saved, &cotangents, &mut sink, true).unwrap()
            };
            for (a, b) in below(&together).iter().zip(below(&apart)) {
                assert_eq!((a.task, &a.sequences), (b.task, &b.sequences));
                close(&a.values, &b.values);
            }
        }
    }

    #[test]
    fn memory_stays_flat_over_steps_of_changing_sizes() {
        let config = BertConfig { vocab_size: 50, ..BertConfig::tiny() };
        let (trunk, params) = (Packed::new(config.graph()), config.graph().init(1));
        let mixes = [&[3, 20, 7][..], &[40; 9], &[1], &[33, 12]];
        let round = || mixes.iter().for_each(|lengths| step(&trunk, &params, lengths));
        (0..5).for_each(|_| round());
        let held = trunk.pool.held();
        (0..20).for_each(|_| round());
        assert!(trunk.pool.held() <= held + held / 4, "{} values after {held}", trunk.pool.held());
    }
}
