//! `poisson`: counts whose mean is the exponential of the margin.

use super::{TreeLoss, mean};

/// What the curvature is raised by, so that a step overshoots less: XGBoost's default.
const MAX_DELTA_STEP: f64 = 0.7;
/// Smallest mean a start is taken of.
const LEAST: f64 = 1e-6;

pub(super) struct Poisson;

impl TreeLoss for Poisson {
    fn expected(&self, target: f64) -> Option<String> {
        (!target.is_finite() || target < 0.0).then(|| "a number of at least 0".into())
    }

    fn start(&self, known: &[(f64, f64)]) -> Vec<f64> {
        vec![self.margin_of(mean(known))]
    }

    fn slopes(&self, margins: &[f64], target: f64, out: &mut [f32]) {
        out[0] = (margins[0].exp() - target) as f32;
        out[1] = (margins[0] + MAX_DELTA_STEP).exp() as f32;
    }

    fn value(&self, margins: &[f64], target: f64) -> f64 {
        // Half the deviance: what no model can leave is taken off, so that 0 is the least and shares of a start mean something.
        let least = if target > 0.0 { target - target * target.ln() } else { 0.0 };
        margins[0].exp() - target * margins[0] - least
    }

    fn respond(&self, margins: &mut [f64]) {
        margins[0] = margins[0].exp();
    }

    fn margin_of(&self, response: f64) -> f64 {
        response.max(LEAST).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_is_0_where_the_mean_is_the_count_and_above_it_elsewhere() {
        for count in [0.5_f64, 1.0, 7.0, 1e4] {
            assert!(Poisson.value(&[count.ln()], count).abs() < 1e-9 * count);
            assert!(Poisson.value(&[count.ln() + 0.1], count) > 0.0);
            assert!(Poisson.value(&[count.ln() - 0.1], count) > 0.0);
        }
        assert!((Poisson.value(&[2.0_f64.ln()], 0.0) - 2.0).abs() < 1e-12);
    }
}
