//! What the gates say of the tasks.

use serde::Serialize;

use super::Robust;
use crate::quantile::median;

/// Distance from the median gate beyond which a task of the smaller side is flagged.
const FAR: f64 = 0.25;
/// Tasks up to which the split means nothing.
const FEW: usize = 3;

/// A task's gate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GateRow {
    /// The task.
    pub group: String,
    /// Rows it was fitted on.
    pub rows: usize,
    /// Its gate, 0 to 1.
    pub gate: f64,
    /// How far the gate lies from the median.
    pub distance: f64,
    /// Whether it lies far off, on the side that holds fewer rows.
    pub flagged: bool,
}

/// The gates of all tasks, farthest first. Which side is the outlier's is not identified: the one with most rows counts
/// as normal, and with three tasks or fewer nothing is flagged.
pub fn gate_rows(model: &Robust) -> Vec<GateRow> {
    let gates: Vec<f64> = (0..model.groups.len()).map(|group| model.gate(Some(group))).collect();
    let middle = median(gates.iter().copied());
    let rows_of = |side: bool| {
        let of_side = gates.iter().zip(&model.groups).filter(|(gate, _)| (**gate > 0.5) == side);
        of_side.map(|(_, group)| group.rows).sum::<usize>()
    };
    let normal_side = rows_of(true) > rows_of(false);
    let row = |(gate, group): (&f64, &super::GroupModel)| {
        let distance = (gate - middle).abs();
        let is_apart = (*gate > 0.5) != normal_side && distance > FAR;
        GateRow {
            group: group.name.clone(),
            rows: group.rows,
            gate: *gate,
            distance,
            flagged: is_apart && gates.len() > FEW && !model.normal.is_empty(),
        }
    };
    let mut rows: Vec<GateRow> = gates.iter().zip(&model.groups).map(row).collect();
    rows.sort_by(|a, b| b.distance.total_cmp(&a.distance));
    rows
}
