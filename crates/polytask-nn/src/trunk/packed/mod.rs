//! The packed trunk: f32 kernels for the CPU with a hand-written backward, no padding anywhere.
//!
//! Products go to [`kernels::matmul`](super::kernels), everything else is fused row-wise work over fixed chunks of
//! rows, so results do not depend on the number of threads. [`stack::Stack`] is how many tasks share one backward.

mod attention;
mod embedding;
mod groups;
mod layer;
mod norm;
mod stack;
mod sweep;

use polytask_core::PackedBatch;
use rayon::prelude::*;

use self::groups::Group;
use self::layer::{Kept, LayerContext, LayerPanels};
use super::bert::{BertConfig, FIRST_LAYER};
use super::check::{self, Sizes, shape};
use super::kernels::Threads;
use super::pool::{Buf, Pool};
use super::{Cotangent, GradSink, LaidOut, Mode, SavedForward, States, Trunk};
use crate::Result;
use crate::params::{Block, Params};

pub(in crate::trunk) use self::attention::mask_row;

/// The BERT family in packed f32 kernels.
#[derive(Debug)]
pub struct Packed {
    config: BertConfig,
    sizes: Sizes,
    pool: Pool,
    /// Stacked rows that go down a layer together.
    rows_per_share: usize,
}

/// What [`Packed`] keeps between forward and backward.
struct PackedSaved {
    batch: PackedBatch,
    mode: Mode,
    /// Of the blocks from `mode.lowest` up.
    blocks: Vec<Kept>,
}

/// The weights of consecutive blocks.
#[derive(Clone, Copy)]
struct Span<'a> {
    /// Index of the first.
    first: usize,
    blocks: &'a [&'a Block],
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
    /// The network of a configuration.
    ///
    /// # Errors
    /// [`crate::Error::Core`] when the configuration cannot be built.
    pub fn new(config: BertConfig) -> Result<Self> {
        let config = config.checked()?;
        Ok(Self { sizes: Sizes::new(&config), config, pool: Pool::default(), rows_per_share: sweep::ROWS })
    }

    /// Its configuration.
    pub fn config(&self) -> &BertConfig {
        &self.config
    }

    /// One pass through some blocks, on the thread pool.
    fn pass(&self, span: Span, batch: &PackedBatch, states: &[f32], mode: Mode) -> (States, SavedForward) {
        rayon::scope(|_| {
            // Masks are keyed by rows of the whole batch: a pass with dropout is not cut.
            if !mode.save && mode.dropout <= 0.0 {
                let states = self.through_groups(span, batch, states, &self.layers(span));
                return (states, Box::new(()) as SavedForward);
            }
            let (x, saved) = self.run(span, batch, states, mode);
            (self.states(&[x]), Box::new(saved) as SavedForward)
        })
    }

    /// States of a pass that keeps nothing: each group of sequences goes through all blocks on one thread;
    /// `layers` are the laid-out layers among the blocks.
    fn through_groups(
        &self,
        span: Span,
        batch: &PackedBatch,
        states: &[f32],
        layers: &[LayerPanels],
    ) -> States {
        let groups = groups::cut(batch);
        let threads = if groups.len() == 1 { Threads::All } else { Threads::One };
        let through = |group: &Group| {
            (span.first..span.end()).fold(self.below(&group.batch, states, group.first_row), |x, block| {
                let panels = block.checked_sub(span.first.max(FIRST_LAYER)).map(|layer| &layers[layer]);
                let place = self.context(&group.batch, &Mode::EVAL, block);
                let place = LayerContext { threads, panels, ..place };
                place.through(span.values(block), x, false).1
            })
        };
        let xs: Vec<Buf> = groups.par_iter().map(through).collect();
        self.states(&xs)
    }

    /// The layers among some blocks, laid out.
    fn layers(&self, span: Span) -> Vec<LayerPanels> {
        let blocks = span.blocks.get(FIRST_LAYER.saturating_sub(span.first)..).unwrap_or_default();
        blocks.iter().map(|block| LayerPanels::new(&self.config, &self.pool, &block.values)).collect()
    }

    /// Runs some blocks; `states` are those below the first (none when it is 0).
    fn run(&self, span: Span, batch: &PackedBatch, states: &[f32], mode: Mode) -> (Buf, PackedSaved) {
        let mut saved = PackedSaved { batch: batch.clone(), mode, blocks: Vec::new() };
        let mut x = self.below(batch, states, 0);
        for block in span.first..span.end() {
            let keep = mode.save && block >= mode.lowest;
            let place = self.context(batch, &mode, block);
            let (kept, out) = place.through(span.values(block), x, keep);
            if keep {
                saved.blocks.push(if mode.recompute { kept.reduced() } else { kept });
            }
            x = out;
        }
        (x, saved)
    }

    /// The states that a pass starts from: some rows of `states`, or room for word vectors when there are none.
    fn below(&self, batch: &PackedBatch, states: &[f32], first_row: usize) -> Buf {
        let d = self.config.hidden_size;
        let mut x = self.pool.take(batch.n_rows() * d);
        if let Some(states) = states.get(first_row * d..first_row * d + x.len()) {
            x.copy_from_slice(states);
        }
        x
    }

    fn context<'a>(&'a self, batch: &'a PackedBatch, mode: &'a Mode, block: usize) -> LayerContext<'a> {
        let (config, pool, threads) = (&self.config, &self.pool, Threads::All);
        LayerContext { config, batch, mode, pool, block, threads, panels: None }
    }

    /// Rows of consecutive groups as states.
    fn states(&self, groups: &[Buf]) -> States {
        let mut values = Vec::with_capacity(groups.iter().map(|group| group.len()).sum());
        groups.iter().for_each(|group| values.extend_from_slice(group));
        States { values, width: self.config.hidden_size }
    }

    fn check(&self, params: &Params, batch: &PackedBatch, mode: Mode) -> Result<()> {
        self.sizes.params(params)?;
        check::batch(&self.config, batch)?;
        check::mode(&self.config, mode)
    }
}

impl Trunk<f32> for Packed {
    fn d_hidden(&self) -> usize {
        self.config.hidden_size
    }

    fn max_positions(&self) -> usize {
        self.config.max_position_embeddings
    }

    fn vocab_size(&self) -> usize {
        self.config.vocab_size
    }

    fn n_blocks(&self) -> usize {
        self.config.n_blocks()
    }

    fn forward(&self, params: &Params, batch: &PackedBatch, mode: Mode) -> Result<(States, SavedForward)> {
        self.check(params, batch, mode)?;
        Ok(self.pass(Span { first: 0, blocks: &all(params) }, batch, &[], mode))
    }

    fn lay_out(&self, params: &Params) -> Result<LaidOut> {
        self.sizes.params(params)?;
        let layers = rayon::scope(|_| self.layers(Span { first: 0, blocks: &all(params) }));
        Ok(Box::new(layers))
    }

    fn infer(&self, params: &Params, laid_out: &LaidOut, batch: &PackedBatch) -> Result<States> {
        let layers = laid_out.downcast_ref::<Vec<LayerPanels>>();
        let Some(layers) = layers.filter(|layers| layers.len() + FIRST_LAYER == self.n_blocks()) else {
            return shape("forward", "weights that another trunk laid out", "what `lay_out` returned");
        };
        self.check(params, batch, Mode::EVAL)?;
        let span = Span { first: 0, blocks: &all(params) };
        Ok(rayon::scope(|_| self.through_groups(span, batch, &[], layers)))
    }

    fn forward_below(&self, params: &Params, batch: &PackedBatch, lowest: usize) -> Result<States> {
        let mode = Mode { lowest, ..Mode::EVAL };
        self.check(params, batch, mode)?;
        if lowest == 0 {
            return Ok(States { values: Vec::new(), width: self.d_hidden() });
        }
        Ok(self.pass(Span { first: 0, blocks: &all(params)[..lowest] }, batch, &[], mode).0)
    }

    fn forward_from(
        &self,
        params: &Params,
        batch: &PackedBatch,
        below: &States,
        mode: Mode,
    ) -> Result<(States, SavedForward)> {
        self.check(params, batch, mode)?;
        check::below(&self.config, batch, mode.lowest, below)?;
        let span = Span { first: mode.lowest, blocks: &all(params)[mode.lowest..] };
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
        let span = Span { first: 0, blocks: &all(params) };
        self.backward_through(span, saved, cotangents, sink, false).map(drop)
    }

    fn can_be_cut(&self) -> bool {
        true
    }

    fn through(
        &self,
        (first, blocks): (usize, &[&Block]),
        batch: &PackedBatch,
        below: &States,
        mode: Mode,
    ) -> Result<(States, SavedForward)> {
        self.sizes.blocks(first, blocks)?;
        check::batch(&self.config, batch)?;
        check::mode(&self.config, mode)?;
        check::below(&self.config, batch, first, below)?;
        let mode = Mode { lowest: mode.lowest.max(first), ..mode };
        Ok(self.pass(Span { first, blocks }, batch, &below.values, mode))
    }

    fn vjp_through(
        &self,
        (first, blocks): (usize, &[&Block]),
        saved: &SavedForward,
        cotangents: &[Cotangent],
        sink: &mut dyn GradSink<f32>,
        below: bool,
    ) -> Result<Vec<Cotangent>> {
        self.sizes.blocks(first, blocks)?;
        self.backward_through(Span { first, blocks }, saved, cotangents, sink, below)
    }
}

/// All blocks.
fn all(params: &Params) -> Vec<&Block> {
    params.blocks.iter().collect()
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
        check::batch(&self.config, &saved.batch)?;
        check::cotangents(self.config.hidden_size, &saved.batch.layout(), cotangents)?;
        rayon::scope(|_| self.sweep(span, saved, cotangents, sink, below))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{bert, sinks};
    use super::*;

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
        let together = Packed::new(config.clone()).unwrap();
        let apart = Packed { rows_per_share: 8, ..Packed::new(config.clone()).unwrap() };
        let (params, d) = (bert::init(&config, 1), config.hidden_size);
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
            let mode = Mode { lowest: FIRST_LAYER, ..mode };
            let span = Span { first: 0, blocks: &all(&params) };
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
        let (trunk, params) = (Packed::new(config.clone()).unwrap(), bert::init(&config, 1));
        let mixes = [&[3, 20, 7][..], &[40; 9], &[1], &[33, 12]];
        let round = || mixes.iter().for_each(|lengths| step(&trunk, &params, lengths));
        (0..5).for_each(|_| round());
        let held = trunk.pool.held();
        (0..20).for_each(|_| round());
        assert!(trunk.pool.held() <= held + held / 4, "{} values after {held}", trunk.pool.held());
    }
}
