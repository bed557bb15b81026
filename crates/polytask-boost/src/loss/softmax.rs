//! `softmax`: one of several classes; curvature with the factor K/(K − 1) of K classes, as Friedman 2001 (algorithm 6,
//! <https://doi.org/10.1214/aos/1013203451>) and LightGBM have it, or another: XGBoost takes 2.

use polytask_core::{Problem, Result};

use super::{LossSpec, TreeLoss};

const LEAST: f64 = 1e-16;

pub(super) struct Softmax {
    classes: usize,
    /// The factor of p(1 − p).
    curvature: f64,
}

pub(super) fn make(spec: &LossSpec) -> Result<Box<dyn TreeLoss>> {
    if spec.classes < 2 {
        let what = format!("soft-max over {} class(es), expected at least 2", spec.classes);
        return Err(Problem::new(what.replace("class(es)", "class"))
            .try_this("`squared` for numbers")
            .into());
    }
    let usual = spec.classes as f64 / (spec.classes as f64 - 1.0);
    let curvature = if spec.curvature > 0.0 { spec.curvature } else { usual };
    Ok(Box::new(Softmax { classes: spec.classes, curvature }))
}

/// The largest margin, and the sum of exponentials from there.
fn normaliser(margins: &[f64]) -> (f64, f64) {
    let largest = margins.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (largest, margins.iter().map(|f| (f - largest).exp()).sum())
}

impl TreeLoss for Softmax {
    fn width(&self) -> usize {
        self.classes
    }

    fn expected(&self, target: f64) -> Option<String> {
        let is_class = target.fract() == 0.0 && (0.0..self.classes as f64).contains(&target);
        (!is_class).then(|| format!("a class from 0 to {}", self.classes - 1))
    }

    fn start(&self, known: &[(f64, f64)]) -> Vec<f64> {
        // Half a row of each class, so that one without rows has a finite start.
        let mut shares = vec![0.0; self.classes];
        known.iter().for_each(|(class, weight)| shares[*class as usize] += weight);
        let least = if shares.contains(&0.0) { 0.5 } else { 0.0 };
        let logs: Vec<f64> = shares.iter().map(|share| (share + least).ln()).collect();
        let mean = logs.iter().sum::<f64>() / self.classes as f64;
        logs.iter().map(|log| log - mean).collect()
    }

    fn slopes(&self, margins: &[f64], target: f64, out: &mut [f32]) {
        let (largest, sum) = normaliser(margins);
        for (k, f) in margins.iter().enumerate() {
            let p = (f - largest).exp() / sum;
            out[2 * k] = (p - f64::from(u8::from(k == target as usize))) as f32;
            out[2 * k + 1] = (self.curvature * p * (1.0 - p)).max(LEAST) as f32;
        }
    }

    fn value(&self, margins: &[f64], target: f64) -> f64 {
        let (largest, sum) = normaliser(margins);
        largest + sum.ln() - margins[target as usize]
    }

    fn respond(&self, margins: &mut [f64]) {
        let (largest, sum) = normaliser(margins);
        margins.iter_mut().for_each(|f| *f = (*f - largest).exp() / sum);
    }
}
