//! Rows cut into what each tower reads.

use polytask_core::PackedBatch;
use polytask_core::input::table::TableSpec;

use super::Tower;
use crate::Result;
use crate::trunk::shape_error::shape;

/// A cell that a tower reads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) row: usize,
    /// Its column among those that towers read.
    pub(super) column: usize,
    /// Its first symbol in the batch, and how many there are.
    start: usize,
    len: usize,
}

/// The cells of a batch that towers read, row by row, without missing ones.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) n_rows: usize,
    all: Vec<Part>,
}

impl Parts {
    /// The cells of a batch of rows of a table.
    pub(super) fn cut(table: &TableSpec, batch: &PackedBatch) -> Result<Self> {
        let (n_rows, n_plain) = (batch.n_sequences(), table.n_plain());
        let mut all = Vec::new();
        for row in 0..n_rows {
            let at = batch.rows(row);
            let Some(cells) = table.cut(&batch.ids[at.clone()]) else {
                let found = format!("row {row} of {} symbols", at.len());
                return shape("towers", found, format!("a row of {} columns", table.columns.len()));
            };
            let mut start = at.start + n_plain;
            for (column, cell) in cells.into_iter().enumerate() {
                start += 1;
                let len = cell.len();
                all.extend((len > 0).then_some(Part { row, column, start, len }));
                start += len;
            }
        }
        Ok(Self { n_rows, all })
    }

    /// Those of a tower, row by row.
    pub(super) fn of<'a>(&'a self, tower: &'a Tower) -> impl Iterator<Item = &'a Part> {
        self.all.iter().filter(|part| tower.columns.contains(&part.column))
    }

    /// The sequences that a tower reads.
    pub(super) fn batch(&self, tower: &Tower, batch: &PackedBatch) -> PackedBatch {
        PackedBatch::pack(self.of(tower).map(|part| &batch.ids[part.start..part.start + part.len]))
    }
}
