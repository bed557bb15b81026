//! The positive x with M x = k x⁻ᵖ: the point at which every task gains what its weight is worth.

use nalgebra::{DMatrix, DVector};

use super::{inner, with_ridge};
use crate::Gramian;

/// Added to the cosines. Where the gradients can cancel with positive weights there is no such x; with the ridge the
/// weights are those of a cancelling combination and the direction is about the root of this, that is, none.
const RIDGE: f64 = 1e-10;
/// Largest relative error of an equation.
const TOLERANCE: f64 = 1e-12;
/// Most Newton steps; ten are usual.
const MOST_STEPS: usize = 200;
/// Largest share of itself by which an unknown may fall in a step.
const LARGEST_FALL: f64 = 0.9;
/// Predicted decrease below which steps are taken whole: the objective can no longer tell them apart.
const SMALL: f64 = 1e-9;

/// The positive solution of M x = k x⁻ᵖ (element by element), M cosines: the minimum of the strictly convex
/// ½ xᵀ M x − Σ kᵢ φ(xᵢ) with φ' = x⁻ᵖ, by damped Newton steps in units in which the barrier's slopes are 1.
pub(crate) fn balance(cosines: &Gramian, k: &[f64], p: f64) -> Vec<f64> {
    let problem = Problem { matrix: with_ridge(cosines.clone(), RIDGE), k, p };
    // The solution without the other tasks.
    let mut x: Vec<f64> = k.iter().map(|k| k.powf(1.0 / (1.0 + p))).collect();
    for _ in 0..MOST_STEPS {
        let (residual, scale) = problem.residual(&x);
        if residual.iter().zip(&scale).all(|(r, q)| r.abs() <= TOLERANCE * q) {
            break;
        }
        let Some(step) = problem.step(&x, &residual, &scale) else { break };
        let fall = -inner(&step, &residual);
        let length = problem.length(&x, &step, fall);
        x.iter_mut().zip(&step).for_each(|(x, s)| *x *= 1.0 + length * s);
    }
    x
}

struct Problem<'a> {
    matrix: Gramian,
    k: &'a [f64],
    p: f64,
}

impl Problem<'_> {
    /// xᵢ (M x)ᵢ − kᵢ xᵢ¹⁻ᵖ, and its second term alone.
    fn residual(&self, x: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let scale: Vec<f64> = x.iter().zip(self.k).map(|(x, k)| k * x.powf(1.0 - self.p)).collect();
        let gains = self.matrix.times(x);
        (x.iter().zip(&gains).zip(&scale).map(|((x, g), q)| x * g - q).collect(), scale)
    }

    /// The Newton step as a share of each unknown.
    fn step(&self, x: &[f64], residual: &[f64], scale: &[f64]) -> Option<Vec<f64>> {
        let n = x.len();
        let root: Vec<f64> = scale.iter().map(|q| q.sqrt()).collect();
        let entry = |i: usize, j: usize| {
            let curvature = (x[i] / root[i]) * self.matrix.get(i, j) * (x[j] / root[j]);
            curvature + if i == j { self.p } else { 0.0 }
        };
        let right = DVector::from_fn(n, |i, _| -residual[i] / root[i]);
        let solved = DMatrix::from_fn(n, n, entry).cholesky()?.solve(&right);
        let step: Vec<f64> = solved.iter().zip(&root).map(|(s, r)| s / r).collect();
        step.iter().all(|s| s.is_finite()).then_some(step)
    }

    /// How much of the step is taken: no unknown falls to 0, and the objective falls.
    fn length(&self, x: &[f64], step: &[f64], fall: f64) -> f64 {
        let steepest = step.iter().copied().fold(0.0, |m: f64, s| m.max(-s));
        let mut length = if steepest > LARGEST_FALL { LARGEST_FALL / steepest } else { 1.0 };
        let before = self.objective(x);
        let moved = |t: f64| x.iter().zip(step).map(|(x, s)| x * (1.0 + t * s)).collect::<Vec<_>>();
        while fall > SMALL * before.abs().max(1.0)
            && length > SMALL
            && self.objective(&moved(length)) > before - 1e-4 * length * fall
        {
            length *= 0.5;
        }
        length
    }

    fn objective(&self, x: &[f64]) -> f64 {
        let p = self.p;
        let worth = |x: f64| if p == 1.0 { x.ln() } else { x.powf(1.0 - p) / (1.0 - p) };
        let barrier: f64 = x.iter().zip(self.k).map(|(&x, k)| k * worth(x)).sum();
        0.5 * inner(x, &self.matrix.times(x)) - barrier
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solve::cosines;
    use crate::testing::FakeProbe;
    use crate::{At, Probe};

    /// Largest relative error of M x = k x⁻ᵖ.
    fn error(matrix: &Gramian, k: &[f64], p: f64, x: &[f64]) -> f64 {
        let ratio =
            matrix.times(x).into_iter().zip(x).zip(k).map(|((g, x), k)| (g / (k * x.powf(-p)) - 1.0).abs());
        ratio.fold(0.0, f64::max)
    }

    #[test]
    fn equations_hold_for_all_powers_and_sizes() {
        for seed in 0..20 {
            let n = 2 + (seed % 7) as usize;
            let matrix = cosines(&FakeProbe::random(seed, n, n + 1).gramian(At::default()).unwrap());
            for p in [0.2, 0.5, 1.0, 2.0, 5.0] {
                let k: Vec<f64> = (0..n).map(|i| 10_f64.powi((i % 3) as i32 * 4 - 4)).collect();
                for k in [vec![1.0; n], k] {
                    let x = balance(&matrix, &k, p);
                    assert!(x.iter().all(|x| *x > 0.0));
                    let error = error(&with_ridge(matrix.clone(), RIDGE), &k, p, &x);
                    // Rounding of nearly cancelling sums.
                    assert!(error < 1e-6, "seed {seed} p {p} {error}");
                }
            }
        }
    }

    #[test]
    fn two_tasks_equal_the_closed_form() {
        // Equal k and p = 1: x = 1/√(1 + cosine) for both.
        for cosine in [-0.99, -0.5, 0.0, 0.7, 1.0] {
            let matrix = Gramian { n: 2, values: vec![1.0, cosine, cosine, 1.0] };
            let x = balance(&matrix, &[1.0, 1.0], 1.0);
            let expected = 1.0 / (1.0 + cosine).sqrt();
            assert!(x.iter().all(|x| (x / expected - 1.0).abs() < 1e-7), "{cosine} {x:?}");
        }
    }

    #[test]
    fn gradients_that_cancel_get_large_weights_in_the_cancelling_proportion() {
        let matrix = Gramian { n: 2, values: vec![1.0, -1.0, -1.0, 1.0] };
        let x = balance(&matrix, &[1.0, 1.0], 1.0);
        assert!(x[0] > 1e4 && (x[0] / x[1] - 1.0).abs() < 1e-6, "{x:?}");
    }
}
