//! The penalty of a probe, chosen on rows it was not fitted on.

use polytask_eval::{higher_is_better, score};
use polytask_nn::linear_fit::{LinearData, LinearFit};

use super::rows::{ProbeRows, Reader};
use crate::Result;

/// Penalties tried, strongest first: each fit starts from the one before. The first ones are for numbers alone: with few
/// rows, ridge regression needs strong penalties, or it predicts worse than the mean.
const STRENGTHS: [f64; 13] = [100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4];
/// Place of the first penalty for labels.
const OF_LABELS: usize = 3;
/// Penalties that may score below the best one before the search ends.
const PATIENCE: usize = 3;
/// With fewer rows on valid, the choice is made by cross-validation on train: a handful of rows decides by chance.
const ENOUGH_VALID: usize = 200;
/// Parts of the cross-validation.
const FOLDS: usize = 5;

/// The model of the best penalty, fitted on all of `train`.
pub(super) fn fitted(
    reader: &Reader,
    train: ProbeRows,
    valid: Option<&ProbeRows>,
    metric: &str,
) -> Result<(LinearData, LinearFit)> {
    let best = match valid.filter(|valid| valid.rows.len() >= ENOUGH_VALID) {
        Some(valid) => {
            let all: Vec<usize> = (0..train.rows.len()).collect();
            choose(
                reader,
                vec![Fold::new(reader, &train, &all, valid.pick(&each(valid), reader.width()))],
                metric,
            )?
        }
        None => choose(reader, folds(reader, &train), metric)?,
    };
    let data = linear_data(reader, train);
    // Down the path: a start near the answer saves most of the work.
    let mut fit = None;
    for &strength in &STRENGTHS[first(reader)..=best] {
        fit = Some(data.fit(strength, fit.as_ref()));
    }
    let fit = fit.expect("the path has at least one penalty");
    Ok((data, fit))
}

/// Place of the first penalty that is tried for a task.
fn first(reader: &Reader) -> usize {
    if reader.reads_numbers() { 0 } else { OF_LABELS }
}

fn each(rows: &ProbeRows) -> Vec<usize> {
    (0..rows.rows.len()).collect()
}

fn linear_data(reader: &Reader, rows: ProbeRows) -> LinearData {
    LinearData::new(rows.features, reader.width(), rows.target, rows.weights, reader.n_outputs())
}

/// Rows to fit on, and rows to judge by.
struct Fold {
    data: LinearData,
    held_out: ProbeRows,
    fit: Option<LinearFit>,
}

impl Fold {
    fn new(reader: &Reader, train: &ProbeRows, kept: &[usize], held_out: ProbeRows) -> Self {
        Self { data: linear_data(reader, train.pick(kept, reader.width())), held_out, fit: None }
    }
}

/// Every fifth row is held out in turn; with fewer rows than parts, as many parts as rows.
fn folds(reader: &Reader, train: &ProbeRows) -> Vec<Fold> {
    let n = FOLDS.min(train.rows.len());
    let fold = |f: usize| {
        let (held_out, kept): (Vec<usize>, Vec<usize>) = each(train).into_iter().partition(|i| i % n == f);
        Fold::new(reader, train, &kept, train.pick(&held_out, reader.width()))
    };
    (0..n).map(fold).collect()
}

/// Place in [`STRENGTHS`] of the penalty with the best mean score; the stronger one of equals.
fn choose(reader: &Reader, mut folds: Vec<Fold>, metric: &str) -> Result<usize> {
    let metric = reader.metric(metric);
    let (mut best, mut best_score, mut worse) = (first(reader), f64::NEG_INFINITY, 0);
    for (i, &strength) in STRENGTHS.iter().enumerate().skip(best) {
        let mean = mean_score(reader, &mut folds, strength, metric)?;
        if mean > best_score {
            (best, best_score, worse) = (i, mean, 0);
        } else {
            worse += 1;
        }
        if worse >= PATIENCE {
            break;
        }
    }
    Ok(best)
}

/// The mean score of a penalty over the folds that have one, signed so that larger is better.
fn mean_score(reader: &Reader, folds: &mut [Fold], strength: f64, metric: &str) -> Result<f64> {
    let mut scores = Vec::new();
    for fold in folds {
        let fit = fold.data.fit(strength, fold.fit.as_ref());
        let outputs = fold.data.outputs(&fit, &fold.held_out.features);
        let value = score(metric, &reader.predictions(&fold.held_out, &outputs))?;
        scores.extend(value.is_finite().then_some(if higher_is_better(metric) { value } else { -value }));
        fold.fit = Some(fit);
    }
    Ok(if scores.is_empty() { f64::NEG_INFINITY } else { scores.iter().sum::<f64>() / scores.len() as f64 })
}
