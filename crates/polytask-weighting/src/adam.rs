//! A small Adam for a method's own numbers, one per task (Kingma & Ba, ICLR 2015), in f64, without weight decay.
//!
//! Each number has its own count of steps: a task absent from a batch takes no step, so its bias correction must
//! not move either.

use super::refuse_state;
use super::table::Setup;
use crate::Result;

/// Decay rates and epsilon of the paper.
const BETAS: (f64, f64) = (0.9, 0.999);
const EPS: f64 = 1e-8;
/// Values saved per number.
const SAVED: usize = 4;

/// A learned number and its moments.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cell {
    value: f64,
    first: f64,
    second: f64,
    steps: f64,
}

/// Learned numbers, one per task of the suite.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Learned(Vec<Cell>);

impl Learned {
    /// `n` numbers that start at `value`.
    pub(crate) fn new(n: usize, value: f64) -> Self {
        Self(vec![Cell { value, first: 0.0, second: 0.0, steps: 0.0 }; n])
    }

    /// The number of task `task`.
    pub(crate) fn get(&self, task: usize) -> f64 {
        self.0[task].value
    }

    /// A step of size `rate` against `gradient`, kept within ±`bound`.
    pub(crate) fn descend(&mut self, task: usize, gradient: f64, rate: f64, bound: f64) {
        let cell = &mut self.0[task];
        cell.steps += 1.0;
        cell.first = BETAS.0 * cell.first + (1.0 - BETAS.0) * gradient;
        cell.second = BETAS.1 * cell.second + (1.0 - BETAS.1) * gradient * gradient;
        let first = cell.first / (1.0 - BETAS.0.powf(cell.steps));
        let second = cell.second / (1.0 - BETAS.1.powf(cell.steps));
        cell.value = (cell.value - rate * first / (second.sqrt() + EPS)).clamp(-bound, bound);
    }

    /// Everything, to be saved.
    pub(crate) fn state(&self) -> Vec<f64> {
        self.0.iter().flat_map(|c| [c.value, c.first, c.second, c.steps]).collect()
    }

    /// Takes back what [`Learned::state`] gave.
    pub(crate) fn restore(&mut self, state: &[f64]) -> Result<()> {
        refuse_state(state.len(), SAVED * self.0.len())?;
        for (cell, s) in self.0.iter_mut().zip(state.chunks_exact(SAVED)) {
            *cell = Cell { value: s[0], first: s[1], second: s[2], steps: s[3] };
        }
        Ok(())
    }
}

/// A rate of a method's own numbers that follows the schedule of the run (warm-up, decay).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pace {
    peak: f64,
    peak_lr: f64,
}

impl Pace {
    /// `peak` where the run's learning rate is at its peak.
    pub(crate) fn new(peak: f64, setup: &Setup) -> Self {
        Self { peak, peak_lr: setup.lr }
    }

    /// The rate of a step whose learning rate is `lr`.
    pub(crate) fn rate(&self, lr: f64) -> f64 {
        if self.peak_lr > 0.0 { self.peak * (lr / self.peak_lr).min(1.0) } else { self.peak }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_equal_those_of_torch_adam() {
        // torch.optim.Adam([s], lr=0.01), s = -0.5, gradients 0.7, -0.2, 3.0 (f64): xtask/parity/weightings.py.
        let expected = [-0.509_999_999_857_142_8, -0.514_397_280_257_701_7, -0.521_406_442_751_668_3];
        let mut learned = Learned::new(2, -0.5);
        for (gradient, value) in [0.7, -0.2, 3.0].into_iter().zip(expected) {
            learned.descend(1, gradient, 0.01, 40.0);
            assert!((learned.get(1) - value).abs() < 1e-12, "{} {value}", learned.get(1));
        }
        assert_eq!(learned.get(0), -0.5);
    }

    #[test]
    fn a_pace_follows_the_schedule_and_never_exceeds_its_peak() {
        let setup = Setup { lr: 4e-5, ..Setup::of(&["a"]) };
        let pace = Pace::new(0.02, &setup);
        assert_eq!(
            [pace.rate(4e-5), pace.rate(1e-5), pace.rate(0.0), pace.rate(1.0)],
            [0.02, 0.005, 0.0, 0.02]
        );
        assert_eq!(Pace::new(0.02, &Setup { lr: 0.0, ..setup }).rate(0.0), 0.02);
    }

    #[test]
    fn numbers_stay_within_their_bound() {
        let mut learned = Learned::new(1, 0.0);
        (0..100).for_each(|_| learned.descend(0, -1.0, 1.0, 2.0));
        assert_eq!(learned.get(0), 2.0);
    }
}
