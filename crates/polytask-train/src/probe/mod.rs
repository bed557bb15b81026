//! The loop's side of [`Probe`]: answers a method's questions about a step.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use polytask_core::suite::GradientSpace;
use polytask_core::{Purpose, Rng};
use polytask_nn::{Block, Params};

use crate::Result;
use crate::assemble::StepBatch;
use crate::engine::{Engine, Evaluation, Forward, Weights, empty_sum};
use crate::swept::{Keeper, Swept};
use crate::vectors::{displace, flatten};
use polytask_weighting::{self, At, Gramian, Jacobian, JointGradient, Probe, TaskGradient, TaskGradients};

mod single;

/// A step as a method sees it.
pub struct StepProbe<'a> {
    /// The unchanging parts.
    pub engine: &'a Engine<'a>,
    /// The weights now.
    pub weights: Weights<'a>,
    /// The step's batch, then the extra ones.
    pub batches: &'a [StepBatch],
    /// The evaluation of the step's batch at these weights; none yet after the optimiser's step.
    pub evaluation: Option<Rc<Evaluation>>,
    /// Suite indices of the tasks that take part.
    pub tasks: &'a [usize],
    /// Optimiser step, from 1.
    pub step: u64,
    /// Epoch, from 0.
    pub epoch: u64,
    /// Learning rate of the trunk.
    pub lr: f64,
    /// Which gradients the run's method sees.
    pub space: GradientSpace,
    /// What was noticed while the method looked.
    pub seen: Seen,
    /// The step's Gramian once a method has asked, and the gradients it was made from when they fit.
    pub keeper: Keeper,
}

/// What a probe notices.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Whether the step's own gradients were finite.
    pub is_finite: bool,
    /// Tasks whose numbers are not finite at another place (displaced weights, extra batches): (suite index, what).
    pub broken: Vec<(usize, String)>,
    /// Share of pairs of tasks with a negative inner product, where the method asked for the Gramian.
    pub conflict: Option<f64>,
}

impl Default for Seen {
    fn default() -> Self {
        Self { is_finite: true, broken: Vec::new(), conflict: None }
    }
}

/// An evaluation and where it was made.
struct Placed<'a> {
    trunk: Cow<'a, Params>,
    batch: Cow<'a, StepBatch>,
    evaluation: Rc<Evaluation>,
}

impl<'a> StepProbe<'a> {
    /// The evaluation at a place; the main one is not made again.
    fn place(&self, at: At) -> Result<Placed<'a>> {
        self.place_tasks(at, self.tasks)
    }

    /// As [`Self::place`], for what concerns `tasks` only.
    fn place_tasks(&self, at: At, tasks: &[usize]) -> Result<Placed<'a>> {
        let trunk = self.trunk(at);
        if let (true, Some(main)) = (at == At::default(), &self.evaluation) {
            let batch = Cow::Borrowed(&self.batches[at.batch]);
            return Ok(Placed { trunk, batch, evaluation: main.clone() });
        }
        let heads = self.heads_at(at);
        let batch = self.batch_for(at, tasks);
        let forward = match &batch {
            Cow::Owned(batch) => Arc::new(self.run(&trunk, batch)?),
            Cow::Borrowed(_) => self.forward(at, &trunk)?,
        };
        let moved = at.states.map(|d| {
            let mut states = forward.states.clone();
            states.values.iter_mut().zip(d).for_each(|(v, d)| *v += d);
            states
        });
        let wanted: Vec<_> = batch.parts.iter().filter(|part| tasks.contains(&part.task)).collect();
        let evaluation =
            self.engine.run_heads(&heads, &batch, &wanted, forward, moved.as_ref(), self.step)?;
        Ok(Placed { trunk, batch, evaluation: Rc::new(evaluation) })
    }

    /// The trunk's forward at a place; the main one's is used again when the trunk's weights are the same.
    fn forward(&self, at: At, trunk: &Params) -> Result<Arc<Forward>> {
        match &self.evaluation {
            Some(main) if at.batch == 0 && self.is_trunk_here(at) => Ok(main.forward.clone()),
            _ => Ok(Arc::new(self.run(trunk, &self.batches[at.batch])?)),
        }
    }

    /// A pass of training.
    fn run(&self, trunk: &Params, batch: &StepBatch) -> Result<Forward> {
        let (states, saved) = self.engine.forward_batch(trunk, batch, self.engine.train_mode(self.step))?;
        Ok(Forward { states, saved })
    }

    fn trunk(&self, at: At) -> Cow<'a, Params> {
        match at.displacement {
            None if at.heads.is_none() || !self.has_own() => Cow::Borrowed(self.weights.trunk),
            displacement => {
                let mut trunk = match displacement {
                    Some(d) => displace(self.weights.trunk, &self.engine.shared(), d),
                    None => self.weights.trunk.clone(),
                };
                for (&task, d) in self.tasks.iter().zip(at.heads.into_iter().flatten()) {
                    self.engine.displace_own(&mut trunk, &self.weights.heads[task], task, d);
                }
                Cow::Owned(trunk)
            }
        }
    }

    /// Whether some task has trunk blocks of its own.
    fn has_own(&self) -> bool {
        self.tasks.iter().any(|&task| !self.engine.own(task).is_empty())
    }

    /// Whether the trunk's weights at a place are those of the step.
    fn is_trunk_here(&self, at: At) -> bool {
        at.displacement.is_none() && (at.heads.is_none() || !self.has_own())
    }

    /// The heads of all tasks, those of the present ones displaced as asked.
    fn heads_at(&self, at: At) -> Cow<'a, [Block]> {
        let Some(displacements) = at.heads else { return Cow::Borrowed(self.weights.heads) };
        let mut heads = self.weights.heads.to_vec();
        for (&task, displacement) in self.tasks.iter().zip(displacements) {
            heads[task].values.iter_mut().zip(displacement).for_each(|(v, d)| *v += d);
        }
        Cow::Owned(heads)
    }

    /// Remembers the tasks that are not finite at a place other than the main one, whose own are known already.
    fn note_broken(&mut self, at: At, placed: &Placed) {
        if at != At::default() {
            let elsewhere = |(task, what): &(usize, String)| (*task, format!("{what}, at {}", describe(at)));
            self.seen.broken.extend(placed.evaluation.broken.iter().map(elsewhere));
        }
    }

    /// Remembers a task whose gradient is not finite inside the trunk; at the main place the loop finds it itself.
    fn note_row(&mut self, at: At, task: usize, is_finite: bool) {
        if is_finite {
            return;
        }
        if at == At::default() {
            self.seen.is_finite = false;
        } else {
            self.seen
                .broken
                .push((task, format!("gradient in the trunk is not finite, at {}", describe(at))));
        }
    }

    /// Remembers whether the step's own Gramian is finite, and how many of its pairs conflict.
    fn note_gramian(&mut self, at: At, gramian: &Gramian) {
        if at == At::default() {
            self.seen.is_finite &= gramian.values.iter().all(|v| v.is_finite());
            self.seen.conflict = gramian.conflicting();
        }
    }

    /// The sweep of the step's own gradients, made once.
    fn main_sweep(&mut self) -> Result<&Swept> {
        if self.keeper.swept.is_none() {
            let placed = self.place(At::default())?;
            let rows = self.keeper.buffer(&placed.trunk, self.tasks.len(), self.engine.lowest());
            let swept = self.engine.swept(&placed.trunk, &placed.evaluation, self.tasks, rows)?;
            self.note_gramian(At::default(), &swept.gramian());
            self.keeper.swept = Some(swept);
        }
        Ok(self.keeper.swept.as_ref().expect("the sweep was just made"))
    }

    /// The sweep of the gradients at a place.
    fn sweep_at<R>(&mut self, at: At, take: impl Fn(&Swept) -> R) -> Result<R> {
        if at == At::default() {
            return Ok(take(self.main_sweep()?));
        }
        let placed = self.place(at)?;
        Ok(take(&self.engine.swept(&placed.trunk, &placed.evaluation, self.tasks, None)?))
    }

    /// The gradients of `tasks` in the run's gradient space.
    fn rows_of(&self, placed: &Placed, tasks: &[usize]) -> Result<Jacobian> {
        match self.space {
            GradientSpace::Full | GradientSpace::Layer => {
                self.engine.rows(&placed.trunk, &placed.evaluation, tasks)
            }
            GradientSpace::Representation => {
                Ok(self.engine.representation_rows(&placed.batch, &placed.evaluation, tasks))
            }
        }
    }

    /// The losses of the present tasks; NaN where one is absent.
    fn losses_of(&self, placed: &Placed) -> Vec<f64> {
        let loss = |&task: &usize| placed.evaluation.part(task).map_or(f64::NAN, |part| part.loss);
        self.tasks.iter().map(loss).collect()
    }

    /// The gradient of a weighted sum of losses, `[params]`.
    fn sum_of(&self, placed: &Placed, weights: &[f64]) -> Result<Vec<f32>> {
        let mut sum = empty_sum(&placed.trunk, &placed.evaluation);
        let pair = (self.tasks, weights);
        self.engine.weighted_sum(&placed.trunk, &placed.batch, &placed.evaluation, pair, &mut sum)?;
        Ok(flatten(&sum, &placed.trunk, &self.engine.shared()))
    }

    /// The gradients of the heads of the present tasks.
    fn head_gradients(&self, placed: &Placed) -> Result<Vec<Vec<f32>>> {
        self.tasks.iter().map(|&task| self.head_gradient(placed, task)).collect()
    }

    /// The gradients of the present tasks; what is not finite is remembered.
    fn noted_rows(&mut self, at: At, placed: &Placed) -> Result<Jacobian> {
        self.note_broken(at, placed);
        let rows = self.rows_of(placed, self.tasks)?;
        for (i, &task) in self.tasks.iter().enumerate() {
            self.note_row(at, task, all_finite(rows.row(i)));
        }
        Ok(rows)
    }

    /// The gradient of a task's head and of the trunk blocks that go with it; zeros where the task is absent.
    fn head_gradient(&self, placed: &Placed, task: usize) -> Result<Vec<f32>> {
        let mut gradient = match placed.evaluation.part(task) {
            Some(part) => part.d_head.clone(),
            None => vec![0.0; self.weights.heads[task].values.len()],
        };
        gradient.extend(self.engine.own_gradient(&placed.trunk, &placed.evaluation, task)?);
        Ok(gradient)
    }

    /// Shared trained blocks of the trunk.
    fn trained(&self) -> impl Iterator<Item = &'a Block> {
        let blocks = self.weights.trunk.blocks.iter().zip(self.engine.shared());
        blocks.filter(|(_, shared)| *shared).map(|(block, _)| block)
    }
}

impl Probe for StepProbe<'_> {
    fn step(&self) -> u64 {
        self.step
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn tasks(&self) -> &[usize] {
        self.tasks
    }

    fn lr(&self) -> f64 {
        self.lr
    }

    fn rng(&self) -> Rng {
        Rng::new(self.engine.seed, Purpose::Method, &[self.step])
    }

    fn losses(&mut self, at: At) -> Result<Vec<f64>> {
        // Forward alone is enough where no forward is at hand.
        let at_hand = self.evaluation.is_some() && at.batch == 0 && self.is_trunk_here(at);
        if !at_hand && at.states.is_none() {
            let (trunk, heads, batch) = (self.trunk(at), self.heads_at(at), &self.batches[at.batch]);
            let weights = Weights { trunk: &trunk, heads: &heads };
            let losses = self.engine.losses(weights, batch, self.step)?;
            let of_task = |task: &usize| batch.parts.iter().position(|part| part.task == *task);
            return Ok(self.tasks.iter().map(|t| of_task(t).map_or(f64::NAN, |i| losses[i])).collect());
        }
        Ok(self.losses_of(&self.place(at)?))
    }

    fn gramian(&mut self, at: At) -> Result<Gramian> {
        if self.space == GradientSpace::Representation {
            let placed = self.place(at)?;
            self.note_broken(at, &placed);
            let gramian = self.engine.representation_gramian(&placed.batch, &placed.evaluation, self.tasks);
            for (i, &task) in self.tasks.iter().enumerate() {
                self.note_row(at, task, gramian.values[i * gramian.n + i].is_finite());
            }
            self.note_gramian(at, &gramian);
            return Ok(gramian);
        }
        self.sweep_at(at, Swept::gramian)
    }

    fn block_gramians(&mut self, at: At) -> Result<Vec<Gramian>> {
        let shared = self.engine.shared();
        self.sweep_at(at, |swept| swept.blocks(&shared))
    }

    fn rows(&mut self, at: At) -> Result<Jacobian> {
        let placed = self.place(at)?;
        self.noted_rows(at, &placed)
    }

    fn gradient(&mut self, at: At, weights: &[f64]) -> Result<Vec<f32>> {
        let placed = self.place(at)?;
        self.note_broken(at, &placed);
        self.sum_of(&placed, weights)
    }

    fn heads(&mut self, at: At) -> Result<Vec<Vec<f32>>> {
        self.head_gradients(&self.place(at)?)
    }

    fn gradients(&mut self, at: At) -> Result<TaskGradients> {
        let placed = self.place(at)?;
        let rows = self.noted_rows(at, &placed)?;
        let (losses, heads) = (self.losses_of(&placed), self.head_gradients(&placed)?);
        Ok(TaskGradients { losses, rows, heads })
    }

    fn joint(&mut self, at: At, weights: &[f64]) -> Result<JointGradient> {
        let placed = self.place(at)?;
        self.note_broken(at, &placed);
        let (losses, heads) = (self.losses_of(&placed), self.head_gradients(&placed)?);
        Ok(JointGradient { losses, shared: self.sum_of(&placed, weights)?, heads })
    }

    fn task(&mut self, at: At, i: usize) -> Result<TaskGradient> {
        let task = self.tasks[i];
        let placed = self.place_tasks(at, &[task])?;
        self.note_broken(at, &placed);
        let loss = placed.evaluation.part(task).map_or(f64::NAN, |part| part.loss);
        let row = self.rows_of(&placed, &[task])?.values;
        self.note_row(at, task, all_finite(&row));
        Ok(TaskGradient { loss, row, head: self.head_gradient(&placed, task)? })
    }

    fn states(&mut self, at: At) -> Result<polytask_weighting::OutputStates> {
        let placed = self.place(at)?;
        let states = &placed.evaluation.forward.states;
        Ok(polytask_weighting::OutputStates {
            values: states.values.clone(),
            width: states.width,
            samples: placed.batch.layout.starts.iter().map(|&start| start as usize).collect(),
        })
    }

    fn parts(&self) -> Vec<polytask_weighting::Part> {
        let mut parts = Vec::new();
        let mut base = 0;
        for block in self.trained() {
            parts.extend(block.tensors.iter().map(|tensor| polytask_weighting::Part {
                block: block.name.clone(),
                tensor: tensor.name.clone(),
                range: base + tensor.range().start..base + tensor.range().end,
                matrix: tensor.decays,
            }));
            base += block.values.len();
        }
        parts
    }

    fn shared(&self) -> Vec<f32> {
        self.trained().flat_map(|block| block.values.iter().copied()).collect()
    }

    fn head(&self, i: usize) -> Vec<f32> {
        let task = self.tasks[i];
        [self.weights.heads[task].values.clone(), self.engine.own_values(self.weights.trunk, task)].concat()
    }
}

fn all_finite(values: &[f32]) -> bool {
    values.iter().all(|v| v.is_finite())
}

/// A place in words.
fn describe(at: At) -> String {
    match at.batch {
        0 => "displaced weights".into(),
        batch => format!("extra batch {batch}"),
    }
}
