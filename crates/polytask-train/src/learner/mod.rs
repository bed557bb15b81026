//! Learners: whatever fits tasks to rows and predicts them, from a constant to a trained encoder.
//!
//! A run compares its joint training with other learners on the same rows (`train.baselines`): a task alone, the probe,
//! and what needs no input at all. Each is a [`Learner`]: it fits some tasks of a run, and gives something [`Fitted`]
//! that predicts a split and is written to a folder and read again.
//!
//! Adding one = one file here, with its `mod` line below, and one line in [`LEARNERS`].

mod bm25;
mod folder;
mod prior;
mod probe;
pub(crate) mod trained;

use std::collections::BTreeMap;
use std::path::Path;

use polytask_core::{MethodInfo, Split};
use polytask_eval::Predictions;

use crate::Result;
use crate::context::Run;
use crate::observe::Observer;

pub use crate::side::SINGLE;
pub(crate) use trained::Trained;

/// All learners a run can be compared with, in the order of their columns.
pub static LEARNERS: &[&dyn Learner] = &[&trained::Single, &probe::Probe, &bm25::Terms, &prior::Prior];

/// Something that learns tasks from the rows of a run.
pub trait Learner: Sync {
    /// What it says about itself; its id is its column, and a word of `train.baselines`.
    fn info(&self) -> &'static MethodInfo;

    /// Whether the run has it without being asked, so that it costs nothing more.
    fn is_at_hand(&self, _run: &Run) -> bool {
        false
    }

    /// Fits `tasks` (suite indices) to train. A task it can learn nothing about is left out of its predictions.
    fn fit<'r>(
        &self,
        run: &'r Run,
        tasks: &[usize],
        observer: &mut dyn Observer,
    ) -> Result<Box<dyn Fitted + 'r>>;

    /// Reads what [`Fitted::write`] wrote, for a run of the same suite.
    fn read<'r>(&self, run: &'r Run, folder: &Path) -> Result<Box<dyn Fitted + 'r>>;
}

/// What a learner made of the tasks it was given.
pub trait Fitted {
    /// Predictions of its tasks on a split; tasks without a known target there are absent.
    fn predict(&self, split: Split) -> Result<BTreeMap<usize, Predictions>>;

    /// Writes it into `folder`, which is made.
    fn write(&self, folder: &Path) -> Result<()>;
}

/// What all learners say about themselves, in the order of their columns.
pub fn infos() -> Vec<&'static MethodInfo> {
    LEARNERS.iter().map(|learner| learner.info()).collect()
}
