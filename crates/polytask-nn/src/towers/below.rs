//! States under the lowest trained block, to be cached: those of the first tower alone.
//!
//! Under a block of that tower they are its own states, cell by cell; above it they are its pooled vectors, one row of
//! them for each row of the table.

use polytask_core::{Layout, PackedBatch};

use super::rows::Parts;
use super::{Tower, TowersTrunk};
use crate::Result;
use crate::params::Params;
use crate::trunk::States;

impl TowersTrunk {
    /// Where the states that [`Self::below`] gives lie, and their width.
    pub(super) fn states_below(&self, batch: &PackedBatch, lowest: usize) -> (Layout, usize) {
        let n_rows = batch.n_sequences();
        let Some(tower) = self.towers.first().filter(|_| lowest > 0) else {
            return (Layout::even(n_rows, 0), self.join.d_wide());
        };
        if lowest >= tower.end() {
            return (Layout::even(n_rows, 1), tower.width() * tower.columns.len());
        }
        let Ok(parts) = Parts::cut(&self.table, batch) else {
            return (Layout::even(n_rows, 0), tower.width());
        };
        let (layout, width) = tower.trunk.layout_below(&parts.batch(tower, batch), lowest);
        let mut starts = vec![0; n_rows + 1];
        for (number, part) in parts.of(tower).enumerate() {
            starts[part.row + 1] += layout.length(number) as u32;
        }
        (1..=n_rows).for_each(|row| starts[row] += starts[row - 1]);
        (Layout { starts }, width)
    }

    /// States under block `lowest`.
    pub(super) fn below(&self, params: &Params, batch: &PackedBatch, lowest: usize) -> Result<States> {
        self.check(params, lowest)?;
        let Some(tower) = self.towers.first().filter(|_| lowest > 0) else { return Ok(States::default()) };
        let parts = Parts::cut(&self.table, batch)?;
        let sequences = parts.batch(tower, batch);
        let states = tower.below(params, &sequences, lowest.min(tower.end()))?;
        if lowest < tower.end() {
            return Ok(states);
        }
        let pooled = tower.pooling.forward(&states, &tower.trunk.layout(&sequences));
        let width = tower.width() * tower.columns.len();
        let mut values = vec![0.0; parts.n_rows * width];
        for (number, part) in parts.of(tower).enumerate() {
            let start = part.row * width + slot(tower, part.column);
            values[start..start + tower.width()].copy_from_slice(pooled.row(number));
        }
        Ok(States { values, width })
    }

    /// Writes cached pooled vectors of a tower into the wide vectors of their rows.
    pub(super) fn place_cached(&self, tower: &Tower, parts: &Parts, cached: &States, wide: &mut [f32]) {
        let (d, width) = (self.join.d_wide(), tower.width());
        for part in parts.of(tower) {
            let from = &cached.row(part.row)[slot(tower, part.column)..][..width];
            let start = part.row * d + self.places[part.column];
            wide[start..start + width].copy_from_slice(from);
        }
    }
}

/// Where the vector of a column stands among those of its tower.
fn slot(tower: &Tower, column: usize) -> usize {
    tower.columns.iter().position(|own| *own == column).unwrap_or(0) * tower.width()
}
