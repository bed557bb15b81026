//! `squared`: half the square of the distance.

use super::{TreeLoss, mean};

pub(super) struct Squared;

impl TreeLoss for Squared {
    fn expected(&self, target: f64) -> Option<String> {
        (!target.is_finite()).then(|| "a finite number".into())
    }

    fn start(&self, known: &[(f64, f64)]) -> Vec<f64> {
        vec![mean(known)]
    }

    fn slopes(&self, margins: &[f64], target: f64, out: &mut [f32]) {
        out[0] = (margins[0] - target) as f32;
        out[1] = 1.0;
    }

    fn value(&self, margins: &[f64], target: f64) -> f64 {
        (margins[0] - target).powi(2) / 2.0
    }

    fn respond(&self, _margins: &mut [f64]) {}
}
