//! A matrix between vectors of texts and vectors of labels, fitted to the end.
//!
//! `min over W:  Σ_i w_i · l(s X_i W Dᵀ, y_i) / Σ_i w_i + λ/2 · ‖W − W₀‖²`: convex, so the answer hangs on W₀ alone. From the
//! identity it is the zero-shot classifier that rows correct; with random label vectors and from zeros, a control that
//! knows nothing of what labels mean.

use super::{lbfgs, loss};
use crate::objective::Target;
use crate::trunk::kernels::{Mat, MatMut, Threads, matmul};

/// What a fit reads.
#[derive(Debug, Clone, Copy)]
pub struct BilinearData<'a> {
    /// Vectors of texts, `[texts, width]`.
    pub texts: &'a [f32],
    /// Vectors of labels, `[labels, width]`.
    pub labels: &'a [f32],
    /// Values per vector.
    pub width: usize,
    /// What each text is.
    pub target: &'a Target,
    /// Weight of each text.
    pub weights: &'a [f32],
}

/// How a fit starts, and how strongly it is held there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BilinearStart {
    /// Factor of scores.
    pub scale: f64,
    /// Penalty λ of leaving W₀.
    pub pull: f64,
    /// W₀ is this multiple of the identity.
    pub diagonal: f64,
}

impl BilinearData<'_> {
    /// The matrix `[width, width]`.
    pub fn fit(&self, start: BilinearStart) -> Vec<f32> {
        let origin = diagonal(self.width, start.diagonal);
        // The search is for W − W₀, so that what it starts from is 0.
        let found = lbfgs::minimise(vec![0.0; origin.len()], |moved| self.objective(moved, &origin, start));
        found.iter().zip(&origin).map(|(moved, origin)| (moved + origin) as f32).collect()
    }

    fn objective(&self, moved: &[f64], origin: &[f64], start: BilinearStart) -> (f64, Vec<f64>) {
        let width = self.width;
        let (n, n_labels) = (self.texts.len() / width, self.labels.len() / width);
        let matrix: Vec<f32> = moved.iter().zip(origin).map(|(a, b)| (a + b) as f32).collect();
        let mut outputs = scores(&matrix, self.texts, self.labels, (width, start.scale));
        let value = loss::derivatives(&mut outputs, n_labels, self.target, self.weights);
        // Xᵀ R D, where R are the derivatives.
        let mut of_labels = vec![0.0; width * n_labels];
        let slopes = Mat::new(&outputs, n, n_labels);
        let texts = Mat::new(self.texts, n, width);
        matmul(
            MatMut::new(&mut of_labels, width, n_labels),
            false,
            texts.t(),
            slopes,
            start.scale as f32,
            Threads::All,
        );
        let mut gradient = vec![0.0; width * width];
        let labels = Mat::new(self.labels, n_labels, width);
        let of_labels = Mat::new(&of_labels, width, n_labels);
        matmul(MatMut::new(&mut gradient, width, width), false, of_labels, labels, 1.0, Threads::All);
        let pulled = gradient.iter().zip(moved).map(|(g, m)| f64::from(*g) + start.pull * m).collect();
        (value + start.pull / 2.0 * moved.iter().map(|m| m * m).sum::<f64>(), pulled)
    }
}

fn diagonal(width: usize, value: f64) -> Vec<f64> {
    (0..width * width).map(|i| if i % (width + 1) == 0 { value } else { 0.0 }).collect()
}

/// `s X W Dᵀ`, `[texts, labels]`.
///
/// # Shapes
/// `matrix`: `[width, width]`, `texts`: `[texts, width]`, `labels`: `[labels, width]`.
pub fn scores(matrix: &[f32], texts: &[f32], labels: &[f32], (width, scale): (usize, f64)) -> Vec<f32> {
    let (n, n_labels) = (texts.len() / width, labels.len() / width);
    let mut of_labels = vec![0.0; width * n_labels];
    let matrix = Mat::new(matrix, width, width);
    let labels = Mat::new(labels, n_labels, width).t();
    matmul(MatMut::new(&mut of_labels, width, n_labels), false, matrix, labels, scale as f32, Threads::All);
    let mut outputs = vec![0.0; n * n_labels];
    let of_labels = Mat::new(&of_labels, width, n_labels);
    let texts = Mat::new(texts, n, width);
    matmul(MatMut::new(&mut outputs, n, n_labels), false, texts, of_labels, 1.0, Threads::All);
    outputs
}

#[cfg(test)]
mod tests {
    use polytask_core::{Purpose, Rng};

    use super::*;

    fn data(n: usize, width: usize, seed: u64) -> Vec<f32> {
        let mut rng = Rng::new(seed, Purpose::Bench, &[]);
        (0..n * width).map(|_| rng.normal() as f32).collect()
    }

    const START: BilinearStart = BilinearStart { scale: 2.0, pull: 0.1, diagonal: 1.0 };

    #[test]
    fn the_gradient_is_that_of_finite_differences_and_vanishes_at_the_fit() {
        let (texts, labels) = (data(6, 4, 1), data(3, 4, 2));
        let target = Target::Label(vec![0, 1, 2, 0, 1, 2]);
        let weights = [1.0, 2.0, 1.0, 0.5, 1.0, 1.0];
        let data =
            BilinearData { texts: &texts, labels: &labels, width: 4, target: &target, weights: &weights };
        let origin = diagonal(4, 1.0);
        let at: Vec<f64> = (0..16).map(|i| f64::from(i) * 0.02 - 0.1).collect();
        let (_, gradient) = data.objective(&at, &origin, START);
        for i in 0..16 {
            let value = |step: f64| {
                let mut moved = at.clone();
                moved[i] += step;
                data.objective(&moved, &origin, START).0
            };
            let slope = (value(1e-2) - value(-1e-2)) / 2e-2;
            assert!((gradient[i] - slope).abs() < 1e-3, "{i}: {} {slope}", gradient[i]);
        }
        let fit = data.fit(START);
        let moved: Vec<f64> = fit.iter().zip(&origin).map(|(w, o)| f64::from(*w) - o).collect();
        let (_, left) = data.objective(&moved, &origin, START);
        assert!(left.iter().all(|g| g.abs() < 1e-3), "{left:?}");
    }

    #[test]
    fn a_strong_pull_leaves_the_zero_shot_classifier() {
        let (texts, labels) = (data(4, 3, 3), data(2, 3, 4));
        let target = Target::Label(vec![0, 1, 1, 0]);
        let data =
            BilinearData { texts: &texts, labels: &labels, width: 3, target: &target, weights: &[1.0; 4] };
        let fit = data.fit(BilinearStart { pull: 1e9, ..START });
        for (found, expected) in fit.iter().zip(diagonal(3, 1.0)) {
            assert!((f64::from(*found) - expected).abs() < 1e-6);
        }
    }
}
