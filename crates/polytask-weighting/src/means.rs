//! Mean loss of each task over epochs, for methods whose schedule goes by epochs.
//!
//! A mean counts the steps in which the task was present. An epoch in which it never was leaves no mean, and the
//! task's last ones stay as they are.

use super::refuse_state;
use crate::Result;

/// Values saved per task.
const SAVED: usize = 6;

/// A task's open epoch and its closed ones.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Cell {
    /// Sum and number of losses in the open epoch.
    sum: f64,
    count: f64,
    /// Number of closed epochs, and the means of the first, the last and the one before it.
    closed: f64,
    first: f64,
    last: f64,
    before: f64,
}

impl Cell {
    fn close(&mut self) {
        if self.count == 0.0 {
            return;
        }
        let mean = self.sum / self.count;
        let first = if self.closed == 0.0 { mean } else { self.first };
        *self = Self { closed: self.closed + 1.0, first, last: mean, before: self.last, ..Self::default() };
    }
}

/// Mean losses by task of the suite.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EpochMeans {
    /// Epochs before this one leave no means.
    from: u64,
    epoch: u64,
    cells: Vec<Cell>,
}

impl EpochMeans {
    /// Of `n` tasks, from epoch `from` on.
    pub(crate) fn new(n: usize, from: u64) -> Self {
        Self { from, epoch: 0, cells: vec![Cell::default(); n] }
    }

    /// Takes in the losses of a step; a later epoch than the last one closes that.
    pub(crate) fn add(&mut self, epoch: u64, tasks: &[usize], losses: &[f64]) {
        if epoch > self.epoch {
            self.cells.iter_mut().for_each(Cell::close);
            self.epoch = epoch;
        }
        if epoch >= self.from {
            for (&task, loss) in tasks.iter().zip(losses) {
                self.cells[task].sum += loss;
                self.cells[task].count += 1.0;
            }
        }
    }

    /// Tasks with a loss so far.
    pub(crate) fn seen(&self) -> Vec<usize> {
        let is_seen = |&task: &usize| self.cells[task].closed + self.cells[task].count > 0.0;
        (0..self.cells.len()).filter(is_seen).collect()
    }

    /// The mean of the task's first closed epoch.
    pub(crate) fn first(&self, task: usize) -> Option<f64> {
        let cell = &self.cells[task];
        (cell.closed > 0.0).then_some(cell.first)
    }

    /// The means of the task's last closed epoch and of the one before it.
    pub(crate) fn last_two(&self, task: usize) -> Option<(f64, f64)> {
        let cell = &self.cells[task];
        (cell.closed > 1.0).then_some((cell.last, cell.before))
    }

    /// Everything, to be saved.
    pub(crate) fn state(&self) -> Vec<f64> {
        let cells = self.cells.iter().flat_map(|c| [c.sum, c.count, c.closed, c.first, c.last, c.before]);
        std::iter::once(self.epoch as f64).chain(cells).collect()
    }

    /// Number of values saved.
    pub(crate) fn n_saved(&self) -> usize {
        1 + SAVED * self.cells.len()
    }

    /// Takes back what [`EpochMeans::state`] gave.
    pub(crate) fn restore(&mut self, state: &[f64]) -> Result<()> {
        refuse_state(state.len(), self.n_saved())?;
        self.epoch = state[0] as u64;
        for (cell, s) in self.cells.iter_mut().zip(state[1..].chunks_exact(SAVED)) {
            *cell = Cell { sum: s[0], count: s[1], closed: s[2], first: s[3], last: s[4], before: s[5] };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_count_only_steps_and_epochs_with_the_task() {
        let mut means = EpochMeans::new(3, 0);
        means.add(0, &[0, 1], &[1.0, 4.0]);
        means.add(0, &[0], &[3.0]);
        assert_eq!((means.first(0), means.seen()), (None, vec![0, 1]));
        means.add(1, &[0], &[5.0]);
        means.add(2, &[1], &[6.0]);
        means.add(3, &[2], &[9.0]);
        assert_eq!((means.first(0), means.last_two(0)), (Some(2.0), Some((5.0, 2.0))));
        assert_eq!((means.first(1), means.last_two(1)), (Some(4.0), Some((6.0, 4.0))));
        assert_eq!((means.first(2), means.last_two(2), means.seen()), (None, None, vec![0, 1, 2]));
    }

    #[test]
    fn epochs_before_the_first_wanted_one_leave_nothing() {
        let mut means = EpochMeans::new(1, 2);
        (0..4).for_each(|epoch| means.add(epoch, &[0], &[epoch as f64]));
        assert_eq!((means.first(0), means.last_two(0)), (Some(2.0), None));
    }
}
