//! The gated block: two ensembles that each task mixes by its gate, from one start of the gates.

use super::blocks::{Blocks, add, first_thetas};
use super::{FARTHEST_THETA, GateStep, SAFE_FACTOR, sigmoid};
use crate::tree::Tree;
use crate::tree::grow::Grower;

/// A gated block as it ended.
pub(super) struct Gated {
    /// Mean square of what it leaves on train.
    pub(super) left: f64,
    thetas: Vec<f64>,
    normal: Vec<f64>,
    outlier: Vec<f64>,
    /// Of the normal and of the outlier ensemble.
    trees: (Vec<Tree>, Vec<Tree>),
}

impl Blocks<'_> {
    /// The gated block from one start.
    pub(super) fn gated_block(
        &mut self,
        grower: &mut Grower<'_>,
        (number, start): (usize, Option<&[f64]>),
        tell: &mut dyn FnMut(&Self),
    ) -> Gated {
        self.normal.fill(0.0);
        self.outlier.fill(0.0);
        let fresh = || first_thetas(self.params.seed, number as u64, self.set.names.len());
        self.thetas = start.map_or_else(fresh, <[f64]>::to_vec);
        let (mut normal_trees, mut outlier_trees) = (Vec::new(), Vec::new());
        for _ in 0..self.params.gated {
            self.fill_residuals();
            let (normal, outlier) = self.gated_trees(grower);
            normal_trees.push(normal);
            outlier_trees.push(outlier);
            tell(self);
        }
        self.fill_residuals();
        Gated {
            left: self.mean_square(),
            thetas: self.thetas.clone(),
            normal: self.normal.clone(),
            outlier: self.outlier.clone(),
            trees: (normal_trees, outlier_trees),
        }
    }

    /// Goes on from a gated block; its trees.
    pub(super) fn take(&mut self, block: Gated) -> (Vec<Tree>, Vec<Tree>) {
        (self.thetas, self.normal, self.outlier) = (block.thetas, block.normal, block.outlier);
        block.trees
    }

    /// Two trees fitted from one residual, and a step of every gate with the ensembles as they were before.
    fn gated_trees(&mut self, grower: &mut Grower<'_>) -> (Tree, Tree) {
        let rows = std::mem::take(&mut self.rows);
        let outlier = self.tree(grower, &rows, |gate| gate);
        let normal = self.tree(grower, &rows, |gate| 1.0 - gate);
        self.rows = rows;
        let moved = self.moved_thetas();
        add(&normal, self.set.table, &mut self.normal);
        add(&outlier, self.set.table, &mut self.outlier);
        self.thetas = moved;
        (normal, outlier)
    }

    fn moved_thetas(&self) -> Vec<f64> {
        let moved = |(theta, rows): (&f64, &Vec<u32>)| {
            let gate = sigmoid(*theta);
            let pull = |&row: &u32| {
                let at = row as usize * self.width..(row as usize + 1) * self.width;
                let apart = self.outlier[at.clone()].iter().zip(&self.normal[at.clone()]).map(|(o, n)| o - n);
                self.residuals[at].iter().zip(apart).map(|(r, apart)| r * apart).sum::<f64>()
            };
            let sum = rows.iter().map(pull).sum::<f64>() * gate * (1.0 - gate);
            match self.params.gate {
                GateStep::Paper => theta + self.params.learning_rate * sum,
                GateStep::Safe => {
                    let mean = sum / (rows.len().max(1) as f64 * self.scale);
                    let step = (SAFE_FACTOR * mean).clamp(-1.0, 1.0);
                    (theta + step).clamp(-FARTHEST_THETA, FARTHEST_THETA)
                }
            }
        };
        self.thetas.iter().zip(&self.own_rows).map(moved).collect()
    }
}
