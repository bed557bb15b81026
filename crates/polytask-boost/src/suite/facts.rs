//! What a run reads and makes.

use std::collections::BTreeMap;
use std::path::Path;

use polytask_core::{KindInfo, Suite};
use polytask_data::Dataset;
use polytask_eval::Predictions;

/// What a run reads.
#[derive(Debug, Clone, Copy)]
pub struct RunFacts<'a> {
    /// The suite, which chooses trees.
    pub suite: &'a Suite,
    /// Its data.
    pub dataset: &'a Dataset,
    /// Folder of the run.
    pub out: &'a Path,
}

/// How far a run is.
#[derive(Debug, Clone, Copy)]
pub struct RunProgress<'a> {
    /// What is being fitted.
    pub phase: &'a str,
    /// The round, from 1.
    pub round: usize,
    /// Of how many.
    pub rounds: usize,
    /// Mean loss on train.
    pub loss: f64,
}

/// Predictions by task, on the split each is reported on.
pub(super) type ByTask = BTreeMap<usize, Predictions>;

/// A kind's metrics, the task's main one first.
pub(super) fn metrics<'a>(kind: &KindInfo, main: &'a str) -> Vec<&'a str> {
    let others = kind.metrics.iter().copied().filter(|metric| *metric != main);
    std::iter::once(main).chain(others).collect()
}
