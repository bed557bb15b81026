//! The training loop: plan → batch → evaluation → method → optimiser, with evaluations and checkpoints between.

use std::rc::Rc;
use std::time::{Duration, Instant};

use polytask_core::Split;
use polytask_core::suite::TrainSpec;
use polytask_data::Plan;
use polytask_nn::optim::{self, AdamW};
use polytask_nn::trunk::sinks::RowsSink;

use crate::assemble::{Draw, StepBatch, assemble};
use crate::checkpoint::Checkpoints;
use crate::engine::{Engine, Evaluation, Weights};
use crate::observe::{Event, Observer};
use crate::optimise::Gradients;
use crate::probe::{Seen, StepProbe};
use crate::reference::Reference;
use crate::regularizer::{Regularizer, regularize};
use crate::swept::{Keeper, Swept};
use crate::{Error, Result};
use polytask_weighting::{Observation, Weighting};

mod gradients;
mod isolate;
mod state;

pub use state::{Best, State};

/// A training of some tasks of a suite.
pub struct Trainer<'a> {
    /// The unchanging parts.
    pub engine: Engine<'a>,
    /// Settings.
    pub spec: &'a TrainSpec,
    /// Which rows each step sees.
    pub plan: Plan,
    /// Suite indices of the tasks trained.
    pub tasks: Vec<usize>,
    /// The conflict method.
    pub method: Box<dyn Weighting>,
    /// Term added to the task losses.
    pub regularizer: Option<Box<dyn Regularizer>>,
    /// What changes.
    pub state: State,
    /// Where checkpoints go; none for short-lived trainings.
    pub checkpoints: Option<Checkpoints>,
    /// Buffer of task gradients, from step to step.
    pub spare: Option<RowsSink>,
    /// The probes, where training starts from them.
    pub reference: Option<Reference<'a>>,
    /// Share of the way from the probes to the last step at which the kept weights lie, where they are interpolated.
    pub share: Option<f64>,
    /// When the last checkpoint was written, and how long that took.
    pub saved: Option<Saved>,
}

/// A checkpoint that was written.
#[derive(Debug, Clone, Copy)]
pub struct Saved {
    at: Instant,
    took: Duration,
}

/// Evaluations write a checkpoint only when this many times what the last one took has gone by, so that saving takes a
/// tenth of a run at most.
const CHECKPOINT_PAUSE: u32 = 10;
/// What a checkpoint may always take.
const CHEAP: Duration = Duration::from_millis(100);

impl Trainer<'_> {
    /// Runs to the last step, or until `patience` is over.
    pub fn train(&mut self, name: &str, observer: &mut dyn Observer) -> Result<()> {
        let total = self.plan.n_steps();
        observer.event(Event::Phase { name, total, done: self.state.step });
        if self.state.step == 0 && self.reference.is_some() && self.state.best.is_none() {
            // Heads that were fitted may be as good as it gets.
            self.evaluate(observer)?;
        }
        while self.state.step < total && !self.is_patience_over() {
            let told = self.state.history.notes.len();
            let tokens = self.step()?;
            self.tell(observer, tokens, told);
            if self.is_evaluation_due() {
                self.evaluate(observer)?;
                if self.can_afford_checkpoint() {
                    self.checkpoint()?;
                }
            } else if self.is_checkpoint_due() {
                self.checkpoint()?;
            }
        }
        observer.event(Event::Done);
        self.choose_between(observer)
    }

    /// Seconds that a step takes, over `n` steps after one that warms up; of the only step where the plan has no more.
    pub(crate) fn seconds_per_step(&mut self, n: u64) -> Result<f64> {
        let n_steps = self.plan.n_steps();
        if n_steps == 0 {
            return Ok(0.0);
        }
        let first = Instant::now();
        self.step()?;
        if n_steps == 1 {
            return Ok(first.elapsed().as_secs_f64());
        }
        let (start, n) = (Instant::now(), n.min(n_steps - 1));
        for _ in 0..n {
            self.step()?;
        }
        Ok(start.elapsed().as_secs_f64() / n as f64)
    }

    /// One optimiser step; gives the number of tokens read.
    fn step(&mut self) -> Result<usize> {
        let step = self.state.step + 1;
        self.diagnose(step)?;
        let batches = self.batches(step);
        let tokens = batches[0].packed.n_rows();
        if batches[0].parts.is_empty() {
            self.state.step = step;
            return Ok(tokens);
        }
        let mut evaluation = self.engine.evaluate(self.weights(), &batches[0], step)?;
        self.isolate(&mut evaluation, step)?;
        // Statistics are the trunk's own: a task that is broken in its head leaves them sound.
        if evaluation.forward.states.values.iter().all(|v| v.is_finite()) {
            self.engine.trunk.update_statistics(&mut self.state.trunk, &evaluation.forward.saved);
        }
        self.state.history.losses(step, &evaluation.parts, self.engine.heads);
        self.measure_conflict(&evaluation, step)?;
        self.regularize(&batches[0], &mut evaluation, step)?;
        self.apply(&batches, evaluation, step)?;
        self.state.step = step;
        Ok(tokens)
    }

    /// The step's batch and the extra ones its method asked for: the plan read again from other places.
    fn batches(&self, step: u64) -> Vec<StepBatch> {
        let (n, extra) = (self.plan.n_steps(), self.method.needs().extra_batches as u64);
        let views: Vec<_> =
            self.tasks.iter().map(|&t| self.engine.heads[t].view(t, self.engine.dataset)).collect();
        let draw = Draw { seed: self.engine.seed, step: self.plan.joint_step(step - 1) };
        let batch = |k: u64| {
            let at = (step - 1 + k * n / (extra + 1)) % n;
            let rows = self.plan.step(at);
            assemble(self.engine.dataset, &views, Split::Train, &rows, draw, self.engine.trunk)
        };
        (0..=extra).map(batch).collect()
    }

    pub(crate) fn weights(&self) -> Weights<'_> {
        Weights { trunk: &self.state.trunk, heads: &self.state.heads }
    }

    pub(crate) fn lr(&self, step: u64) -> f64 {
        let spec = self.spec;
        optim::rate(spec.schedule, spec.lr, spec.warmup, self.plan.n_steps(), step)
    }

    /// Records what the method did and measured.
    fn observe(&mut self, tasks: &[usize], weights: Option<Vec<f64>>, conflict: Option<f64>, step: u64) {
        let weight = |(&task, value)| Observation { name: "weight", task: Some(task), value };
        let weights = tasks.iter().zip(weights.unwrap_or_default()).map(weight);
        let conflict = conflict.map(|value| Observation { name: "conflict", task: None, value });
        let all = weights.chain(conflict).chain(self.method.observations());
        self.state.history.observations(step, all);
    }

    /// Every `conflict_every` steps: cosines of the task gradients.
    fn measure_conflict(&mut self, evaluation: &Evaluation, step: u64) -> Result<()> {
        let every = self.spec.conflict_every;
        let due = every > 0 && (step == 1 || step.is_multiple_of(every));
        if !due || evaluation.parts.len() < 2 || self.engine.lowest() == self.engine.trainable.len() {
            return Ok(());
        }
        let tasks: Vec<usize> = evaluation.parts.iter().map(|part| part.task).collect();
        let gramian = self.engine.gramian(&self.state.trunk, evaluation, &tasks)?;
        self.state.history.conflict(&tasks, &gramian, self.engine.heads.len());
        Ok(())
    }

    /// Adds the term's gradients to the tasks' and records what it saw.
    fn regularize(&mut self, batch: &StepBatch, evaluation: &mut Evaluation, step: u64) -> Result<()> {
        let Some(regularizer) = &self.regularizer else { return Ok(()) };
        let when = (step, self.plan.epochs(step - 1) as u64);
        let seen = regularize(&**regularizer, &self.engine, &self.state.heads, batch, evaluation, when)?;
        self.state.history.observations(step, seen.observed.into_iter());
        seen.notes.iter().for_each(|note| self.state.history.note(note));
        Ok(())
    }

    /// Asks the method and applies its update; when something is not finite, once more without the culprits, the
    /// method's state put back.
    fn apply(&mut self, batches: &[StepBatch], evaluation: Evaluation, step: u64) -> Result<()> {
        let (mut evaluation, before) = (Rc::new(evaluation), self.method.mark());
        while !evaluation.parts.is_empty() {
            let tasks: Vec<usize> = evaluation.parts.iter().map(|part| part.task).collect();
            let main = Some(evaluation.clone());
            let (update, seen, swept) =
                self.ask(batches, main, &tasks, step, |method, probe| method.update(probe))?;
            if seen.is_finite && seen.broken.is_empty() {
                let weights = update.trunk.mean_weights();
                let gradients = self.gradients(&batches[0], &evaluation, &tasks, update, swept.as_ref())?;
                self.spare = swept.and_then(Swept::into_rows).or(self.spare.take());
                let norm = gradients.norm();
                if norm.is_finite() {
                    self.observe(&tasks, weights, seen.conflict, step);
                    return self.finish(batches, &tasks, gradients, norm, step);
                }
            }
            self.method.rewind(&before)?;
            let only = Rc::get_mut(&mut evaluation).expect("the probe that shared it is gone");
            // The step's own gradients first: what is not finite there makes every other place look broken.
            if self.isolate_in_trunk(&batches[0], only, step)? {
                continue;
            }
            if seen.broken.is_empty() {
                let what = "the combined gradient".to_string();
                return Err(Error::Diverged { step, what, lr: self.lr(step) });
            }
            self.isolate_elsewhere(only, seen.broken, step)?;
        }
        Ok(())
    }

    /// Clips, steps, and tells the method.
    fn finish(
        &mut self,
        batches: &[StepBatch],
        tasks: &[usize],
        mut gradients: Gradients,
        norm: f64,
        step: u64,
    ) -> Result<()> {
        gradients.clip(norm, self.spec.clip);
        self.state.history.norm(step, norm);
        self.optimise(&gradients, step);
        if self.method.needs().after_step {
            self.ask(batches, None, tasks, step, |method, probe| method.after_step(probe))?;
        }
        Ok(())
    }

    /// Lets the method work with a probe of this step; its answer, what its probe noticed, and what was kept of the
    /// gradients it saw.
    fn ask<R>(
        &mut self,
        batches: &[StepBatch],
        evaluation: Option<Rc<Evaluation>>,
        tasks: &[usize],
        step: u64,
        question: impl FnOnce(&mut dyn Weighting, &mut StepProbe) -> Result<R>,
    ) -> Result<(R, Seen, Option<Swept>)> {
        let rows_mb = if self.method.needs().rows { 0 } else { self.spec.rows_mb };
        let mut probe = StepProbe {
            engine: &self.engine,
            weights: Weights { trunk: &self.state.trunk, heads: &self.state.heads },
            batches,
            evaluation,
            tasks,
            step,
            epoch: self.plan.epochs(step - 1) as u64,
            lr: optim::rate(self.spec.schedule, self.spec.lr, self.spec.warmup, self.plan.n_steps(), step),
            space: self.spec.gradients,
            seen: Seen::default(),
            keeper: Keeper::of(rows_mb, self.spare.take()),
        };
        let answer = question(&mut *self.method, &mut probe)?;
        let (seen, Keeper { swept, spare, .. }) = (probe.seen, probe.keeper);
        self.spare = spare;
        Ok((answer, seen, swept))
    }

    fn optimise(&mut self, gradients: &Gradients, step: u64) {
        let spec = self.spec;
        let adamw = AdamW { betas: spec.betas, eps: spec.eps, weight_decay: spec.weight_decay };
        let factors: Vec<f64> = self.engine.heads.iter().map(|head| head.lr_factor).collect();
        let trunk_factors = self.trunk_factors();
        let (lr, state) = (self.lr(step), &mut self.state);
        let factors = (&trunk_factors[..], &factors[..]);
        state.slots.step(&adamw, &mut state.trunk, &mut state.heads, gradients, lr, factors);
    }

    /// How many times faster than the trunk each of its blocks learns: new weights (gates, masks) as heads do.
    pub(crate) fn trunk_factors(&self) -> Vec<f64> {
        let engine = &self.engine;
        let owner = |block| engine.heads.iter().find(|head| engine.trunk.owner(block) == Some(head.view));
        let of_new = |block| owner(block).map_or(self.spec.head_lr_factor, |head| head.lr_factor);
        let factor = |block| if engine.trunk.is_fresh(block) { of_new(block) } else { 1.0 };
        (0..engine.trainable.len()).map(factor).collect()
    }

    /// Tells of a step: its notes beyond the first `told`, what was observed, the losses.
    fn tell(&self, observer: &mut dyn Observer, tokens: usize, told: usize) {
        let history = &self.state.history;
        history.notes[told..].iter().for_each(|note| observer.event(Event::Note(note)));
        let losses = history.recent(self.engine.heads);
        let losses: Vec<(&str, f64)> = losses.iter().map(|(name, loss)| (name.as_str(), *loss)).collect();
        let (done, lr) = (self.state.step, self.lr(self.state.step));
        let observed = history.observed_at(done, self.engine.heads);
        observer.event(Event::Step { done, losses: &losses, lr, tokens, observed: &observed });
    }

    fn is_evaluation_due(&self) -> bool {
        let (step, every) = (self.state.step, self.spec.eval_every);
        let due = if every > 0 { step.is_multiple_of(every) } else { self.plan.is_epoch_end(step - 1) };
        due || step == self.plan.n_steps()
    }

    fn is_checkpoint_due(&self) -> bool {
        self.spec.checkpoint_every > 0 && self.state.step.is_multiple_of(self.spec.checkpoint_every)
    }

    fn is_patience_over(&self) -> bool {
        self.spec.patience > 0 && self.state.stale >= self.spec.patience
    }

    /// Whether enough work was done since the last checkpoint; the last step is always kept.
    fn can_afford_checkpoint(&self) -> bool {
        let is_last = self.state.step == self.plan.n_steps() || self.is_patience_over();
        let is_due = |saved: Saved| saved.took < CHEAP || saved.at.elapsed() >= saved.took * CHECKPOINT_PAUSE;
        is_last || self.saved.is_none_or(is_due)
    }

    fn checkpoint(&mut self) -> Result<()> {
        self.state.method = self.method.state();
        let Some(checkpoints) = &self.checkpoints else { return Ok(()) };
        let start = Instant::now();
        checkpoints.save(&self.state, self.engine.trainable)?;
        self.saved = Some(Saved { at: Instant::now(), took: start.elapsed() });
        Ok(())
    }
}
