//! How well rows of no label are told from others.

use polytask_core::report::{Interval, ScopeReport};

use crate::calibration::Calibration;

/// Quantile of the normal distribution of a two-sided 95 % interval.
const Z: f64 = 1.959_963_985;

/// A share with its 95 % interval (Wilson 1927), which holds at 0 and 1 too; `None` of nothing.
pub fn share(hits: usize, n: usize) -> Option<Interval> {
    if n == 0 {
        return None;
    }
    let (value, n) = (hits as f64 / n as f64, n as f64);
    let centre = (value + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (value * (1.0 - value) / n + Z * Z / (4.0 * n * n)).sqrt();
    Some(Interval { value, low: (centre - half).max(0.0), high: (centre + half).min(1.0) })
}

/// Probability that one of `low` lies below one of `high`, ties counted half; `None` where one of both is empty.
pub fn auroc(low: &[f64], high: &[f64]) -> Option<f64> {
    if low.is_empty() || high.is_empty() {
        return None;
    }
    let mut all: Vec<(f64, bool)> =
        low.iter().map(|&value| (value, true)).chain(high.iter().map(|&value| (value, false))).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Mean rank of each group of equal values, counted from 1 (Mann & Whitney 1947).
    let (mut ranks, mut before) = (0.0, 0);
    for group in all.chunk_by(|a, b| a.0 == b.0) {
        let rank = before as f64 + f64::midpoint(group.len() as f64, 1.0);
        ranks += rank * group.iter().filter(|(_, is_low)| !is_low).count() as f64;
        before += group.len();
    }
    let (n_low, n_high) = (low.len() as f64, high.len() as f64);
    Some((ranks - n_high * (n_high + 1.0) / 2.0) / (n_low * n_high))
}

/// What a calibration makes of rows of known labels and of none, by their scores; `None` where it answers every row.
pub(crate) fn report(
    calibration: &Calibration,
    rate: Option<f64>,
    known: &[&[f32]],
    none: &[&[f32]],
) -> Option<ScopeReport> {
    let rate = rate.filter(|_| calibration.threshold.is_some())?;
    let alarms = |rows: &[&[f32]]| rows.iter().filter(|scores| calibration.is_none(scores)).count();
    let certainty =
        |rows: &[&[f32]]| -> Vec<f64> { rows.iter().map(|scores| calibration.certainty(scores)).collect() };
    Some(ScopeReport {
        rate,
        false_alarms: share(alarms(known), known.len())?,
        found: share(alarms(none), none.len()),
        auroc: auroc(&certainty(none), &certainty(known)),
        rows: (known.len(), none.len()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_intervals_at_the_ends_too() {
        // From the formula by hand, as in scipy's proportion intervals.
        let some = share(5, 100).unwrap();
        assert!((some.low - 0.021_543_6).abs() < 1e-6 && (some.high - 0.111_750_5).abs() < 1e-6, "{some:?}");
        let none = share(0, 10).unwrap();
        assert!(none.low == 0.0 && (none.high - 0.277_533).abs() < 1e-5);
        assert!(share(0, 0).is_none());
    }

    #[test]
    fn auroc_counts_pairs_and_halves_ties() {
        assert_eq!(auroc(&[1.0, 2.0], &[3.0, 4.0]), Some(1.0));
        assert_eq!(auroc(&[1.0, 3.0], &[2.0, 3.0]), Some((1.0 + 1.0 + 0.5) / 4.0));
        assert_eq!(auroc(&[], &[1.0]), None);
    }
}
