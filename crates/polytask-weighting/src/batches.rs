//! The frame of methods that find weights on two extra batches and use them on the step's own.

use super::adapt::Present;
use super::{At, Direction, Heads, Jacobian, Probe, Update};
use crate::Result;

/// The tasks whose gradient on the first extra batch is finite and not zero.
pub(super) struct Others {
    /// Suite indices.
    pub(super) tasks: Vec<usize>,
    /// Places among the tasks of the step.
    pub(super) places: Vec<usize>,
    /// Their gradients there.
    pub(super) rows: Jacobian,
    /// Number of tasks of the step.
    n: usize,
}

impl Others {
    /// Values of these tasks as values of all tasks of the step, 0 for the rest.
    pub(super) fn spread(&self, values: &[f64]) -> Vec<f64> {
        let mut all = vec![0.0; self.n];
        self.places.iter().zip(values).for_each(|(&place, value)| all[place] = *value);
        all
    }
}

/// The step whose weights `find` gives for the tasks that the first extra batch knows; a task that is not finite gets
/// 0, one that the extra batch does not know an equal share.
pub(super) fn solve(
    probe: &mut dyn Probe,
    find: impl FnOnce(&mut dyn Probe, &Others) -> Result<Vec<f64>>,
) -> Result<Update> {
    if probe.tasks().len() == 1 {
        return Ok(Present::new(probe, None)?.plain());
    }
    let losses = probe.losses(At::default())?;
    let rows = probe.rows(At { batch: 1, ..At::default() })?;
    let squares = rows.squares();
    let finite: Vec<bool> = (0..rows.n).map(|i| losses[i].is_finite() && squares[i].is_finite()).collect();
    let places: Vec<usize> = (0..rows.n).filter(|&i| finite[i] && squares[i] > 0.0).collect();
    let tasks: Vec<usize> = places.iter().map(|&i| probe.tasks()[i]).collect();
    let others = Others { rows: rows.select(&places), n: rows.n, tasks, places };
    let found = if others.places.len() < 2 { vec![1.0; others.places.len()] } else { find(probe, &others)? };
    let equal = 1.0 / others.places.len().max(1) as f64;
    let mut weights: Vec<f64> = finite.iter().map(|&finite| if finite { equal } else { 0.0 }).collect();
    others.places.iter().zip(found).for_each(|(&place, w)| weights[place] = w);
    let heads = Heads::Factors(finite.iter().map(|&finite| f64::from(u8::from(finite))).collect());
    Ok(Update { trunk: Direction::Weights(weights), heads })
}
