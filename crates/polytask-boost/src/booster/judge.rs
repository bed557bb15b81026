//! Rounds judged on rows that trees do not see, which say when to stop.

use polytask_core::{Problem, Result};
use rayon::prelude::*;

use super::state::{State, mean_loss};
use super::target::check_weights;
use super::{BoostedTree, TrainingSet};
use crate::params::BoostParams;

/// Rounds judged on rows that trees do not see.
pub(super) struct Judge<'a> {
    set: TrainingSet<'a>,
    margins: Vec<f64>,
    /// Losses at the start, by which those of different targets are compared.
    first: Vec<f64>,
    least: f64,
    min_delta: f64,
    /// Rounds up to the best one.
    pub(super) best: usize,
    round: usize,
}

impl<'a> Judge<'a> {
    pub(super) fn new(set: TrainingSet<'a>, state: &State<'_>, min_delta: f64) -> Result<Self> {
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
        let first = losses(set, state, &margins);
        Ok(Self { set, margins, first, least: f64::INFINITY, min_delta, best: 0, round: 0 })
    }

    /// Adds the trees of a round; the losses afterwards.
    pub(super) fn add(&mut self, trees: &[BoostedTree], state: &State<'_>) -> Vec<f64> {
        let table = self.set.table;
        let rows = self.margins.par_chunks_mut(state.width).enumerate();
        rows.for_each(|(row, margins)| trees.iter().for_each(|tree| tree.add(table, row, margins)));
        let losses = losses(self.set, state, &self.margins);
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

    pub(super) fn is_over(&self, params: &BoostParams) -> bool {
        // Where nothing of valid is known, nothing is judged.
        let is_judged = self.first.iter().any(|loss| loss.is_finite());
        params.early_stopping > 0 && is_judged && self.round - self.best >= params.early_stopping
    }
}

/// Mean loss of each target; `margins` are `[rows, margins]`.
fn losses(set: TrainingSet<'_>, state: &State<'_>, margins: &[f64]) -> Vec<f64> {
    let of = |(fitted, target)| mean_loss((fitted, target), set.weights, margins, state.width);
    state.fitted.iter().zip(set.targets).map(of).collect()
}
