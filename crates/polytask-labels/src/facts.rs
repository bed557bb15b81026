//! What a run reads, and what is heard of it.

use std::path::Path;

use polytask_core::Suite;
use polytask_data::Dataset;

use crate::encoder::TextEncoder;

/// What a run reads.
#[derive(Clone, Copy)]
pub struct LabelRun<'a> {
    /// The suite, whose heads match texts with descriptions.
    pub suite: &'a Suite,
    /// Its data.
    pub dataset: &'a Dataset,
    /// The encoder.
    pub encoder: &'a TextEncoder,
    /// Folder of the run.
    pub out: &'a Path,
}

/// How far a run is.
#[derive(Debug, Clone, Copy)]
pub struct RunPhase<'a> {
    /// What is being done.
    pub name: &'a str,
    /// How much of it is done.
    pub done: usize,
    /// Of how much.
    pub total: usize,
    /// Mean loss on train; NaN where nothing is learnt.
    pub loss: f64,
}
