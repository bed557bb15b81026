//! Metrics against their references, and what holds of every metric.
#![allow(clippy::unwrap_used, missing_docs)]

use polytask_core::{Purpose, Rng};
use polytask_eval::{METRICS, Predictions, Ranking, resampled, score};
use proptest::prelude::*;
use serde_json::Value;

/// Golden cases of `xtask/parity/metrics.py`.
fn cases() -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("data/metrics.json")).unwrap();
    file["cases"].as_array().unwrap().clone()
}

fn read<T: serde::de::DeserializeOwned>(case: &Value, key: &str) -> T {
    serde_json::from_value(case[key].clone()).unwrap()
}

fn predictions(case: &Value) -> Predictions {
    let nan = |v: Vec<Option<f64>>| v.into_iter().map(|x| x.unwrap_or(f64::NAN)).collect();
    match case["form"].as_str().unwrap() {
        "labels" => Predictions::Labels {
            truth: read(case, "truth"),
            predicted: read(case, "predicted"),
            n_labels: read(case, "n_labels"),
        },
        "label_sets" => Predictions::LabelSets {
            n_labels: read(case, "n_labels"),
            truth: read(case, "truth"),
            scores: read(case, "scores"),
        },
        "numbers" => Predictions::Numbers {
            width: read(case, "width"),
            truth: nan(read(case, "truth")),
            predicted: read(case, "predicted"),
        },
        "tags" => Predictions::Tags {
            labels: read(case, "labels"),
            truth: read(case, "truth"),
            predicted: read(case, "predicted"),
        },
        _ => {
            let runs: Vec<Vec<(u32, f32)>> = read(case, "runs");
            let qrels: Vec<Vec<(u32, f32)>> = read(case, "qrels");
            let pair = |(retrieved, relevant)| Ranking { retrieved, relevant };
            Predictions::Rankings {
                rankings: runs.into_iter().zip(qrels).map(pair).collect(),
                ids: read(case, "ids"),
            }
        }
    }
}

fn agree(a: f64, b: f64) -> bool {
    (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9
}

#[test]
fn every_metric_equals_its_reference() {
    let mut checked = std::collections::BTreeSet::new();
    for case in cases() {
        let predictions = predictions(&case);
        for (metric, expected) in case["values"].as_object().unwrap() {
            let (found, expected) =
                (score(metric, &predictions).unwrap(), expected.as_f64().unwrap_or(f64::NAN));
            assert!(agree(found, expected), "{metric} of {}: {found}, reference {expected}", case["name"]);
            checked.insert(metric.split_once('@').map_or(metric.clone(), |(stem, _)| format!("{stem}@k")));
        }
    }
    assert_eq!(checked.len(), METRICS.len(), "metrics without a golden value");
}

/// The same rows as new predictions, in the given order.
fn select(predictions: &Predictions, rows: &[u32]) -> Predictions {
    fn pick<T: Clone>(all: &[T], rows: &[u32], width: usize) -> Vec<T> {
        rows.iter().flat_map(|&r| all[r as usize * width..(r as usize + 1) * width].to_vec()).collect()
    }
    let mut selected = predictions.clone();
    match &mut selected {
        Predictions::Labels { truth, predicted, .. } => {
            (*truth, *predicted) = (pick(truth, rows, 1), pick(predicted, rows, 1));
        }
        Predictions::LabelSets { n_labels, truth, scores } => {
            (*truth, *scores) = (pick(truth, rows, *n_labels), pick(scores, rows, *n_labels));
        }
        Predictions::Numbers { width, truth, predicted } => {
            (*truth, *predicted) = (pick(truth, rows, *width), pick(predicted, rows, *width));
        }
        Predictions::Tags { truth, predicted, .. } => {
            (*truth, *predicted) = (pick(truth, rows, 1), pick(predicted, rows, 1));
        }
        Predictions::Rankings { rankings, .. } => *rankings = pick(rankings, rows, 1),
    }
    selected
}

#[test]
fn the_order_of_rows_does_not_matter() {
    for case in cases() {
        let all = predictions(&case);
        let mut rows: Vec<u32> = (0..all.n_rows() as u32).collect();
        Rng::new(1, Purpose::Bench, &[]).shuffle(&mut rows);
        for metric in case["values"].as_object().unwrap().keys() {
            let (one, other) = (score(metric, &all).unwrap(), score(metric, &select(&all, &rows)).unwrap());
            assert!(agree(one, other), "{metric} of {}: {one}, shuffled {other}", case["name"]);
        }
    }
}

#[test]
fn a_resample_is_scored_like_the_repeated_rows() {
    // Label metrics differ on purpose where a resample misses a label (see `metric::classes`).
    let skipped = |metric: &str, form: &str| form == "label_sets" && metric.starts_with("ma");
    for case in cases() {
        let all = predictions(&case);
        let n = all.n_rows();
        let mut rng = Rng::new(2, Purpose::Bench, &[]);
        let rows: Vec<u32> = (0..n).map(|_| rng.below(n) as u32).collect();
        for metric in case["values"].as_object().unwrap().keys() {
            if skipped(metric, case["form"].as_str().unwrap()) {
                continue;
            }
            let (fast, slow) = (resampled(metric, &all, &rows), score(metric, &select(&all, &rows)).unwrap());
            assert!(agree(fast, slow), "{metric} of {}: {fast}, repeated rows {slow}", case["name"]);
        }
    }
}

proptest! {
    #[test]
    fn label_metrics_stay_in_their_bounds(rows in prop::collection::vec((0_u32..5, 0_u32..5), 0..60)) {
        let (truth, predicted) = rows.iter().copied().unzip();
        let data = Predictions::Labels { truth, predicted, n_labels: 5 };
        for metric in ["accuracy", "macro_f1", "micro_f1"] {
            let value = score(metric, &data).unwrap();
            prop_assert!(rows.is_empty() && value.is_nan() || (0.0..=1.0).contains(&value));
        }
        let mcc = score("mcc", &data).unwrap();
        prop_assert!(rows.is_empty() && mcc.is_nan() || (-1.000_001..=1.000_001).contains(&mcc));
    }

    #[test]
    fn rank_correlation_sees_only_the_order(values in prop::collection::vec((-9_i32..9, -9_i32..9), 3..40)) {
        let (truth, predicted): (Vec<f64>, Vec<f64>) =
            values.iter().map(|&(t, p)| (f64::from(t), f64::from(p))).unzip();
        let stretched = predicted.iter().map(|p| (p / 3.0).exp()).collect();
        let plain = score("spearman", &Predictions::Numbers { width: 1, truth: truth.clone(), predicted }).unwrap();
        let curved = Predictions::Numbers { width: 1, truth, predicted: stretched };
        prop_assert!(agree(plain, score("spearman", &curved).unwrap()));
        prop_assert!(plain.is_nan() || (-1.0..=1.0).contains(&plain));
    }

    #[test]
    fn ranking_metrics_grow_with_k_where_they_must(
        scores in prop::collection::vec(prop::num::f32::ANY, 1..30), hit in 0_u32..30, k in 1_usize..30,
    ) {
        let retrieved = scores.iter().enumerate().map(|(i, &s)| (i as u32, s)).collect();
        let ranking = Ranking { retrieved, relevant: vec![(hit, 1.0), (hit + 1, 2.0)] };
        let data = Predictions::Rankings { rankings: vec![ranking], ids: vec![] };
        for metric in ["recall", "map", "mrr"] {
            let at = |k: usize| score(&format!("{metric}@{k}"), &data).unwrap();
            prop_assert!((0.0..=1.0).contains(&at(k)) && at(k) <= at(k + 1) + 1e-12);
        }
        let ndcg = score(&format!("ndcg@{k}"), &data).unwrap();
        prop_assert!((0.0..=1.000_001).contains(&ndcg));
    }

    #[test]
    fn no_bits_make_a_metric_panic(
        width in 0_usize..4, cells in prop::collection::vec((prop::num::f64::ANY, prop::num::f64::ANY), 0..24),
    ) {
        let (truth, predicted): (Vec<f64>, Vec<f64>) = cells.into_iter().unzip();
        let scores: Vec<f32> = predicted.iter().map(|&p| p as f32).collect();
        let sets = Predictions::LabelSets { n_labels: width, truth: truth.iter().map(|&t| t > 0.0).collect(), scores };
        let numbers = Predictions::Numbers { width, truth, predicted };
        for metric in METRICS {
            let name = metric.info.id.replace("@k", "@3");
            let _ = score(&name, &numbers);
            let _ = score(&name, &sets);
        }
    }
}
