//! The rounds of boosting.

use polytask_core::{Problem, Purpose, Result, rng};
use rayon::prelude::*;

use super::target::check_weights;
use super::{BoostTarget, BoostedTree, Booster, Output};
use crate::bins::Bins;
use crate::loss::TreeLoss;
use crate::params::{BoostParams, Leaves};
use crate::quantile::weighted_quantile;
use crate::table::NumericTable;
use crate::tree::grow::{Grower, Grown, Slopes};

/// Rows whose slopes one thread computes at a time.
const PIECE: usize = 2048;

/// What is learnt from, or what a round is judged on.
#[derive(Debug, Clone, Copy)]
pub struct TrainingSet<'a> {
    /// The columns.
    pub table: &'a NumericTable,
    /// The targets.
    pub targets: &'a [BoostTarget],
    /// Weights of rows; empty = 1 each.
    pub weights: &'a [f32],
}

/// How a round left the losses.
#[derive(Debug, Clone, PartialEq)]
pub struct RoundLosses {
    /// The round, from 1.
    pub round: usize,
    /// Mean loss of each target on train.
    pub train: Vec<f64>,
    /// The same on valid; empty without it, NaN where no row is known.
    pub valid: Vec<f64>,
}

/// A target as the rounds see it.
struct Fitted<'a> {
    target: &'a BoostTarget,
    loss: Box<dyn TreeLoss>,
    first: usize,
    width: usize,
    /// What its slopes are multiplied by: its weight, over the scale of its curvature where leaves are vectors.
    factor: f64,
    /// Rows where it is known.
    rows: Vec<u32>,
}

/// Everything that changes from round to round.
struct State<'a> {
    set: TrainingSet<'a>,
    fitted: Vec<Fitted<'a>>,
    /// `[rows, margins]`.
    margins: Vec<f64>,
    /// `[rows, margins, 2]`.
    slopes: Vec<f32>,
    width: usize,
    seed: u64,
    subsample: f64,
    n_trees: u64,
}

/// Fits trees to all known targets; `observe` hears of every round. With `valid` and early stopping, the trees up to
/// the best round are kept.
///
/// # Errors
/// When settings, targets or weights are wrong.
pub fn fit(
    train: TrainingSet<'_>,
    valid: Option<TrainingSet<'_>>,
    params: &BoostParams,
    observe: &mut dyn FnMut(&RoundLosses),
) -> Result<Booster> {
    params.check()?;
    let mut state = State::new(train, params)?;
    let mut judge = valid.map(|valid| Judge::new(valid, &state, params.min_delta)).transpose()?;
    let mut booster = state.booster();
    let bins = Bins::new(train.table, train.weights, params.max_bin, params.seed);
    let mut grower = Grower::new(&bins, &params.tree);
    let all_known = state.rows_with_a_target();
    for round in 0..params.rounds {
        state.fill_slopes();
        let first = booster.trees.len();
        match params.leaves {
            Leaves::Vector => booster.trees.push(state.vector_tree(&mut grower, &all_known, round)),
            Leaves::Apart => {
                for target in 0..state.fitted.len() {
                    booster.trees.extend(state.trees_apart(&mut grower, target, round));
                }
            }
        }
        let valid = judge.as_mut().map_or_else(Vec::new, |judge| judge.add(&booster.trees[first..], &state));
        observe(&RoundLosses { round: round + 1, train: state.losses(), valid });
        if judge.as_ref().is_some_and(|judge| judge.is_over(params)) {
            break;
        }
    }
    if let Some(judge) = judge.filter(|judge| judge.best > 0 && params.early_stopping > 0) {
        booster.trees.retain(|tree| tree.round < judge.best);
    }
    Ok(booster)
}

impl<'a> State<'a> {
    fn new(set: TrainingSet<'a>, params: &BoostParams) -> Result<Self> {
        let n_rows = set.table.n_rows();
        check_weights(set.weights, n_rows)?;
        if set.targets.is_empty() {
            return Err(Problem::new("no target to fit, expected at least one")
                .try_this("name a target")
                .into());
        }
        let (mut fitted, mut first) = (Vec::new(), 0);
        for target in set.targets {
            let loss = target.checked(n_rows, false)?;
            let width = loss.width();
            let is_known = |&row: &u32| !target.values[row as usize].is_nan();
            let rows: Vec<u32> = (0..n_rows as u32).filter(is_known).collect();
            fitted.push(Fitted { target, loss, first, width, factor: target.weight, rows });
            first += width;
        }
        let (margins, slopes) = (vec![0.0; n_rows * first], vec![0.0; n_rows * first * 2]);
        let (seed, subsample) = (params.seed, params.subsample);
        let mut state = Self { set, fitted, margins, slopes, width: first, seed, subsample, n_trees: 0 };
        state.start();
        if params.leaves == Leaves::Vector {
            state.scale();
        }
        Ok(state)
    }

    /// Puts every row where the targets start.
    fn start(&mut self) {
        let start: Vec<f64> = self.starts().into_iter().flatten().collect();
        self.margins.chunks_exact_mut(self.width).for_each(|row| row.copy_from_slice(&start));
    }

    fn starts(&self) -> Vec<Vec<f64>> {
        let start = |fitted: &Fitted| fitted.loss.start(&fitted.target.known(self.set.weights));
        self.fitted.iter().map(start).collect()
    }

    /// Makes gains of different losses comparable: a target's slopes are divided by the mean curvature it starts with.
    fn scale(&mut self) {
        self.fill_slopes();
        let (width, slopes) = (self.width, &self.slopes);
        for fitted in &mut self.fitted {
            let curvature = |row: &u32| {
                let row = &slopes[(*row as usize * width + fitted.first) * 2..][..2 * fitted.width];
                row.iter().skip(1).step_by(2).map(|h| f64::from(*h)).sum::<f64>()
            };
            let total: f64 = fitted.rows.iter().map(curvature).sum();
            let mean = total / (fitted.rows.len() * fitted.width) as f64;
            // The weight stands in the slopes already.
            let scale = if fitted.target.weight > 0.0 { mean / fitted.target.weight } else { 1.0 };
            fitted.factor = fitted.target.weight / if scale > 0.0 { scale } else { 1.0 };
        }
    }

    fn booster(&self) -> Booster {
        let output = |(fitted, start): (&Fitted, Vec<f64>)| Output {
            name: fitted.target.name.clone(),
            loss: fitted.target.loss.clone(),
            first: fitted.first,
            start,
        };
        let outputs = self.fitted.iter().zip(self.starts()).map(output).collect();
        Booster { columns: self.set.table.names(), outputs, trees: Vec::new() }
    }

    fn rows_with_a_target(&self) -> Vec<u32> {
        let known =
            |&row: &u32| self.fitted.iter().any(|fitted| !fitted.target.values[row as usize].is_nan());
        (0..self.set.table.n_rows() as u32).filter(known).collect()
    }

    /// Slopes and curvatures of every row from its margins; nothing where a target is unknown.
    fn fill_slopes(&mut self) {
        let (width, fitted, weights) = (self.width, &self.fitted, self.set.weights);
        let pieces =
            self.slopes.par_chunks_mut(PIECE * width * 2).zip(self.margins.par_chunks(PIECE * width));
        pieces.enumerate().for_each(|(piece, (slopes, margins))| {
            let rows = slopes.chunks_exact_mut(width * 2).zip(margins.chunks_exact(width)).enumerate();
            for (at, (slopes, margins)) in rows {
                let row = piece * PIECE + at;
                for one in fitted {
                    let weight = one.target.weight_of(row, weights);
                    let out = &mut slopes[2 * one.first..][..2 * one.width];
                    let target = one.target.values[row];
                    if target.is_nan() {
                        out.fill(0.0);
                        continue;
                    }
                    one.loss.slopes(&margins[one.first..][..one.width], target, out);
                    let factor = (weight * one.factor) as f32;
                    if factor != 1.0 {
                        out.iter_mut().for_each(|slope| *slope *= factor);
                    }
                }
            }
        });
    }

    fn vector_tree(&mut self, grower: &mut Grower<'_>, rows: &[u32], round: usize) -> BoostedTree {
        let all: Vec<usize> = (0..self.fitted.len()).collect();
        self.tree(grower, rows, (0, self.width), round, &all)
    }

    fn trees_apart(&mut self, grower: &mut Grower<'_>, target: usize, round: usize) -> Vec<BoostedTree> {
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
        let slopes = Slopes { values: &self.slopes, stride: 2 * self.width, first: 2 * first, width };
        let mut grown = grower.grow(drawn.as_deref().unwrap_or(rows), slopes, (self.seed, number));
        for &target in targets {
            self.refit(&mut grown, grower, target, first);
        }
        let tree = BoostedTree { round, first, tree: grown.tree };
        if drawn.is_some() {
            let (table, width) = (self.set.table, self.width);
            let rows = self.margins.par_chunks_mut(width).enumerate();
            rows.for_each(|(row, margins)| tree.add(table, row, margins));
        } else {
            for (node, range) in grown.leaves {
                let values = tree.tree.value(node);
                for &row in &grower.rows[range] {
                    let margins = &mut self.margins[row as usize * self.width + first..][..width];
                    margins.iter_mut().zip(values).for_each(|(margin, value)| *margin += value);
                }
            }
        }
        tree
    }

    /// Sets leaves again to a quantile of what is left in them, for losses whose slopes do not say how far to go.
    fn refit(&self, grown: &mut Grown, grower: &Grower<'_>, target: usize, first: usize) {
        let fitted = &self.fitted[target];
        let Some(level) = fitted.loss.refit() else { return };
        let weight = |row: usize| fitted.target.weight_of(row, self.set.weights);
        for (node, range) in &grown.leaves {
            let left = |&row: &u32| {
                let row = row as usize;
                (fitted.target.values[row] - self.margins[row * self.width + fitted.first], weight(row))
            };
            let mut left: Vec<(f64, f64)> = grower.rows[range.clone()].iter().map(left).collect();
            left.retain(|(value, _)| !value.is_nan());
            let at = node * grown.tree.width + fitted.first - first;
            let quantile = if left.is_empty() { 0.0 } else { weighted_quantile(&mut left, level) };
            grown.tree.values[at] = grower.learning_rate() * quantile;
        }
    }

    fn losses(&self) -> Vec<f64> {
        mean_losses(&self.fitted, self.set, &self.margins, self.width)
    }
}

/// Mean loss of each target over its known rows; NaN without one.
fn mean_losses(fitted: &[Fitted<'_>], set: TrainingSet<'_>, margins: &[f64], width: usize) -> Vec<f64> {
    let of = |(one, target): (&Fitted, &BoostTarget)| {
        let (mut sum, mut all) = (0.0, 0.0);
        for (row, &value) in target.values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
            let weight = target.weight_of(row, set.weights);
            sum += weight * one.loss.value(&margins[row * width + one.first..][..one.width], value);
            all += weight;
        }
        sum / all
    };
    fitted.iter().zip(set.targets).map(of).collect()
}

/// Rounds judged on rows that trees do not see.
struct Judge<'a> {
    set: TrainingSet<'a>,
    margins: Vec<f64>,
    /// Losses at the start, by which those of different targets are compared.
    first: Vec<f64>,
    least: f64,
    min_delta: f64,
    /// Rounds up to the best one.
    best: usize,
    round: usize,
}

impl<'a> Judge<'a> {
    fn new(set: TrainingSet<'a>, state: &State<'_>, min_delta: f64) -> Result<Self> {
        check_weights(set.weights, set.table.n_rows())?;
        if set.table.names() != state.set.table.names() || set.targets.len() != state.set.targets.len() {
            let what = "valid has other columns or targets than train, expected the same";
            return Err(Problem::new(what).try_this("both from one table").into());
        }
        for target in set.targets {
            target.checked(set.table.n_rows(), true)?;
        }
        let start: Vec<f64> = state.starts().into_iter().flatten().collect();
        let margins: Vec<f64> = (0..set.table.n_rows()).flat_map(|_| start.iter().copied()).collect();
        let first = mean_losses(&state.fitted, set, &margins, state.width);
        Ok(Self { set, margins, first, least: f64::INFINITY, min_delta, best: 0, round: 0 })
    }

    /// Adds the trees of a round; the losses afterwards.
    fn add(&mut self, trees: &[BoostedTree], state: &State<'_>) -> Vec<f64> {
        let table = self.set.table;
        let rows = self.margins.par_chunks_mut(state.width).enumerate();
        rows.for_each(|(row, margins)| trees.iter().for_each(|tree| tree.add(table, row, margins)));
        let losses = mean_losses(&state.fitted, self.set, &self.margins, state.width);
        self.round += 1;
        let share = |(loss, first): (&f64, &f64)| if *first > 0.0 { loss / first } else { *loss };
        let shares = losses.iter().zip(&self.first).map(share).filter(|share| share.is_finite());
        let (n, sum) = shares.fold((0, 0.0), |(n, sum), share| (n + 1, sum + share));
        let mean = sum / f64::from(n);
        if mean < self.least - self.min_delta {
            self.least = mean;
            self.best = self.round;
        }
        losses
    }

    fn is_over(&self, params: &BoostParams) -> bool {
        // Where nothing of valid is known, nothing is judged.
        let is_judged = self.first.iter().any(|loss| loss.is_finite());
        params.early_stopping > 0 && is_judged && self.round - self.best >= params.early_stopping
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
