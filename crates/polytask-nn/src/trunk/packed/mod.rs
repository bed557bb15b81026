//! The packed trunk: f32 kernels for the CPU with a hand-written backward, no padding anywhere.
//!
//! It runs a [`Graph`] block by block, and a block layer by layer ([`blocks`]). Results do not depend on the number of
//! threads: row-wise work goes over fixed chunks of rows. [`Stack`](super::stack::Stack) is how many tasks share one backward.

mod blocks;
mod groups;
mod sweep;
mod words;

use std::sync::Arc;

use polytask_core::PackedBatch;
use rayon::prelude::*;

use self::blocks::{BlockPanels, KeptBlock};
use self::groups::Group;
use super::check::{self, Sizes};
use super::graph::{Graph, WORDS};
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
    graph: Arc<Graph>,
    sizes: Sizes,
    pool: Pool,
    /// Stacked rows that go down a layer together.
    rows_per_share: usize,
}

/// What [`Packed`] keeps between forward and backward.
struct PackedSaved {
    batch: PackedBatch,
    /// Its lowest block is that the pass goes down to: the lowest trained one, or one whose adapter is trained.
    mode: Mode,
    /// Of the blocks from `mode.lowest` up.
    blocks: Vec<KeptBlock>,
    /// Whether the blocks themselves are trained, not adapters alone.
    trains_base: bool,
}

/// The weights of consecutive blocks.
#[derive(Clone, Copy)]
struct Span<'a> {
    /// Index of the first.
    first: usize,
    blocks: &'a [&'a Block],
    /// The table of relative positions; empty in networks without one.
    relative: &'a [f32],
    /// The blocks of adapters.
    adapters: &'a [Block],
    /// Whether the blocks themselves are trained, not adapters alone.
    trains_base: bool,
}

impl Default for Span<'_> {
    fn default() -> Self {
        Self { first: 0, blocks: &[], relative: &[], adapters: &[], trains_base: true }
    }
}

impl<'a> Span<'a> {
    /// Index behind the last.
    fn end(self) -> usize {
        self.first + self.blocks.len()
    }

    /// The values of a block.
    fn values(self, block: usize) -> &'a [f32] {
        &self.blocks[block - self.first].values
    }
}

impl Packed {
    /// A network.
    pub fn new(graph: impl Into<Arc<Graph>>) -> Self {
        let graph = graph.into();
        Self { sizes: Sizes::new(&graph), graph, pool: Pool::default(), rows_per_share: sweep::ROWS }
    }

    /// All blocks of some parameters.
    fn span<'a>(&self, params: &'a Params, blocks: &'a [&'a Block], first: usize) -> Span<'a> {
        let table = self.graph.relative_table();
        let relative = table.map(|(block, range)| &params.blocks[block].values[range]).unwrap_or_default();
        let adapters = &params.blocks[self.graph.n_base()..];
        Span { first, blocks, relative, adapters, trains_base: true }
    }

    /// One pass through some blocks, on the thread pool.
    fn pass(&self, span: Span, batch: &PackedBatch, states: &[f32], mode: Mode) -> (States, SavedForward) {
        rayon::scope(|_| {
            // Masks are keyed by rows of the whole batch: a pass with dropout is not cut.
            let drops = mode.dropout > 0.0 || mode.train && !self.graph.adapted.is_empty();
            if !mode.save && !drops {
                let states = self.through_groups(span, batch, states, &self.lay_out_blocks(span));
                return (states, Box::new(()) as SavedForward);
            }
            let (x, saved) = self.run(span, batch, states, mode);
            (self.states(&[x], span), Box::new(saved) as SavedForward)
        })
    }

    /// States of a pass that keeps nothing: each group of sequences goes through all blocks on one thread;
    /// `panels` are the laid-out blocks among them.
    fn through_groups(
        &self,
        span: Span,
        batch: &PackedBatch,
        states: &[f32],
        panels: &[BlockPanels],
    ) -> States {
        let groups = groups::cut(batch);
        let threads = if groups.len() == 1 { Threads::All } else { Threads::One };
        let through = |group: &Group| {
            (span.first..span.end()).fold(
                self.below(span, &group.batch, states, group.first_row),
                |x, block| {
                    let place = Place { threads, ..self.place(span, &group.batch, &Mode::EVAL, block) };
                    self.through_block(span, &place, Some(&panels[block - span.first]), x, false).1
                },
            )
        };
        let xs: Vec<Buf> = groups.par_iter().map(through).collect();
        self.states(&xs, span)
    }

    /// Some blocks, laid out.
    fn lay_out_blocks(&self, span: Span) -> Vec<BlockPanels> {
        let of = |block: usize| match block {
            WORDS => BlockPanels::default(),
            _ => BlockPanels::new(self.graph.block(block), &self.pool, span.values(block)),
        };
        (span.first..span.end()).map(of).collect()
    }

    /// Runs some blocks; `states` are those below the first (none when it is 0).
    fn run(&self, span: Span, batch: &PackedBatch, states: &[f32], mode: Mode) -> (Buf, PackedSaved) {
        let trains_base = span.trains_base;
        let mut saved = PackedSaved { batch: batch.clone(), mode, blocks: Vec::new(), trains_base };
        let mut x = self.below(span, batch, states, 0);
        for block in span.first..span.end() {
            let keep = mode.save && block >= mode.lowest;
            let place = self.place(span, batch, &mode, block);
            let input = (keep && mode.recompute && block != WORDS).then(|| self.copy(&x));
            let (kept, out) = self.through_block(span, &place, None, x, keep && input.is_none());
            if keep {
                saved.blocks.push(input.map_or(kept, KeptBlock::input));
            }
            x = out;
        }
        (x, saved)
    }

    fn copy(&self, values: &[f32]) -> Buf {
        let mut copy = self.pool.take(values.len());
        copy.copy_from_slice(values);
        copy
    }

    /// The states that a pass starts from: some rows of `states`, or room for word vectors when there are none.
    fn below(&self, span: Span, batch: &PackedBatch, states: &[f32], first_row: usize) -> Buf {
        let d = self.graph.width_below(span.first);
        let mut x = self.pool.take(batch.n_rows() * d);
        if let Some(states) = states.get(first_row * d..first_row * d + x.len()) {
            x.copy_from_slice(states);
        }
        x
    }

    fn place<'a>(
        &'a self,
        span: Span<'a>,
        batch: &'a PackedBatch,
        mode: &'a Mode,
        block: usize,
    ) -> Place<'a> {
        Place { batch, mode, pool: &self.pool, block, threads: Threads::All, relative: span.relative }
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
        Ok(self.pass(span, batch, &[], mode))
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
        Ok(rayon::scope(|_| self.through_groups(self.span(params, &blocks, 0), batch, &[], panels)))
    }

    fn layout_below(&self, batch: &PackedBatch, lowest: usize) -> (polytask_core::Layout, usize) {
        (batch.layout(), self.graph.width_below(self.graph.floor(lowest)))
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
        Ok(self.pass(span, batch, &below.values, mode))
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
        self.graph.relative_table().is_none() && self.graph.adapted.is_empty()
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
        check::batch(&self.graph, &saved.batch)?;
        check::cotangents(self.graph.width_below(span.end()), &saved.batch.layout(), cotangents)?;
        let floor = |cotangent: &Cotangent| {
            let lowest = self.graph.floor(cotangent.lowest);
            Cotangent { lowest, ..cotangent.clone() }
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
