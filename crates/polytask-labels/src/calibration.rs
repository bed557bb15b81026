//! Probabilities that mean what they say: a temperature fitted on valid (Guo et al. 2017), for several labels of a row a
//! shift beside it (Platt 1999), and the threshold below which a row is of none of the labels.

use polytask_core::outputs::{sigmoid, softmax};
use polytask_core::report::ReliabilityBin;
use serde::{Deserialize, Serialize};

use crate::rows::{Examples, Right, binary_loss, log_share};

/// Bins of the expected calibration error.
const BINS: usize = 15;
/// Temperatures looked at, as logarithms, and halvings of the search.
const COLDEST: f64 = -4.0;
const HOTTEST: f64 = 4.0;
const STEPS: usize = 60;
/// Steps of Newton's method.
const NEWTON: usize = 30;

/// What makes probabilities of scores.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// What scores are divided by.
    pub temperature: f64,
    /// What is taken from them before, where several labels may hold.
    pub shift: f64,
    /// Certainty below which a row is of none of the labels; `None` where every row gets one.
    pub threshold: Option<f64>,
    /// Whether it was fitted.
    pub is_fitted: bool,
}

impl Default for Calibration {
    fn default() -> Self {
        Self { temperature: 1.0, shift: 0.0, threshold: None, is_fitted: false }
    }
}

impl Calibration {
    /// Fitted on rows of known labels, `[rows, labels]`; `rate` is the share of them that may be answered by none.
    pub(crate) fn fit(scores: &[f32], right: &Right, n_labels: usize, rate: Option<f64>) -> Self {
        let mut fitted = Self { is_fitted: true, ..Self::default() };
        match right {
            Right::One(labels) => fitted.temperature = temperature(scores, labels, n_labels),
            Right::Any(holds) => (fitted.temperature, fitted.shift) = platt(scores, holds),
        }
        fitted.threshold = rate.map(|rate| {
            let certainty = scores.chunks(n_labels).map(|row| fitted.certainty(row));
            lowest_share(certainty.collect(), rate)
        });
        fitted
    }

    /// Probability of each label, which add up to 1 where one label holds.
    pub fn shares(&self, scores: &[f32], is_set: bool) -> Vec<f32> {
        let scaled: Vec<f32> =
            scores.iter().map(|score| ((f64::from(*score) - self.shift) / self.temperature) as f32).collect();
        if is_set { scaled.into_iter().map(sigmoid).collect() } else { softmax(&scaled) }
    }

    /// How much a row looks like one of a known label: its largest score, as it is before any normalising (Hendrycks et
    /// al. 2022: among many labels that share what they know, a small largest probability does not mean a strange row).
    pub fn certainty(&self, scores: &[f32]) -> f64 {
        scores.iter().copied().fold(f32::NEG_INFINITY, f32::max).into()
    }

    /// Whether a row is of none of the labels.
    pub fn is_none(&self, scores: &[f32]) -> bool {
        self.threshold.is_some_and(|threshold| self.certainty(scores) < threshold)
    }
}

impl Examples {
    /// The loss of each row, when a calibration was fitted on these very rows: what scores are worth whatever their scale.
    pub(crate) fn calibrated_losses(&self, scores: &[f32], n_labels: usize) -> Vec<f64> {
        let fitted = Calibration::fit(scores, &self.right, n_labels, None);
        match &self.right {
            Right::One(labels) => {
                let rows = scores.chunks(n_labels).zip(labels);
                rows.map(|(row, label)| -log_share(row, *label as usize, fitted.temperature)).collect()
            }
            Right::Any(holds) => {
                let at = |score: f32| (f64::from(score) - fitted.shift) / fitted.temperature;
                let row = |(scores, holds): (&[f32], &[bool])| {
                    let losses =
                        scores.iter().zip(holds).map(|(score, holds)| binary_loss(at(*score), *holds));
                    losses.sum::<f64>() / n_labels as f64
                };
                scores.chunks(n_labels).zip(holds.chunks(n_labels)).map(row).collect()
            }
        }
    }
}

/// The value that at most a share of others lies below.
fn lowest_share(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = (share * values.len() as f64).floor() as usize;
    values.get(place.min(values.len().saturating_sub(1))).copied().unwrap_or(f64::NEG_INFINITY)
}

/// The temperature of the least loss: that loss is convex in its inverse, so that a section search finds it.
fn temperature(scores: &[f32], labels: &[u32], n_labels: usize) -> f64 {
    let loss = |log: f64| -> f64 {
        let rows = scores.chunks(n_labels).zip(labels);
        -rows.map(|(row, label)| log_share(row, *label as usize, log.exp())).sum::<f64>()
    };
    let (mut low, mut high) = (COLDEST, HOTTEST);
    for _ in 0..STEPS {
        let third = (high - low) / 3.0;
        if loss(low + third) <= loss(high - third) { high -= third } else { low += third }
    }
    f64::midpoint(low, high).exp()
}

/// Temperature and shift of the least loss of scores, each of which is a label that holds or not.
fn platt(scores: &[f32], holds: &[bool]) -> (f64, f64) {
    let n = scores.len().max(1) as f64;
    let mean = scores.iter().map(|score| f64::from(*score)).sum::<f64>() / n;
    let variance = scores.iter().map(|score| (f64::from(*score) - mean).powi(2)).sum::<f64>() / n;
    let deviation = variance.sqrt().max(1e-6);
    let scaled: Vec<f64> = scores.iter().map(|score| (f64::from(*score) - mean) / deviation).collect();
    let (a, b) = logistic(&scaled, holds);
    // Scores that say the opposite of what is right are not turned round.
    let a = a.max(1e-3) / deviation;
    (1.0 / a, mean - b / a)
}

/// Slope and intercept of a logistic regression on one number, by Newton's method with halved steps; a little decay keeps
/// them finite where the numbers tell all apart.
fn logistic(x: &[f64], holds: &[bool]) -> (f64, f64) {
    const DECAY: f64 = 1e-4;
    let n = x.len().max(1) as f64;
    let objective = |a: f64, b: f64| -> f64 {
        let loss: f64 = x.iter().zip(holds).map(|(x, holds)| binary_loss(a * x + b, *holds)).sum();
        loss / n + DECAY / 2.0 * (a * a + b * b)
    };
    let (mut a, mut b) = (1.0, 0.0);
    for _ in 0..NEWTON {
        let (mut g, mut h) = ([DECAY * a, DECAY * b], [DECAY, 0.0, DECAY]);
        for (x, holds) in x.iter().zip(holds) {
            let p = 1.0 / (1.0 + (-(a * x + b)).exp());
            let (error, weight) = ((p - f64::from(u8::from(*holds))) / n, p * (1.0 - p) / n);
            g = [g[0] + error * x, g[1] + error];
            h = [h[0] + weight * x * x, h[1] + weight * x, h[2] + weight];
        }
        let determinant = h[0] * h[2] - h[1] * h[1];
        let step = [(h[2] * g[0] - h[1] * g[1]) / determinant, (h[0] * g[1] - h[1] * g[0]) / determinant];
        let (mut length, now) = (1.0, objective(a, b));
        while length > 1e-6 && objective(a - length * step[0], b - length * step[1]) > now {
            length /= 2.0;
        }
        (a, b) = (a - length * step[0], b - length * step[1]);
    }
    (a, b)
}

/// How often answers of about one probability are right, in bins of equal width, rising.
pub fn reliability(confidence: &[f64], right: &[bool]) -> Vec<ReliabilityBin> {
    let mut bins = vec![(0.0, 0, 0); BINS];
    for (confidence, right) in confidence.iter().zip(right) {
        let bin = &mut bins[((confidence * BINS as f64) as usize).min(BINS - 1)];
        *bin = (bin.0 + confidence, bin.1 + usize::from(*right), bin.2 + 1);
    }
    let filled = bins.into_iter().filter(|(_, _, n)| *n > 0);
    filled
        .map(|(sum, right, n)| ReliabilityBin {
            confidence: sum / n as f64,
            right: right as f64 / n as f64,
            n,
        })
        .collect()
}

/// The expected calibration error (Naeini et al. 2015): how far probabilities lie from what is right, weighted by answers.
pub fn calibration_error(bins: &[ReliabilityBin]) -> f64 {
    let n: usize = bins.iter().map(|bin| bin.n).sum();
    bins.iter().map(|bin| (bin.confidence - bin.right).abs() * bin.n as f64 / n.max(1) as f64).sum()
}

#[cfg(test)]
mod tests {
    use polytask_core::{Purpose, Rng};

    use super::*;
    use crate::features::tests::single;

    /// Rows whose labels are drawn from the shares of their scores.
    fn drawn(n: usize, factor: f32) -> (Vec<f32>, Vec<u32>) {
        let mut rng = Rng::new(3, Purpose::Bench, &[]);
        let (mut scores, mut labels) = (Vec::new(), Vec::new());
        for _ in 0..n {
            let row: Vec<f32> = (0..3).map(|_| 2.0 * rng.normal() as f32).collect();
            let (shares, mut at) = (softmax(&row), rng.uniform() as f32);
            let label = shares.iter().position(|share| {
                at -= share;
                at <= 0.0
            });
            labels.push(label.unwrap_or(2) as u32);
            scores.extend(row.iter().map(|score| factor * score));
        }
        (scores, labels)
    }

    #[test]
    fn the_temperature_takes_a_factor_of_scores_back_and_lowers_the_error() {
        let (scores, labels) = drawn(4000, 3.0);
        let fitted = Calibration::fit(&scores, &Right::One(labels.clone()), 3, None);
        assert!((fitted.temperature - 3.0).abs() < 0.2, "{fitted:?}");
        let error = |calibration: Calibration| {
            let rows = scores.chunks(3).map(|row| calibration.shares(row, false));
            let (mut confidence, mut right) = (Vec::new(), Vec::new());
            for (shares, label) in rows.zip(&labels) {
                let best = polytask_core::outputs::largest(&shares);
                confidence.push(f64::from(shares[best as usize]));
                right.push(best == *label);
            }
            calibration_error(&reliability(&confidence, &right))
        };
        let (before, after) = (error(Calibration::default()), error(fitted));
        assert!(before > 0.1 && after < 0.03, "{before} {after}");
    }

    #[test]
    fn several_labels_get_a_shift_that_makes_half_the_threshold() {
        let mut rng = Rng::new(4, Purpose::Bench, &[]);
        let scores: Vec<f32> = (0..4000).map(|_| 5.0 + 2.0 * rng.normal() as f32).collect();
        let holds: Vec<bool> =
            scores.iter().map(|score| rng.uniform() < f64::from(sigmoid((score - 7.0) * 2.0))).collect();
        let fitted = Calibration::fit(&scores, &Right::Any(holds), 1, None);
        assert!((fitted.temperature - 0.5).abs() < 0.1 && (fitted.shift - 7.0).abs() < 0.3, "{fitted:?}");
        let apart =
            Calibration::fit(&[1.0, 2.0, 3.0, 4.0], &Right::Any(vec![false, false, true, true]), 1, None);
        assert!(apart.temperature > 0.0 && apart.shift.is_finite());
    }

    #[test]
    fn the_threshold_leaves_the_stated_share_below() {
        let scores: Vec<f32> = (0..100).flat_map(|i| [i as f32, -1.0]).collect();
        let fitted = Calibration::fit(&scores, &Right::One(vec![0; 100]), 2, Some(0.05));
        assert_eq!(scores.chunks(2).filter(|row| fitted.is_none(row)).count(), 5);
        assert!(!Calibration::default().is_none(&[f32::NEG_INFINITY]));
    }

    #[test]
    fn losses_that_are_calibrated_do_not_hang_on_the_scale_of_scores() {
        let rows = Examples::of_labels(single(&[&[1.0], &[1.0], &[1.0]]), vec![0, 1, 1]);
        let scores = [2.0, 0.0, 0.0, 1.0, 0.5, 0.0];
        let (one, ten) = (
            rows.calibrated_losses(&scores, 2),
            rows.calibrated_losses(&scores.map(|score| 10.0 * score), 2),
        );
        assert!(one.iter().zip(&ten).all(|(a, b)| (a - b).abs() < 1e-4), "{one:?} {ten:?}");
        let right = Right::Any(vec![true, false, true, false]);
        let several = Examples { features: single(&[&[1.0], &[1.0]]), right, weights: vec![1.0; 2] };
        assert_eq!(several.calibrated_losses(&[5.0, 1.0, 1.0, 2.0], 2).len(), 2);
    }

    #[test]
    fn a_bin_is_as_far_off_as_its_answers() {
        let bins = reliability(&[0.9, 0.92, 1.0, 0.1], &[true, false, true, false]);
        assert_eq!(bins.len(), 3);
        let expected = (0.1 * 1.0 + (0.91_f64 - 0.5).abs() * 2.0 + 0.0) / 4.0;
        assert!((calibration_error(&bins) - expected).abs() < 1e-9);
        assert_eq!(calibration_error(&[]), 0.0);
    }
}
