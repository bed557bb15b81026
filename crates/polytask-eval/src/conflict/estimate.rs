//! What intervals of means over the measurements of a training say.
//!
//! They are Student's ([`crate::interval::of_mean_as`]) for as many independent measurements as those of a training are
//! worth: what changes slowly over a training makes neighbours alike, and n of them with a correlation r between
//! neighbours tell as much as n (1 − r) / (1 + r) independent ones (Bayley and Hammersley: The effective number of
//! independent observations in an autocorrelated time series, 1946). A linear trend is taken away before r is estimated;
//! it stays in the spread. An r below zero would narrow the interval, and is taken as zero.

use polytask_core::report::Interval;

use crate::interval::of_mean_as;

/// Share of cases in which an interval misses what it is of.
const MISSED: f64 = 0.05;

/// The mean over the measurements of a training, in their order, with its 95 % interval.
pub(super) fn of_series(values: impl IntoIterator<Item = f64>) -> Option<Interval> {
    of_one_in(values, 1)
}

/// As [`of_series`], so wide that of as many intervals as are looked at together all hold what they are of in 95 % of
/// cases (Bonferroni).
pub(super) fn of_one_in(values: impl IntoIterator<Item = f64>, together: usize) -> Option<Interval> {
    let values: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
    let (n, r) = (values.len() as f64, correlation(&values));
    // Two at least, where there are two: without a degree of freedom there would be no interval, and no doubt.
    let n_effective = (n * (1.0 - r) / (1.0 + r)).max(n.min(2.0));
    of_mean_as(&values, n_effective, MISSED / together.max(1) as f64)
}

/// The correlation between neighbours about their trend, 0 at least; 0 where nothing varies or there are too few to say.
fn correlation(values: &[f64]) -> f64 {
    let rest = without_trend(values);
    let square = rest.iter().map(|v| v.powi(2)).sum::<f64>();
    let products = rest.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>();
    let is_rounding = square <= 1e-24 * values.iter().map(|v| v.powi(2)).sum::<f64>();
    if is_rounding { 0.0 } else { (products / square).max(0.0) }
}

/// Values less their linear trend: that a training moves says nothing of how well its mean is known.
fn without_trend(values: &[f64]) -> Vec<f64> {
    let n = values.len() as f64;
    let (mean, middle) = (values.iter().sum::<f64>() / n, (n - 1.0) / 2.0);
    let times = || (0..values.len()).map(|i| i as f64 - middle);
    let square: f64 = times().map(|t| t * t).sum();
    let slope = times().zip(values).map(|(t, v)| t * (v - mean)).sum::<f64>() / square.max(f64::MIN_POSITIVE);
    times().zip(values).map(|(t, v)| v - mean - slope * t).collect()
}

/// Standard errors on either side of an estimate that its 95 % interval spans.
pub(super) const Z: f64 = 1.959_964;

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
    use polytask_core::{Purpose, Rng};

    use super::*;

    #[test]
    fn a_single_measurement_is_neither_above_nor_below_zero() {
        let one = of_series([-5.0]).unwrap();
        assert!(!is_below(Some(&one)) && !is_above(Some(&one)) && error(&one) == 0.0);
        assert!(of_series([]).is_none());
    }

    /// Shares of series about zero whose interval misses it: correlated by `r`, as one of so many `together`.
    fn missed(r: f64, together: usize) -> f64 {
        let series = |seed: u64| {
            let mut rng = Rng::new(seed, Purpose::Bench, &[3]);
            let mut last = rng.normal();
            (0..24)
                .map(|_| {
                    last = r * last + (1.0 - r * r).sqrt() * rng.normal();
                    last
                })
                .collect::<Vec<f64>>()
        };
        let misses = |seed: u64| {
            let found = of_one_in(series(seed), together).unwrap();
            is_below(Some(&found)) || is_above(Some(&found))
        };
        (0..2000).filter(|&seed| misses(seed)).count() as f64 / 2000.0
    }

    #[test]
    fn neighbours_that_are_alike_widen_the_interval() {
        assert!((0.02..0.07).contains(&missed(0.0, 1)), "{}", missed(0.0, 1));
        // As if they were independent, a third of the intervals would miss; with what 24 values tell of r, a sixth does.
        assert!(missed(0.6, 1) < 0.18, "{}", missed(0.6, 1));
        assert!(missed(0.0, 30) < 0.01, "{}", missed(0.0, 30));
    }

    #[test]
    fn what_rises_and_falls_once_is_no_certainty() {
        let wave: Vec<f64> = (0..20).map(|i| 0.3 + (f64::from(i) / 3.2).sin()).collect();
        let found = of_series(wave).unwrap();
        assert!(found.high - found.low > 1.0 && error(&found) > 0.2, "{found:?}");
    }

    #[test]
    fn a_correlation_below_zero_narrows_nothing() {
        let zigzag: Vec<f64> = (0..20).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
        assert_eq!(correlation(&zigzag), 0.0);
        assert_eq!(correlation(&[2.0, 2.0, 2.0]), 0.0);
        assert!(correlation(&(0..20).map(f64::from).collect::<Vec<_>>()) < 1e-6, "a trend is no correlation");
        let wave: Vec<f64> = (0..20).map(|i| (f64::from(i) / 3.2).sin()).collect();
        assert!(correlation(&wave) > 0.7, "{}", correlation(&wave));
    }
}
