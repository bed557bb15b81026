//! Pearson's and Spearman's correlation of predicted with true numbers.
//!
//! Reference: scipy's `pearsonr` and `spearmanr` (equal values share their mean rank); a constant side gives
//! NaN, as there. Several numbers per row: the mean over columns.

use super::errors::Column;
use super::{Metric, PreparedMetric, Unit, info};

/// Linear correlation.
pub(super) static PEARSON: Metric = Metric {
    info: info("pearson", "Pearson correlation", "Linear correlation of predicted and true numbers."),
    unit: Unit::Coefficient,
    higher_is_better: true,
    reference: "scipy.stats.pearsonr",
    prepare: |predictions, _| Some(Box::new(Pearson(Column::all(predictions)?))),
};

/// Rank correlation.
pub(super) static SPEARMAN: Metric = Metric {
    info: info("spearman", "Spearman correlation", "Correlation of the ranks, ties by their mean rank."),
    unit: Unit::Coefficient,
    higher_is_better: true,
    reference: "scipy.stats.spearmanr",
    prepare: |predictions, _| {
        let columns = Column::all(predictions)?;
        Some(Box::new(Spearman(columns.into_iter().map(Ranked::new).collect())))
    },
};

struct Pearson(Vec<Column>);

impl PreparedMetric for Pearson {
    fn value(&self, counts: &[u32]) -> f64 {
        Column::mean(self.0.iter().map(|column| {
            let weights = column.rows.iter().map(|&row| f64::from(counts[row as usize])).collect::<Vec<_>>();
            correlation(&column.truth, &column.predicted, &weights)
        }))
    }

    /// One column's correlation scatters far more than it is moved; the mean over several does not.
    fn is_biased(&self) -> bool {
        self.0.len() > 1
    }
}

/// Correlation of x and y with whole-number weights; NaN when either is constant.
fn correlation(x: &[f64], y: &[f64], weights: &[f64]) -> f64 {
    let n: f64 = weights.iter().sum();
    let mean = |v: &[f64]| v.iter().zip(weights).map(|(v, w)| v * w).sum::<f64>() / n;
    let (mx, my) = (mean(x), mean(y));
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for ((x, y), w) in x.iter().zip(y).zip(weights) {
        let (dx, dy) = (x - mx, y - my);
        xx += w * dx * dx;
        yy += w * dy * dy;
        xy += w * dx * dy;
    }
    if constant(x, weights) || constant(y, weights) {
        return f64::NAN;
    }
    // Two roots instead of the root of a product, which under- or overflows first.
    (xy / xx.sqrt() / yy.sqrt()).clamp(-1.0, 1.0)
}

/// Whether all values with a weight are equal (also when there are none).
fn constant(values: &[f64], weights: &[f64]) -> bool {
    let mut counted = values.iter().zip(weights).filter(|(_, w)| **w > 0.0).map(|(v, _)| v);
    let first = counted.next();
    counted.all(|v| Some(v) == first)
}

/// A column with the order of both sides, so that a resample's ranks need no sort.
struct Ranked {
    column: Column,
    truth: Order,
    predicted: Order,
}

/// Positions by rising value, with the ends of the groups of equal values.
struct Order {
    positions: Vec<usize>,
    ends: Vec<usize>,
}

impl Order {
    fn new(values: &[f64]) -> Self {
        let mut positions: Vec<usize> = (0..values.len()).collect();
        positions.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
        let last = |i: usize| i == values.len() || values[positions[i]] != values[positions[i - 1]];
        let ends = (1..=values.len()).filter(|&i| last(i)).collect();
        Self { positions, ends }
    }

    /// Mean ranks when position i stands `weights[i]` times.
    fn ranks(&self, weights: &[f64]) -> Vec<f64> {
        let (mut ranks, mut below, mut start) = (vec![0.0; self.positions.len()], 0.0, 0);
        for &end in &self.ends {
            let group = &self.positions[start..end];
            let size: f64 = group.iter().map(|&i| weights[i]).sum();
            for &i in group {
                ranks[i] = below + f64::midpoint(size, 1.0);
            }
            below += size;
            start = end;
        }
        ranks
    }
}

impl Ranked {
    fn new(column: Column) -> Self {
        Self { truth: Order::new(&column.truth), predicted: Order::new(&column.predicted), column }
    }

    fn value(&self, counts: &[u32]) -> f64 {
        if self.column.predicted.iter().any(|v| v.is_nan()) {
            return f64::NAN;
        }
        let weights: Vec<f64> = self.column.rows.iter().map(|&row| f64::from(counts[row as usize])).collect();
        correlation(&self.truth.ranks(&weights), &self.predicted.ranks(&weights), &weights)
    }
}

struct Spearman(Vec<Ranked>);

impl PreparedMetric for Spearman {
    fn value(&self, counts: &[u32]) -> f64 {
        Column::mean(self.0.iter().map(|column| column.value(counts)))
    }

    /// A row drawn twice ties with itself.
    fn is_biased(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::predictions::Predictions;
    use crate::score;

    fn numbers(truth: &[f64], predicted: &[f64]) -> Predictions {
        Predictions::Numbers { width: 1, truth: truth.to_vec(), predicted: predicted.to_vec() }
    }

    #[test]
    fn a_constant_or_a_single_row_has_no_correlation() {
        for metric in ["spearman", "pearson"] {
            assert!(score(metric, &numbers(&[0.1; 3], &[1.0, 2.0, 3.0])).unwrap().is_nan());
            assert!(score(metric, &numbers(&[1.0, 2.0, 3.0], &[0.1; 3])).unwrap().is_nan());
            assert!(score(metric, &numbers(&[1.0], &[1.0])).unwrap().is_nan());
            assert!(score(metric, &numbers(&[], &[])).unwrap().is_nan());
            assert!(score(metric, &numbers(&[1.0, 2.0], &[f64::NAN, 1.0])).unwrap().is_nan());
        }
    }

    #[test]
    fn unknown_numbers_take_no_part() {
        let masked = numbers(&[1.0, f64::NAN, 2.0, 3.0], &[1.0, -50.0, 2.0, 3.0]);
        assert!((score("pearson", &masked).unwrap() - 1.0).abs() < 1e-12);
        assert!((score("spearman", &masked).unwrap() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn negative_zero_ties_with_zero() {
        let value = score("spearman", &numbers(&[0.0, 1.0, 2.0], &[-0.0, 0.0, 1.0])).unwrap();
        let same = score("spearman", &numbers(&[0.0, 1.0, 2.0], &[0.0, -0.0, 1.0])).unwrap();
        assert_eq!(value, same);
    }
}
