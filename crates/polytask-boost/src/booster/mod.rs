//! Boosting of several targets at once: one tree for all of them a round, or a tree for each margin.
//!
//! A target that is unknown in a row has no slope, no curvature and no count there; the row stays in use for others.

mod fit;
mod judge;
mod state;
mod target;

use polytask_core::{Problem, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use fit::{RoundLosses, fit};
pub(crate) use state::drawn_rows;
pub use target::{BoostTarget, TrainingSet};

use crate::loss::{LossSpec, TreeLoss};
use crate::table::NumericTable;
use crate::tree::Tree;
use crate::tree::flat::{FlatTree, side_by_side};

/// Rows predicted by one thread at a time.
const PIECE: usize = 512;

/// What a booster says of one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// Name of the target.
    pub name: String,
    /// Its loss.
    pub loss: LossSpec,
    /// The first of its margins.
    pub first: usize,
    /// Where its margins start, `[width]`.
    pub start: Vec<f64>,
}

/// A tree of a booster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BoostedTree {
    /// The round that added it, from 0.
    pub round: usize,
    /// The first margin it adds to.
    pub first: usize,
    /// The tree.
    pub tree: Tree,
}

/// Boosted trees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Booster {
    /// Names of the columns, in the order trees number them.
    pub columns: Vec<String>,
    /// The targets.
    pub outputs: Vec<Output>,
    /// The trees, in the order they were added.
    pub trees: Vec<BoostedTree>,
}

impl Booster {
    /// Margins of a row.
    pub fn n_margins(&self) -> usize {
        self.outputs.iter().map(|output| output.start.len()).sum()
    }

    /// Rounds whose trees are there.
    pub fn rounds(&self) -> usize {
        self.trees.last().map_or(0, |tree| tree.round + 1)
    }

    /// Checks what a file claims.
    ///
    /// # Errors
    /// When trees cannot be walked or margins do not fit the targets.
    pub fn check(&self) -> Result<()> {
        let n = self.n_margins();
        let mut next = 0;
        for output in &self.outputs {
            let width = output.loss.make()?.width();
            if output.first != next || output.start.len() != width {
                let what =
                    format!("target `{}` has {} margins, expected {width}", output.name, output.start.len());
                return Err(damaged(&what));
            }
            next += width;
        }
        for (t, BoostedTree { tree, first, .. }) in self.trees.iter().enumerate() {
            if let Some(mistake) = tree.mistake(self.columns.len()) {
                return Err(damaged(&format!("tree {t}: {mistake}")));
            }
            if first + tree.width > n {
                return Err(damaged(&format!(
                    "tree {t} adds to margin {}, expected one of {n}",
                    first + tree.width - 1
                )));
            }
        }
        Ok(())
    }

    /// Margins of every row, `[rows, margins]`.
    pub fn margins(&self, table: &NumericTable) -> Vec<f64> {
        let width = self.n_margins();
        let start: Vec<f64> = self.outputs.iter().flat_map(|output| output.start.iter().copied()).collect();
        let trees: Vec<FlatTree> = self.trees.iter().map(|tree| FlatTree::new(&tree.tree)).collect();
        let mut margins = vec![0.0; table.n_rows() * width];
        margins.par_chunks_mut(PIECE * width.max(1)).enumerate().for_each(|(piece, margins)| {
            margins.chunks_exact_mut(width).for_each(|margins| margins.copy_from_slice(&start));
            let first = piece * PIECE;
            let rows = side_by_side(table, first..first + margins.len() / width);
            for (tree, BoostedTree { first, .. }) in trees.iter().zip(&self.trees) {
                let both = rows.chunks_exact(table.columns().len()).zip(margins.chunks_exact_mut(width));
                for (row, margins) in both {
                    let values = tree.tree.value(tree.leaf(row));
                    margins[*first..].iter_mut().zip(values).for_each(|(margin, value)| *margin += value);
                }
            }
        });
        margins
    }

    /// What the targets are compared with, `[rows, margins]`: means, quantiles, probabilities.
    ///
    /// # Errors
    /// When a loss is unknown.
    pub fn respond(&self, margins: &mut [f64]) -> Result<()> {
        let losses: Vec<Box<dyn TreeLoss>> =
            self.outputs.iter().map(|output| output.loss.make()).collect::<Result<_>>()?;
        let width = self.n_margins();
        margins.par_chunks_mut(width.max(1)).for_each(|row| {
            for (output, loss) in self.outputs.iter().zip(&losses) {
                loss.respond(&mut row[output.first..][..output.start.len()]);
            }
        });
        Ok(())
    }
}

impl BoostedTree {
    /// Adds what a row's leaf holds to its margins.
    #[inline]
    pub(crate) fn add(&self, table: &NumericTable, row: usize, margins: &mut [f64]) {
        let values = self.tree.value(self.tree.leaf(|column| table.at(row, column)));
        margins[self.first..].iter_mut().zip(values).for_each(|(margin, value)| *margin += value);
    }
}

fn damaged(what: &str) -> polytask_core::Error {
    Problem::new(format!("boosted trees: {what}")).try_this("the file as it was written").into()
}
