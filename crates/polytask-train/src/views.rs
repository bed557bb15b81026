//! The views of a trunk's states: which one a task reads, and which blocks depend on one alone.

use polytask_core::PackedBatch;
use polytask_data::TextId;
use polytask_nn::{Mode, Params, SavedForward, States};

use crate::Result;
use crate::assemble::StepBatch;
use crate::engine::Engine;

impl Engine<'_> {
    /// Whether each trunk block is trained and more than one task's: what methods call the shared parameters.
    pub fn shared(&self) -> Vec<bool> {
        let own = |block: usize| self.trunk.owner(block).is_some();
        self.trainable.iter().enumerate().map(|(block, &trained)| trained && !own(block)).collect()
    }

    /// The trained trunk blocks that are a task's own, as its head is.
    pub fn own(&self, task: usize) -> Vec<usize> {
        let view = Some(self.view_of(task)).filter(|_| self.trunk.n_views() > 1);
        let is_own = |&block: &usize| view.is_some() && self.trunk.owner(block) == view;
        (0..self.trainable.len()).filter(|&block| self.trainable[block]).filter(is_own).collect()
    }

    /// The view of the trunk's states that a task reads.
    pub fn view_of(&self, task: usize) -> usize {
        if self.trunk.n_views() > 1 { self.heads[task].view } else { 0 }
    }

    /// Forward where only some sequences of each view are wanted, `[views]`.
    pub fn forward_for(
        &self,
        trunk: &Params,
        packed: &PackedBatch,
        texts: &[TextId],
        mode: Mode,
        wanted: &[Vec<u32>],
    ) -> Result<(States, SavedForward)> {
        let (below, mode) = match self.cache {
            Some(cache) => (Some(cache.gather(texts)), Mode { lowest: self.lowest(), ..mode }),
            None => (None, mode),
        };
        Ok(self.trunk.forward_for(trunk, packed, below.as_ref(), mode, wanted)?)
    }

    /// Forward for the parts of a batch: each view of what its task reads.
    pub fn forward_batch(
        &self,
        trunk: &Params,
        batch: &StepBatch,
        mode: Mode,
    ) -> Result<(States, SavedForward)> {
        if self.trunk.n_views() < 2 {
            return self.forward(trunk, &batch.packed, &batch.texts, mode);
        }
        let mut wanted = vec![Vec::new(); self.trunk.n_views()];
        for part in &batch.parts {
            let view = self.view_of(part.task);
            let first = (view * batch.packed.n_sequences()) as u32;
            wanted[view].extend(part.sequences.iter().map(|s| s - first));
        }
        for sequences in &mut wanted {
            sequences.sort_unstable();
            sequences.dedup();
        }
        self.forward_for(trunk, &batch.packed, &batch.texts, mode, &wanted)
    }
}
