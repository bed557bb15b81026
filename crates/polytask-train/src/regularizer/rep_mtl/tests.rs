//! The closed forms against finite differences, and what the terms must not depend on. All in f64.

use polytask_core::{Purpose, Rng};
use serde_json::{Value, json};

use super::*;
use crate::regularizer::{Sample, Slopes};

/// A regularizer with these parameters.
fn with(params: &Value) -> Box<dyn Regularizer> {
    let mut choice = Choice::named("rep-mtl");
    choice.params.extend(params.as_object().unwrap().clone());
    make(&choice).unwrap()
}

/// Normal saliencies of samples with these numbers of positions and these tasks.
fn random(seed: u64, width: usize, samples: &[(usize, &[usize])]) -> Saliencies {
    let mut rng = Rng::new(seed, Purpose::Bench, &[width as u64]);
    let mut next = 0;
    let sample = |&(n, tasks): &(usize, &[usize])| {
        next += n;
        let values = tasks.iter().map(|_| (0..n * width).map(|_| rng.normal()).collect()).collect();
        Sample { rows: next - n..next, tasks: tasks.to_vec(), values }
    };
    Saliencies { width, samples: samples.iter().map(sample).collect() }
}

/// Value of the whole term.
fn value(params: &Value, saliencies: &Saliencies) -> f64 {
    let penalty = with(params).penalty(saliencies, 0);
    let observed = |name: &str| penalty.observed.iter().find(|(n, _)| *n == name).map_or(0.0, |(_, v)| *v);
    let factor = |name: &str| params[name].as_f64().unwrap_or(0.9);
    factor("tsr") * observed("rep-mtl tsr") + factor("csa") * observed("rep-mtl csa")
}

fn slopes(params: &Value, saliencies: &Saliencies) -> Slopes {
    with(params).penalty(saliencies, 0).slopes.unwrap()
}

/// Each value of the saliencies in turn moved by `h`.
fn moved(saliencies: &Saliencies, (b, t, i): (usize, usize, usize), h: f64) -> Saliencies {
    let mut moved = saliencies.clone();
    moved.samples[b].values[t][i] += h;
    moved
}

fn check_slopes(params: &Value, saliencies: &Saliencies, h: f64) {
    let slopes = slopes(params, saliencies);
    let largest = slopes.iter().flatten().flatten().fold(0.0, |m: f64, v| m.max(v.abs()));
    for (b, slopes) in slopes.iter().enumerate() {
        for (t, slopes) in slopes.iter().enumerate() {
            for (i, found) in slopes.iter().enumerate() {
                let at = |h| value(params, &moved(saliencies, (b, t, i), h));
                let expected = (at(h) - at(-h)) / (2.0 * h);
                assert!(
                    (found - expected).abs() < 1e-6 * (largest + expected.abs()) + 1e-9,
                    "{params} sample {b} task {t} value {i}: {found} {expected}"
                );
            }
        }
    }
}

const FULL: &[(usize, &[usize])] = &[(4, &[0, 1, 2]), (4, &[0, 1, 2]), (4, &[0, 1, 2])];
const PARTIAL: &[(usize, &[usize])] = &[(3, &[0, 2]), (1, &[1]), (5, &[0, 1, 2]), (1, &[1, 2]), (2, &[0])];

fn variants() -> Vec<Value> {
    let mut all = Vec::new();
    for (tsr, csa) in [(1.0, 0.0), (0.0, 1.0), (0.7, 1.3)] {
        for mean in ["signed", "absolute"] {
            for inside in [false, true] {
                all.push(json!({
                    "tsr": tsr, "csa": csa, "tau": 0.3, "channel_mean": mean, "positive_in_denominator": inside
                }));
            }
        }
    }
    all
}

#[test]
fn slopes_equal_finite_differences_on_random_saliencies() {
    // More channels than positions and fewer; every task everywhere and not.
    for (width, samples) in [(6, FULL), (3, FULL), (2, PARTIAL), (7, PARTIAL), (1, FULL)] {
        let saliencies = random(3, width, samples);
        variants().iter().for_each(|params| check_slopes(params, &saliencies, 1e-6));
    }
}

#[test]
fn slopes_equal_finite_differences_on_degenerate_saliencies() {
    let params = json!({ "tsr": 0.7, "csa": 1.3, "tau": 0.2 });
    // One position; equal tasks; opposite tasks; tasks of very different size; equal samples.
    let one = random(5, 4, &[(1, &[0, 1]), (1, &[0, 1]), (1, &[0, 1])]);
    check_slopes(&params, &one, 1e-6);
    for factor in [1.0, -1.0, 1e-3, 1e3] {
        let mut related = random(6, 5, &[(3, &[0, 1]), (3, &[0, 1])]);
        for sample in &mut related.samples {
            sample.values[1] = sample.values[0].iter().map(|v| v * factor).collect();
        }
        check_slopes(&params, &related, 1e-6 * factor.abs().min(1.0));
    }
    let mut same = random(7, 5, FULL);
    same.samples[1].values = same.samples[0].values.clone();
    check_slopes(&params, &same, 1e-6);
    // The channel mean cancels at one position up to rounding's neighbourhood: entropy has a kink there, so only CSA.
    let mut cancelled = random(8, 4, FULL);
    cancelled.samples[0].values[0][..4].copy_from_slice(&[1.0, -1.0, 2.0, -2.0]);
    check_slopes(&json!({ "tsr": 0.0, "csa": 1.0 }), &cancelled, 1e-6);
}

#[test]
fn zero_saliencies_give_uniform_shares_and_no_nan() {
    let mut saliencies = random(9, 4, FULL);
    // A position without saliency, a task without, a sample without.
    (0..3).for_each(|t| saliencies.samples[0].values[t][..4].fill(0.0));
    saliencies.samples[1].values[0].fill(0.0);
    saliencies.samples[2].values.iter_mut().for_each(|values| values.fill(0.0));
    for params in variants() {
        assert!(value(&params, &saliencies).is_finite());
        assert!(slopes(&params, &saliencies).iter().flatten().flatten().all(|v| v.is_finite()), "{params}");
    }
    let mut empty = random(9, 4, FULL);
    empty.samples.iter_mut().flat_map(|s| &mut s.values).for_each(|values| values.fill(0.0));
    let observed = with(&json!({ "floor": 0.0 })).penalty(&empty, 0).observed;
    let (_, entropy) = observed.iter().find(|(name, _)| *name == "rep-mtl tsr").unwrap();
    assert!((entropy - 3f64.ln()).abs() < 1e-12, "{entropy}");
    assert!(with(&json!({})).penalty(&empty, 0).slopes.is_none(), "below the floor the terms stop");
}

#[test]
fn both_terms_ignore_a_common_factor_of_a_sample_and_only_the_contrast_one_of_a_task() {
    let saliencies = random(10, 5, FULL);
    let scaled = |only: Option<usize>| {
        let mut scaled = saliencies.clone();
        let values = scaled.samples[1].values.iter_mut().enumerate();
        values
            .filter(|(t, _)| only.is_none_or(|o| o == *t))
            .for_each(|(_, v)| v.iter_mut().for_each(|v| *v *= 7.0));
        scaled
    };
    let [tsr, csa] = [json!({ "csa": 0 }), json!({ "tsr": 0 })];
    for params in [&tsr, &csa] {
        let (plain, all) = (value(params, &saliencies), value(params, &scaled(None)));
        assert!((plain - all).abs() < 1e-6, "{params} {plain} {all}");
    }
    assert!((value(&tsr, &saliencies) - value(&tsr, &scaled(Some(2)))).abs() > 1e-3);
    // The slope stands upright on the saliencies along which nothing changes.
    let slopes = slopes(&json!({}), &saliencies);
    for (sample, slopes) in saliencies.samples.iter().zip(&slopes) {
        let along: f64 =
            sample.values.iter().flatten().zip(slopes.iter().flatten()).map(|(s, v)| s * v).sum();
        assert!(along.abs() < 1e-6, "{along}");
    }
}

#[test]
fn orders_of_samples_and_of_tasks_do_not_matter() {
    let saliencies = random(11, 5, FULL);
    let mut turned = saliencies.clone();
    turned.samples.reverse();
    turned.samples.iter_mut().for_each(|sample| sample.values.reverse());
    let params = json!({});
    assert!((value(&params, &saliencies) - value(&params, &turned)).abs() < 1e-12);
    let (mut there, back) = (slopes(&params, &turned), slopes(&params, &saliencies));
    there.reverse();
    there.iter_mut().for_each(|sample| sample.reverse());
    let apart = there.iter().flatten().flatten().zip(back.iter().flatten().flatten());
    assert!(apart.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) < 1e-12);
}

#[test]
fn samples_of_one_task_add_nothing_but_to_the_number_of_samples() {
    let shared = random(12, 4, &[(2, &[0, 1]), (2, &[0, 1])]);
    let mut more = shared.clone();
    more.samples.extend(random(13, 4, &[(2, &[0]), (2, &[1])]).samples);
    let params = json!({});
    assert!((value(&params, &more) - value(&params, &shared) / 2.0).abs() < 1e-12);
    assert!(slopes(&params, &more)[2..].iter().flatten().flatten().all(|v| *v == 0.0));
}

#[test]
fn without_two_tasks_or_two_samples_terms_are_off_with_a_note() {
    let alone = with(&json!({})).penalty(&random(14, 4, &[(2, &[0]), (2, &[1])]), 0);
    assert_eq!((alone.slopes, alone.notes), (None, vec![ALONE]));
    let one = random(15, 4, &[(2, &[0, 1]), (2, &[1])]);
    let penalty = with(&json!({})).penalty(&one, 0);
    assert_eq!(penalty.notes, [NO_NEGATIVES]);
    assert!(penalty.observed.iter().all(|(name, _)| *name != "rep-mtl csa"));
    let entropy_alone = slopes(&json!({ "csa": 0 }), &one);
    assert_eq!(penalty.slopes.unwrap(), entropy_alone);
}

#[test]
fn the_terms_begin_at_their_epoch() {
    let saliencies = random(16, 4, FULL);
    let later = with(&json!({ "start_epoch": 2 }));
    let begun: Vec<bool> = (0..4).map(|epoch| later.penalty(&saliencies, epoch).slopes.is_some()).collect();
    assert_eq!(begun, [false, false, true, true]);
}

#[test]
fn descending_along_the_slopes_lowers_entropy_and_raises_similarity() {
    for (params, name, sign) in [
        (json!({ "csa": 0 }), "rep-mtl entropy", -1.0),
        (json!({ "tsr": 0, "positive_in_denominator": true }), "rep-mtl similarity", 1.0),
    ] {
        let mut saliencies = random(17, 4, FULL);
        let seen = |s: &Saliencies| {
            let observed = with(&params).penalty(s, 0).observed;
            observed.iter().find(|(n, _)| *n == name).unwrap().1
        };
        let before = seen(&saliencies);
        for _ in 0..50 {
            let slopes = slopes(&params, &saliencies);
            for (sample, slopes) in saliencies.samples.iter_mut().zip(slopes) {
                let pairs = sample.values.iter_mut().flatten().zip(slopes.into_iter().flatten());
                pairs.for_each(|(s, v)| *s -= 0.3 * v);
            }
        }
        assert!(sign * (seen(&saliencies) - before) > 0.05, "{name} {before} {}", seen(&saliencies));
    }
}

#[test]
fn gradients_that_do_not_flow_through_saliencies_are_refused() {
    let mut choice = Choice::named("rep-mtl");
    choice.params.insert("through_saliencies".into(), false.into());
    let message = make(&choice).err().unwrap().to_string();
    assert!(message.contains("both terms are constants\n    try: `through_saliencies = true`"), "{message}");
}

#[test]
fn similarity_of_tasks_is_the_cosine_of_their_affinities() {
    for width in [2, 9] {
        let saliencies = random(18, width, &[(4, &[0, 1])]);
        let sample = &saliencies.samples[0];
        // The matrices themselves, C × C.
        let affinity = |values: &[f64]| {
            let entry = |c: usize, d: usize| {
                (0..4).map(|i| values[i * width + c] * values[i * width + d]).sum::<f64>()
            };
            (0..width * width).map(|at| entry(at / width, at % width)).collect::<Vec<f64>>()
        };
        let (a, b) = (affinity(&sample.values[0]), affinity(&sample.values[1]));
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        let expected = dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt();
        assert!((similarity(&saliencies).unwrap() - expected).abs() < 1e-12);
    }
}
