//! Intervals of every metric: the score lies inside its own, and they cover about as often as they say.
#![allow(clippy::unwrap_used, missing_docs)]

use polytask_core::report::Interval;
use polytask_core::{Purpose, Rng};
use polytask_eval::{METRICS, Predictions, Ranking, interval, paired, score};

/// A share that a decision with this log odds has.
fn logistic(x: f64) -> f32 {
    (1.0 / (1.0 + (-x).exp())) as f32
}

/// The right index, or any of `n`.
fn guess(rng: &mut Rng, truth: u32, n: usize, right: f64) -> u32 {
    if rng.uniform() < right { truth } else { rng.below(n) as u32 }
}

fn labels(rng: &mut Rng, n: usize, n_labels: usize) -> [Predictions; 2] {
    let right = rng.uniform();
    let truth: Vec<u32> = (0..n).map(|_| rng.below(n_labels) as u32).collect();
    [right, right * 0.8].map(|right| Predictions::Labels {
        truth: truth.clone(),
        predicted: truth.iter().map(|&t| guess(rng, t, n_labels, right)).collect(),
        n_labels,
    })
}

fn label_sets(rng: &mut Rng, n: usize, n_labels: usize) -> [Predictions; 2] {
    let (share, apart) = (rng.uniform() * 0.3, 3.0 * rng.uniform());
    let truth: Vec<bool> = (0..n * n_labels).map(|_| rng.uniform() < share).collect();
    [apart, apart * 0.8].map(|apart| {
        let mut one = |&t: &bool| logistic(rng.normal() + if t { apart } else { -apart });
        Predictions::LabelSets {
            n_labels,
            scores: truth.iter().map(&mut one).collect(),
            truth: truth.clone(),
        }
    })
}

/// Numbers of one column or many, in every other set rounded so that values tie.
fn numbers(rng: &mut Rng, n: usize, width: usize) -> [Predictions; 2] {
    let (noise, rounded) = (2.0 * rng.uniform(), rng.uniform() < 0.5);
    let round = |v: f64| if rounded { v.round() } else { v };
    let truth: Vec<f64> = (0..n * width).map(|_| round(rng.normal())).collect();
    [noise, noise * 1.2].map(|noise| {
        let predicted = truth.iter().map(|t| round(t + noise * rng.normal())).collect();
        Predictions::Numbers { width, truth: truth.clone(), predicted }
    })
}

fn tags(rng: &mut Rng, n: usize) -> [Predictions; 2] {
    let names = ["O", "B-A", "I-A", "B-B"].map(String::from).to_vec();
    let (right, outside) = (rng.uniform(), rng.uniform());
    let mut sentence = || -> Vec<u32> {
        let words = 1 + rng.below(6);
        (0..words).map(|_| guess(rng, 0, 4, outside)).collect()
    };
    let truth: Vec<Vec<u32>> = (0..n).map(|_| sentence()).collect();
    [right, right * 0.8].map(|right| {
        let read = |sentence: &Vec<u32>| sentence.iter().map(|&t| guess(rng, t, 4, right)).collect();
        let predicted = truth.iter().map(read).collect();
        Predictions::Tags { labels: names.clone(), truth: truth.clone(), predicted }
    })
}

fn rankings(rng: &mut Rng, n: usize) -> [Predictions; 2] {
    let relevant: Vec<Vec<(u32, f32)>> = (0..n)
        .map(|_| (0..rng.below(4)).map(|i| (3 * i as u32, 1.0 + rng.below(2) as f32)).collect())
        .collect();
    [0.5, 1.0].map(|apart| {
        let mut one = |relevant: &Vec<(u32, f32)>| {
            let is_relevant = |passage: u32| relevant.iter().any(|r| r.0 == passage);
            let mut scored = |p| (p, (rng.normal() + if is_relevant(p) { apart } else { 0.0 }) as f32);
            Ranking { retrieved: (0..20).map(&mut scored).collect(), relevant: relevant.clone() }
        };
        Predictions::Rankings { rankings: relevant.iter().map(&mut one).collect(), ids: vec![] }
    })
}

/// Two models on random small data of every form: 2 to 60 rows, few labels or many, one column or many.
fn small(seed: u64) -> Vec<[Predictions; 2]> {
    let rng = &mut Rng::new(seed, Purpose::Bench, &[1]);
    let n = 2 + rng.below(if seed.is_multiple_of(3) { 6 } else { 59 });
    let n_labels = 2 + rng.below(if seed.is_multiple_of(2) { 5 } else { 60 });
    let width = if seed.is_multiple_of(2) { 1 } else { 1 + rng.below(60) };
    vec![
        labels(rng, n, n_labels),
        label_sets(rng, n, n_labels),
        numbers(rng, n, width),
        tags(rng, n),
        rankings(rng, n),
    ]
}

/// Rounding aside: a shift by a difference is not exact.
fn holds(found: Interval) -> bool {
    let slack = 1e-12 * (1.0 + found.value.abs());
    found.value.is_nan() || (found.low - slack <= found.value && found.value <= found.high + slack)
}

#[test]
fn a_score_and_a_difference_lie_inside_their_own_interval() {
    let mut checked = std::collections::BTreeSet::new();
    for seed in 0..150 {
        for [one, other] in small(seed) {
            for metric in METRICS {
                let name = metric.info.id.replace("@k", "@5");
                let Ok(alone) = interval(&name, &one, seed) else { continue };
                let difference = paired(&name, &one, &other, seed).unwrap();
                assert!(holds(alone), "{name}, data {seed}: {alone:?}");
                assert!(holds(difference), "{name}, data {seed}, difference: {difference:?}");
                checked.insert(metric.info.id);
            }
        }
    }
    assert_eq!(checked.len(), METRICS.len());
}

/// Sixty rare labels that scores hardly tell apart: where copies of a positive lift average precision most.
fn rare_labels(seed: u64, n: usize, n_labels: usize, apart: f64) -> Predictions {
    let rng = &mut Rng::new(seed, Purpose::Bench, &[2]);
    let share = |label: usize| 0.01 * 10_f64.powf(label as f64 / (n_labels - 1) as f64);
    let truth: Vec<bool> = (0..n * n_labels).map(|i| rng.uniform() < share(i % n_labels)).collect();
    let mut one = |&t: &bool| logistic(rng.normal() + if t { apart } else { 0.0 } - apart / 2.0);
    Predictions::LabelSets { n_labels, scores: truth.iter().map(&mut one).collect(), truth }
}

/// Classes of falling frequency, the frequent ones predicted best.
fn uneven_classes(seed: u64, n: usize) -> Predictions {
    let rng = &mut Rng::new(seed, Purpose::Bench, &[3]);
    let draw = |rng: &mut Rng| (10.0 * rng.uniform().powi(2)) as u32;
    let truth: Vec<u32> = (0..n).map(|_| draw(rng)).collect();
    let mut one = |&t: &u32| if rng.uniform() < 0.9 - 0.05 * f64::from(t) { t } else { draw(rng) };
    Predictions::Labels { predicted: truth.iter().map(&mut one).collect(), truth, n_labels: 10 }
}

fn columns(seed: u64, n: usize, width: usize) -> Predictions {
    let rng = &mut Rng::new(seed, Purpose::Bench, &[4]);
    let truth: Vec<f64> = (0..n * width).map(|_| rng.normal()).collect();
    let predicted = truth.iter().map(|t| t + 0.7 * rng.normal()).collect();
    Predictions::Numbers { width, truth, predicted }
}

/// How many of 200 data sets' intervals hold the score that data sets of this size have on average.
fn covered(metric: &str, make: impl Fn(u64) -> Predictions) -> usize {
    let data: Vec<Predictions> = (0..200).map(make).collect();
    let expected = data.iter().map(|d| score(metric, d).unwrap()).sum::<f64>() / data.len() as f64;
    let holds = |(seed, d): (usize, &Predictions)| {
        let found = interval(metric, d, seed as u64).unwrap();
        (found.low..=found.high).contains(&expected)
    };
    data.iter().enumerate().filter(|&(seed, d)| holds((seed, d))).count()
}

#[test]
fn intervals_of_metrics_that_resampling_moves_cover_as_often_as_they_say() {
    let found = [
        ("map_macro of rare labels", covered("map_macro", |s| rare_labels(s, 200, 60, 0.3))),
        ("map_macro of told-apart labels", covered("map_macro", |s| rare_labels(s, 300, 20, 2.0))),
        ("macro_f1 of label sets", covered("macro_f1", |s| rare_labels(s, 200, 60, 2.5))),
        ("macro_f1 of classes", covered("macro_f1", |s| uneven_classes(s, 150))),
        ("r2 of many columns", covered("r2", |s| columns(s, 30, 40))),
        ("rmse of many columns", covered("rmse", |s| columns(s, 20, 40))),
        ("spearman of many columns", covered("spearman", |s| columns(s, 30, 40))),
        ("spearman", covered("spearman", |s| columns(s, 40, 1))),
    ];
    for (what, n) in found {
        assert!((176..=199).contains(&n), "{what}: {n} of 200 intervals hold the expected score");
    }
}

#[test]
fn an_interval_stays_in_the_range_of_its_metric() {
    for seed in 0..60 {
        let sets = rare_labels(seed, 40, 5, 6.0);
        let near_one = interval("map_macro", &sets, seed).unwrap();
        assert!(near_one.low >= 0.0 && near_one.high <= 1.0, "{near_one:?}");
        let fit = interval("spearman", &columns(seed, 5, 1), seed).unwrap();
        assert!(fit.high <= 1.0, "{fit:?}");
    }
}
