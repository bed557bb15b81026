//! Robust multi-task gradient boosting (paper 16): tasks are groups of rows.
//!
//! `F_t(x) = A(x) + (1 − s_t) N(x) + s_t O(x) + B_t(x)`: a shared ensemble, two shared ensembles mixed by a gate
//! `s_t = sigmoid(θ_t)` that each task learns, so that a task that does not fit is explained by a function of its own,
//! and a small ensemble per task. Single-task models, pooling and MTGB are settings of the rounds.
//!
//! Departures from the released code: trees have any depth (1 by default, as there), masks of rows are drawn afresh for
//! every tree, θ starts from the seed, and a task keeps its number when others are absent at prediction. The step of the
//! gates is by default the mean gradient over a task's rows on targets of unit variance, scaled and clipped, so that it
//! does not hang on row counts and gates cannot saturate; [`GateStep::Paper`] is the published sum.
//!
//! What the gates find hangs on where θ starts: of ten starts on school scores with a fifth of the schools mirrored three
//! tell these from the rest (AUC 0.96 to 1.00) and the others settle on another split (0.69 to 0.78). What is left on
//! train after the gated block orders them as the AUC does, so several starts are tried and the best kept.

mod blocks;
mod extend;
mod fit;
mod gated;
mod gates;

use polytask_core::{Problem, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use blocks::RobustSet;
pub use fit::fit_robust;
pub use gates::{GateRow, gate_rows};

use crate::booster::{BoostedTree, Booster, Output};
use crate::loss::LossSpec;
use crate::params::{Growth, TreeParams, check_bins, share};
use crate::table::NumericTable;
use crate::tree::Tree;

/// How gates move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GateStep {
    /// Mean gradient over a task's rows, scaled by [`SAFE_FACTOR`] and clipped.
    Safe,
    /// The sum over rows times the learning rate.
    Paper,
}

/// What the mean gradient of a gate is multiplied by.
pub const SAFE_FACTOR: f64 = 25.0;
/// Farthest θ lies from 0 with the safe step.
pub(crate) const FARTHEST_THETA: f64 = 6.0;

/// Settings of the three blocks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RobustParams {
    /// Rounds of the shared ensemble.
    pub shared: usize,
    /// Rounds of the two gated ensembles.
    pub gated: usize,
    /// Rounds of each task's own ensemble.
    pub own: usize,
    /// Most splits on the way to a leaf.
    pub depth: usize,
    /// What leaves are multiplied by.
    pub learning_rate: f64,
    /// How gates move.
    pub gate: GateStep,
    /// Starts of the gated block, of which the one that leaves least on train is kept.
    pub starts: usize,
    /// Share of rows drawn for a tree.
    pub subsample: f64,
    /// Bins of a column.
    pub max_bin: usize,
    /// Seed of gates and draws.
    pub seed: u64,
}

impl Default for RobustParams {
    fn default() -> Self {
        Self {
            shared: 50,
            gated: 50,
            own: 20,
            depth: 1,
            learning_rate: 0.1,
            gate: GateStep::Safe,
            starts: 10,
            subsample: 1.0,
            max_bin: 255,
            seed: 13,
        }
    }
}

impl RobustParams {
    /// # Errors
    /// When a setting is out of range.
    pub fn check(&self) -> Result<()> {
        if self.shared + self.gated + self.own == 0 {
            let what = "`shared`, `gated` and `own` are 0 rounds, expected one of them above 0";
            return Err(Problem::new(what).try_this("shared = 50, gated = 50, own = 20").into());
        }
        if self.depth == 0 {
            return Err(Problem::new("`depth` is 0, expected at least 1")
                .try_this("1, stumps as in the paper")
                .into());
        }
        if self.starts == 0 {
            return Err(Problem::new("`starts` is 0, expected at least 1").try_this("10").into());
        }
        check_bins(self.max_bin)?;
        share("subsample", self.subsample)?;
        self.tree().check()
    }

    /// Rounds in all, those of every start among them.
    pub fn rounds(&self) -> usize {
        self.shared + self.gated * self.starts + self.own
    }

    /// What is left after each round of the model that is kept, of what is left after all of them: the gated block is
    /// that of the start that leaves least.
    pub(crate) fn of_kept_start(&self, left: &[f64]) -> Vec<f64> {
        let (shared, rest) = left.split_at(self.shared.min(left.len()));
        let (gated, own) = rest.split_at((self.gated * self.starts).min(rest.len()));
        let starts = gated.chunks(self.gated.max(1));
        let kept = starts.min_by(|a, b| a.last().unwrap_or(&0.0).total_cmp(b.last().unwrap_or(&0.0)));
        [shared, kept.unwrap_or(&[]), own].concat()
    }

    /// The paper's trees: leaves are means.
    pub(crate) fn tree(&self) -> TreeParams {
        TreeParams {
            learning_rate: self.learning_rate,
            max_depth: self.depth,
            num_leaves: 0,
            growth: Growth::Depth,
            lambda: 0.0,
            min_child_weight: 0.0,
            ..TreeParams::default()
        }
    }
}

/// A task of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupModel {
    /// Its name.
    pub name: String,
    /// Its gate before the sigmoid.
    pub theta: f64,
    /// Rows it was fitted on.
    pub rows: usize,
    /// Its own ensemble.
    pub own: Vec<Tree>,
}

/// A fitted model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Robust {
    /// Names of the columns, in the order trees number them.
    pub columns: Vec<String>,
    /// The loss of the target.
    pub loss: LossSpec,
    /// Margins of a row.
    pub width: usize,
    /// The shared ensemble.
    pub shared: Vec<Tree>,
    /// The gated ensemble that gates near 0 read.
    pub normal: Vec<Tree>,
    /// The gated ensemble that gates near 1 read.
    pub outlier: Vec<Tree>,
    /// The tasks.
    pub groups: Vec<GroupModel>,
    /// Gate of rows whose task is none of these: the median of the first training, so that later tasks change nothing.
    pub fallback: f64,
}

pub(crate) fn sigmoid(theta: f64) -> f64 {
    1.0 / (1.0 + (-theta).exp())
}

impl Robust {
    /// The gate of a task, or of a row of none.
    pub fn gate(&self, group: Option<usize>) -> f64 {
        group.map_or(self.fallback, |group| sigmoid(self.groups[group].theta))
    }

    /// The number of a task.
    pub fn group(&self, name: &str) -> Option<usize> {
        self.groups.iter().position(|group| group.name == name)
    }

    /// Margins of every row, `[rows, width]`; `groups` are the tasks' numbers, `None` for others.
    ///
    /// # Panics
    /// When there are other numbers of rows and groups.
    pub fn margins(&self, table: &NumericTable, groups: &[Option<usize>]) -> Vec<f64> {
        assert_eq!(groups.len(), table.n_rows(), "a group per row");
        let mut margins = vec![0.0; groups.len() * self.width];
        margins.par_chunks_mut(self.width).zip(groups).enumerate().for_each(|(row, (margins, group))| {
            let gate = self.gate(*group);
            add_all(&self.shared, table, row, 1.0, margins);
            add_all(&self.normal, table, row, 1.0 - gate, margins);
            add_all(&self.outlier, table, row, gate, margins);
            if let Some(group) = group {
                add_all(&self.groups[*group].own, table, row, 1.0, margins);
            }
        });
        margins
    }

    /// From margins to what the target is compared with.
    ///
    /// # Errors
    /// When the loss is unknown.
    pub fn respond(&self, margins: &mut [f64]) -> Result<()> {
        let loss = self.loss.make()?;
        margins.chunks_exact_mut(self.width).for_each(|row| loss.respond(row));
        Ok(())
    }

    /// The model of one task (or of a row of none) as plain boosted trees with scaled leaves, for programs that know no
    /// gates.
    pub fn effective(&self, name: &str, group: Option<usize>) -> Booster {
        let gate = self.gate(group);
        let own = group.map_or(&[][..], |group| &self.groups[group].own);
        let parts = [(&self.shared[..], 1.0), (&self.normal, 1.0 - gate), (&self.outlier, gate), (own, 1.0)];
        let scaled = |(tree, factor): (&Tree, f64)| Tree {
            values: tree.values.iter().map(|value| value * factor).collect(),
            ..tree.clone()
        };
        let trees = parts.iter().flat_map(|(trees, factor)| trees.iter().map(move |tree| (tree, *factor)));
        let trees = trees.map(scaled).enumerate().map(|(round, tree)| BoostedTree { round, first: 0, tree });
        let output =
            Output { name: name.into(), loss: self.loss.clone(), first: 0, start: vec![0.0; self.width] };
        Booster { columns: self.columns.clone(), outputs: vec![output], trees: trees.collect() }
    }

    /// All trees, block after block.
    pub fn trees(&self) -> impl Iterator<Item = &Tree> {
        let own = self.groups.iter().flat_map(|group| &group.own);
        self.shared.iter().chain(&self.normal).chain(&self.outlier).chain(own)
    }

    /// Checks what a file claims.
    ///
    /// # Errors
    /// When trees cannot be walked or do not fit the loss.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Problem::new(what).try_this("the file as it was written").into());
        let width = self.loss.make()?.width();
        if self.width != width {
            return wrong(format!("model of {} margins, expected {width}", self.width));
        }
        for tree in self.trees() {
            if tree.width != width {
                return wrong(format!("tree of {} margins, expected {width}", tree.width));
            }
            if let Some(mistake) = tree.mistake(self.columns.len()) {
                return wrong(mistake);
            }
        }
        match self.groups.iter().find(|group| !group.theta.is_finite()) {
            Some(group) => {
                wrong(format!("gate of task `{}` is {}, expected a finite number", group.name, group.theta))
            }
            None if !(0.0..=1.0).contains(&self.fallback) => {
                wrong(format!("gate of unknown tasks is {}, expected 0 to 1", self.fallback))
            }
            None => Ok(()),
        }
    }
}

/// Adds an ensemble, scaled, to the margins of a row.
fn add_all(trees: &[Tree], table: &NumericTable, row: usize, factor: f64, margins: &mut [f64]) {
    for tree in trees {
        let values = tree.value(tree.leaf(|column| table.at(row, column)));
        margins.iter_mut().zip(values).for_each(|(margin, value)| *margin += factor * value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_is_that_of_the_start_that_leaves_least() {
        let params = RobustParams { shared: 1, gated: 2, starts: 3, own: 1, ..RobustParams::default() };
        let left = [9.0, 8.0, 7.0, 8.5, 5.0, 8.2, 6.0, 4.0];
        assert_eq!(params.of_kept_start(&left), [9.0, 8.5, 5.0, 4.0]);
        let alone = RobustParams { gated: 0, ..params };
        assert_eq!(alone.of_kept_start(&[3.0, 2.0]), [3.0, 2.0]);
    }
}
