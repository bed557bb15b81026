//! One task alone at displaced weights or on another batch: only what it reads goes through the trunk.

use std::borrow::Cow;

use polytask_core::PackedBatch;
use polytask_core::suite::GradientSpace;
use polytask_nn::Trunk;

use super::StepProbe;
use crate::assemble::{Leaf, Part, StepBatch};
use crate::engine::Engine;
use crate::method::At;

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

impl Engine<'_> {
    /// One task's part of a batch, where it gives the numbers it has in the `whole` one, else that one. Images are
    /// `coupled` where batch norms look at the batch.
    pub(crate) fn batch_of<'b>(
        &self,
        whole: &'b StepBatch,
        task: usize,
        coupled: bool,
    ) -> Cow<'b, StepBatch> {
        let own = || whole.of_task(task, self.trunk);
        let is_same = self.dropout == 0.0 && !coupled && self.trunk.n_views() == 1;
        is_same.then(own).flatten().map_or(Cow::Borrowed(whole), Cow::Owned)
    }
}

impl StepBatch {
    /// The batch of one task's part alone, of a trunk with one view; none where the task is absent or reads all texts.
    pub fn of_task(&self, task: usize, trunk: &dyn Trunk) -> Option<Self> {
        let part = self.parts.iter().find(|part| part.task == task)?;
        if part.sequences.len() == self.packed.n_sequences() {
            return None;
        }
        let places = || part.sequences.iter().map(|&s| s as usize);
        let packed = PackedBatch::pack(places().map(|s| &self.packed.ids[self.packed.rows(s)]));
        let (layout, texts) = (trunk.layout(&packed), places().map(|s| self.texts[s]).collect());
        let leaf = match &part.leaf {
            Leaf::Sentences => Leaf::Sentences,
            Leaf::Tokens(rows) => {
                let row = |&row: &u32| {
                    // The sequence a row lies in, and where that one begins now.
                    let at = part.sequences.partition_point(|&s| self.layout.starts[s as usize] <= row) - 1;
                    row - self.layout.starts[part.sequences[at] as usize] + layout.starts[at]
                };
                Leaf::Tokens(rows.iter().map(row).collect())
            }
        };
        let sequences = (0..part.sequences.len() as u32).collect();
        let parts = vec![Part { sequences, leaf, ..part.clone() }];
        Some(Self { packed, layout, texts, parts })
    }
}
