//! Settings of trees and of boosting.

use polytask_core::{Problem, Result};
use serde::{Deserialize, Serialize};

/// Which leaf is split next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Growth {
    /// The one that gains most.
    Leaf,
    /// Level by level.
    Depth,
}

/// What a round adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Leaves {
    /// One tree whose leaves hold a number for every margin.
    Vector,
    /// A tree for every margin.
    Apart,
}

/// How a tree grows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TreeParams {
    /// What leaves are multiplied by.
    pub learning_rate: f64,
    /// Most splits on the way to a leaf; 0 = no limit.
    pub max_depth: usize,
    /// Most leaves; 0 = no limit.
    pub num_leaves: usize,
    /// Which leaf is split next.
    pub growth: Growth,
    /// L2 penalty of leaves.
    pub lambda: f64,
    /// L1 penalty of leaves.
    pub alpha: f64,
    /// Least gain of a split.
    pub min_gain: f64,
    /// Least curvature in a child, as a mean over margins.
    pub min_child_weight: f64,
    /// Least rows in a child.
    pub min_data_in_leaf: usize,
    /// Largest leaf before the learning rate; 0 = no limit.
    pub max_delta_step: f64,
    /// Categories in a node up to which each is tried alone; beyond, sets in the order of their slopes.
    pub max_cat_to_onehot: usize,
    /// What curvature is raised by where categories are put in order, so that rare ones stand in the middle.
    pub cat_smooth: f64,
    /// Share of columns drawn for a tree.
    pub feature_fraction: f64,
    /// Share of these drawn for a level.
    pub feature_fraction_bylevel: f64,
    /// Share of these drawn for a node.
    pub feature_fraction_bynode: f64,
}

impl Default for TreeParams {
    fn default() -> Self {
        Self {
            learning_rate: 0.1,
            max_depth: 6,
            num_leaves: 31,
            growth: Growth::Leaf,
            lambda: 1.0,
            alpha: 0.0,
            min_gain: 0.0,
            min_child_weight: 1.0,
            min_data_in_leaf: 1,
            max_delta_step: 0.0,
            max_cat_to_onehot: 4,
            cat_smooth: 10.0,
            feature_fraction: 1.0,
            feature_fraction_bylevel: 1.0,
            feature_fraction_bynode: 1.0,
        }
    }
}

/// How boosting goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BoostParams {
    /// Rounds.
    pub rounds: usize,
    /// The trees.
    pub tree: TreeParams,
    /// What a round adds.
    pub leaves: Leaves,
    /// Bins of a column, beside the one of what is missing.
    pub max_bin: usize,
    /// Share of rows drawn for a tree.
    pub subsample: f64,
    /// Rounds without a better loss on valid before boosting stops; 0 = never.
    pub early_stopping: usize,
    /// What counts as better.
    pub min_delta: f64,
    /// Seed of all draws.
    pub seed: u64,
}

impl Default for BoostParams {
    fn default() -> Self {
        Self {
            rounds: 100,
            tree: TreeParams::default(),
            leaves: Leaves::Apart,
            max_bin: 255,
            subsample: 1.0,
            early_stopping: 0,
            min_delta: 0.0,
            seed: 13,
        }
    }
}

impl TreeParams {
    /// # Errors
    /// When a setting is out of range.
    pub fn check(&self) -> Result<()> {
        at_least("learning_rate", self.learning_rate, 0.0)?;
        at_least("lambda", self.lambda, 0.0)?;
        at_least("alpha", self.alpha, 0.0)?;
        at_least("min_gain", self.min_gain, 0.0)?;
        at_least("min_child_weight", self.min_child_weight, 0.0)?;
        at_least("max_delta_step", self.max_delta_step, 0.0)?;
        at_least("cat_smooth", self.cat_smooth, 0.0)?;
        at_least("min_data_in_leaf", self.min_data_in_leaf as f64, 1.0)?;
        share("feature_fraction", self.feature_fraction)?;
        share("feature_fraction_bylevel", self.feature_fraction_bylevel)?;
        share("feature_fraction_bynode", self.feature_fraction_bynode)?;
        if self.num_leaves == 1 {
            return Err(out_of_range("num_leaves", 1.0, "0 (no limit) or at least 2"));
        }
        if self.max_depth == 0 && self.num_leaves == 0 {
            let what = "`max_depth` and `num_leaves` are 0: trees would have no limit";
            return Err(Problem::new(what).try_this("num_leaves = 31").into());
        }
        Ok(())
    }
}

impl BoostParams {
    /// # Errors
    /// When a setting is out of range.
    pub fn check(&self) -> Result<()> {
        self.tree.check()?;
        at_least("rounds", self.rounds as f64, 1.0)?;
        at_least("min_delta", self.min_delta, 0.0)?;
        share("subsample", self.subsample)?;
        check_bins(self.max_bin)?;
        Ok(())
    }
}

/// A bin is two bytes, some of which mean other things.
pub(crate) fn check_bins(max_bin: usize) -> Result<()> {
    if (2..=65_000).contains(&max_bin) {
        return Ok(());
    }
    Err(out_of_range("max_bin", max_bin as f64, "a whole number from 2 to 65000"))
}

fn out_of_range(name: &str, found: f64, expected: &str) -> polytask_core::Error {
    Problem::new(format!("`{name}` is {found}, expected {expected}"))
        .try_this("the default, by leaving it out")
        .into()
}

fn at_least(name: &str, value: f64, least: f64) -> Result<()> {
    if value >= least && value.is_finite() {
        return Ok(());
    }
    Err(out_of_range(name, value, &format!("a number of at least {least}")))
}

/// Refuses what is no share of rows or columns.
pub(crate) fn share(name: &str, value: f64) -> Result<()> {
    if value > 0.0 && value <= 1.0 {
        return Ok(());
    }
    Err(out_of_range(name, value, "a number above 0 and at most 1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_range_is_named() {
        let tree = TreeParams { lambda: -1.0, ..TreeParams::default() };
        let message = BoostParams { tree, ..BoostParams::default() }.check().unwrap_err().to_string();
        assert!(message.contains("`lambda` is -1, expected a number of at least 0"), "{message}");
        let endless = TreeParams { max_depth: 0, num_leaves: 0, ..TreeParams::default() };
        assert!(endless.check().unwrap_err().to_string().contains("no limit"));
        let none = BoostParams { subsample: 0.0, ..BoostParams::default() };
        assert!(none.check().unwrap_err().to_string().contains("above 0"));
        assert!(BoostParams::default().check().is_ok());
    }
}
