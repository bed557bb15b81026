//! Mixtures, masks and routes against the values of `xtask/parity/sharing.py`.

use polytask_core::Layout;
use serde::Deserialize;

use super::gate::Gate;
use super::mask::Mask;
use super::mix::{Mixing, Moment, Weigher};
use super::route::{Route, soft, soft_vjp};
use super::selector::Selector;
use super::stitch::Stitch;
use crate::params::Block;
use crate::trunk::{Cotangent, States};

type Rows = Vec<Vec<f64>>;

#[derive(Deserialize)]
struct Golden {
    gates: Vec<Mixture>,
    selectors: Vec<Mixture>,
    stitches: Vec<Mixture>,
    routes: Vec<Routed>,
    masks: Vec<Masked>,
}

#[derive(Deserialize)]
struct Mixture {
    values: Vec<f64>,
    #[serde(default)]
    seen: Rows,
    inputs: Vec<Rows>,
    g: Rows,
    output: Rows,
    d_values: Vec<f64>,
    d_inputs: Vec<Rows>,
    #[serde(default)]
    d_seen: Rows,
    #[serde(default)]
    d_penalty: Vec<f64>,
    #[serde(default)]
    k: usize,
    #[serde(default)]
    gamma: f64,
}

#[derive(Deserialize)]
struct Routed {
    logits: Vec<f64>,
    noise: Vec<f64>,
    temperature: f64,
    weights: Vec<f64>,
    soft: Vec<f64>,
    d_weights: Vec<f64>,
    d_logits: Vec<f64>,
}

#[derive(Deserialize)]
struct Masked {
    values: Vec<f64>,
    middle: usize,
    reads: Vec<Rows>,
    input: Rows,
    g: Rows,
    output: Rows,
    d_values: Vec<f64>,
    d_reads: Vec<Rows>,
    d_input: Rows,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../tests/data/sharing.json")).unwrap()
}

fn assert_close(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= 1e-12 + 1e-10 * e.abs(), "{what} entry {i}: {f} for {e}");
    }
}

fn states(rows: &Rows) -> States<f64> {
    States { values: rows.concat(), width: rows.first().map_or(0, Vec::len) }
}

/// A mixture of one-row sequences, so that what a weigher reads is the row itself.
fn check(case: &Mixture, weigher: &dyn Weigher, what: &str) {
    let (layout, seen) = (Layout::even(case.g.len(), 1), states(&case.seen));
    let inputs: Vec<States<f64>> = case.inputs.iter().map(states).collect();
    let mixing = Mixing {
        weigher,
        values: case.values.clone(),
        moment: Moment { seed: 0, step: 1, block: 0 },
        layout: &layout,
        reads: Some(&seen).filter(|seen| seen.width > 0),
        inputs: inputs.iter().collect(),
    };
    assert_close(&mixing.forward(&None).values, &case.output.concat(), what);
    let sequences = (0..case.g.len() as u32).collect();
    let cotangent = Cotangent { task: 0, sequences, values: case.g.concat().into(), lowest: 0 };
    let grads = mixing.vjp(&cotangent);
    assert_close(&grads.values, &case.d_values, what);
    for (found, expected) in grads.inputs.iter().zip(&case.d_inputs) {
        // An expert that no sequence reads gets nothing at all.
        let expected = expected.concat();
        let is_idle = found.is_empty() && expected.iter().all(|&d| d == 0.0);
        if !is_idle {
            assert_close(found, &expected, what);
        }
    }
    assert_close(&grads.reads, &case.d_seen.concat(), what);
    let all: Vec<usize> = (0..case.g.len()).collect();
    if let Some((_, gradient)) = mixing.penalty(&all) {
        assert!(case.d_penalty.iter().any(|d| d.abs() > 1e-9), "{what}");
        assert_close(&gradient, &case.d_penalty, what);
    }
}

#[test]
fn gates_equal_those_of_the_reference() {
    for case in golden().gates {
        check(&case, &Gate { n: case.inputs.len(), width: 5 }, "gate");
    }
}

#[test]
fn selectors_and_their_regulariser_equal_those_of_the_reference() {
    let cases = golden().selectors;
    assert!(cases.iter().any(|case| !case.inputs.len().is_power_of_two() && case.gamma != 1.0));
    for case in cases {
        let n = case.inputs.len();
        let selector = Selector { n, k: case.k, gamma: case.gamma, entropy: 1e-6, width: 5 };
        check(&case, &selector, &format!("{n} experts, gamma {}", case.gamma));
    }
}

#[test]
fn stitches_equal_those_of_the_reference() {
    for case in golden().stitches {
        check(&case, &Stitch { n: case.inputs.len(), own: 0, keep: 0.9 }, "stitch");
    }
}

#[test]
fn routes_equal_a_straight_through_gumbel_softmax() {
    for case in golden().routes {
        let found = soft(&case.logits, &case.noise, case.temperature);
        assert_close(&found, &case.soft, "probabilities");
        let route = Route { n: case.logits.len(), own: 0, steps: 1, epochs: 1.0, warmup: 0.0 };
        assert_close(&route.hard(&found), &case.weights, "choice");
        let gradient = soft_vjp(&found, &case.d_weights, case.temperature);
        assert_close(&gradient, &case.d_logits, "gradient");
    }
}

#[test]
fn routes_warm_up_and_cool_down_as_published() {
    let route = Route { n: 3, own: 1, steps: 1000, epochs: 10.0, warmup: 0.01 };
    let at = |step: u64| route.weights(&[1.0, 1.0, 1.0], &[], &Moment { seed: 5, step, block: 7 });
    assert_eq!(at(0), [0.0, 1.0, 0.0], "outside training");
    assert_eq!((at(1), at(10)), (vec![1.0; 3], vec![1.0; 3]), "first per cent");
    let drawn: Vec<Vec<f64>> = (11..=1000).map(at).collect();
    assert!(drawn.iter().all(|w| w.iter().sum::<f64>() == 1.0 && w.contains(&1.0)));
    for j in 0..3 {
        let n = drawn.iter().filter(|w| w[j] == 1.0).count();
        assert!((270..390).contains(&n), "input {j} was drawn {n} times of 990");
    }
    // Epoch 3 of 10: temperature (10 / 20) / √4.
    let (values, moment) = ([0.3, -0.2, 0.9], Moment { seed: 5, step: 301, block: 7 });
    let mut found = vec![0.0; 3];
    route.vjp(&values, &[], &moment, &[1.0, 2.0, 4.0], (&mut found, &mut []));
    let mut rng = polytask_core::Rng::new(5, polytask_core::Purpose::Route, &[7, 301]);
    let noise: Vec<f64> = (0..3).map(|_| -(-(1.0 - rng.uniform()).ln()).ln()).collect();
    assert_close(&found, &soft_vjp(&soft(&values, &noise, 0.25), &[1.0, 2.0, 4.0], 0.25), "gradient");
}

#[test]
fn masks_equal_those_of_the_reference() {
    for case in golden().masks {
        let mask = Mask { seen: case.reads.len() * 5, middle: case.middle, width: 5 };
        let shapes = mask.shapes();
        let tensors: Vec<_> = shapes.iter().map(|(name, shape)| (*name, &shape[..], true)).collect();
        let mut block = Block::<f64>::zeros("mask", &tensors);
        block.values.clone_from(&case.values);
        let reads: Vec<Vec<f64>> = case.reads.iter().map(|rows| rows.concat()).collect();
        let reads: Vec<&[f64]> = reads.iter().map(Vec::as_slice).collect();
        let (input, g) = (case.input.concat(), case.g.concat());
        assert_close(&mask.forward(&block, &reads, &input).unwrap(), &case.output.concat(), "mask");
        let grads = mask.vjp(&block, &reads, &input, &g).unwrap();
        assert_close(&grads.values, &case.d_values, "weights");
        assert_close(&grads.input, &case.d_input.concat(), "input");
        for (found, expected) in grads.reads.iter().zip(&case.d_reads) {
            assert_close(found, &expected.concat(), "what it sees");
        }
    }
}
