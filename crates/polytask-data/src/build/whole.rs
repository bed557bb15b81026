//! The cells of one column of a split: a mistake that nearly all of them share is one mistake of the column.

use std::path::Path;

use polytask_core::suite::TaskSpec;
use polytask_core::target::{CellMistake, ColumnMistake, ColumnRemedy, MistakeSort, SeenColumn};
use polytask_core::{Place, Problem, TargetType, plural};

use super::problems::Problems;
use crate::readers::Cell;

/// Rows below which every row may well have a label of its own.
const FEW: usize = 20;

/// What was seen of a column, and its mistakes until all of it is seen.
#[derive(Debug, Default)]
pub(super) struct Whole {
    pub(super) seen: SeenColumn,
    held: Problems,
}

impl Whole {
    /// Notes a cell, right or wrong.
    pub(super) fn see(&mut self, cell: Option<&Cell>) {
        self.seen.see(cell);
    }

    /// Notes that a cell seen is wrong.
    pub(super) fn hold(&mut self, cell: Option<&Cell>, wrong: &CellMistake, problem: Problem) {
        self.seen.count(cell, wrong);
        self.held.note(problem);
    }

    /// The mistakes of single cells.
    pub(super) fn into_held(self) -> Problems {
        self.held
    }

    /// Whether no row has the column.
    pub(super) fn is_absent(&self) -> bool {
        self.seen.rows > 0 && self.seen.absent == self.seen.rows
    }

    /// Whether the column says nothing in any row.
    pub(super) fn is_silent(&self) -> bool {
        self.seen.rows > 0 && self.seen.known == 0
    }

    /// The mistake that nearly all cells of a target's column share.
    pub(super) fn of_target(&self, file: &Path, column: &str, task: &TaskSpec) -> Option<Problem> {
        let ColumnMistake { what, remedy } = task.kind.form.mistake_of_column(&self.seen)?;
        let remedy = match remedy {
            ColumnRemedy::Words(remedy) => remedy,
            ColumnRemedy::OtherForm(form) => task.kind.with_form(form)?.with_target(column),
        };
        Some(Problem::at(Place::file(file), format!("column `{column}`: {what}")).try_this(remedy))
    }

    /// The mistake of a split all whose labels are one that train does not have: hidden targets.
    pub(super) fn of_hidden(&self, file: &Path, column: &str, task: &TaskSpec) -> Option<Problem> {
        let n = self.seen.n(MistakeSort::Unknown);
        let only = self.seen.only(MistakeSort::Unknown)?;
        if n < 2 || n < self.seen.known || task.kind.target_type() != TargetType::Label {
            return None;
        }
        let what = format!(
            "column `{column}`: all {n} labels are `{only}`, which is none of train's: hidden targets? expected labels of train"
        );
        let remedy = format!("missing = [{only:?}] in the task, or leave the file out");
        Some(Problem::at(Place::file(file), what).try_this(remedy))
    }

    /// The mistake of a column of `n_labels` labels that hardly two rows share.
    pub(super) fn of_ids(
        &self,
        file: &Path,
        column: &str,
        task: &TaskSpec,
        n_labels: usize,
    ) -> Option<Problem> {
        if self.seen.known < FEW || n_labels * 10 < self.seen.known * 9 {
            return None;
        }
        let what = format!(
            "column `{column}`: {} in {} of train: an id? expected labels that rows share",
            plural(n_labels, "label"),
            plural(self.seen.known, "row")
        );
        let remedy = format!("the column of the labels: columns = {{ {} = \"...\" }}", task.kind.target);
        Some(Problem::at(Place::file(file), what).try_this(remedy))
    }
}
