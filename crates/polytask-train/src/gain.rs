//! What weights gained over other ones, on the same rows.

use std::collections::BTreeMap;

use polytask_eval::Predictions;

use crate::Result;
use crate::heads::TaskHead;

/// Labelled rows below which a task has no say: a handful of rows decides by chance.
const FEWEST: usize = 10;

/// The gain of all tasks together on some rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gain {
    /// Summed over the tasks, in points.
    pub(crate) value: f64,
    /// Standard error of that sum.
    pub(crate) error: f64,
    /// Tasks that have a say.
    pub(crate) n_tasks: usize,
    /// Whether a task is clearly worse than its margin allows, or predicts nothing any more.
    pub(crate) has_loser: bool,
}

impl Gain {
    /// What predictions gained over `others`. A task with fewer than [`FEWEST`] rows has no say.
    pub(crate) fn of(
        heads: &[TaskHead],
        predictions: &BTreeMap<usize, Predictions>,
        others: &BTreeMap<usize, Predictions>,
        seed: u64,
    ) -> Result<Self> {
        let mut gain = Self { value: 0.0, error: 0.0, n_tasks: 0, has_loser: false };
        for (task, predictions) in predictions {
            if let Some(other) = others.get(task) {
                gain.add(&heads[*task], predictions, other, seed)?;
            }
        }
        gain.error = gain.error.sqrt();
        Ok(gain)
    }

    /// Adds a task; `error` holds the variance while sums grow.
    fn add(
        &mut self,
        head: &TaskHead,
        predictions: &Predictions,
        other: &Predictions,
        seed: u64,
    ) -> Result<()> {
        let delta = polytask_eval::compare(&head.metric, predictions, other, 0.0, seed)?.delta;
        // Outputs that are all the same have no score, which is worse than any.
        let has_collapsed = !polytask_eval::score(&head.metric, predictions)?.is_finite()
            && polytask_eval::score(&head.metric, other)?.is_finite();
        let has_say = predictions.known_rows().len() >= FEWEST;
        self.has_loser |= has_collapsed || has_say && delta.high < -head.margin;
        let error = (delta.high - delta.low) / (2.0 * 1.96);
        if has_say && delta.value.is_finite() && error.is_finite() {
            self.value += delta.value;
            self.error += error * error;
            self.n_tasks += 1;
        }
        Ok(())
    }

    /// Whether it is above 0 by so many standard errors.
    pub(crate) fn is_above(&self, errors: f64) -> bool {
        self.n_tasks > 0 && self.value > errors * self.error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gain_without_a_task_that_has_a_say_is_none() {
        let gain = Gain { value: 0.0, error: 1.0, n_tasks: 0, has_loser: false };
        assert!(!gain.is_above(-1.0));
    }
}
