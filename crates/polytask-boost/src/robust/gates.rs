//! What the gates say of the tasks.

use serde::Serialize;

use super::Robust;
use crate::quantile::median;

/// Least gap between the gates of tasks that are flagged and those of the others: without outliers gates lie everywhere.
const GAP: f64 = 0.15;
/// Largest share of the tasks that can be unlike the others.
const MOST: f64 = 0.4;
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
/// as normal. Tasks are flagged where a wide gap sets them apart, and none of three or fewer.
pub fn gate_rows(model: &Robust) -> Vec<GateRow> {
    let gates: Vec<f64> = (0..model.groups.len()).map(|group| model.gate(Some(group))).collect();
    let middle = median(gates.iter().copied());
    let apart = if gates.len() > FEW && !model.normal.is_empty() { set_apart(model, &gates) } else { None };
    let row = |(gate, group): (&f64, &super::GroupModel)| GateRow {
        group: group.name.clone(),
        rows: group.rows,
        gate: *gate,
        distance: (gate - middle).abs(),
        flagged: apart.is_some_and(|(cut, above)| (*gate > cut) == above),
    };
    let mut rows: Vec<GateRow> = gates.iter().zip(&model.groups).map(row).collect();
    rows.sort_by(|a, b| b.distance.total_cmp(&a.distance));
    rows
}

/// The widest gap between gates, where one is wide enough and sets few tasks apart: its middle, and whether these lie
/// above.
fn set_apart(model: &Robust, gates: &[f64]) -> Option<(f64, bool)> {
    let mut order: Vec<usize> = (0..gates.len()).collect();
    order.sort_by(|&a, &b| gates[a].total_cmp(&gates[b]));
    let gap = |at: &usize| gates[order[*at]] - gates[order[at - 1]];
    let widest = (1..order.len()).max_by(|a, b| gap(a).total_cmp(&gap(b)))?;
    let rows = |groups: &[usize]| groups.iter().map(|&group| model.groups[group].rows).sum::<usize>();
    let (below, above) = order.split_at(widest);
    let is_above = rows(above) < rows(below);
    let few = if is_above { above.len() } else { below.len() };
    let is_apart = gap(&widest) >= GAP && few as f64 <= MOST * gates.len() as f64;
    is_apart.then(|| (f64::midpoint(gates[order[widest - 1]], gates[order[widest]]), is_above))
}
