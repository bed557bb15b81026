//! Metrics: what a score is called, which way is better, and how it is computed.
//!
//! A metric prepares predictions once ([`Metric::prepare`]) and then gives its value for any multiset of
//! rows ([`PreparedMetric::value`], rows as counts), so that a thousand bootstrap resamples cost a thousand linear
//! walks and no sort. Every metric equals its named reference to 1e-9 (`xtask/parity/metrics.py`).
//!
//! Undefined values follow the reference: correlations of a constant are NaN (scipy), Matthews' coefficient
//! of a constant is 0 and F1 without a true or predicted example is 0 (scikit-learn, seqeval). Where the
//! reference refuses (no example at all; fewer than two for a correlation) the value is NaN.
//!
//! A new metric is one file here and one line in [`METRICS`].

mod average_precision;
mod classes;
mod correlation;
mod entities;
mod errors;
mod rankings;

use polytask_core::{Error, Family, MethodInfo, Problem, Result};

use crate::predictions::Predictions;

/// All metrics, sorted by id; `@k` stands for a cut such as `@10`.
pub static METRICS: &[&Metric] = &[
    &classes::ACCURACY,
    &average_precision::AP,
    &entities::ENTITY_F1,
    &rankings::HIT,
    &classes::MACRO_F1,
    &errors::MAE,
    &rankings::MAP_WHOLE,
    &rankings::MAP,
    &average_precision::MAP_MACRO,
    &classes::MCC,
    &classes::MICRO_F1,
    &rankings::MRR,
    &rankings::NDCG,
    &correlation::PEARSON,
    &rankings::PRECISION,
    &rankings::R_PRECISION,
    &errors::R2,
    &rankings::RECALL,
    &errors::RMSE,
    &rankings::RP,
    &correlation::SPEARMAN,
];

/// What a metric's value is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A share of 1 (accuracy, F1, nDCG).
    Share,
    /// A coefficient of at most 1 (correlations, R²).
    Coefficient,
    /// The unit of the target (RMSE, MAE).
    Target,
}

/// A metric: what it tells about itself, and how it is computed.
#[derive(Debug)]
pub struct Metric {
    /// Name, prose, description.
    pub info: MethodInfo,
    /// What it is measured in.
    pub unit: Unit,
    /// Whether larger is better.
    pub higher_is_better: bool,
    /// The implementation it equals.
    pub reference: &'static str,
    /// Prepares predictions, given the cut k (0 where the metric has none); `None` when they do not fit.
    prepare: fn(&Predictions, usize) -> Option<Box<dyn PreparedMetric>>,
}

/// Predictions made ready for one metric.
pub trait PreparedMetric: Sync {
    /// The metric on the rows, each as often as `counts` says; NaN where it is undefined.
    fn value(&self, counts: &[u32]) -> f64;

    /// Whether rows drawn with replacement move the value by the drawing itself, beside scattering it: so for all
    /// but means and ratios of sums over rows (see [`mod@crate::interval`]).
    fn is_biased(&self) -> bool {
        false
    }
}

impl Metric {
    /// The metric's data, ready for any multiset of rows.
    pub fn prepare(&self, predictions: &Predictions, k: usize) -> Result<Box<dyn PreparedMetric>> {
        predictions.check()?;
        (self.prepare)(predictions, k).ok_or_else(|| self.misfit(predictions))
    }

    fn misfit(&self, predictions: &Predictions) -> Error {
        let what =
            format!("metric `{}` does not fit predictions that are {}", self.info.id, predictions.form());
        Problem::new(what)
            .try_this(
                "a metric of the task's kind (`polytask check` answers an unknown one with all there are)",
            )
            .into()
    }
}

/// The descriptions of all metrics, for the suite's catalogue.
pub fn infos() -> Vec<&'static MethodInfo> {
    METRICS.iter().map(|metric| &metric.info).collect()
}

/// The metric of this name and its cut: `ndcg@10` gives (`ndcg@k`, 10), `accuracy` gives (`accuracy`, 0).
pub fn find(name: &str) -> Result<(&'static Metric, usize)> {
    let by_id = |id: &str| METRICS.iter().copied().find(|metric| metric.info.id == id);
    let found = match name.split_once('@') {
        None => by_id(name).map(|metric| (metric, 0)),
        Some((stem, cut)) => {
            let k = cut.parse().ok().filter(|&k: &usize| k > 0);
            k.and_then(|k| Some((by_id(&format!("{stem}@k"))?, k)))
        }
    };
    found.ok_or_else(|| unknown(name))
}

/// Whether larger is better; true for names no metric has.
pub fn higher_is_better(name: &str) -> bool {
    find(name).map_or(true, |(metric, _)| metric.higher_is_better)
}

/// The metric `name` of all rows.
pub fn score(name: &str, predictions: &Predictions) -> Result<f64> {
    let (metric, k) = find(name)?;
    let prepared = metric.prepare(predictions, k)?;
    Ok(prepared.value(&vec![1; predictions.n_rows()]))
}

/// The metric `name` of a resample: row indices, repetitions allowed; NaN where `name` does not fit.
///
/// For many resamples of the same predictions use [`Metric::prepare`] once.
pub fn resampled(name: &str, predictions: &Predictions, rows: &[u32]) -> f64 {
    let prepared = find(name).and_then(|(metric, k)| metric.prepare(predictions, k));
    let mut counts = vec![0; predictions.n_rows()];
    for &row in rows {
        match counts.get_mut(row as usize) {
            Some(count) => *count += 1,
            None => return f64::NAN,
        }
    }
    prepared.map_or(f64::NAN, |prepared| prepared.value(&counts))
}

fn unknown(name: &str) -> Error {
    let names: Vec<&str> = METRICS.iter().map(|metric| metric.info.id).collect();
    let what =
        format!("unknown metric `{name}`, expected one of {} (k a whole number above 0)", names.join(", "));
    Problem::new(what).into()
}

/// The description of a metric without paper, cost or parameters.
const fn info(id: &'static str, title: &'static str, about: &'static str) -> MethodInfo {
    MethodInfo { id, title, paper: "", family: Family::Metric, about, cost: "", kinds: &[], params: &[] }
}

/// `a / b`, and `otherwise` where b is 0.
fn ratio(a: f64, b: f64, otherwise: f64) -> f64 {
    if b == 0.0 { otherwise } else { a / b }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_unique_and_described() {
        assert!(METRICS.windows(2).all(|pair| pair[0].info.id < pair[1].info.id));
        for metric in METRICS {
            assert!(metric.info.about.ends_with('.') && !metric.reference.is_empty(), "{}", metric.info.id);
            assert_eq!(metric.info.family, Family::Metric);
        }
    }

    #[test]
    fn every_metric_a_kind_names_exists() {
        for kind in polytask_core::kind::KINDS {
            for metric in kind.metrics {
                assert!(find(metric).is_ok(), "kind {} names {metric}", kind.name);
            }
        }
    }

    #[test]
    fn cuts_are_read_from_the_name() {
        assert_eq!(find("ndcg@10").unwrap().1, 10);
        for bad in ["ndcg", "ndcg@0", "ndcg@", "ndcg@x", "ndcg@k", "accuracy@3", "nope", "", "@", "@5"] {
            assert!(find(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_errors_are_better_when_lower() {
        let lower: Vec<_> = METRICS.iter().filter(|m| !m.higher_is_better).map(|m| m.info.id).collect();
        assert_eq!(lower, ["mae", "rmse"]);
        assert!(higher_is_better("ndcg@10") && !higher_is_better("rmse"));
    }

    #[test]
    fn a_metric_that_does_not_fit_is_refused() {
        let labels = Predictions::Labels { truth: vec![0], predicted: vec![0], n_labels: 1 };
        for name in ["spearman", "ndcg@10", "entity_f1", "map_macro", "rmse"] {
            assert!(score(name, &labels).is_err(), "{name}");
            assert!(resampled(name, &labels, &[0]).is_nan());
        }
    }
}
