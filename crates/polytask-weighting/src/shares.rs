//! Weights that share a total: softmax of scores, learned by Adam.
//!
//! A step shares among the tasks it has; the score of an absent task stays as it is.

use super::adam::Learned;
use crate::Result;

/// Largest size of a score: shares then lie above e⁻⁸⁰ and can still come back.
const BOUND: f64 = 40.0;

/// `total` shared by softmax. Scores that are all equal share exactly alike.
pub(crate) fn softmax(scores: &[f64], total: f64) -> Vec<f64> {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power * total / sum).collect()
}

/// From the slope along shares that sum to 1 to the slope along their scores.
pub(crate) fn pull_back(shares: &[f64], slope: &[f64]) -> Vec<f64> {
    let mean: f64 = shares.iter().zip(slope).map(|(z, s)| z * s).sum();
    shares.iter().zip(slope).map(|(z, s)| z * (s - mean)).collect()
}

/// A learned share of 1 for each task of the suite, equal at the start.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shares(Learned);

impl Shares {
    /// Of `n` tasks.
    pub(crate) fn new(n: usize) -> Self {
        Self(Learned::new(n, 0.0))
    }

    /// The shares of `tasks` among themselves.
    pub(crate) fn of(&self, tasks: &[usize]) -> Vec<f64> {
        softmax(&tasks.iter().map(|&task| self.0.get(task)).collect::<Vec<_>>(), 1.0)
    }

    /// A step of size `rate` of the scores of `tasks` against `gradient` plus `decay` times the score. A gradient
    /// that is not finite moves nothing.
    pub(crate) fn descend(&mut self, tasks: &[usize], gradient: &[f64], rate: f64, decay: f64) {
        if gradient.iter().all(|g| g.is_finite()) {
            for (&task, g) in tasks.iter().zip(gradient) {
                let decayed = g + decay * self.0.get(task);
                self.0.descend(task, decayed, rate, BOUND);
            }
        }
    }

    /// Everything, to be saved.
    pub(crate) fn state(&self) -> Vec<f64> {
        self.0.state()
    }

    /// Takes back what [`Shares::state`] gave.
    pub(crate) fn restore(&mut self, state: &[f64]) -> Result<()> {
        self.0.restore(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_of_equal_scores_is_exactly_equal_and_extremes_stay_finite() {
        for n in 1..60 {
            assert_eq!(softmax(&vec![0.3; n], n as f64), vec![1.0; n]);
        }
        assert_eq!(softmax(&[1e300, -1e300, 1e300], 1.0), [0.5, 0.0, 0.5]);
    }

    #[test]
    fn pulled_back_slopes_are_those_of_finite_differences() {
        let (scores, slope) = ([0.3, -1.2, 0.8], [2.0, -1.0, 0.7]);
        let value = |scores: &[f64]| softmax(scores, 1.0).iter().zip(slope).map(|(z, s)| z * s).sum::<f64>();
        let found = pull_back(&softmax(&scores, 1.0), &slope);
        for (k, found) in found.into_iter().enumerate() {
            let moved = |h: f64| {
                let mut scores = scores;
                scores[k] += h;
                value(&scores)
            };
            assert!((found - (moved(1e-5) - moved(-1e-5)) / 2e-5).abs() < 1e-9);
        }
    }

    #[test]
    fn an_absent_task_keeps_its_score_and_nan_moves_nothing() {
        let mut shares = Shares::new(3);
        shares.descend(&[0, 2], &[1.0, f64::NAN], 0.1, 0.0);
        assert_eq!(shares, Shares::new(3));
        shares.descend(&[0, 2], &[1.0, -1.0], 0.1, 0.0);
        assert_eq!(shares.of(&[1]), [1.0]);
        let pair = shares.of(&[0, 1]);
        assert!((pair[0] / pair[1] - (-0.1_f64).exp()).abs() < 1e-6, "{pair:?}");
    }
}
