//! The three blocks, one after the other.

use polytask_core::{Problem, Purpose, Result, Rng};
use rayon::prelude::*;

use super::{FARTHEST_THETA, GateStep, GroupModel, Robust, RobustParams, SAFE_FACTOR, sigmoid};
use crate::bins::Bins;
use crate::booster::drawn_rows;
use crate::loss::{Loss, LossSpec};
use crate::params::TreeParams;
use crate::quantile::median;
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
    set: RobustSet<'a>,
    params: &'a RobustParams,
    loss: Box<dyn Loss>,
    width: usize,
    /// Rows whose target is known.
    rows: Vec<u32>,
    /// The same by task.
    own_rows: Vec<Vec<u32>>,
    /// Variance of the target where it is a number.
    scale: f64,
    pub(super) thetas: Vec<f64>,
    /// Sums of the blocks, `[rows, width]`.
    shared: Vec<f64>,
    normal: Vec<f64>,
    outlier: Vec<f64>,
    own: Vec<f64>,
    /// `y − F`, or class minus probabilities, `[rows, width]`.
    residuals: Vec<f64>,
    slopes: Vec<f32>,
    n_trees: u64,
}

/// Fits the blocks; `start` are θ to begin with, drawn by the seed without them. `observe` hears of every round: its
/// number from 1 and the mean square of what is left.
///
/// # Errors
/// When settings, groups or targets are wrong.
pub fn fit_robust(
    set: RobustSet<'_>,
    params: &RobustParams,
    start: Option<&[f64]>,
    observe: &mut dyn FnMut(usize, f64),
) -> Result<Robust> {
    params.check()?;
    let mut blocks = Blocks::new(set, params, start)?;
    let starts = if start.is_some() || params.gated == 0 { 1 } else { params.starts };
    let tree = params.tree();
    let bins = Bins::new(set.table, set.weights, params.max_bin, params.seed);
    let mut grower = Grower::new(&bins, &tree);
    let mut model = blocks.empty();
    let mut round = 0;
    let mut tell = |blocks: &Blocks<'_>| {
        round += 1;
        observe(round, blocks.mean_square());
    };
    for _ in 0..params.shared {
        blocks.fill_residuals();
        model.shared.push(blocks.shared_tree(&mut grower));
        tell(&blocks);
    }
    let mut best: Option<Gated> = None;
    for number in 0..starts {
        let gated = blocks.gated_block(&mut grower, (number, start), &mut tell);
        if best.as_ref().is_none_or(|best| gated.left < best.left) {
            best = Some(gated);
        }
    }
    if let Some(best) = best {
        (model.normal, model.outlier) = blocks.take(best);
    }
    for _ in 0..params.own {
        blocks.fill_residuals();
        for group in 0..set.names.len() {
            model.groups[group].own.extend(blocks.own_tree(&mut grower, group));
        }
        tell(&blocks);
    }
    model.groups.iter_mut().zip(&blocks.thetas).for_each(|(group, theta)| group.theta = *theta);
    model.fallback = median(blocks.thetas.iter().map(|theta| sigmoid(*theta)));
    Ok(model)
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
    fn empty(&self) -> Robust {
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
                *out = this.shared[at] + (1.0 - gate) * this.normal[at] + gate * this.outlier[at] + this.own[at];
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

    fn mean_square(&self) -> f64 {
        let of = |&row: &u32| self.residuals[row as usize * self.width..][..self.width].iter().map(|r| r * r).sum::<f64>();
        self.rows.iter().map(of).sum::<f64>() / self.rows.len() as f64
    }

    /// A tree fitted to the residuals of some rows, each scaled: leaves are weighted means.
    fn tree(&mut self, grower: &mut Grower<'_>, rows: &[u32], factor: impl Fn(f64) -> f64 + Sync) -> Tree {
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
        let all = Slopes { values: &self.slopes, stride: 2 * width, first: 0, width };
        let drawn = drawn_rows(rows, self.params.subsample, self.params.seed, number);
        grower.grow(drawn.as_deref().unwrap_or(rows), all, (self.params.seed, number)).tree
    }

    fn shared_tree(&mut self, grower: &mut Grower<'_>) -> Tree {
        let rows = std::mem::take(&mut self.rows);
        let tree = self.tree(grower, &rows, |_| 1.0);
        self.rows = rows;
        add(&tree, self.set.table, &mut self.shared);
        tree
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

    /// The gated block from one start.
    fn gated_block(
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
    fn take(&mut self, block: Gated) -> (Vec<Tree>, Vec<Tree>) {
        (self.thetas, self.normal, self.outlier) = (block.thetas, block.normal, block.outlier);
        block.trees
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
        let all = Slopes { values: &self.slopes, stride: 2 * width, first: 0, width };
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

/// A gated block as it ended.
struct Gated {
    /// Mean square of what it leaves on train.
    left: f64,
    thetas: Vec<f64>,
    normal: Vec<f64>,
    outlier: Vec<f64>,
    /// Of the normal and of the outlier ensemble.
    trees: (Vec<Tree>, Vec<Tree>),
}

/// θ of a start: small draws, for at 0 both ensembles would stay the same for ever.
fn first_thetas(seed: u64, start: u64, n: usize) -> Vec<f64> {
    let mut rng = Rng::new(seed, Purpose::Init, &[16, start]);
    (0..n).map(|_| 0.1 * rng.normal()).collect()
}

/// Adds a tree to the margins of all rows.
fn add(tree: &Tree, table: &NumericTable, margins: &mut [f64]) {
    margins.par_chunks_mut(tree.width).enumerate().for_each(|(row, margins)| {
        let values = tree.value(tree.leaf(|column| table.at(row, column)));
        margins.iter_mut().zip(values).for_each(|(margin, value)| *margin += value);
    });
}

/// The trees of a task alone.
pub(super) fn tree_params(params: &RobustParams) -> TreeParams {
    params.tree()
}

fn check(set: &RobustSet<'_>) -> Result<()> {
    let n_rows = set.table.n_rows();
    if !LOSSES.contains(&set.loss.name.as_str()) {
        let what = format!("loss `{}` with tasks by group, expected one of {}", set.loss.name, LOSSES.join(", "));
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
