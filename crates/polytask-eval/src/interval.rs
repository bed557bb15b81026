//! Bootstrap intervals over examples, and Student's of a mean.
//!
//! Percentile bootstrap (Efron & Tibshirani 1993, section 13.3): examples are drawn with replacement, the
//! metric is recomputed, and the 2.5 % and 97.5 % quantiles bound the interval. Resample r draws its rows from
//! its own stream, keyed (seed, bootstrap, r), so that threads change nothing and two models are compared on
//! the same rows. Resamples on which the metric is undefined are left out.
//!
//! Percentiles presume that resamples scatter about the score itself. So they do for means and ratios of sums over
//! rows (accuracy, micro-F1, entity F1, MAE, rankings): the sign of a resample's difference is that of a sum whose
//! mean is zero. They do not where repeated rows alone move the metric ([`PreparedMetric::is_biased`]): a copy of a
//! positive stands beside itself and raises average precision, a label with few rows goes missing, copies are ties
//! of ranks, the truth varies less than it did. That shift does not shrink with the number of labels or columns the
//! metric averages over, but the scatter does, so that the score can lie outside. For these metrics both ends move
//! by the difference between the score and the resamples' median: the scatter is kept, its centre is the score, and
//! the interval is about the score to expect on another set of as many examples. (The basic and the
//! bias-corrected interval of section 14.3 move twice as far and leave the score out on the other side.)

use polytask_core::report::Interval;
use polytask_core::{Problem, Purpose, Result, Rng};
use rayon::prelude::*;
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::metric::{PreparedMetric, Unit, find};
use crate::predictions::Predictions;

/// Resamples of an interval.
pub const RESAMPLES: u64 = 1000;
/// Share of resamples inside an interval.
pub const COVERAGE: f64 = 0.95;

/// The metric on all rows with its 95 % interval; all NaN where the metric is undefined.
pub fn interval(metric: &str, predictions: &Predictions, seed: u64) -> Result<Interval> {
    let prepared = prepare(metric, predictions)?;
    let rows = Rows::of(predictions);
    let found = bootstrap(&rows, seed, prepared.is_biased(), |counts| prepared.value(counts));
    if !prepared.is_biased() {
        return Ok(found);
    }
    // A moved end may have left the metric's range.
    let (least, most) = range(metric)?;
    Ok(Interval { low: found.low.clamp(least, most), high: found.high.clamp(least, most), ..found })
}

/// Metric of `a` minus metric of `b` with its paired 95 % interval: the same rows resampled for both.
///
/// Not signed by the metric's direction: a positive value means that `a` has the larger metric.
pub fn paired(metric: &str, a: &Predictions, b: &Predictions, seed: u64) -> Result<Interval> {
    let (of_a, of_b) = (prepare(metric, a)?, prepare(metric, b)?);
    let rows = Rows::of(a);
    if rows.known != b.known_rows() || rows.n != b.n_rows() {
        let what = format!(
            "paired comparison needs the same examples, found {} of {} rows and {} of {}",
            rows.known.len(),
            rows.n,
            b.known_rows().len(),
            b.n_rows()
        );
        return Err(Problem::new(what)
            .try_this("scoring both models on the same split of the same data")
            .into());
    }
    let is_biased = of_a.is_biased() || of_b.is_biased();
    Ok(bootstrap(&rows, seed, is_biased, |counts| of_a.value(counts) - of_b.value(counts)))
}

/// The least and the largest value that a metric can have, rounding aside.
fn range(metric: &str) -> Result<(f64, f64)> {
    Ok(match find(metric)?.0.unit {
        Unit::Share => (0.0, 1.0),
        Unit::Coefficient => (f64::NEG_INFINITY, 1.0),
        Unit::Target => (0.0, f64::INFINITY),
    })
}

fn prepare(metric: &str, predictions: &Predictions) -> Result<Box<dyn PreparedMetric>> {
    let (metric, k) = find(metric)?;
    metric.prepare(predictions, k)
}

/// Which rows can be drawn, of how many.
struct Rows {
    n: usize,
    known: Vec<u32>,
}

impl Rows {
    fn of(predictions: &Predictions) -> Self {
        Self { n: predictions.n_rows(), known: predictions.known_rows() }
    }

    /// How often each row stands in resample `r`, `[rows]`.
    fn resample(&self, seed: u64, r: u64) -> Vec<u32> {
        let mut rng = Rng::new(seed, Purpose::Bootstrap, &[r]);
        let mut counts = vec![0; self.n];
        for _ in 0..self.known.len() {
            counts[self.known[rng.below(self.known.len())] as usize] += 1;
        }
        counts
    }
}

/// The statistic of all rows with the quantiles of its resamples, moved to scatter about it where it `is_biased`.
fn bootstrap(rows: &Rows, seed: u64, is_biased: bool, statistic: impl Fn(&[u32]) -> f64 + Sync) -> Interval {
    let value = statistic(&vec![1; rows.n]);
    if !value.is_finite() {
        return Interval { value, low: f64::NAN, high: f64::NAN };
    }
    let one = |r: u64| statistic(&rows.resample(seed, r));
    let mut values: Vec<f64> = (0..RESAMPLES).into_par_iter().map(one).collect();
    values.retain(|v| v.is_finite());
    values.sort_by(f64::total_cmp);
    let tail = (1.0 - COVERAGE) / 2.0;
    let shift = if is_biased { value - quantile(&values, 0.5) } else { 0.0 };
    Interval { value, low: quantile(&values, tail) + shift, high: quantile(&values, 1.0 - tail) + shift }
}

/// The mean of the finite values with its 95 % interval by Student's t; no interval below two of them.
pub fn of_mean(values: impl IntoIterator<Item = f64>) -> Option<Interval> {
    let values: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
    let n = values.len() as f64;
    of_mean_as(&values, n, 1.0 - COVERAGE)
}

/// The mean of finite values that tell as much as `n_effective` independent ones, with the interval that misses it in a
/// share `missed` of cases; no interval where these are less than two.
pub(crate) fn of_mean_as(values: &[f64], n_effective: f64, missed: f64) -> Option<Interval> {
    let n = values.len() as f64;
    let value = values.iter().sum::<f64>() / n;
    let spread = values.iter().map(|v| (v - value).powi(2)).sum::<f64>();
    let half = match student(1.0 - missed / 2.0, n_effective - 1.0) {
        _ if values.is_empty() => return None,
        Some(t) if values.len() > 1 => t * (spread / (n - 1.0) / n_effective).sqrt(),
        _ => f64::NAN,
    };
    Some(Interval { value, low: value - half, high: value + half })
}

/// A quantile of Student's distribution; none without a degree of freedom.
fn student(quantile: f64, freedom: f64) -> Option<f64> {
    let distribution = StudentsT::new(0.0, 1.0, freedom).ok().filter(|_| freedom > 0.0)?;
    Some(distribution.inverse_cdf(quantile))
}

/// Quantile `q` of sorted values, linear between neighbours; NaN without values.
pub(crate) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = q * last as f64;
    let (below, share) = (place.floor() as usize, place.fract());
    let above = (below + 1).min(last);
    sorted[below] + share * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(right: &[bool]) -> Predictions {
        let predicted = right.iter().map(|&r| u32::from(!r)).collect();
        Predictions::Labels { truth: vec![0; right.len()], predicted, n_labels: 2 }
    }

    fn coin(seed: u64, n: u64, p: f64) -> Vec<bool> {
        (0..n).map(|i| Rng::new(seed, Purpose::Bench, &[i]).uniform() < p).collect()
    }

    #[test]
    fn the_interval_covers_the_truth_about_as_often_as_it_says() {
        let covered = (0..200)
            .filter(|&seed| {
                let found = interval("accuracy", &labels(&coin(seed, 150, 0.7)), seed).unwrap();
                (found.low..=found.high).contains(&0.7)
            })
            .count();
        assert!((180..=199).contains(&covered), "{covered} of 200 intervals cover the truth");
    }

    #[test]
    fn a_share_has_the_width_of_its_standard_error() {
        let found = interval("accuracy", &labels(&coin(1, 2000, 0.8)), 7).unwrap();
        let expected = 2.0 * 1.96 * (found.value * (1.0 - found.value) / 2000.0_f64).sqrt();
        assert!(((found.high - found.low) / expected - 1.0).abs() < 0.1);
    }

    #[test]
    fn pairing_removes_what_both_models_share() {
        let a = coin(3, 500, 0.6);
        let mut b = a.clone();
        b.iter_mut().take(20).for_each(|right| *right = false);
        let difference = paired("accuracy", &labels(&a), &labels(&b), 5).unwrap();
        let alone = interval("accuracy", &labels(&a), 5).unwrap();
        assert!(difference.low > 0.0 && difference.high - difference.low < (alone.high - alone.low) / 2.0);
        let none = paired("accuracy", &labels(&a), &labels(&a), 5).unwrap();
        assert_eq!((none.value, none.low, none.high), (0.0, 0.0, 0.0));
    }

    #[test]
    fn threads_do_not_change_an_interval_and_seeds_do() {
        let data = labels(&coin(4, 300, 0.5));
        let on = |threads: usize, seed: u64| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| interval("accuracy", &data, seed).unwrap())
        };
        assert_eq!(on(1, 9), on(4, 9));
        assert_ne!(on(1, 9), on(1, 10));
    }

    #[test]
    fn unpaired_or_undefined_data_is_named_not_guessed() {
        assert!(paired("accuracy", &labels(&[true]), &labels(&[true, true]), 0).is_err());
        let nothing = interval("accuracy", &labels(&[]), 0).unwrap();
        assert!(nothing.value.is_nan() && nothing.low.is_nan() && nothing.high.is_nan());
    }

    #[test]
    fn the_interval_is_students() {
        // scipy.stats.t.interval(0.95, 4, loc=3, scale=scipy.stats.sem([1, 2, 3, 4, 5]))
        let found = of_mean([1.0, 2.0, 3.0, 4.0, 5.0, f64::NAN]).unwrap();
        assert!((found.low - 1.036_757).abs() < 1e-6 && (found.high - 4.963_243).abs() < 1e-6, "{found:?}");
        assert!(of_mean([]).is_none() && of_mean([1.0]).unwrap().low.is_nan());
        // scipy.stats.t.ppf(0.975, 60) and 200.
        let student = |quantile, freedom| student(quantile, freedom).unwrap();
        assert!(
            (student(0.975, 60.0) - 2.000_298).abs() < 1e-5
                && (student(0.975, 200.0) - 1.971_896).abs() < 1e-5
        );
        // scipy.stats.t.ppf(1 - 0.05 / 60, 3.5)
        assert!((student(1.0 - 0.05 / 60.0, 3.5) - 8.778_038).abs() < 1e-4);
    }

    #[test]
    fn quantiles_are_those_of_linear_interpolation() {
        let values = [1.0, 2.0, 3.0, 4.0];
        assert_eq!((quantile(&values, 0.5), quantile(&values, 0.0), quantile(&values, 1.0)), (2.5, 1.0, 4.0));
        assert!(quantile(&[], 0.5).is_nan());
    }
}
