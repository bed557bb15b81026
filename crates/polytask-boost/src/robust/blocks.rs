//! The blocks while they are fitted: what is left of every row, and trees fitted to it.

use polytask_core::{Problem, Purpose, Result, Rng};
use rayon::prelude::*;

use super::{GroupModel, Robust, RobustParams, sigmoid};
use crate::booster::drawn_rows;
use crate::loss::{LossSpec, TreeLoss};
use crate::table::NumericTable;
use crate::tree::Tree;
use crate::tree::grow::{Grower, Slopes};

/// Losses the blocks are made for.
const LOSSES: [&str; 3] = ["squared", "logistic", "softmax"];

/// What is learnt from.
#[derive(Debug, Clone, Copy)]
pub struct RobustSet<'a> {
    /// The columns, without the one that names the task.
    pub table: &'a NumericTable,
    /// Names of the tasks.
    pub names: &'a [String],
    /// Number of each row's task; a row of none is read by the shared blocks, at a gate of one half.
    pub groups: &'a [Option<usize>],
    /// Loss of the target.
    pub loss: &'a LossSpec,
    /// The target, `[rows]`; NaN = unknown.
    pub values: &'a [f64],
    /// Weights of rows; empty = 1 each.
    pub weights: &'a [f32],
}

/// Everything that changes from round to round.
pub(super) struct Blocks<'a> {
    pub(super) set: RobustSet<'a>,
    pub(super) params: &'a RobustParams,
    loss: Box<dyn TreeLoss>,
    pub(super) width: usize,
    /// Rows whose target is known.
    pub(super) rows: Vec<u32>,
    /// The same by task.
    pub(super) own_rows: Vec<Vec<u32>>,
    /// Variance of the target where it is a number.
    pub(super) scale: f64,
    pub(super) thetas: Vec<f64>,
    /// Sums of the blocks, `[rows, width]`.
    shared: Vec<f64>,
    pub(super) normal: Vec<f64>,
    pub(super) outlier: Vec<f64>,
    own: Vec<f64>,
    /// `y − F`, or class minus probabilities, `[rows, width]`.
    pub(super) residuals: Vec<f64>,
    slopes: Vec<f32>,
    n_trees: u64,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(set: RobustSet<'a>, params: &'a RobustParams, start: Option<&[f64]>) -> Result<Self> {
        let n_rows = set.table.n_rows();
        check(&set)?;
        let loss = set.loss.make()?;
        let width = loss.width();
        let is_known = |&row: &u32| !set.values[row as usize].is_nan();
        let rows: Vec<u32> = (0..n_rows as u32).filter(is_known).collect();
        let mut own_rows = vec![Vec::new(); set.names.len()];
        for &row in &rows {
            if let Some(group) = set.groups[row as usize] {
                own_rows[group].push(row);
            }
        }
        let thetas = start.map_or_else(|| first_thetas(params.seed, 0, set.names.len()), <[f64]>::to_vec);
        let zeros = vec![0.0; n_rows * width];
        let mut blocks = Self {
            set,
            params,
            loss,
            width,
            rows,
            own_rows,
            scale: 1.0,
            thetas,
            shared: zeros.clone(),
            normal: zeros.clone(),
            outlier: zeros.clone(),
            own: zeros.clone(),
            residuals: zeros,
            slopes: vec![0.0; n_rows * width * 2],
            n_trees: 0,
        };
        blocks.scale = blocks.variance();
        Ok(blocks)
    }

    /// A model without trees.
    pub(super) fn empty(&self) -> Robust {
        let group = |(name, rows): (&String, &Vec<u32>)| GroupModel {
            name: name.clone(),
            theta: 0.0,
            rows: rows.len(),
            own: Vec::new(),
        };
        Robust {
            columns: self.set.table.names(),
            loss: self.set.loss.clone(),
            width: self.width,
            shared: Vec::new(),
            normal: Vec::new(),
            outlier: Vec::new(),
            groups: self.set.names.iter().zip(&self.own_rows).map(group).collect(),
            fallback: 0.5,
        }
    }

    fn variance(&self) -> f64 {
        if self.set.loss.name != "squared" {
            return 1.0;
        }
        let n = self.rows.len() as f64;
        let values = || self.rows.iter().map(|&row| self.set.values[row as usize]);
        let mean = values().sum::<f64>() / n;
        let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
        if variance > 0.0 { variance } else { 1.0 }
    }

    /// Puts known blocks in the place of the first two, for a task that comes later.
    pub(super) fn set_shared(&mut self, margins: Vec<f64>) {
        self.shared = margins;
    }

    fn gate(&self, row: usize) -> f64 {
        self.set.groups[row].map_or(0.5, |group| sigmoid(self.thetas[group]))
    }

    /// What the blocks leave of the target of every known row.
    pub(super) fn fill_residuals(&mut self) {
        let mut residuals = std::mem::take(&mut self.residuals);
        let (width, this) = (self.width, &*self);
        residuals.par_chunks_mut(width).enumerate().for_each(|(row, out)| {
            let target = this.set.values[row];
            if target.is_nan() {
                return;
            }
            let gate = this.gate(row);
            for (k, out) in out.iter_mut().enumerate() {
                let at = row * width + k;
                *out =
                    this.shared[at] + (1.0 - gate) * this.normal[at] + gate * this.outlier[at] + this.own[at];
            }
            if this.set.loss.name == "squared" {
                out[0] = target - out[0];
                return;
            }
            this.loss.respond(out);
            for (k, out) in out.iter_mut().enumerate() {
                let is = if width == 1 { target } else { f64::from(u8::from(k == target as usize)) };
                *out = is - *out;
            }
        });
        self.residuals = residuals;
    }

    pub(super) fn mean_square(&self) -> f64 {
        let of = |&row: &u32| {
            self.residuals[row as usize * self.width..][..self.width].iter().map(|r| r * r).sum::<f64>()
        };
        self.rows.iter().map(of).sum::<f64>() / self.rows.len() as f64
    }

    /// A tree fitted to the residuals of some rows, each scaled: leaves are weighted means.
    pub(super) fn tree(
        &mut self,
        grower: &mut Grower<'_>,
        rows: &[u32],
        factor: impl Fn(f64) -> f64 + Sync,
    ) -> Tree {
        let number = self.n_trees;
        self.n_trees += 1;
        let mut slopes = std::mem::take(&mut self.slopes);
        let (width, this) = (self.width, &*self);
        slopes.par_chunks_mut(2 * width).enumerate().for_each(|(row, out)| {
            let weight = f64::from(this.set.weights.get(row).copied().unwrap_or(1.0));
            let factor = factor(this.gate(row));
            for (out, residual) in out.chunks_exact_mut(2).zip(&this.residuals[row * width..]) {
                out[0] = (-weight * factor * residual) as f32;
                out[1] = weight as f32;
            }
        });
        self.slopes = slopes;
        let all = Slopes { values: &self.slopes, stride: 2 * width, width };
        let drawn = drawn_rows(rows, self.params.subsample, self.params.seed, number);
        grower.grow(drawn.as_deref().unwrap_or(rows), all, (self.params.seed, number)).tree
    }

    pub(super) fn shared_tree(&mut self, grower: &mut Grower<'_>) -> Tree {
        let rows = std::mem::take(&mut self.rows);
        let tree = self.tree(grower, &rows, |_| 1.0);
        self.rows = rows;
        add(&tree, self.set.table, &mut self.shared);
        tree
    }

    /// A tree of one task; none where it has fewer than two known rows.
    pub(super) fn own_tree(&mut self, grower: &mut Grower<'_>, group: usize) -> Option<Tree> {
        if self.own_rows[group].len() < 2 {
            return None;
        }
        let rows = std::mem::take(&mut self.own_rows[group]);
        let tree = self.own_tree_of(grower, &rows);
        self.own_rows[group] = rows;
        Some(tree)
    }

    fn own_tree_of(&mut self, grower: &mut Grower<'_>, rows: &[u32]) -> Tree {
        let number = self.n_trees;
        self.n_trees += 1;
        let width = self.width;
        for &row in rows {
            let row = row as usize;
            let weight = f64::from(self.set.weights.get(row).copied().unwrap_or(1.0));
            let out = &mut self.slopes[row * 2 * width..][..2 * width];
            for (out, residual) in out.chunks_exact_mut(2).zip(&self.residuals[row * width..]) {
                out[0] = (-weight * residual) as f32;
                out[1] = weight as f32;
            }
        }
        let all = Slopes { values: &self.slopes, stride: 2 * width, width };
        let drawn = drawn_rows(rows, self.params.subsample, self.params.seed, number);
        let tree = grower.grow(drawn.as_deref().unwrap_or(rows), all, (self.params.seed, number)).tree;
        for &row in rows {
            let values = tree.value(tree.leaf(|column| self.set.table.at(row as usize, column)));
            let margins = &mut self.own[row as usize * width..][..width];
            margins.iter_mut().zip(values).for_each(|(margin, value)| *margin += value);
        }
        tree
    }
}

/// θ of a start: small draws, for at 0 both ensembles would stay the same for ever.
pub(super) fn first_thetas(seed: u64, start: u64, n: usize) -> Vec<f64> {
    let mut rng = Rng::new(seed, Purpose::Init, &[16, start]);
    (0..n).map(|_| 0.1 * rng.normal()).collect()
}

/// Adds a tree to the margins of all rows.
pub(super) fn add(tree: &Tree, table: &NumericTable, margins: &mut [f64]) {
    margins.par_chunks_mut(tree.width).enumerate().for_each(|(row, margins)| {
        let values = tree.value(tree.leaf(|column| table.at(row, column)));
        margins.iter_mut().zip(values).for_each(|(margin, value)| *margin += value);
    });
}

fn check(set: &RobustSet<'_>) -> Result<()> {
    let n_rows = set.table.n_rows();
    if !LOSSES.contains(&set.loss.name.as_str()) {
        let what =
            format!("loss `{}` with tasks by group, expected one of {}", set.loss.name, LOSSES.join(", "));
        return Err(Problem::new(what).try_this("plain boosting, which takes every loss").into());
    }
    if set.values.len() != n_rows || set.groups.len() != n_rows {
        let what = format!("{} targets and {} groups for {n_rows} rows", set.values.len(), set.groups.len());
        return Err(Problem::new(what).try_this("one of each per row").into());
    }
    if set.names.is_empty() || set.groups.iter().all(Option::is_none) {
        let what = "no row names its task, expected a group for each";
        return Err(Problem::new(what).try_this("`group` with the column that names it").into());
    }
    let loss = set.loss.make()?;
    let known = || set.values.iter().enumerate().filter(|(_, value)| !value.is_nan());
    if known().next().is_none() {
        let what = format!("the target is unknown in all {n_rows} rows, expected at least one known");
        return Err(Problem::new(what).try_this("leave the target out").into());
    }
    match known().find_map(|(row, &value)| Some((row, value, loss.expected(value)?))) {
        None => Ok(()),
        Some((row, value, expected)) => {
            let what = format!("target of row {} is {value}, expected {expected}", row + 1);
            Err(Problem::new(what).try_this("an empty cell where it is unknown").into())
        }
    }
}
