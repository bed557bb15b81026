//! R², RMSE and MAE of predicted numbers.
//!
//! Reference: scikit-learn's `r2_score`, `root_mean_squared_error`, `mean_absolute_error`, each the mean over
//! columns. R² of a constant truth is 1 when met exactly, else 0 (there only when the mean does not round); of
//! fewer than two rows it is NaN, as there.

use super::{Metric, PreparedMetric, Unit, info, ratio};
use crate::predictions::Predictions;

/// Share of variance explained.
pub(super) static R2: Metric = Metric {
    info: info(
        "r2",
        "R²",
        "Share of the truth's variance that the predictions explain; negative below the mean.",
    ),
    unit: Unit::Coefficient,
    higher_is_better: true,
    reference: "scikit-learn r2_score",
    // The truth varies less among repeated rows, which lowers the share that is explained.
    prepare: |predictions, _| Some(Box::new(Errors::new(predictions, r2, |_| true)?)),
};

/// Root of the mean squared error.
pub(super) static RMSE: Metric = Metric {
    info: info("rmse", "RMSE", "Root of the mean squared error, in the unit of the target."),
    unit: Unit::Target,
    higher_is_better: false,
    reference: "scikit-learn root_mean_squared_error",
    prepare: |predictions, _| {
        let rmse: Measure = |column, counts| column.mean_of(counts, |t, p| (t - p) * (t - p)).sqrt();
        // One column's percentiles are those of a mean under a root; a mean of roots is bent downwards.
        Some(Box::new(Errors::new(predictions, rmse, |n_columns| n_columns > 1)?))
    },
};

/// Mean absolute error.
pub(super) static MAE: Metric = Metric {
    info: info("mae", "MAE", "Mean absolute error, in the unit of the target."),
    unit: Unit::Target,
    higher_is_better: false,
    reference: "scikit-learn mean_absolute_error",
    prepare: |predictions, _| {
        let mae: Measure = |column, counts| column.mean_of(counts, |t, p| (t - p).abs());
        Some(Box::new(Errors::new(predictions, mae, |_| false)?))
    },
};

/// The known numbers of one column.
pub(super) struct Column {
    /// Row of each number.
    pub(super) rows: Vec<u32>,
    /// True numbers.
    pub(super) truth: Vec<f64>,
    /// Predicted numbers.
    pub(super) predicted: Vec<f64>,
}

impl Column {
    /// The columns that have a known number; `None` when the predictions are no numbers.
    pub(super) fn all(predictions: &Predictions) -> Option<Vec<Self>> {
        let Predictions::Numbers { width, truth, predicted } = predictions else { return None };
        let column = |c: usize| {
            let known = (c..truth.len()).step_by(*width).filter(|&i| !truth[i].is_nan());
            let cells: Vec<usize> = known.collect();
            Self {
                rows: cells.iter().map(|i| (i / width) as u32).collect(),
                truth: cells.iter().map(|&i| truth[i]).collect(),
                predicted: cells.iter().map(|&i| predicted[i]).collect(),
            }
        };
        Some((0..*width).map(column).filter(|column| !column.rows.is_empty()).collect())
    }

    /// The mean over columns; NaN without one.
    pub(super) fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
        let n = values.len();
        ratio(values.sum(), n as f64, f64::NAN)
    }

    /// The mean of `f(truth, predicted)` over the column; NaN without a row.
    fn mean_of(&self, counts: &[u32], f: impl Fn(f64, f64) -> f64) -> f64 {
        let (mut sum, mut n) = (0.0, 0.0);
        for ((&row, &t), &p) in self.rows.iter().zip(&self.truth).zip(&self.predicted) {
            let count = f64::from(counts[row as usize]);
            // A row the resample lacks must not bring in an infinite error as 0 · ∞.
            sum += if count > 0.0 { count * f(t, p) } else { 0.0 };
            n += count;
        }
        ratio(sum, n, f64::NAN)
    }

    fn has_constant_truth(&self, counts: &[u32]) -> bool {
        let mut counted = self.rows.iter().zip(&self.truth).filter(|(row, _)| counts[**row as usize] > 0);
        let first = counted.next().map(|(_, t)| t);
        counted.all(|(_, t)| Some(t) == first)
    }
}

type Measure = fn(&Column, &[u32]) -> f64;

struct Errors {
    columns: Vec<Column>,
    measure: Measure,
    is_biased: bool,
}

impl Errors {
    /// `is_biased` says of a number of columns whether resampling moves their mean.
    fn new(predictions: &Predictions, measure: Measure, is_biased: fn(usize) -> bool) -> Option<Self> {
        let columns = Column::all(predictions)?;
        Some(Self { is_biased: is_biased(columns.len()), columns, measure })
    }
}

impl PreparedMetric for Errors {
    fn value(&self, counts: &[u32]) -> f64 {
        Column::mean(self.columns.iter().map(|column| (self.measure)(column, counts)))
    }

    fn is_biased(&self) -> bool {
        self.is_biased
    }
}

fn r2(column: &Column, counts: &[u32]) -> f64 {
    let n: u64 = column.rows.iter().map(|&row| u64::from(counts[row as usize])).sum();
    if n < 2 {
        return f64::NAN;
    }
    let mean = column.mean_of(counts, |t, _| t);
    let residual = column.mean_of(counts, |t, p| (t - p) * (t - p));
    let spread = column.mean_of(counts, |t, _| (t - mean) * (t - mean));
    // A constant's mean may round, which would leave a tiny spread to divide by.
    match (residual == 0.0, spread == 0.0 || column.has_constant_truth(counts)) {
        (true, _) => 1.0,
        (false, true) => 0.0,
        (false, false) => 1.0 - residual / spread,
    }
}

#[cfg(test)]
mod tests {
    use crate::predictions::Predictions;
    use crate::score;

    fn value(metric: &str, truth: &[f64], predicted: &[f64]) -> f64 {
        let (truth, predicted) = (truth.to_vec(), predicted.to_vec());
        score(metric, &Predictions::Numbers { width: 1, truth, predicted }).unwrap()
    }

    #[test]
    fn degenerate_numbers_follow_the_reference() {
        assert_eq!(value("r2", &[1.0; 3], &[1.0; 3]), 1.0);
        assert_eq!(value("r2", &[1.0; 3], &[1.0, 1.0, 2.0]), 0.0);
        assert!(value("r2", &[1.0], &[1.0]).is_nan());
        for metric in ["r2", "rmse", "mae"] {
            assert!(value(metric, &[], &[]).is_nan());
            assert!(value(metric, &[f64::NAN], &[1.0]).is_nan());
        }
        let none = Predictions::Numbers { width: 0, truth: vec![], predicted: vec![] };
        assert!(score("rmse", &none).unwrap().is_nan());
    }

    #[test]
    fn columns_weigh_equally_whatever_is_known_of_them() {
        let truth = vec![0.0, 0.0, 0.0, f64::NAN];
        let numbers = Predictions::Numbers { width: 2, truth, predicted: vec![1.0, 3.0, 1.0, 9.0] };
        assert_eq!(score("mae", &numbers).unwrap(), 2.0);
    }
}
