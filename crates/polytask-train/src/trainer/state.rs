//! Everything of a training that changes.

use polytask_nn::{Block, Params};

use crate::history::History;
use crate::optimise::Slots;

/// Everything of a training that changes, and that a checkpoint holds.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Steps taken.
    pub step: u64,
    /// The trunk's parameters.
    pub trunk: Params,
    /// Each task's head, in suite order.
    pub heads: Vec<Block>,
    /// Optimiser state.
    pub slots: Slots,
    /// The method's state.
    pub method: Vec<f64>,
    /// The best weights so far, when they are kept.
    pub best: Option<Best>,
    /// Evaluations since the best one.
    pub stale: u64,
    /// What happened so far.
    pub history: History,
}

/// The weights of the best evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Best {
    /// Step of the evaluation.
    pub step: u64,
    /// What `watch` said, larger = better.
    pub score: f64,
    /// The trained blocks of the trunk (frozen ones are empty).
    pub trunk: Vec<Vec<f32>>,
    /// The heads.
    pub heads: Vec<Block>,
}
