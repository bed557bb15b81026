//! What changes from round to round: margins of every target, and the slopes trees are fitted to.

use std::ops::Range;

use polytask_core::{Problem, Purpose, Result, rng};
use rayon::prelude::*;

use super::target::check_weights;
use super::{BoostTarget, BoostedTree, Booster, Output, TrainingSet};
use crate::loss::TreeLoss;
use crate::params::{BoostParams, Leaves};
use crate::quantile::weighted_quantile;
use crate::tree::grow::{Grower, Grown, Slopes};

/// Leaves of a tree with the places of their rows, and what holds these.
type LeavesOf<'g> = (&'g [(usize, Range<usize>)], &'g Grower<'g>);

/// Rows one thread takes at a time.
const PIECE: usize = 4096;

/// A target as the rounds see it.
pub(super) struct Fitted<'a> {
    target: &'a BoostTarget,
    loss: Box<dyn TreeLoss>,
    /// The first of its margins.
    first: usize,
    width: usize,
    /// What its slopes are multiplied by: its weight, over the scale of its curvature where leaves are vectors.
    factor: f64,
    /// Rows where it is known.
    rows: Vec<u32>,
    /// `[rows, width]`.
    margins: Vec<f64>,
}

/// Everything that changes from round to round.
pub(super) struct State<'a> {
    pub(super) set: TrainingSet<'a>,
    pub(super) fitted: Vec<Fitted<'a>>,
    /// Slope and curvature of every row: of all margins side by side where leaves are vectors, else a list per margin.
    slopes: Vec<Vec<f32>>,
    /// Margins of all targets.
    pub(super) width: usize,
    seed: u64,
    subsample: f64,
    n_trees: u64,
}

impl<'a> State<'a> {
    pub(super) fn new(set: TrainingSet<'a>, params: &BoostParams) -> Result<Self> {
        let n_rows = set.table.n_rows();
        check_weights(set.weights, n_rows)?;
        if set.targets.is_empty() {
            return Err(Problem::new("no target to fit, expected at least one")
                .try_this("name a target")
                .into());
        }
        let (mut fitted, mut width) = (Vec::new(), 0);
        for target in set.targets {
            fitted.push(Fitted::new(set, target, width)?);
            width += fitted[fitted.len() - 1].width;
        }
        let is_vector = params.leaves == Leaves::Vector;
        let (n_lists, of_row) = if is_vector { (1, 2 * width) } else { (width, 2) };
        let slopes = vec![vec![0.0; n_rows * of_row]; n_lists];
        let (seed, subsample) = (params.seed, params.subsample);
        let mut state = Self { set, fitted, slopes, width, seed, subsample, n_trees: 0 };
        if is_vector {
            state.scale();
        }
        Ok(state)
    }

    /// Where the margins of every target start.
    pub(super) fn starts(&self) -> Vec<Vec<f64>> {
        self.fitted.iter().map(|fitted| fitted.start(self.set.weights)).collect()
    }

    /// Makes gains of different losses comparable: a target's slopes are divided by the mean curvature it starts with.
    fn scale(&mut self) {
        self.fill_slopes();
        let (of_row, slopes) = (2 * self.width, &self.slopes[0]);
        for fitted in &mut self.fitted {
            let curvature = |row: &u32| {
                let row = &slopes[*row as usize * of_row + 2 * fitted.first..][..2 * fitted.width];
                row.iter().skip(1).step_by(2).map(|h| f64::from(*h)).sum::<f64>()
            };
            let total: f64 = fitted.rows.iter().map(curvature).sum();
            let mean = total / (fitted.rows.len() * fitted.width) as f64;
            // The weight stands in the slopes already.
            let scale = if fitted.target.weight > 0.0 { mean / fitted.target.weight } else { 1.0 };
            fitted.factor = fitted.target.weight / if scale > 0.0 { scale } else { 1.0 };
        }
    }

    /// A booster without trees.
    pub(super) fn booster(&self) -> Booster {
        let output = |(fitted, start): (&Fitted, Vec<f64>)| Output {
            name: fitted.target.name.clone(),
            loss: fitted.target.loss.clone(),
            first: fitted.first,
            start,
        };
        let outputs = self.fitted.iter().zip(self.starts()).map(output).collect();
        Booster { columns: self.set.table.names(), outputs, trees: Vec::new() }
    }

    pub(super) fn rows_with_a_target(&self) -> Vec<u32> {
        let known =
            |&row: &u32| self.fitted.iter().any(|fitted| !fitted.target.values[row as usize].is_nan());
        (0..self.set.table.n_rows() as u32).filter(known).collect()
    }

    /// Slopes and curvatures of every row from its margins; nothing where a target is unknown.
    pub(super) fn fill_slopes(&mut self) {
        let (width, fitted, weights) = (self.width, &self.fitted, self.set.weights);
        if let [side_by_side] = self.slopes.as_mut_slice() {
            let pieces = side_by_side.par_chunks_mut(PIECE * 2 * width).enumerate();
            pieces.for_each(|(piece, slopes)| {
                for one in fitted {
                    let own = slopes.chunks_exact_mut(2 * width).map(|row| &mut row[2 * one.first..]);
                    one.fill(piece * PIECE, weights, own);
                }
            });
            return;
        }
        let mut lists = &mut self.slopes[..];
        for one in fitted {
            let (own, rest) = std::mem::take(&mut lists).split_at_mut(one.width);
            one.fill_lists(weights, own);
            lists = rest;
        }
    }

    pub(super) fn vector_tree(&mut self, grower: &mut Grower<'_>, rows: &[u32], round: usize) -> BoostedTree {
        let all: Vec<usize> = (0..self.fitted.len()).collect();
        self.tree(grower, rows, (0, self.width), round, &all)
    }

    pub(super) fn trees_apart(
        &mut self,
        grower: &mut Grower<'_>,
        target: usize,
        round: usize,
    ) -> Vec<BoostedTree> {
        let rows = std::mem::take(&mut self.fitted[target].rows);
        let Fitted { first, width, .. } = self.fitted[target];
        let trees =
            (first..first + width).map(|margin| self.tree(grower, &rows, (margin, 1), round, &[target]));
        let trees = trees.collect();
        self.fitted[target].rows = rows;
        trees
    }

    /// Grows a tree for some margins and adds it to the rows it is about.
    fn tree(
        &mut self,
        grower: &mut Grower<'_>,
        rows: &[u32],
        (first, width): (usize, usize),
        round: usize,
        targets: &[usize],
    ) -> BoostedTree {
        let number = self.n_trees;
        self.n_trees += 1;
        let drawn = drawn_rows(rows, self.subsample, self.seed, number);
        let list = if self.slopes.len() == 1 { 0 } else { first };
        let slopes = Slopes { values: &self.slopes[list], stride: 2 * width, width };
        let mut grown = grower.grow(drawn.as_deref().unwrap_or(rows), slopes, (self.seed, number));
        for &target in targets {
            self.fitted[target].refit(&mut grown, grower, (first, self.set.weights));
        }
        let tree = BoostedTree { round, first, tree: grown.tree };
        for &target in targets {
            let leaves = drawn.is_none().then_some((&grown.leaves[..], &*grower));
            self.fitted[target].add(&tree, leaves, self.set);
        }
        tree
    }

    /// Mean loss of each target on its known rows.
    pub(super) fn losses(&self) -> Vec<f64> {
        let of = |(fitted, target): (&Fitted<'a>, &'a BoostTarget)| {
            let own = Place { stride: fitted.width, first: 0 };
            fitted.mean_loss(target, self.set.weights, &fitted.margins, own)
        };
        self.fitted.iter().zip(self.set.targets).map(of).collect()
    }
}

/// Where the margins of a target stand in a row.
#[derive(Clone, Copy)]
struct Place {
    stride: usize,
    first: usize,
}

/// Mean loss of a target over its known rows, of the margins of all targets; NaN without one.
pub(super) fn mean_loss(
    (fitted, target): (&Fitted<'_>, &BoostTarget),
    weights: &[f32],
    margins: &[f64],
    stride: usize,
) -> f64 {
    fitted.mean_loss(target, weights, margins, Place { stride, first: fitted.first })
}

impl<'a> Fitted<'a> {
    fn new(set: TrainingSet<'_>, target: &'a BoostTarget, first: usize) -> Result<Self> {
        let n_rows = set.table.n_rows();
        let loss = target.checked(n_rows, false)?;
        let width = loss.width();
        let is_known = |&row: &u32| !target.values[row as usize].is_nan();
        let rows = (0..n_rows as u32).filter(is_known).collect();
        let mut fitted =
            Self { target, loss, first, width, factor: target.weight, rows, margins: Vec::new() };
        fitted.margins = fitted.start(set.weights).repeat(n_rows);
        Ok(fitted)
    }

    fn start(&self, weights: &[f32]) -> Vec<f64> {
        self.loss.start(&self.target.known(weights))
    }

    /// Slopes and curvatures of some rows from the first of them.
    fn fill<'s>(&self, first: usize, weights: &[f32], slopes: impl Iterator<Item = &'s mut [f32]>) {
        let margins = self.margins[first * self.width..].chunks_exact(self.width);
        for (row, (out, margins)) in (first..).zip(slopes.zip(margins)) {
            let (out, target) = (&mut out[..2 * self.width], self.target.values[row]);
            if target.is_nan() {
                out.fill(0.0);
                continue;
            }
            self.loss.slopes(margins, target, out);
            let factor = (self.target.weight_of(row, weights) * self.factor) as f32;
            if factor != 1.0 {
                out.iter_mut().for_each(|slope| *slope *= factor);
            }
        }
    }

    /// The same of all rows, a list for each margin.
    fn fill_lists(&self, weights: &[f32], lists: &mut [Vec<f32>]) {
        if let [list] = lists {
            let pieces = list.par_chunks_mut(PIECE * 2).enumerate();
            pieces.for_each(|(piece, out)| self.fill(piece * PIECE, weights, out.chunks_exact_mut(2)));
            return;
        }
        let (of_row, n_rows) = (2 * self.width, self.target.values.len());
        let mut side_by_side = vec![0.0; n_rows * of_row];
        let pieces = side_by_side.par_chunks_mut(PIECE * of_row).enumerate();
        pieces.for_each(|(piece, out)| self.fill(piece * PIECE, weights, out.chunks_exact_mut(of_row)));
        lists.par_iter_mut().enumerate().for_each(|(margin, list)| {
            let rows = list.chunks_exact_mut(2).zip(side_by_side.chunks_exact(of_row));
            rows.for_each(|(out, row)| out.copy_from_slice(&row[2 * margin..2 * margin + 2]));
        });
    }

    /// Sets leaves again to a quantile of what is left in them, for losses whose slopes do not say how far to go.
    fn refit(&self, grown: &mut Grown, grower: &Grower<'_>, (first, weights): (usize, &[f32])) {
        let Some(level) = self.loss.refit() else { return };
        for (node, range) in &grown.leaves {
            let left = |&row: &u32| {
                let row = row as usize;
                let left = self.target.values[row] - self.margins[row * self.width];
                (left, self.target.weight_of(row, weights))
            };
            let mut left: Vec<(f64, f64)> = grower.rows(range).iter().map(left).collect();
            left.retain(|(value, _)| !value.is_nan());
            let at = node * grown.tree.width + self.first - first;
            let quantile = if left.is_empty() { 0.0 } else { weighted_quantile(&mut left, level) };
            grown.tree.values[at] = grower.learning_rate() * quantile;
        }
    }

    /// Adds what a tree says of this target: by the leaves rows lie in, or to all rows where only some were drawn.
    fn add(
        &mut self,
        BoostedTree { first, tree, .. }: &BoostedTree,
        leaves: Option<LeavesOf<'_>>,
        set: TrainingSet<'_>,
    ) {
        let width = self.width;
        // The margins that both the tree and the target have.
        let (from, to) = (self.first.max(*first), (self.first + width).min(first + tree.width));
        let own = from - self.first..to - self.first;
        let add = |margins: &mut [f64], node: usize| {
            let values = &tree.value(node)[from - first..to - first];
            margins[own.clone()].iter_mut().zip(values).for_each(|(margin, value)| *margin += value);
        };
        let Some((leaves, grower)) = leaves else {
            let rows = self.margins.par_chunks_mut(width).enumerate();
            rows.for_each(|(row, margins)| add(margins, tree.leaf(|column| set.table.at(row, column))));
            return;
        };
        for (node, range) in leaves {
            let rows = grower.rows(range).iter();
            rows.for_each(|&row| add(&mut self.margins[row as usize * width..][..width], *node));
        }
    }

    fn mean_loss(&self, target: &BoostTarget, weights: &[f32], margins: &[f64], place: Place) -> f64 {
        let Place { stride, first } = place;
        let of_piece = |(piece, values): (usize, &[f64])| {
            let (mut sum, mut all) = (0.0, 0.0);
            let known = (piece * PIECE..).zip(values).filter(|(_, value)| !value.is_nan());
            for (row, &value) in known {
                let weight = target.weight_of(row, weights);
                sum += weight * self.loss.value(&margins[row * stride + first..][..self.width], value);
                all += weight;
            }
            (sum, all)
        };
        let parts: Vec<(f64, f64)> = target.values.par_chunks(PIECE).enumerate().map(of_piece).collect();
        let (sum, all) = parts.into_iter().fold((0.0, 0.0), |(s, a), (sum, all)| (s + sum, a + all));
        sum / all
    }
}

/// A fresh draw of rows for a tree; `None` where all are taken.
pub(crate) fn drawn_rows(rows: &[u32], share: f64, seed: u64, tree: u64) -> Option<Vec<u32>> {
    if share >= 1.0 {
        return None;
    }
    let key = rng::key(seed, Purpose::Sampling, &[tree]);
    let is_drawn = |row: &&u32| (rng::at(key, u64::from(**row)) >> 11) as f64 / (1_u64 << 53) as f64 <= share;
    Some(rows.iter().filter(is_drawn).copied().collect())
}
