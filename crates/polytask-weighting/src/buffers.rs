//! Something of the size of the gradients per task, made of them step by step: a moving average, a sum of squares.

use super::refuse_state;
use crate::Result;

/// Values per task of the suite, one per parameter; empty until the task is seen.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Buffers {
    rows: Vec<Vec<f32>>,
    /// The step whose gradient was added last; a step that is tried again adds nothing twice.
    seen: Vec<u64>,
}

impl Buffers {
    /// For this many tasks.
    pub(super) fn new(n: usize) -> Self {
        Self { rows: vec![Vec::new(); n], seen: vec![0; n] }
    }

    /// The values of a task.
    pub(super) fn get(&self, task: usize) -> &[f32] {
        &self.rows[task]
    }

    /// b ← b + rate (g · factor − b), from zero.
    pub(super) fn add(&mut self, task: usize, step: u64, gradient: &[f32], factor: f64, rate: f64) {
        self.change(task, step, gradient, |old, g| old + rate * (g * factor - old));
    }

    /// b ← `new`(b, g) element by element, from zero.
    pub(super) fn change(&mut self, task: usize, step: u64, gradient: &[f32], new: impl Fn(f64, f64) -> f64) {
        if self.seen[task] == step {
            return;
        }
        self.seen[task] = step;
        let row = &mut self.rows[task];
        row.resize(gradient.len(), 0.0);
        row.iter_mut().zip(gradient).for_each(|(b, &g)| *b = new(f64::from(*b), f64::from(g)) as f32);
    }

    /// Everything: for each task the step, the number of values, the values.
    pub(super) fn state(&self) -> impl Iterator<Item = f64> {
        self.rows.iter().zip(&self.seen).flat_map(|(row, &seen)| {
            [seen as f64, row.len() as f64].into_iter().chain(row.iter().map(|&v| f64::from(v)))
        })
    }

    /// Takes back what [`Buffers::state`] gave.
    pub(super) fn restore(&mut self, mut state: &[f64]) -> Result<()> {
        for (row, seen) in self.rows.iter_mut().zip(&mut self.seen) {
            let [step, n, rest @ ..] = state else { return refuse_state(state.len(), 2) };
            let n = *n as usize;
            if rest.len() < n {
                return refuse_state(rest.len(), n);
            }
            *seen = *step as u64;
            *row = rest[..n].iter().map(|&v| v as f32).collect();
            state = &rest[n..];
        }
        refuse_state(state.len(), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_is_tried_again_counts_once() {
        let mut buffers = Buffers::new(2);
        buffers.add(1, 1, &[2.0, 4.0], 0.5, 0.5);
        buffers.add(1, 1, &[2.0, 4.0], 0.5, 0.5);
        assert_eq!((buffers.get(0), buffers.get(1)), (&[][..], &[0.5, 1.0][..]));
        buffers.add(1, 2, &[1.0, 0.0], 1.0, 1.0);
        assert_eq!(buffers.get(1), [1.0, 0.0]);
        let mut back = Buffers::new(2);
        back.restore(&buffers.state().collect::<Vec<_>>()).unwrap();
        assert_eq!(back, buffers);
    }
}
