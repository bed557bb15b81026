//! Linear models fitted to the end on fixed vectors: logistic and ridge regression.
//!
//! `min over W, b:  Σ_i w_i · l(W x_i + b, y_i) / Σ_i w_i + λ/2 · ‖W‖²`, the bias free, with features brought to mean 0
//! and variance 1 first (nearly constant ones to less). The loss l follows from the target: the cross-entropy of one label, the sum over labels of binary
//! cross-entropies, or half the squared error. All three are convex, so the answer does not depend on the start.

pub mod bilinear;
mod lbfgs;
mod loss;
#[cfg(test)]
mod tests;

use rayon::prelude::*;

use crate::objective::Target;
use crate::trunk::kernels::{Mat, MatMut, Threads, matmul};

/// Least scale of a column, as a share of the typical one (the root of the mean variance). Encoders have directions that
/// hardly vary; brought to variance 1 they would get weights so large that the first step of a training above shifts the
/// outputs by many times their range.
const LEAST_SCALE: f64 = 0.1;

/// Rows that a linear model is fitted on, standardised.
pub struct LinearData {
    /// `[rows, width]`, each column of mean 0 and variance 1 (less where it hardly varies).
    features: Vec<f32>,
    width: usize,
    /// Mean and scale that were taken out of each column, `[width]`.
    columns: Vec<Column>,
    target: Target,
    /// Weight of each row.
    weights: Vec<f32>,
    n_outputs: usize,
}

/// What was taken out of a column.
#[derive(Debug, Clone, Copy)]
struct Column {
    mean: f64,
    scale: f64,
}

/// A fitted model, of standardised features.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearFit {
    /// W `[n_outputs, width]`, then b `[n_outputs]`.
    values: Vec<f64>,
}

impl LinearData {
    /// Standardises `features` `[rows, width]`; unknown targets must have been left out. An empty `weights` means 1 for
    /// every row.
    pub fn new(
        mut features: Vec<f32>,
        width: usize,
        target: Target,
        weights: Vec<f32>,
        n_outputs: usize,
    ) -> Self {
        let n_rows = features.len() / width.max(1);
        let columns = columns_of(&features, width);
        features.par_chunks_mut(width.max(1)).for_each(|row| standardise(row, &columns));
        let weights = if weights.is_empty() { vec![1.0; n_rows] } else { weights };
        Self { features, width, columns, target, weights, n_outputs }
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.weights.len()
    }

    /// The best model for a penalty λ (`strength`, above 0), searched from `start` or from zeros.
    pub fn fit(&self, strength: f64, start: Option<&LinearFit>) -> LinearFit {
        let zeros = || vec![0.0; self.n_outputs * (self.width + 1)];
        let start = start.map_or_else(zeros, |fit| fit.values.clone());
        LinearFit { values: lbfgs::minimise(start, |values| self.objective(values, strength)) }
    }

    /// Weight `[n_outputs, width]` and bias `[n_outputs]` of a fit for features as they were before standardising.
    pub fn unscaled(&self, fit: &LinearFit) -> (Vec<f32>, Vec<f32>) {
        let (weight, bias) = fit.values.split_at(self.n_outputs * self.width);
        let (mut scaled, mut shifted) = (Vec::with_capacity(weight.len()), Vec::with_capacity(bias.len()));
        for (row, b) in weight.chunks(self.width.max(1)).zip(bias) {
            let shift: f64 =
                row.iter().zip(&self.columns).map(|(w, column)| w / column.scale * column.mean).sum();
            scaled.extend(row.iter().zip(&self.columns).map(|(w, column)| (w / column.scale) as f32));
            shifted.push((b - shift) as f32);
        }
        (scaled, shifted)
    }

    /// Outputs `[rows, n_outputs]` of a fit on other rows, features as they were before standardising.
    pub fn outputs(&self, fit: &LinearFit, features: &[f32]) -> Vec<f32> {
        let (weight, bias) = self.unscaled(fit);
        let n = features.len() / self.width.max(1);
        let weight = Mat::new(&weight, self.n_outputs, self.width);
        let mut outputs = vec![0.0; n * self.n_outputs];
        affine(&mut outputs, Mat::new(features, n, self.width), weight, &bias);
        outputs
    }

    /// The objective and its gradient.
    fn objective(&self, values: &[f64], strength: f64) -> (f64, Vec<f64>) {
        let (n, width, n_outputs) = (self.n_rows(), self.width, self.n_outputs);
        let as_f32: Vec<f32> = values.iter().map(|v| *v as f32).collect();
        let (weight, bias) = as_f32.split_at(n_outputs * width);
        let mut outputs = vec![0.0; n * n_outputs];
        let features = Mat::new(&self.features, n, width);
        affine(&mut outputs, features, Mat::new(weight, n_outputs, width), bias);
        // From here on the outputs are the derivatives of the loss by them.
        let mut loss = loss::derivatives(&mut outputs, n_outputs, &self.target, &self.weights);
        let mut slope = vec![0.0; n_outputs * width];
        let derivatives = Mat::new(&outputs, n, n_outputs).t();
        matmul(MatMut::new(&mut slope, n_outputs, width), false, derivatives, features, 1.0, Threads::All);
        let mut gradient: Vec<f64> = slope.iter().map(|g| f64::from(*g)).collect();
        for (g, w) in gradient.iter_mut().zip(values) {
            *g += strength * w;
            loss += 0.5 * strength * w * w;
        }
        gradient.extend(
            (0..n_outputs)
                .map(|o| outputs.iter().skip(o).step_by(n_outputs).map(|d| f64::from(*d)).sum::<f64>()),
        );
        (loss, gradient)
    }
}

/// `outputs` = features Wᵀ + b.
fn affine(outputs: &mut [f32], features: Mat<'_>, weight: Mat<'_>, bias: &[f32]) {
    let product = MatMut::new(outputs, features.n_rows(), bias.len());
    matmul(product, false, features, weight.t(), 1.0, Threads::All);
    outputs.par_chunks_mut(bias.len()).for_each(|row| row.iter_mut().zip(bias).for_each(|(o, b)| *o += b));
}

/// Mean and standard deviation of each column, the latter no less than [`LEAST_SCALE`] says.
fn columns_of(features: &[f32], width: usize) -> Vec<Column> {
    let n = (features.len() / width.max(1)).max(1) as f64;
    let (mut sums, mut squares) = (vec![0.0; width], vec![0.0; width]);
    for row in features.chunks(width.max(1)) {
        row.iter().zip(&mut sums).for_each(|(x, sum)| *sum += f64::from(*x));
    }
    sums.iter_mut().for_each(|sum| *sum /= n);
    for row in features.chunks(width.max(1)) {
        for ((x, mean), square) in row.iter().zip(&sums).zip(&mut squares) {
            *square += (f64::from(*x) - mean).powi(2);
        }
    }
    let deviations: Vec<f64> = squares.iter().map(|square| (square / n).sqrt()).collect();
    let typical = (deviations.iter().map(|d| d * d).sum::<f64>() / width.max(1) as f64).sqrt();
    let least = if typical > 0.0 { LEAST_SCALE * typical } else { 1.0 };
    let column = |(mean, deviation): (&f64, &f64)| Column { mean: *mean, scale: deviation.max(least) };
    sums.iter().zip(&deviations).map(column).collect()
}

fn standardise(row: &mut [f32], columns: &[Column]) {
    for (x, column) in row.iter_mut().zip(columns) {
        *x = ((f64::from(*x) - column.mean) / column.scale) as f32;
    }
}
