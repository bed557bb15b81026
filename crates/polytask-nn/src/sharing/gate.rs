//! The softmax gate: `w = softmax(W·m + b)` of a sequence's mean state m.

use polytask_core::Rng;

use super::mix::{Moment, Weigher, affine, affine_vjp, softmax, softmax_vjp};

/// A gate over some inputs.
#[derive(Debug)]
pub(super) struct Gate {
    /// Number of inputs.
    pub(super) n: usize,
    /// Values per state.
    pub(super) width: usize,
}

impl Weigher for Gate {
    fn shapes(&self) -> Vec<(&'static str, Vec<usize>)> {
        vec![("weight", vec![self.n, self.width]), ("bias", vec![self.n])]
    }

    /// Small weights: every input has about the same share at first.
    fn init(&self, rng: &mut Rng) -> Vec<f64> {
        let mut values: Vec<f64> = (0..self.n * self.width).map(|_| 0.02 * rng.normal()).collect();
        values.resize(values.len() + self.n, 0.0);
        values
    }

    fn weights(&self, values: &[f64], mean: &[f64], _moment: &Moment) -> Vec<f64> {
        let (weight, bias) = values.split_at(self.n * self.width);
        let mut logits = affine(weight, bias, mean);
        softmax(&mut logits);
        logits
    }

    fn vjp(
        &self,
        values: &[f64],
        mean: &[f64],
        moment: &Moment,
        d_weights: &[f64],
        (d_values, d_mean): (&mut [f64], &mut [f64]),
    ) {
        let d_logits = softmax_vjp(&self.weights(values, mean, moment), d_weights);
        let at = self.n * self.width;
        affine_vjp(&values[..at], mean, &d_logits, d_values.split_at_mut(at), d_mean);
    }
}
