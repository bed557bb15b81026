//! A branching decision: which of the blocks below a block (or head) reads, drawn with Gumbel noise.

use polytask_core::{Purpose, Rng};

use super::mix::{Moment, Weigher, softmax, softmax_vjp};

/// The choice of one input.
#[derive(Debug)]
pub(super) struct Route {
    /// Number of inputs.
    pub(super) n: usize,
    /// The input taken among equals.
    pub(super) own: usize,
    /// Steps of the training.
    pub(super) steps: u64,
    /// Epochs of the training.
    pub(super) epochs: f64,
    /// Share of the epochs in which all inputs count in full.
    pub(super) warmup: f64,
}

/// How inputs are weighed at a moment.
enum Phase {
    /// All in full.
    Warm,
    /// The likeliest.
    Settled,
    /// Drawn at a temperature.
    Drawn(f64),
}

impl Route {
    fn phase(&self, step: u64) -> Phase {
        let Some(before) = step.checked_sub(1) else { return Phase::Settled };
        let epoch = before as f64 / self.steps.max(1) as f64 * self.epochs;
        if epoch < self.epochs * self.warmup {
            return Phase::Warm;
        }
        Phase::Drawn(self.epochs / 20.0 / (epoch.floor() + 1.0).sqrt())
    }

    /// This step's noise.
    fn noise(&self, moment: &Moment) -> Vec<f64> {
        let mut rng = Rng::new(moment.seed, Purpose::Route, &[moment.block, moment.step]);
        // 1 − u lies in (0, 1]: −ln of it is a draw of Exp(1), and −ln of that one of Gumbel's distribution.
        (0..self.n).map(|_| -(-(1.0 - rng.uniform()).ln()).max(f64::MIN_POSITIVE).ln()).collect()
    }

    /// 1 at the largest, 0 elsewhere; the own input among equals.
    pub(super) fn hard(&self, values: &[f64]) -> Vec<f64> {
        let top = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let first = values.iter().position(|&v| v >= top).unwrap_or(self.own);
        let chosen = if values[self.own] >= top { self.own } else { first };
        (0..self.n).map(|j| f64::from(u8::from(j == chosen))).collect()
    }
}

impl Weigher for Route {
    fn shapes(&self) -> Vec<(&'static str, Vec<usize>)> {
        vec![("logits", vec![self.n])]
    }

    fn init(&self, _rng: &mut Rng) -> Vec<f64> {
        vec![1.0; self.n]
    }

    fn weights(&self, values: &[f64], _mean: &[f64], moment: &Moment) -> Vec<f64> {
        match self.phase(moment.step) {
            Phase::Warm => vec![1.0; self.n],
            Phase::Settled => self.hard(values),
            Phase::Drawn(temperature) => self.hard(&soft(values, &self.noise(moment), temperature)),
        }
    }

    /// Straight through: the choice's derivative is that of its probabilities.
    fn vjp(
        &self,
        values: &[f64],
        _mean: &[f64],
        moment: &Moment,
        d_weights: &[f64],
        (d_values, _): (&mut [f64], &mut [f64]),
    ) {
        let Phase::Drawn(temperature) = self.phase(moment.step) else { return };
        let d_logits = soft_vjp(&soft(values, &self.noise(moment), temperature), d_weights, temperature);
        d_values.iter_mut().zip(d_logits).for_each(|(v, d)| *v += d);
    }
}

/// The probabilities of the inputs under some noise.
pub(super) fn soft(values: &[f64], noise: &[f64], temperature: f64) -> Vec<f64> {
    let mut logits: Vec<f64> = values.iter().zip(noise).map(|(v, noise)| (v + noise) / temperature).collect();
    softmax(&mut logits);
    logits
}

/// From a derivative at the probabilities to the one at the logits.
pub(super) fn soft_vjp(soft: &[f64], d: &[f64], temperature: f64) -> Vec<f64> {
    softmax_vjp(soft, d).into_iter().map(|d| d / temperature).collect()
}
