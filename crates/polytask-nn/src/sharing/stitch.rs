//! A row of a cross-stitch unit: one free weight per trunk.

use polytask_core::Rng;

use super::mix::{Moment, Weigher};

/// The weights with which one task's trunk goes on.
#[derive(Debug)]
pub(super) struct Stitch {
    /// Number of trunks.
    pub(super) n: usize,
    /// The task's own one.
    pub(super) own: usize,
    /// First weight of its own one; the others share the rest.
    pub(super) keep: f64,
}

impl Weigher for Stitch {
    fn shapes(&self) -> Vec<(&'static str, Vec<usize>)> {
        vec![("weight", vec![self.n])]
    }

    /// Near the identity: magnitudes stay, and each trunk begins as its task's.
    fn init(&self, _rng: &mut Rng) -> Vec<f64> {
        let others = (1.0 - self.keep) / (self.n - 1).max(1) as f64;
        (0..self.n).map(|j| if j == self.own { self.keep } else { others }).collect()
    }

    fn weights(&self, values: &[f64], _mean: &[f64], _moment: &Moment) -> Vec<f64> {
        values.to_vec()
    }

    fn vjp(
        &self,
        _values: &[f64],
        _mean: &[f64],
        _moment: &Moment,
        d_weights: &[f64],
        (d_values, _): (&mut [f64], &mut [f64]),
    ) {
        d_values.iter_mut().zip(d_weights).for_each(|(v, d)| *v += d);
    }
}
