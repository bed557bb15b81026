//! `logistic`: two classes; a target between 0 and 1 is the probability of the second.

use super::{TreeLoss, mean};

/// Least curvature, so that sure rows keep a leaf finite.
const LEAST: f64 = 1e-16;
/// Nearest a share comes to 0 and 1 where the start is taken of it.
const EDGE: f64 = 1e-6;

pub(super) struct Logistic;

fn sigmoid(margin: f64) -> f64 {
    1.0 / (1.0 + (-margin).exp())
}

impl TreeLoss for Logistic {
    fn expected(&self, target: f64) -> Option<String> {
        (!(0.0..=1.0).contains(&target)).then(|| "a number from 0 to 1".into())
    }

    fn start(&self, known: &[(f64, f64)]) -> Vec<f64> {
        vec![self.margin_of(mean(known))]
    }

    fn slopes(&self, margins: &[f64], target: f64, out: &mut [f32]) {
        let p = sigmoid(margins[0]);
        out[0] = (p - target) as f32;
        out[1] = (p * (1.0 - p)).max(LEAST) as f32;
    }

    fn value(&self, margins: &[f64], target: f64) -> f64 {
        let f = margins[0];
        // log(1 + e^f) without overflow.
        f.max(0.0) + (-f.abs()).exp().ln_1p() - target * f
    }

    fn respond(&self, margins: &mut [f64]) {
        margins[0] = sigmoid(margins[0]);
    }

    fn margin_of(&self, response: f64) -> f64 {
        let p = response.clamp(EDGE, 1.0 - EDGE);
        (p / (1.0 - p)).ln()
    }
}
