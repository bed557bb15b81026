//! The packed trunk: f32 kernels for the CPU with a hand-written backward, no padding anywhere.
//!
//! Products go to [`kernels::matmul`](super::kernels), everything else is fused row-wise work over fixed chunks of
//! rows, so results do not depend on the number of threads. [`stack::Stack`] is how many tasks share one backward.

mod attention;
mod embedding;
mod groups;
mod layer;
mod stack;

use polytask_core::PackedBatch;
use rayon::prelude::*;

use self::groups::Group;
use self::layer::{LayerContext, LayerSaved, NormSaved};
use self::stack::Stack;
use super::bert::{BertConfig, EMBEDDINGS, FIRST_LAYER, WORDS};
use super::check::{self, Sizes, shape};
use super::kernels::Threads;
use super::pool::{Buf, Pool};
use super::{BlockGrad, Cotangent, GradSink, Mode, Saved, States, TaskGrad, Trunk};
use crate::Result;
use crate::params::Params;

pub(in crate::trunk) use self::attention::mask_row;

/// The BERT family in packed f32 kernels.
#[derive(Debug)]
pub struct Packed {
    config: BertConfig,
    sizes: Sizes,
    pool: Pool,
}

/// What [`Packed`] keeps between forward and backward.
struct PackedSaved {
    batch: PackedBatch,
    mode: Mode,
    embedding: Option<NormSaved>,
    /// Of the layers from `mode.lowest` up.
    layers: Vec<LayerSaved>,
}

impl PackedSaved {
    fn nothing(mode: Mode) -> Self {
        Self { batch: PackedBatch::default(), mode, embedding: None, layers: Vec::new() }
    }
}

impl Packed {
    /// The network of a configuration.
    ///
    /// # Errors
    /// [`crate::Error::Core`] when the configuration cannot be built.
    pub fn new(config: BertConfig) -> Result<Self> {
        let config = config.checked()?;
        Ok(Self { sizes: Sizes::new(&config), config, pool: Pool::default() })
    }

    /// Its configuration.
    pub fn config(&self) -> &BertConfig {
        &self.config
    }

    /// One pass through some blocks, on the thread pool.
    fn pass(
        &self,
        params: &Params,
        batch: &PackedBatch,
        blocks: (usize, usize),
        states: &[f32],
        mode: Mode,
    ) -> (States, Saved) {
        rayon::scope(|_| {
            // Masks are keyed by rows of the whole batch: a pass with dropout is not cut.
            if !mode.save && mode.dropout <= 0.0 {
                let saved = PackedSaved::nothing(mode);
                return (self.infer(params, batch, blocks, states, mode), Box::new(saved) as Saved);
            }
            let (x, saved) = self.run(params, batch, blocks, states, mode, Threads::All);
            (self.states(&x), Box::new(saved) as Saved)
        })
    }

    /// States above blocks `from..to` of a pass that keeps nothing, each group of sequences on one thread.
    fn infer(
        &self,
        params: &Params,
        batch: &PackedBatch,
        blocks: (usize, usize),
        states: &[f32],
        mode: Mode,
    ) -> States {
        let d = self.config.hidden_size;
        let mut values = vec![0.0; batch.n_rows() * d];
        let groups = groups::cut(batch, &mut values, d);
        let threads = if groups.len() == 1 { Threads::All } else { Threads::One };
        groups.into_par_iter().for_each(|Group { batch, first_row, out }| {
            let below = states.get(first_row * d..first_row * d + out.len()).unwrap_or_default();
            let (x, _) = self.run(params, &batch, blocks, below, mode, threads);
            out.copy_from_slice(&x);
        });
        States { values, width: d }
    }

    /// Runs blocks `from..to`; `states` are those below `from` (none when `from` is 0).
    fn run(
        &self,
        params: &Params,
        batch: &PackedBatch,
        (from, to): (usize, usize),
        states: &[f32],
        mode: Mode,
        threads: Threads,
    ) -> (Buf, PackedSaved) {
        let mut saved = PackedSaved::nothing(mode);
        if mode.save {
            saved.batch = batch.clone();
        }
        let mut x = self.pool.take(batch.n_rows() * self.config.hidden_size);
        if from > WORDS {
            x.copy_from_slice(states);
        }
        for block in from..to {
            let values = &params.blocks[block].values;
            let keep = mode.save && block >= mode.lowest;
            match block {
                WORDS => embedding::words(&self.config, values, batch, &mut x, threads),
                EMBEDDINGS => {
                    let surroundings = (&self.pool, threads);
                    let (norm, out) = embedding::forward(&self.config, values, batch, &mode, surroundings, x);
                    saved.embedding = keep.then_some(norm);
                    x = out;
                }
                _ => {
                    let context = LayerContext { threads, ..self.context(batch, &mode, block) };
                    let (layer, out) = context.forward(values, x, keep);
                    saved.layers.extend(layer);
                    x = out;
                }
            }
        }
        (x, saved)
    }

    fn context<'a>(&'a self, batch: &'a PackedBatch, mode: &'a Mode, block: usize) -> LayerContext<'a> {
        LayerContext { config: &self.config, batch, mode, pool: &self.pool, block, threads: Threads::All }
    }

    fn states(&self, values: &[f32]) -> States {
        States { values: values.to_vec(), width: self.config.hidden_size }
    }

    fn check(&self, params: &Params, batch: &PackedBatch, mode: Mode) -> Result<()> {
        self.sizes.params(params)?;
        check::batch(&self.config, batch)?;
        check::mode(&self.config, mode)
    }

    /// The backward through one block: feeds the sink, returns dL/d(states below) when `below`.
    fn backward(
        &self,
        (params, saved): (&Params, &PackedSaved),
        (block, below): (usize, bool),
        stack: &Stack,
        mut g: Buf,
        sink: &mut dyn GradSink<f32>,
    ) -> Result<Option<Buf>> {
        let (values, batch, mode) = (&params.blocks[block].values, &saved.batch, &saved.mode);
        let (grads, g) = match block {
            WORDS => {
                embedding::words_backward(&self.config, batch, &self.pool, stack, &g, sink)?;
                return Ok(None);
            }
            EMBEDDINGS => {
                let norm = saved.embedding.as_ref().expect("a trainable embedding block was saved");
                let kept = (norm, stack);
                let grads = embedding::backward(&self.config, values, batch, mode, &self.pool, kept, &mut g);
                (grads, Some(g))
            }
            _ => {
                let layer = &saved.layers[block - mode.lowest.max(FIRST_LAYER)];
                let grads = self.context(batch, mode, block).backward(values, layer, stack, g, below);
                (grads.params, grads.input)
            }
        };
        let tasks: Vec<TaskGrad<'_>> = stack
            .groups
            .iter()
            .zip(&grads)
            .map(|(group, grad)| TaskGrad { task: group.task, grad: BlockGrad::Dense(grad) })
            .collect();
        sink.block(block, &tasks)?;
        Ok(g)
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

    fn forward(&self, params: &Params, batch: &PackedBatch, mode: Mode) -> Result<(States, Saved)> {
        self.check(params, batch, mode)?;
        Ok(self.pass(params, batch, (0, self.n_blocks()), &[], mode))
    }

    fn forward_below(&self, params: &Params, batch: &PackedBatch, lowest: usize) -> Result<States> {
        let mode = Mode { lowest, ..Mode::EVAL };
        self.check(params, batch, mode)?;
        if lowest == 0 {
            return Ok(States { values: Vec::new(), width: self.d_hidden() });
        }
        Ok(self.pass(params, batch, (0, lowest), &[], mode).0)
    }

    fn forward_from(
        &self,
        params: &Params,
        batch: &PackedBatch,
        below: &States,
        mode: Mode,
    ) -> Result<(States, Saved)> {
        self.check(params, batch, mode)?;
        check::below(&self.config, batch, mode.lowest, below)?;
        Ok(self.pass(params, batch, (mode.lowest, self.n_blocks()), &below.values, mode))
    }

    fn vjp(
        &self,
        params: &Params,
        saved: &Saved,
        cotangents: &[Cotangent],
        sink: &mut dyn GradSink<f32>,
    ) -> Result<()> {
        let Some(saved) = saved.downcast_ref::<PackedSaved>().filter(|saved| saved.mode.save) else {
            return shape("backward", "nothing saved by this trunk", "what a forward with `save` returned");
        };
        self.sizes.params(params)?;
        check::batch(&self.config, &saved.batch)?;
        check::cotangents(&self.config, &saved.batch, cotangents)?;
        rayon::scope(|_| self.sweep(params, saved, cotangents, sink))
    }
}

impl Packed {
    /// Sends cotangents down block by block.
    fn sweep(
        &self,
        params: &Params,
        saved: &PackedSaved,
        cotangents: &[Cotangent],
        sink: &mut dyn GradSink<f32>,
    ) -> Result<()> {
        let mut active: Vec<&Cotangent> = cotangents.iter().collect();
        active.sort_by_key(|cotangent| cotangent.task);
        let mut stack = Stack::new(&saved.batch, &active);
        let mut g = embedding::stack_values(&self.pool, &active);
        for block in (saved.mode.lowest..self.n_blocks()).rev() {
            if active.iter().any(|cotangent| cotangent.lowest > block) {
                (stack, g) = self.restrict(saved, &mut active, block, &g);
            }
            if active.is_empty() {
                break;
            }
            let below = block > saved.mode.lowest && active.iter().any(|cotangent| cotangent.lowest < block);
            match self.backward((params, saved), (block, below), &stack, g, sink)? {
                Some(next) if below => g = next,
                _ => break,
            }
        }
        Ok(())
    }

    /// Leaves out the cotangents that stop above `block`.
    fn restrict(
        &self,
        saved: &PackedSaved,
        active: &mut Vec<&Cotangent>,
        block: usize,
        g: &[f32],
    ) -> (Stack, Buf) {
        let kept = |cotangent: &Cotangent| cotangent.lowest <= block;
        let n = active.iter().filter(|c| kept(c)).map(|c| c.values.len()).sum();
        let mut next = self.pool.take(n);
        let (mut from, mut to) = (0, 0);
        for cotangent in active.iter() {
            let len = cotangent.values.len();
            if kept(cotangent) {
                next[to..to + len].copy_from_slice(&g[from..from + len]);
                to += len;
            }
            from += len;
        }
        active.retain(|cotangent| kept(cotangent));
        (Stack::new(&saved.batch, active), next)
    }
}
