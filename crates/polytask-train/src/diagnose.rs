//! What the tasks of a joint training do to each other: gradient cosines, affinities by look-ahead, sharpness.
//!
//! Inter-task affinity (Fifty, Amid, Zhao, Yu, Anil, Finn: Efficiently Identifying Task Groupings for Multi-Task
//! Learning, 2021): Z(i→j) = 1 − loss of j after a step on i / loss of j before. Only the shared parameters take the
//! step; heads stay as they are; both losses are of the same batch, under the same dropout masks. The measurements of
//! a training are averaged by who reads them.
//!
//! Departures. The paper takes the step with the training's optimiser. A step of AdamW is for nine tenths the momentum
//! of all tasks and would look the same for every i, so the step on i has AdamW's direction without momentum and
//! decay (the gradient over the root of the second moment, this gradient included) and the length of the step
//! the optimiser took last, at the learning rate of now; blocks that learn faster (new weights of an architecture) do
//! so in both. So it is as long as real steps are, and the same for every i however its loss is scaled. Where a
//! training draws one source at a time, the batch is the next one of every source, so that all tasks meet.
//!
//! Sharpness is that of [`crate::sharpness`], under the step's dropout masks.
//!
//! Nothing here changes a weight: a training with measurements gives the same bytes as one without.

use polytask_core::report::{Diagnosis, Measurement};
use polytask_core::{Problem, Split};
use polytask_nn::Block;

use crate::Result;
use crate::assemble::{Draw, StepBatch, assemble};
use crate::engine::{Engine, Evaluation, Weights};
use crate::heads::TaskHead;
use crate::optimise::Slot;
use crate::sharpness::{RHO, Reach, Spot};
use crate::trainer::Trainer;
use crate::vectors::displace;

/// Measurements of a training when nothing else is said.
pub const MEASUREMENTS: u64 = 24;

/// The record of a training as the report keeps it; none when nothing was measured.
pub(crate) fn record(names: &[String], measurements: &[Measurement]) -> Option<Diagnosis> {
    let record = || Diagnosis { tasks: names.to_vec(), rho: RHO, measurements: measurements.to_vec() };
    (!measurements.is_empty()).then(record)
}

/// Refuses tasks that share nothing a training could change: then none can hurt another.
pub fn check_shared(heads: &[TaskHead], trainable: &[bool]) -> Result<()> {
    let Some(top) = trainable.iter().rposition(|&trained| trained) else {
        let what = "every block of the encoder is frozen, expected a trained block that tasks share";
        return Err(Problem::new(what).try_this("a shorter `model.freeze`").into());
    };
    let reaching = heads.iter().filter(|head| head.lowest <= top).count();
    if reaching < 2 {
        let what = format!(
            "the gradients of {reaching} of {} tasks reach the trained blocks, expected at least 2",
            heads.len()
        );
        return Err(Problem::new(what).try_this("a shorter `freeze` of the tasks").into());
    }
    Ok(())
}

impl Trainer<'_> {
    /// Measures before step `step` when it is due: never before the first, when no step has a length yet.
    pub(crate) fn diagnose(&mut self, step: u64) -> Result<()> {
        let every = self.state.history.diagnose_every;
        let is_due = every > 0 && step.is_multiple_of(every);
        let length = if is_due { self.step_length(step) } else { 0.0 };
        let measurement = if length > 0.0 { self.measure(step, length)? } else { None };
        self.state.history.measurements.extend(measurement);
        Ok(())
    }

    fn measure(&self, step: u64, length: f64) -> Result<Option<Measurement>> {
        let (engine, trunk) = (&self.engine, &self.state.trunk);
        let batch = self.common_batch(step);
        let evaluation = engine.evaluate(self.weights(), &batch, step)?;
        let tasks: Vec<usize> = evaluation.parts.iter().map(|part| part.task).collect();
        if tasks.len() < 2 {
            return Ok(None);
        }
        let before = Losses::at(engine, self.weights(), &batch, step)?;
        let mut measurement = Measurement { loss: before.0.clone(), ..empty(step, engine.heads.len()) };
        let gramian = engine.gramian(trunk, &evaluation, &tasks)?;
        for (a, &i) in tasks.iter().enumerate() {
            for (b, &j) in tasks.iter().enumerate() {
                measurement.cosine[i][j] = gramian.cosine(a, b);
            }
            let gradient = engine.rows(trunk, &evaluation, &[i])?.values;
            if norm(&gradient) > 0.0 {
                self.look_ahead(
                    &batch,
                    &evaluation,
                    &before,
                    (i, &gradient),
                    (step, length),
                    &mut measurement,
                )?;
            }
        }
        Ok(Some(measurement))
    }

    /// Task i's row: what a step down its gradient does to every present task, and one up to itself.
    fn look_ahead(
        &self,
        batch: &StepBatch,
        evaluation: &Evaluation,
        before: &Losses,
        (i, gradient): (usize, &[f32]),
        (step, length): (u64, f64),
        measurement: &mut Measurement,
    ) -> Result<()> {
        let at = |displacement: &[f32]| {
            let trunk = displace(&self.state.trunk, &self.engine.shared(), displacement);
            let weights = Weights { trunk: &trunk, heads: &self.state.heads };
            Losses::at(&self.engine, weights, batch, step)
        };
        let down = at(&scaled(self.direction(gradient), -length))?;
        for part in &evaluation.parts {
            measurement.affinity[i][part.task] = before.affinity(&down, part.task);
        }
        let spot =
            Spot { engine: &self.engine, weights: self.weights(), batch, mode: self.engine.train_mode(step) };
        let worst = spot.worst(Reach::default(), i, gradient)?;
        measurement.sharpness[i] = worst.zip(before.0[i]).map(|(worst, loss)| worst - loss);
        Ok(())
    }

    /// The batch of the step, and of the next steps for the sources it lacks.
    fn common_batch(&self, step: u64) -> StepBatch {
        let dataset = self.engine.dataset;
        let views: Vec<_> = self.tasks.iter().map(|&t| self.engine.heads[t].view(t, dataset)).collect();
        let is_wanted = |source: usize| views.iter().any(|view| view.data.source == source);
        let mut lacking: Vec<usize> = (0..dataset.sources.len()).filter(|&s| is_wanted(s)).collect();
        let (mut draws, n) = (Vec::new(), self.plan.n_steps());
        for i in 0..n {
            for (source, rows) in self.plan.step((step - 1 + i) % n) {
                if lacking.contains(&source) {
                    lacking.retain(|&s| s != source);
                    draws.push((source, rows));
                }
            }
            if lacking.is_empty() {
                break;
            }
        }
        let draw = Draw { seed: self.engine.seed, step: self.plan.joint_step(step - 1) };
        assemble(dataset, &views, Split::Train, &draws, draw, self.engine.trunk)
    }

    /// The length of the step the optimiser took last in the shared trunk, at the learning rate of `step`.
    fn step_length(&self, step: u64) -> f64 {
        let squares = self.trained_slots().map(|(_, slot, factor)| {
            let update = momentum_step(slot, self.spec.betas, self.spec.eps);
            update.map(|x| (factor * x).powi(2)).sum::<f64>()
        });
        squares.sum::<f64>().sqrt() * self.lr(step)
    }

    /// AdamW's direction of step for a gradient, without momentum and decay.
    fn direction(&self, gradient: &[f32]) -> Vec<f32> {
        let (mut rest, mut direction) = (gradient, Vec::with_capacity(gradient.len()));
        for (block, slot, factor) in self.trained_slots() {
            let (here, later) = rest.split_at(block.values.len());
            let step = fresh_step(slot, here, self.spec.betas[1], self.spec.eps);
            direction.extend(step.map(|d| factor as f32 * d));
            rest = later;
        }
        direction
    }

    /// The shared trained blocks of the trunk, with their moments and how many times faster than the rate they learn.
    fn trained_slots(&self) -> impl Iterator<Item = (&Block, &Slot, f64)> {
        let all = self.state.trunk.blocks.iter().zip(&self.state.slots.trunk).zip(self.trunk_factors());
        let shared = all.zip(self.engine.shared()).filter(|(_, shared)| *shared);
        shared.map(|(((block, slot), factor), _)| (block, slot, factor))
    }
}

/// The losses of all tasks of the suite at some weights; `None` where a task is absent.
struct Losses(Vec<Option<f64>>);

impl Losses {
    fn at(engine: &Engine, weights: Weights, batch: &StepBatch, step: u64) -> Result<Self> {
        let mut losses = vec![None; engine.heads.len()];
        for (part, loss) in batch.parts.iter().zip(engine.losses(weights, batch, step)?) {
            losses[part.task] = Some(loss).filter(|loss| loss.is_finite());
        }
        Ok(Self(losses))
    }

    /// 1 − L(after) / L(before) of a task; a loss that is not above zero has no share to lose.
    fn affinity(&self, after: &Self, task: usize) -> Option<f64> {
        let (before, after) = (self.0[task]?, after.0[task]?);
        (before > 0.0).then(|| 1.0 - after / before)
    }
}

fn empty(step: u64, n: usize) -> Measurement {
    let square = vec![vec![None; n]; n];
    Measurement {
        step,
        loss: vec![None; n],
        cosine: square.clone(),
        affinity: square,
        sharpness: vec![None; n],
    }
}

/// The values with a norm of |`length`|; zeros stay zeros.
fn scaled(mut values: Vec<f32>, length: f64) -> Vec<f32> {
    let norm = norm(&values);
    let factor = if norm > 0.0 { (length / norm) as f32 } else { 0.0 };
    values.iter_mut().for_each(|v| *v *= factor);
    values
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt()
}

/// The last step of a block per unit of learning rate: first moment over the root of the second, both corrected
/// for their start at zero.
fn momentum_step(slot: &Slot, betas: [f64; 2], eps: f64) -> impl Iterator<Item = f64> {
    let [of_m, of_v] = betas.map(|beta| 1.0 - beta.powf(slot.count.max(1) as f64));
    let pairs = slot.moments.m.iter().zip(&slot.moments.v);
    pairs.map(move |(m, v)| f64::from(*m) / of_m / ((f64::from(*v) / of_v).sqrt() + eps))
}

/// The next step of a block per unit of learning rate, were there no first moment.
fn fresh_step(slot: &Slot, gradient: &[f32], beta: f64, eps: f64) -> impl Iterator<Item = f32> {
    let of_v = 1.0 - beta.powf(slot.count as f64 + 1.0);
    gradient.iter().enumerate().map(move |(k, g)| {
        let (g, v) = (f64::from(*g), slot.moments.v.get(k).map_or(0.0, |v| f64::from(*v)));
        (g / (((beta * v + (1.0 - beta) * g * g) / of_v).sqrt() + eps)) as f32
    })
}

#[cfg(test)]
mod tests {
    use polytask_nn::optim::{AdamW, Moments};
    use polytask_nn::{Params, TensorSpec};

    use super::*;

    const N: usize = 5;

    fn block() -> Block {
        let tensor = TensorSpec { name: "w".into(), shape: vec![N], offset: 0, decays: false };
        Block { name: "b".into(), tensors: vec![tensor], values: vec![1.0; N] }
    }

    fn gradient(step: u32) -> Vec<f32> {
        (0..N)
            .map(|k| (k as f32 + 1.0) * 0.1 * if (k as u32 + step).is_multiple_of(3) { -1.0 } else { 1.0 })
            .collect()
    }

    /// A block after four steps of `adamw`, its moments, and how far the last step moved it.
    fn stepped(adamw: &AdamW) -> (Slot, Vec<f32>) {
        let (mut params, mut moments) = (Params { blocks: vec![block()] }, Moments::zeros(N));
        let mut before = Vec::new();
        for t in 1..=4 {
            before.clone_from(&params.blocks[0].values);
            adamw.step(&mut params.blocks[0], &gradient(t), &mut moments, u64::from(t), 0.01);
        }
        let moved = before.iter().zip(&params.blocks[0].values).map(|(a, b)| b - a).collect();
        (Slot { moments, count: 4 }, moved)
    }

    #[test]
    fn the_length_is_that_of_the_step_adamw_took_last() {
        let adamw = AdamW { weight_decay: 0.0, ..AdamW::default() };
        let (slot, moved) = stepped(&adamw);
        let length: f64 =
            momentum_step(&slot, adamw.betas, adamw.eps).map(|x| x * x).sum::<f64>().sqrt() * 0.01;
        assert!((length / norm(&moved) - 1.0).abs() < 1e-4, "{length} {}", norm(&moved));
    }

    #[test]
    fn the_direction_is_that_of_adamw_without_momentum() {
        let adamw = AdamW { betas: [0.0, 0.999], weight_decay: 0.0, ..AdamW::default() };
        let (slot, _) = stepped(&adamw);
        let mut next = block();
        let mut moments = slot.moments.clone();
        adamw.step(&mut next, &gradient(9), &mut moments, 5, 1e-3);
        let ours: Vec<f32> = fresh_step(&slot, &gradient(9), 0.999, adamw.eps).collect();
        for (value, d) in next.values.iter().zip(ours) {
            assert!((value - (1.0 - 1e-3 * d)).abs() < 1e-6, "{value} {d}");
        }
    }

    #[test]
    fn a_block_never_stepped_has_no_length_and_the_direction_of_signs() {
        let slot = Slot::default();
        assert_eq!(momentum_step(&slot, [0.9, 0.999], 1e-8).count(), 0);
        let signs: Vec<f32> = fresh_step(&slot, &[0.3, -2.0, 0.0], 0.999, 1e-8).collect();
        assert!((signs[0] - 1.0).abs() < 1e-4 && (signs[1] + 1.0).abs() < 1e-4 && signs[2] == 0.0);
        assert_eq!(scaled(vec![0.0; 3], 1.0), [0.0; 3]);
    }

    #[test]
    fn a_loss_of_zero_has_no_affinity() {
        let (before, after) =
            (Losses(vec![Some(0.0), Some(2.0), None]), Losses(vec![Some(1.0), Some(1.0), Some(1.0)]));
        assert_eq!([0, 1, 2].map(|task| before.affinity(&after, task)), [None, Some(0.5), None]);
    }
}
