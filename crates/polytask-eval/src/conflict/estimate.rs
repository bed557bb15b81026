//! What intervals of means over the measurements of a training say.
//!
//! They are Student's ([`crate::interval::of_mean`]), as if measurements were independent. These lie many steps apart;
//! what changes slowly over a training widens the interval, which is the safe side.

use polytask_core::report::Interval;

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
    use super::*;
    use crate::interval::of_mean;

    #[test]
    fn a_single_measurement_is_neither_above_nor_below_zero() {
        let one = of_mean([-5.0]).unwrap();
        assert!(!is_below(Some(&one)) && !is_above(Some(&one)) && error(&one) == 0.0);
    }
}
