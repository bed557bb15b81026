//! The values `xtask/parity/loss_weightings.py` made, and how methods are held against them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use polytask_core::method::Choice;
use serde::Deserialize;

use super::quadratic::Quadratic;
use super::table::{Setup, make};
use super::testing::{FakeProbe, TASKS, weights};
use super::{Direction, Heads, Update};

/// Losses of successive steps, `[steps][tasks]`.
#[derive(Debug, Deserialize)]
pub(crate) struct Series {
    /// What is special about them.
    name: String,
    losses: Vec<Vec<f64>>,
}

/// Losses and gradients of successive steps.
#[derive(Debug, Deserialize)]
pub(crate) struct RowSeries {
    /// What is special about them.
    name: String,
    losses: Vec<Vec<f64>>,
    /// Exact in f32, `[steps][tasks][params]`.
    rows: Vec<Vec<Vec<f32>>>,
}

/// All of them.
#[derive(Debug, Deserialize)]
pub(crate) struct Golden {
    /// Steps of an epoch.
    epoch_steps: u64,
    series: Vec<Series>,
    /// By method, the weights at each series, `[series][steps][tasks]`.
    weights: BTreeMap<String, Vec<Vec<Vec<f64>>>>,
    row_series: Vec<RowSeries>,
    /// By method, the weights at each row series.
    row_weights: BTreeMap<String, Vec<Vec<Vec<f64>>>>,
    pub(crate) models: Vec<Quadratic>,
    /// By method, what it answers at each step on each model: weights, or the gradients of trunk and heads.
    descents: BTreeMap<String, Vec<Vec<Vec<f64>>>>,
    /// Draws and weights of random loss weighting.
    pub(crate) rlw: Vec<(Vec<f64>, Vec<f64>)>,
}

/// The golden values.
pub(crate) fn golden() -> &'static Golden {
    static GOLDEN: LazyLock<Golden> =
        LazyLock::new(|| serde_json::from_str(include_str!("../tests/data/loss_weightings.json")).unwrap());
    &GOLDEN
}

/// Asserts that numbers agree within `tolerance` times the larger one's size.
pub(crate) fn close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() <= tolerance * f.abs().max(e.abs()), "{what}: {found:?} is not {expected:?}");
    }
}

/// Leads a method that sees losses through all series and compares every weight.
pub(crate) fn follow(id: &str) {
    let golden = golden();
    assert!(golden.series.len() >= 30);
    for (series, expected) in golden.series.iter().zip(&golden.weights[id]) {
        let mut method = make(&Choice::named(id), &Setup::of(&TASKS)).unwrap();
        for (step, (losses, expected)) in series.losses.iter().zip(expected).enumerate() {
            let mut probe = FakeProbe::random(1, losses.len(), 4).at_epoch(step as u64 / golden.epoch_steps);
            probe.set_losses(losses);
            let found = weights(method.as_mut(), &mut probe);
            close(&found, expected, 1e-6, &format!("{id}, {}, step {step}", series.name));
        }
    }
}

/// Leads a method that sees gradients through all series and compares every weight.
pub(crate) fn follow_rows(id: &str) {
    let golden = golden();
    assert!(golden.row_series.len() >= 30);
    for (series, expected) in golden.row_series.iter().zip(&golden.row_weights[id]) {
        let mut method = make(&Choice::named(id), &Setup::of(&TASKS)).unwrap();
        for (step, expected) in expected.iter().enumerate() {
            let rows: Vec<&[f32]> = series.rows[step].iter().map(Vec::as_slice).collect();
            let mut probe = FakeProbe::from_rows(&rows)
                .at_step(step as u64 + 1)
                .at_epoch(step as u64 / golden.epoch_steps);
            probe.set_losses(&series.losses[step]);
            let found = weights(method.as_mut(), &mut probe);
            close(&found, expected, 1e-6, &format!("{id}, {}, step {step}", series.name));
        }
    }
}

/// What an update says, as the reference writes it.
fn answer(update: &Update) -> Vec<f64> {
    match (&update.trunk, &update.heads) {
        (Direction::Weights(weights), Heads::Factors(factors)) => {
            assert_eq!(weights, factors);
            weights.clone()
        }
        (Direction::Gradient(trunk), Heads::Gradients(heads)) => {
            trunk.iter().chain(heads.iter().flatten()).map(|v| f64::from(*v)).collect()
        }
        other => panic!("expected weights or gradients, found {other:?}"),
    }
}

/// Lets a method train all models and compares its answer at every step, relative to its largest entry.
pub(crate) fn descend(id: &str, tolerance: f64) {
    let golden = golden();
    assert!(golden.models.len() >= 30);
    for (model, expected) in golden.models.iter().zip(&golden.descents[id]) {
        let mut method = make(&Choice::named(id), &Setup::of(&TASKS)).unwrap();
        let mut model = model.clone();
        for (step, expected) in expected.iter().enumerate() {
            model.at_step(step as u64 + 1, step as u64 / golden.epoch_steps);
            let update = method.update(&mut model).unwrap();
            let found = answer(&update);
            let size = expected.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
            let apart = found.iter().zip(expected).map(|(f, e)| (f - e).abs()).fold(0.0, f64::max);
            let what = format!("{id}, {}, step {step}: {found:?} is not {expected:?}", model.name);
            assert!(found.len() == expected.len() && apart <= tolerance * size, "{what}");
            model.apply(&update);
            if method.needs().after_step {
                method.after_step(&mut model).unwrap();
            }
        }
    }
}
