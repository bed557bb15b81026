//! The values `xtask/parity/loss_weightings.py` made, and how methods are held against them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use polytask_core::method::Choice;
use serde::Deserialize;

use super::table::{Setup, make};
use super::testing::{FakeProbe, TASKS, weights};

/// Losses of successive steps, `[steps][tasks]`.
#[derive(Debug, Deserialize)]
pub(crate) struct Series {
    /// What is special about them.
    name: String,
    losses: Vec<Vec<f64>>,
}

/// All of them.
#[derive(Debug, Deserialize)]
pub(crate) struct Golden {
    /// Steps of an epoch.
    epoch_steps: u64,
    series: Vec<Series>,
    /// By method, the weights at each series, `[series][steps][tasks]`.
    weights: BTreeMap<String, Vec<Vec<Vec<f64>>>>,
    /// Draws and weights of random loss weighting.
    pub(crate) rlw: Vec<(Vec<f64>, Vec<f64>)>,
}

/// The golden values.
pub(crate) fn golden() -> &'static Golden {
    static GOLDEN: LazyLock<Golden> = LazyLock::new(|| {
        serde_json::from_str(include_str!("../../tests/data/loss_weightings.json")).unwrap()
    });
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
