//! One task's part of a batch on its own: only what it reads goes through the trunk.

use std::borrow::Cow;

use polytask_core::PackedBatch;
use polytask_nn::Trunk;

use crate::assemble::{Leaf, StepBatch, TaskBatch};
use crate::engine::Engine;

impl Engine<'_> {
    /// One task's part of a batch, where it gives (to rounding) the numbers it has in the `whole` one, else that one.
    /// Images are `coupled` where batch norms look at the batch.
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
            Leaf::States => Leaf::States,
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
        let parts = vec![TaskBatch { sequences, leaf, ..part.clone() }];
        Some(Self { packed, layout, texts, parts })
    }
}
