//! The three losses of linear models and their derivatives by the outputs.

use rayon::prelude::*;

use crate::objective::Target;

/// Rows of one piece of work; the pieces' losses are added in order, so that threads change no bit.
const ROWS: usize = 256;

/// The weighted mean loss; `outputs` `[rows, n_outputs]` become its derivatives by them.
pub(super) fn derivatives(outputs: &mut [f32], n_outputs: usize, target: &Target, weights: &[f32]) -> f64 {
    let total: f64 = weights.iter().map(|w| f64::from(*w)).sum();
    let total = if total > 0.0 { total } else { 1.0 };
    let piece = |(p, piece): (usize, &mut [f32])| {
        let mut loss = 0.0;
        for (i, row) in piece.chunks_mut(n_outputs).enumerate() {
            let i = p * ROWS + i;
            let weight = f64::from(weights[i]) / total;
            loss += weight * of_row(row, i, target);
            row.iter_mut().for_each(|d| *d *= weight as f32);
        }
        loss
    };
    let losses: Vec<f64> = outputs.par_chunks_mut(ROWS * n_outputs).enumerate().map(piece).collect();
    losses.iter().sum()
}

/// The loss of a row, whose outputs become its derivatives by them.
fn of_row(row: &mut [f32], i: usize, target: &Target) -> f64 {
    match target {
        Target::Label(labels) => one_label(row, labels[i] as usize),
        Target::Labels { n_labels, values } => each(row, &values[i * n_labels..(i + 1) * n_labels], binary),
        Target::Numbers { width, values } => each(row, &values[i * width..(i + 1) * width], squared),
        Target::Passages { .. } | Target::Taught { .. } => {
            unreachable!("no linear model ranks passages or has a teacher: this is a bug")
        }
    }
}

/// `log Σ_c e^{o_c} − o_y` and the probabilities minus the label.
fn one_label(row: &mut [f32], label: usize) -> f64 {
    let most = row.iter().fold(f32::NEG_INFINITY, |most, &o| most.max(o));
    let right = f64::from(row[label] - most);
    row.iter_mut().for_each(|o| *o = (*o - most).exp());
    let sum: f64 = row.iter().map(|e| f64::from(*e)).sum();
    row.iter_mut().for_each(|e| *e /= sum as f32);
    row[label] -= 1.0;
    sum.ln() - right
}

/// The sum over the outputs of a loss of one; what is unknown (NaN) counts nothing.
fn each(row: &mut [f32], targets: &[f32], one: fn(f64, f64) -> (f64, f64)) -> f64 {
    let mut loss = 0.0;
    for (o, y) in row.iter_mut().zip(targets) {
        let (value, slope) = if y.is_nan() { (0.0, 0.0) } else { one(f64::from(*o), f64::from(*y)) };
        loss += value;
        *o = slope as f32;
    }
    loss
}

/// `log(1 + e^o) − y · o`.
fn binary(o: f64, y: f64) -> (f64, f64) {
    let softplus = o.max(0.0) + (-o.abs()).exp().ln_1p();
    (softplus - y * o, 1.0 / (1.0 + (-o).exp()) - y)
}

/// `(o − y)² / 2`.
fn squared(o: f64, y: f64) -> (f64, f64) {
    (0.5 * (o - y).powi(2), o - y)
}
