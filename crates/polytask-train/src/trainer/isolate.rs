//! Tasks whose numbers are not finite are taken out of a step and named.

use super::Trainer;
use crate::assemble::StepBatch;
use crate::engine::{Evaluation, PartGradient, empty_sum};
use crate::{Error, Result};

impl Trainer<'_> {
    /// Remembers the tasks that were taken out of the step. A step without any task left is skipped while some task
    /// of the training is still sound (in `alternate` a broken task often stands alone).
    pub(super) fn isolate(&mut self, evaluation: &mut Evaluation, step: u64) -> Result<()> {
        for (task, what) in evaluation.broken.drain(..) {
            self.state.history.isolate((task, &self.engine.heads[task].name), step, what);
        }
        if evaluation.parts.is_empty() && self.state.history.are_broken(&self.tasks) {
            let what = self.state.history.last_isolated().unwrap_or_default();
            return Err(Error::Diverged { step, what, lr: self.lr(step) });
        }
        Ok(())
    }

    /// The tasks whose gradient stops being finite inside the trunk are taken out; whether any was.
    pub(super) fn isolate_in_trunk(
        &mut self,
        batch: &StepBatch,
        evaluation: &mut Evaluation,
        step: u64,
    ) -> Result<bool> {
        for task in evaluation.parts.iter().map(|part| part.task).collect::<Vec<_>>() {
            let mut sum = empty_sum(&self.state.trunk, evaluation);
            let pair = (&[task][..], &[1.0][..]);
            self.engine.weighted_sum(&self.state.trunk, batch, evaluation, pair, &mut sum)?;
            let blocks = (0..self.engine.trainable.len()).filter_map(|block| sum.gradient(block));
            if !blocks.flatten().all(|g| g.is_finite()) {
                evaluation.parts.retain(|part| part.task != task);
                evaluation.broken.push((task, "gradient in the trunk is not finite".into()));
            }
        }
        let found = !evaluation.broken.is_empty();
        self.isolate(evaluation, step)?;
        Ok(found)
    }

    /// The tasks that are not finite where else the method looked are taken out.
    pub(super) fn isolate_elsewhere(
        &mut self,
        evaluation: &mut Evaluation,
        mut broken: Vec<(usize, String)>,
        step: u64,
    ) -> Result<()> {
        broken.sort_by_key(|(task, _)| *task);
        broken.dedup_by_key(|(task, _)| *task);
        if broken.len() > 1 && broken.len() == evaluation.parts.len() {
            // Where nobody stands, the one whose gradient reached furthest led there.
            let reach = |task: usize| evaluation.part(task).map_or(0.0, PartGradient::reach);
            broken.sort_by(|(a, _), (b, _)| reach(*b).total_cmp(&reach(*a)));
            broken.truncate(1);
        }
        evaluation.parts.retain(|part| broken.iter().all(|(task, _)| *task != part.task));
        evaluation.broken.extend(broken);
        self.isolate(evaluation, step)
    }
}
