//! TSR: the entropy of each position's saliency over the tasks, and its derivative by the saliencies.
//!
//! With qₜ = |sₜ| + 1e-8, Q = Σ qₜ and P = q/Q, the entropy is H = −Σ Pₜ log Pₜ and dH/dqₜ = −(log Pₜ + H)/Q.

use crate::regularizer::{Saliencies, Sample, Slopes};

/// Added to the size of a saliency: where all are 0, P is uniform.
const EPS: f64 = 1e-8;

/// The entropies of a step.
pub(super) struct Entropies {
    /// TSR: the mean over all positions.
    pub(super) mean: f64,
    /// The mean over positions of several tasks, as a share of the largest possible.
    pub(super) share: f64,
}

/// The entropies; adds `factor` times TSR's derivative to `slopes`.
pub(super) fn add(saliencies: &Saliencies, absolute: bool, factor: f64, slopes: &mut Slopes) -> Entropies {
    let channels = Channels { width: saliencies.width, absolute };
    let each = factor / saliencies.n_positions() as f64;
    let (mut sum, mut shares, mut n_shared) = (0.0, 0.0, 0);
    for (b, sample) in saliencies.shared() {
        let entropies = channels.entropies(sample);
        for (i, position) in entropies.iter().enumerate() {
            channels.add_slope(sample, i, position, each, &mut slopes[b]);
            sum += position.entropy;
            shares += position.entropy / (sample.tasks.len() as f64).ln();
        }
        n_shared += entropies.len();
    }
    Entropies { mean: sum / saliencies.n_positions() as f64, share: shares / n_shared as f64 }
}

/// The entropy at each position of each sample that several tasks touch, `[shared samples][positions]`.
pub(crate) fn entropies(saliencies: &Saliencies, absolute: bool) -> Vec<Vec<f64>> {
    let channels = Channels { width: saliencies.width, absolute };
    let of_sample = |(_, sample): (usize, &Sample)| {
        channels.entropies(sample).into_iter().map(|position| position.entropy).collect()
    };
    saliencies.shared().map(of_sample).collect()
}

/// How channels are averaged.
#[derive(Clone, Copy)]
struct Channels {
    width: usize,
    absolute: bool,
}

/// A position's entropy, and its derivative by the size of each task's channel mean.
struct Position {
    entropy: f64,
    slopes: Vec<f64>,
}

impl Channels {
    fn entropies(self, sample: &Sample) -> Vec<Position> {
        let size = |values: &[f64]| {
            if self.absolute { mean(values.iter().map(|v| v.abs())) } else { signed(values).abs() }
        };
        let of_position = |i: usize| {
            let sizes: Vec<f64> =
                sample.values.iter().map(|values| size(self.row(values, i)) + EPS).collect();
            Position::of(&sizes)
        };
        (0..sample.rows.len()).map(of_position).collect()
    }

    fn row(self, values: &[f64], i: usize) -> &[f64] {
        &values[i * self.width..(i + 1) * self.width]
    }

    /// Adds `factor` times a position's derivative by the saliencies.
    fn add_slope(self, sample: &Sample, i: usize, position: &Position, factor: f64, slopes: &mut [Vec<f64>]) {
        for ((values, slope), by_size) in sample.values.iter().zip(slopes).zip(&position.slopes) {
            let values = self.row(values, i);
            let (of_mean, each) = (sign(signed(values)), factor * by_size / self.width as f64);
            let slope = &mut slope[i * self.width..(i + 1) * self.width];
            for (to, value) in slope.iter_mut().zip(values) {
                *to += each * if self.absolute { sign(*value) } else { of_mean };
            }
        }
    }
}

impl Position {
    fn of(sizes: &[f64]) -> Self {
        let total: f64 = sizes.iter().sum();
        let logs: Vec<f64> = sizes.iter().map(|q| (q / total).ln()).collect();
        let entropy = -sizes.iter().zip(&logs).map(|(q, log)| q / total * log).sum::<f64>();
        Self { entropy, slopes: logs.iter().map(|log| -(log + entropy) / total).collect() }
    }
}

fn signed(values: &[f64]) -> f64 {
    mean(values.iter().copied())
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    values.sum::<f64>() / n
}

/// −1, 0 or 1.
fn sign(x: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x.signum() }
}
