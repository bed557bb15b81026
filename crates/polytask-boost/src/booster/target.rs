//! A target of boosting.

use polytask_core::{Problem, Result};

use crate::loss::{LossSpec, TreeLoss};
use crate::table::NumericTable;

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

/// A target with its values.
#[derive(Debug, Clone, PartialEq)]
pub struct BoostTarget {
    /// Its name.
    pub name: String,
    /// Its loss.
    pub loss: LossSpec,
    /// What its slopes are multiplied by.
    pub weight: f64,
    /// Weights of its rows beside those of the set; empty = 1 each.
    pub row_weights: Vec<f32>,
    /// Its values, `[rows]`; NaN = unknown. Classes are numbers from 0.
    pub values: Vec<f64>,
}

impl BoostTarget {
    /// A target of weight 1.
    pub fn new(name: &str, loss: LossSpec, values: Vec<f64>) -> Self {
        Self { name: name.into(), loss, weight: 1.0, row_weights: Vec::new(), values }
    }

    /// Its loss, checked against its values.
    pub(super) fn checked(&self, n_rows: usize, may_be_unknown: bool) -> Result<Box<dyn TreeLoss>> {
        let Self { name, values, weight, .. } = self;
        let loss = self.loss.make()?;
        if values.len() != n_rows {
            let what = format!("target `{name}` has {} rows, the table {n_rows}", values.len());
            return Err(Problem::new(what).try_this("a value or NaN for every row").into());
        }
        check_weights(&self.row_weights, n_rows)?;
        if !weight.is_finite() || *weight < 0.0 {
            let what = format!("target `{name}` has weight {weight}, expected a number of at least 0");
            return Err(Problem::new(what).try_this("1").into());
        }
        let known = values.iter().enumerate().filter(|(_, value)| !value.is_nan());
        let wrong = known.clone().find_map(|(row, &value)| Some((row, value, loss.expected(value)?)));
        if let Some((row, value, expected)) = wrong {
            let what = format!("target `{name}`, row {}: {value}, expected {expected}", row + 1);
            return Err(Problem::new(what)
                .try_this("an empty cell where it is unknown, or another loss")
                .into());
        }
        if !may_be_unknown && known.count() == 0 {
            let what =
                format!("target `{name}` is unknown in all {n_rows} rows, expected at least one known");
            return Err(Problem::new(what).try_this("leave the target out").into());
        }
        Ok(loss)
    }

    /// The weight of a row: that of the set times its own.
    #[inline]
    pub(super) fn weight_of(&self, row: usize, weights: &[f32]) -> f64 {
        let of = |weights: &[f32]| f64::from(weights.get(row).copied().unwrap_or(1.0));
        of(weights) * of(&self.row_weights)
    }

    /// Known values with the weights of their rows.
    pub(super) fn known(&self, weights: &[f32]) -> Vec<(f64, f64)> {
        let weight = |row: usize| self.weight_of(row, weights);
        let known = self.values.iter().enumerate().filter(|(_, value)| !value.is_nan());
        known.map(|(row, &value)| (value, weight(row))).collect()
    }
}

/// Refuses weights of rows that are none.
pub(super) fn check_weights(weights: &[f32], n_rows: usize) -> Result<()> {
    let is_sane = |weight: &f32| weight.is_finite() && *weight >= 0.0;
    if !weights.is_empty() && weights.len() != n_rows {
        let what = format!("{} weights for {n_rows} rows, expected as many", weights.len());
        return Err(Problem::new(what).try_this("a weight per row").into());
    }
    match weights.iter().position(|weight| !is_sane(weight)) {
        None => Ok(()),
        Some(row) => {
            let what =
                format!("weight of row {} is {}, expected a number of at least 0", row + 1, weights[row]);
            Err(Problem::new(what).try_this("0 leaves a row out").into())
        }
    }
}
