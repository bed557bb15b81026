//! The cells of one column of a split: a mistake that nearly all of them share is one mistake of the column.

use polytask_core::Problem;

use super::problems::Problems;
use crate::readers::Cell;

/// What was seen of a column, and its mistakes until all of it is seen.
#[derive(Debug, Default)]
pub(super) struct Whole {
    pub(super) rows: usize,
    /// Rows without the column.
    absent: usize,
    held: Problems,
}

impl Whole {
    /// Notes a cell, right or wrong.
    pub(super) fn see(&mut self, cell: Option<&Cell>) {
        self.rows += 1;
        self.absent += usize::from(cell.is_none());
    }

    /// Notes that a cell seen is wrong.
    pub(super) fn hold(&mut self, problem: Problem) {
        self.held.note(problem);
    }

    /// The mistakes of single cells.
    pub(super) fn into_held(self) -> Problems {
        self.held
    }

    /// Whether no row has the column.
    pub(super) fn is_absent(&self) -> bool {
        self.rows > 0 && self.absent == self.rows
    }
}
