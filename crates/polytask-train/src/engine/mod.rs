//! One evaluation: trunk forward, each task's head and loss, their gradients and cotangents.
//!
//! Nothing here steps or remembers; a method may ask for any number of evaluations of one step, at the same or at
//! displaced weights, and gets the same dropout masks each time.

use std::sync::Arc;

use polytask_core::{Layout, Purpose, rng};
use polytask_data::{Dataset, TextId};
use polytask_nn::objective::{self, TaskInput};
use polytask_nn::pooling::Pooling;
use polytask_nn::trunk::{Blocks, sinks};
use polytask_nn::{Block, Cotangent, GradSink, Mode, Params, Real, SavedForward, States, TaskGrad, Trunk};

use crate::Result;
use crate::assemble::{Leaf, StepBatch, TaskBatch};
use crate::cache::FrozenCache;
use crate::cotangents::{merge, scatter};
use crate::heads::TaskHead;
pub use crate::part::PartGradient;
use crate::swept::Swept;
use polytask_weighting::{Gramian, Jacobian};

mod representation;

/// The unchanging parts of a training.
#[derive(Clone, Copy)]
pub struct Engine<'a> {
    /// All data.
    pub dataset: &'a Dataset,
    /// The shared network's functions.
    pub trunk: &'a dyn Trunk,
    /// From states to sentence vectors.
    pub pooling: &'a Pooling,
    /// Each task's head, loss and freeze boundary, in suite order.
    pub heads: &'a [TaskHead],
    /// Whether each trunk block is trained, `[blocks]`.
    pub trainable: &'a [bool],
    /// States of the frozen part, when they are cached.
    pub cache: Option<&'a FrozenCache>,
    /// Share of values dropped in the trainable part and before heads.
    pub dropout: f64,
    /// Seed of the run.
    pub seed: u64,
    /// Whether activations are computed again in the backward instead of kept.
    pub recompute: bool,
}

/// The weights an evaluation is made at.
#[derive(Clone, Copy)]
pub struct Weights<'a> {
    /// The trunk's parameters.
    pub trunk: &'a Params,
    /// Each task's head, in suite order.
    pub heads: &'a [Block],
}

/// What a forward of the trunk gave.
pub struct Forward {
    /// Output states of all rows.
    pub states: States,
    /// What the trunk's backward needs.
    pub saved: SavedForward,
}

/// What one forward and the backward of every head gave.
pub struct Evaluation {
    /// The trunk's forward.
    pub forward: Arc<Forward>,
    /// The tasks whose loss and gradients are finite, in suite order.
    pub parts: Vec<PartGradient>,
    /// The tasks whose loss or gradient is not finite: (suite index, what).
    pub broken: Vec<(usize, String)>,
}

impl Evaluation {
    /// The part of a task, when it is present and finite.
    pub fn part(&self, task: usize) -> Option<&PartGradient> {
        self.parts.iter().find(|part| part.task == task)
    }
}

impl Engine<'_> {
    /// Index of the lowest trained block; the number of blocks when all are frozen.
    pub fn lowest(&self) -> usize {
        self.trainable.iter().position(|&trained| trained).unwrap_or(self.trainable.len())
    }

    /// Number of trained blocks that more than one task has.
    pub fn n_trained(&self) -> usize {
        self.shared().iter().filter(|shared| **shared).count()
    }

    /// How the trunk runs at an optimiser step.
    pub fn train_mode(&self, step: u64) -> Mode {
        Mode {
            dropout: self.dropout,
            seed: self.seed,
            step,
            save: true,
            lowest: self.lowest(),
            recompute: self.recompute,
            train: true,
            still: Blocks::frozen(self.trainable),
        }
    }

    /// Forward of the trunk, from cached states where they are.
    pub fn forward(
        &self,
        trunk: &Params,
        packed: &polytask_core::PackedBatch,
        texts: &[TextId],
        mode: Mode,
    ) -> Result<(States, SavedForward)> {
        match self.cache {
            Some(cache) => {
                let mode = Mode { lowest: self.lowest(), ..mode };
                Ok(self.trunk.forward_from(trunk, packed, &cache.gather(texts), mode)?)
            }
            None => Ok(self.trunk.forward(trunk, packed, mode)?),
        }
    }

    /// Forward and every head's backward, as training runs them.
    pub fn evaluate(&self, weights: Weights, batch: &StepBatch, step: u64) -> Result<Evaluation> {
        self.evaluate_in(self.train_mode(step), weights, batch)
    }

    /// As [`Self::evaluate`] with a trunk that runs in this mode.
    pub fn evaluate_in(&self, mode: Mode, weights: Weights, batch: &StepBatch) -> Result<Evaluation> {
        let (states, saved) = self.forward_batch(weights.trunk, batch, mode)?;
        let parts = batch.parts.iter().collect::<Vec<_>>();
        self.run_heads(weights.heads, batch, &parts, Arc::new(Forward { states, saved }), None, mode.step)
    }

    /// The backward of the heads of the `wanted` parts on a forward's states, or on `displaced` ones in their place.
    pub fn run_heads(
        &self,
        heads: &[Block],
        batch: &StepBatch,
        wanted: &[&TaskBatch],
        forward: Arc<Forward>,
        displaced: Option<&States>,
        step: u64,
    ) -> Result<Evaluation> {
        let states = displaced.unwrap_or(&forward.states);
        let pooled = self.pooling.forward(states, &batch.layout);
        let (mut parts, mut broken) = (Vec::new(), Vec::new());
        for part in wanted {
            match self.part_gradient(heads, batch, part, states, &pooled, step)? {
                Ok(gradient) => parts.push(gradient),
                Err(what) => broken.push((part.task, what)),
            }
        }
        Ok(Evaluation { forward, parts, broken })
    }

    /// Losses alone (times `loss_weight`), in the order of the batch's parts.
    pub fn losses(&self, weights: Weights, batch: &StepBatch, step: u64) -> Result<Vec<f64>> {
        self.losses_in(self.train_mode(step), weights, batch)
    }

    /// The same with the trunk run in some mode.
    pub fn losses_in(&self, mode: Mode, weights: Weights, batch: &StepBatch) -> Result<Vec<f64>> {
        let (states, _) = self.forward_batch(weights.trunk, batch, Mode { save: false, ..mode })?;
        let pooled = self.pooling.forward(&states, &batch.layout);
        let loss = |part: &TaskBatch| {
            let (head, (input, _)) =
                (&self.heads[part.task], self.input(&batch.layout, part, (&states, &pooled), mode.step));
            let loss = objective::value(&*head.head, &weights.heads[part.task], &*head.loss, &input)?;
            Ok(loss * head.loss_weight)
        };
        batch.parts.iter().map(loss).collect()
    }

    /// A task's gradients; the inner error says what is not finite.
    fn part_gradient(
        &self,
        heads: &[Block],
        batch: &StepBatch,
        part: &TaskBatch,
        states: &States,
        pooled: &States,
        step: u64,
    ) -> Result<std::result::Result<PartGradient, String>> {
        let head = &self.heads[part.task];
        let (input, mask) = self.input(&batch.layout, part, (states, pooled), step);
        let mut gradient = objective::gradient(&*head.head, &heads[part.task], &*head.loss, &input)?;
        multiply(&mut gradient.d_z, &mask);
        let (factor, loss) = (head.loss_weight as f32, gradient.loss * head.loss_weight);
        gradient.d_z.iter_mut().chain(&mut gradient.d_head).for_each(|g| *g *= factor);
        if let Some(what) = not_finite(&gradient.d_z, &gradient.d_head, loss) {
            return Ok(Err(format!("{what}, source rows {}", first_rows(&part.rows))));
        }
        let values = self.states_gradient(batch, part, states, &gradient.d_z);
        let lowest = head.lowest.max(self.lowest());
        let cotangent =
            Cotangent { task: part.task, sequences: part.sequences.clone(), values: values.into(), lowest };
        Ok(Ok(PartGradient { task: part.task, loss, d_head: gradient.d_head, cotangent }))
    }

    /// The head's input with dropout applied, and the factors that did it (empty without dropout).
    pub(crate) fn input<T: Real>(
        &self,
        layout: &Layout,
        part: &TaskBatch,
        (states, pooled): (&States<T>, &States<T>),
        step: u64,
    ) -> (TaskInput<T>, Vec<f32>) {
        let mut starts = Vec::new();
        let all_rows;
        let (rows, from) = match &part.leaf {
            Leaf::Sentences => (&part.sequences, pooled),
            Leaf::Tokens(rows) => (rows, states),
            Leaf::States => {
                (starts, all_rows) = rows_of_texts(layout, &part.sequences);
                (&all_rows, states)
            }
        };
        let mut z = Vec::with_capacity(rows.len() * from.width);
        rows.iter().for_each(|&row| z.extend_from_slice(from.row(row as usize)));
        let mask = self.head_mask(part.task, step, z.len());
        multiply(&mut z, &mask);
        let input = TaskInput {
            z,
            width: from.width,
            starts,
            inputs: part.inputs.clone(),
            target: part.target.clone(),
            weights: part.weights.clone(),
        };
        (input, mask)
    }

    /// Factors of the dropout before a head; heads without parameters (cosines) have none.
    fn head_mask(&self, task: usize, step: u64, n: usize) -> Vec<f32> {
        if self.dropout <= 0.0 || !self.heads[task].has_params {
            return Vec::new();
        }
        // Site 0 of a layer index no trunk reaches, so that no trunk mask shares the stream.
        let key = rng::key(self.seed, Purpose::Dropout, &[step, u64::MAX, task as u64]);
        let threshold = (self.dropout * 2f64.powi(32)) as u64;
        let keep = (1.0 / (1.0 - self.dropout)) as f32;
        (0..n as u64).map(|i| if rng::at(key, i) >> 32 < threshold { 0.0 } else { keep }).collect()
    }

    /// From dL/d(leaf) to dL/d(states) on the part's sequences.
    pub(crate) fn states_gradient<T: Real>(
        &self,
        batch: &StepBatch,
        part: &TaskBatch,
        states: &States<T>,
        d_z: &[T],
    ) -> Vec<T> {
        match &part.leaf {
            Leaf::Sentences => self.pooling.vjp(states, &batch.layout, &part.sequences, d_z),
            Leaf::Tokens(rows) => scatter(batch, part, rows, states.width, d_z),
            // The rows of the part's sequences, as they are.
            Leaf::States => d_z.to_vec(),
        }
    }

    /// Adds the weighted sum of the gradients of `tasks` to `sum`: one sweep of merged cotangents.
    pub fn weighted_sum(
        &self,
        trunk: &Params,
        batch: &StepBatch,
        evaluation: &Evaluation,
        (tasks, weights): (&[usize], &[f64]),
        sum: &mut dyn GradSink,
    ) -> Result<()> {
        let weighted = tasks.iter().zip(weights).filter_map(|(&t, &w)| Some((evaluation.part(t)?, w)));
        let merged = merge(batch, &weighted.collect::<Vec<_>>());
        Ok(self.trunk.vjp(trunk, &evaluation.forward.saved, &merged, sum)?)
    }

    /// Sends one dL/dz of all rows back.
    pub fn pull_back(
        &self,
        trunk: &Params,
        batch: &StepBatch,
        evaluation: &Evaluation,
        direction: Vec<f32>,
        sum: &mut dyn GradSink,
    ) -> Result<()> {
        let sequences = (0..batch.layout.n_sequences() as u32).collect();
        let lowest = evaluation.parts.iter().map(|p| p.cotangent.lowest).min().unwrap_or(0);
        let cotangent = Cotangent { task: 0, sequences, values: direction.into(), lowest };
        Ok(self.trunk.vjp(trunk, &evaluation.forward.saved, &[cotangent], sum)?)
    }

    /// Sends each task's cotangent back on its own; `sink` numbers tasks by their place in `tasks`.
    pub fn sweep(
        &self,
        trunk: &Params,
        evaluation: &Evaluation,
        tasks: &[usize],
        sink: &mut dyn GradSink,
    ) -> Result<()> {
        let number = |(i, &task): (usize, &usize)| {
            Some(Cotangent { task: i, ..evaluation.part(task)?.cotangent.clone() })
        };
        let cotangents: Vec<Cotangent> = tasks.iter().enumerate().filter_map(number).collect();
        Ok(self.trunk.vjp(trunk, &evaluation.forward.saved, &cotangents, sink)?)
    }

    /// Inner products of the gradients of the shared parameters, block by block, and the gradients themselves where
    /// there is a buffer for them.
    pub fn swept(
        &self,
        trunk: &Params,
        evaluation: &Evaluation,
        tasks: &[usize],
        rows: Option<sinks::RowsSink>,
    ) -> Result<Swept> {
        let mut sink = Swept::new(tasks.len(), self.trainable.len(), rows);
        self.sweep(trunk, evaluation, tasks, &mut Only { inner: &mut sink, blocks: &self.shared() })?;
        Ok(sink)
    }

    /// Inner products of the gradients of the shared parameters.
    pub fn gramian(&self, trunk: &Params, evaluation: &Evaluation, tasks: &[usize]) -> Result<Gramian> {
        Ok(self.swept(trunk, evaluation, tasks, None)?.gramian())
    }

    /// The gradients of the shared parameters, trained blocks in order.
    pub fn rows(&self, trunk: &Params, evaluation: &Evaluation, tasks: &[usize]) -> Result<Jacobian> {
        let mut sink = sinks::RowsSink::new(trunk, tasks.len(), self.lowest());
        let shared = self.shared();
        self.sweep(trunk, evaluation, tasks, &mut Only { inner: &mut sink, blocks: &shared })?;
        let blocks = (0..shared.len()).filter(|&block| shared[block]);
        let spans: Vec<_> = blocks.filter_map(|block| sink.range(block)).collect();
        let mut values = Vec::new();
        for task in 0..tasks.len() {
            spans.iter().for_each(|span| values.extend_from_slice(&sink.row(task)[span.clone()]));
        }
        Ok(Jacobian { n: tasks.len(), width: spans.iter().map(ExactSizeIterator::len).sum(), values })
    }
}

/// Hands on the gradients of some blocks: a block frozen above a trained one is passed through, not trained.
struct Only<'a> {
    inner: &'a mut dyn GradSink,
    blocks: &'a [bool],
}

impl GradSink for Only<'_> {
    fn block(&mut self, block: usize, grads: &[TaskGrad<'_>]) -> polytask_nn::Result<()> {
        if self.blocks[block] { self.inner.block(block, grads) } else { Ok(()) }
    }
}

/// A sum to which any cotangents of a step can be sent: the weights are in the cotangents already.
pub fn empty_sum(trunk: &Params, evaluation: &Evaluation) -> sinks::Sum {
    sinks::Sum::new(trunk, &vec![1.0; evaluation.parts.len().max(1)])
}

/// Where each sequence's rows begin among the rows of all of them, and these rows.
fn rows_of_texts(layout: &Layout, sequences: &[u32]) -> (Vec<u32>, Vec<u32>) {
    let (mut starts, mut rows) = (vec![0], Vec::new());
    for &sequence in sequences {
        rows.extend(layout.rows(sequence as usize).map(|row| row as u32));
        starts.push(rows.len() as u32);
    }
    (starts, rows)
}

fn multiply<T: Real>(values: &mut [T], factors: &[f32]) {
    values.iter_mut().zip(factors).for_each(|(v, f)| *v *= T::of(f64::from(*f)));
}

/// Which of a task's numbers is not finite, if any.
fn not_finite(d_z: &[f32], d_head: &[f32], loss: f64) -> Option<&'static str> {
    if !loss.is_finite() {
        return Some("loss is not finite");
    }
    let finite = |values: &[f32]| values.iter().all(|v| v.is_finite());
    (!finite(d_z) || !finite(d_head)).then_some("gradient is not finite")
}

/// The first rows of a batch, for messages.
fn first_rows(rows: &[u32]) -> String {
    let shown: Vec<String> = rows.iter().take(8).map(u32::to_string).collect();
    let more = if rows.len() > 8 { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}
