//! Which columns a tree, a level and a node may read.

use polytask_core::{Purpose, Rng};

use crate::params::TreeParams;

/// Columns a tree may read, and the numbers that draw those of its nodes.
pub(super) struct Draw<'a> {
    params: &'a TreeParams,
    seed: u64,
    tree: u64,
    pub(super) columns: Vec<bool>,
}

impl<'a> Draw<'a> {
    pub(super) fn new(n_columns: usize, params: &'a TreeParams, seed: u64, tree: u64) -> Self {
        let columns = drawn(&vec![true; n_columns], params.feature_fraction, seed, &[tree]);
        Self { params, seed, tree, columns }
    }

    /// The columns a node may read.
    pub(super) fn of_node(&self, depth: usize, node: usize) -> Vec<bool> {
        let level = [self.tree, 1, depth as u64];
        let columns = drawn(&self.columns, self.params.feature_fraction_bylevel, self.seed, &level);
        let of = [self.tree, 2, node as u64];
        drawn(&columns, self.params.feature_fraction_bynode, self.seed, &of)
    }
}

/// A share of the columns that are there, at least one.
fn drawn(columns: &[bool], share: f64, seed: u64, of: &[u64]) -> Vec<bool> {
    if share >= 1.0 {
        return columns.to_vec();
    }
    let mut there: Vec<usize> = (0..columns.len()).filter(|&column| columns[column]).collect();
    Rng::new(seed, Purpose::Pick, of).shuffle(&mut there);
    let n = ((there.len() as f64 * share).round() as usize).max(1);
    let mut chosen = vec![false; columns.len()];
    there.into_iter().take(n).for_each(|column| chosen[column] = true);
    chosen
}
