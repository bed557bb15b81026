//! Adaptors that bring the three small traits into the loop.
//!
//! They keep what would otherwise be written in every method. Tasks with a non-finite loss or gradient, or a zero
//! gradient, never reach a solver and get weight 0: min-norm solvers would put all weight on a zero row, and
//! others divide by its norm. When one task is left there is no conflict: its gradient is the direction, exactly,
//! and the solver (with its state) is not asked. A solver that answers with something not finite is replaced
//! for this step by weights of 1 on the tasks that pull, so that one bad step does not end a run.
//!
//! Heads get factor 1, the weights themselves where [`Needs::weighted_heads`] says so, and 0 for a task whose
//! loss or gradient is not finite.

use super::{Aggregator, At, Direction, GramianWeighting, Heads, Jacobian, LossWeighting, Method, Needs};
use super::{Probe, Step, Update};
use crate::Result;

/// A loss weighting in the loop. Heads get the weights too: the method scales losses.
pub struct ByLoss<W>(pub W);

/// A Gramian weighting in the loop, with what it needs beyond the Gramian.
pub struct ByGramian<W> {
    /// The weighting.
    pub weighting: W,
    /// Its needs; `gramian` is added.
    pub needs: Needs,
}

/// An aggregator in the loop, with what it needs beyond the rows.
pub struct ByRows<A> {
    /// The aggregator.
    pub aggregator: A,
    /// Its needs; `rows` is added.
    pub needs: Needs,
}

/// What is known of the present tasks before a solver is asked.
struct Present {
    /// Suite indices.
    tasks: Vec<usize>,
    /// Losses.
    losses: Vec<f64>,
    /// Positions of tasks that pull.
    pulling: Vec<usize>,
    /// Positions of tasks whose loss and gradient are finite.
    finite: Vec<bool>,
}

impl Present {
    /// Sorts the present tasks by the square of their gradient's norm, `[tasks]`.
    fn new(probe: &mut dyn Probe, squares: Option<&[f64]>) -> Result<Self> {
        let tasks = probe.tasks().to_vec();
        let losses = probe.losses(At::default())?;
        let square = |i: usize| squares.map_or(1.0, |s| s[i]);
        let finite: Vec<bool> =
            (0..tasks.len()).map(|i| losses[i].is_finite() && square(i).is_finite()).collect();
        let pulling = (0..tasks.len()).filter(|&i| finite[i] && square(i) > 0.0).collect();
        Ok(Self { tasks, losses, pulling, finite })
    }

    /// Asks `solve` about the tasks that pull.
    fn ask<T>(&self, probe: &dyn Probe, solve: impl FnOnce(&mut Step) -> T) -> T {
        let tasks: Vec<usize> = self.pulling.iter().map(|&i| self.tasks[i]).collect();
        let losses: Vec<f64> = self.pulling.iter().map(|&i| self.losses[i]).collect();
        let (number, epoch, lr, rng) = (probe.step(), probe.epoch(), probe.lr(), probe.rng());
        solve(&mut Step { number, epoch, lr, tasks: &tasks, losses: &losses, rng })
    }

    /// The weights of the tasks that pull, spread over all present tasks, others 0.
    fn spread(&self, weights: &[f64]) -> Vec<f64> {
        let sound = weights.len() == self.pulling.len() && weights.iter().all(|w| w.is_finite());
        let mut all = vec![0.0; self.tasks.len()];
        for (k, &i) in self.pulling.iter().enumerate() {
            all[i] = if sound { weights[k] } else { 1.0 };
        }
        all
    }

    /// The factors of the heads for these weights of the trunk.
    fn heads(&self, weights: Option<&[f64]>) -> Heads {
        let factor = |i: usize| match (self.finite[i], weights) {
            (false, _) => 0.0,
            (true, Some(weights)) => weights[i],
            (true, None) => 1.0,
        };
        Heads::Factors((0..self.tasks.len()).map(factor).collect())
    }
}

impl<W: LossWeighting> Method for ByLoss<W> {
    fn needs(&self) -> Needs {
        Needs { weighted_heads: true, ..Needs::NONE }
    }

    fn update(&mut self, probe: &mut dyn Probe) -> Result<Update> {
        let present = Present::new(probe, None)?;
        let weights = present.spread(&present.ask(probe, |step| self.0.weights(step)));
        Ok(Update { heads: present.heads(Some(&weights)), trunk: Direction::Weights(weights) })
    }

    fn state(&self) -> Vec<f64> {
        self.0.state()
    }

    fn restore(&mut self, state: &[f64]) -> Result<()> {
        self.0.restore(state)
    }
}

impl<W: GramianWeighting> Method for ByGramian<W> {
    fn needs(&self) -> Needs {
        Needs { gramian: true, ..self.needs }
    }

    fn update(&mut self, probe: &mut dyn Probe) -> Result<Update> {
        let gramian = probe.gramian(At::default())?;
        let squares: Vec<f64> = (0..gramian.n).map(|i| gramian.get(i, i)).collect();
        let present = Present::new(probe, Some(&squares))?;
        let weights = if present.pulling.len() < 2 {
            vec![1.0; present.pulling.len()]
        } else {
            let kept = gramian.select(&present.pulling);
            present.ask(probe, |step| self.weighting.weights(step, &kept))
        };
        let weights = present.spread(&weights);
        let heads = present.heads(self.needs.weighted_heads.then_some(weights.as_slice()));
        Ok(Update { heads, trunk: Direction::Weights(weights) })
    }

    fn state(&self) -> Vec<f64> {
        self.weighting.state()
    }

    fn restore(&mut self, state: &[f64]) -> Result<()> {
        self.weighting.restore(state)
    }
}

impl<A: Aggregator> Method for ByRows<A> {
    fn needs(&self) -> Needs {
        Needs { rows: true, ..self.needs }
    }

    fn update(&mut self, probe: &mut dyn Probe) -> Result<Update> {
        let rows = probe.rows(At::default())?;
        let squares: Vec<f64> = (0..rows.n).map(|i| super::dot(rows.row(i), rows.row(i))).collect();
        let present = Present::new(probe, Some(&squares))?;
        let trunk = self.direction(&present, probe, &rows);
        Ok(Update { heads: present.heads(None), trunk })
    }

    fn state(&self) -> Vec<f64> {
        self.aggregator.state()
    }

    fn restore(&mut self, state: &[f64]) -> Result<()> {
        self.aggregator.restore(state)
    }
}

impl<A: Aggregator> ByRows<A> {
    /// The direction: the aggregator's, or plain weights where there is nothing to aggregate.
    fn direction(&mut self, present: &Present, probe: &dyn Probe, rows: &Jacobian) -> Direction {
        let plain = Direction::Weights(present.spread(&vec![1.0; present.pulling.len()]));
        if present.pulling.len() < 2 {
            return plain;
        }
        let kept = rows.select(&present.pulling);
        let vector = present.ask(probe, |step| self.aggregator.direction(step, &kept));
        let sound = vector.len() == rows.width && vector.iter().all(|v| v.is_finite());
        if sound { Direction::Vector(vector) } else { plain }
    }
}
