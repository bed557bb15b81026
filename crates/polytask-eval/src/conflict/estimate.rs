//! Means over the measurements of a training with their 95 % intervals.
//!
//! Student's interval, as if measurements were independent. They lie many steps apart; what changes slowly over
//! a training widens the interval, which is the safe side.

use polytask_core::report::Interval;

/// Standard errors on either side of an estimate that its 95 % interval spans.
pub(super) const Z: f64 = 1.959_964;

/// 0.975 quantiles of Student's distribution with 1 to 30 degrees of freedom.
const STUDENT: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/// The mean of the finite values; no interval below two of them.
pub(super) fn mean(values: impl IntoIterator<Item = f64>) -> Option<Interval> {
    let values: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
    let n = values.len() as f64;
    let value = values.iter().sum::<f64>() / n;
    let spread = values.iter().map(|v| (v - value).powi(2)).sum::<f64>();
    let half = match values.len() {
        0 => return None,
        1 => f64::NAN,
        m => student(m - 1) * (spread / (n - 1.0) / n).sqrt(),
    };
    Some(Interval { value, low: value - half, high: value + half })
}

fn student(freedom: usize) -> f64 {
    // Beyond the table, the first term of the expansion about the normal quantile.
    STUDENT.get(freedom - 1).copied().unwrap_or(Z + 2.372 / freedom as f64)
}

/// The standard error an interval stands for; 0 without one.
pub(super) fn error(interval: &Interval) -> f64 {
    let error = (interval.high - interval.low) / (2.0 * Z);
    if error.is_finite() { error } else { 0.0 }
}

/// The 95 % interval of draws about their own estimate.
pub(super) fn of_draws(value: f64, mut draws: Vec<f64>) -> Interval {
    draws.sort_by(f64::total_cmp);
    let (low, high) = (crate::interval::quantile(&draws, 0.025), crate::interval::quantile(&draws, 0.975));
    Interval { value, low, high }
}

/// Whether an interval lies below zero.
pub(super) fn is_below(interval: Option<&Interval>) -> bool {
    interval.is_some_and(|interval| interval.high < 0.0)
}

/// Whether an interval lies above zero.
pub(super) fn is_above(interval: Option<&Interval>) -> bool {
    interval.is_some_and(|interval| interval.low > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_students() {
        // scipy.stats.t.interval(0.95, 4, loc=3, scale=scipy.stats.sem([1, 2, 3, 4, 5]))
        let found = mean([1.0, 2.0, 3.0, 4.0, 5.0, f64::NAN]).unwrap();
        assert!((found.low - 1.036_757).abs() < 1e-3 && (found.high - 4.963_243).abs() < 1e-3, "{found:?}");
        assert!(mean([]).is_none() && mean([1.0]).unwrap().low.is_nan());
        // scipy.stats.t.ppf(0.975, 60) and 200.
        assert!((student(60) - 2.000_298).abs() < 1e-3 && (student(200) - 1.971_896).abs() < 1e-3);
    }

    #[test]
    fn a_single_measurement_is_neither_above_nor_below_zero() {
        let one = mean([-5.0]).unwrap();
        assert!(!is_below(Some(&one)) && !is_above(Some(&one)) && error(&one) == 0.0);
    }
}
