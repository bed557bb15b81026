//! The batch of a question about one task.

use std::borrow::Cow;

use polytask_core::suite::GradientSpace;

use super::StepProbe;
use crate::assemble::StepBatch;
use polytask_weighting::At;

impl<'a> StepProbe<'a> {
    /// The batch of a place for what concerns `tasks`: for one task its own part, where this gives the same numbers.
    /// Dropout masks follow a row's place in its batch, batch norms couple all images, and the whole forward may be
    /// at hand: then it is the whole batch.
    pub(super) fn batch_for(&self, at: At, tasks: &[usize]) -> Cow<'a, StepBatch> {
        let whole = &self.batches[at.batch];
        let [task] = tasks else { return Cow::Borrowed(whole) };
        let is_at_hand = at.batch == 0 && self.evaluation.is_some() && self.is_trunk_here(at);
        if is_at_hand || at.states.is_some() || self.space == GradientSpace::Representation {
            return Cow::Borrowed(whole);
        }
        self.engine.batch_of(whole, *task, self.engine.trunk.is_coupled())
    }
}
