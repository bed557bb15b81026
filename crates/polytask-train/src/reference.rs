//! What training starts from when the heads were fitted.

use std::collections::BTreeMap;

use polytask_eval::Predictions;
use polytask_nn::{Block, Params};

/// What training starts from when the heads were fitted: weights that are judged like any later ones.
#[derive(Debug, Clone, Copy)]
pub struct Reference<'a> {
    /// The trunk as it was loaded.
    pub trunk: &'a Params,
    /// The fitted heads, in suite order.
    pub heads: &'a [Block],
    /// What they predict on valid, by task.
    pub valid: &'a BTreeMap<usize, Predictions>,
}
