//! The cells of one column of a split: a mistake that nearly all of them share is one mistake of the column.

use std::collections::BTreeMap;
use std::path::Path;

use polytask_core::kind::KINDS;
use polytask_core::suite::TaskSpec;
use polytask_core::{Place, Problem, TargetType, near, plural};

use super::cells::{Sort, Wrong};
use super::problems::Problems;
use crate::readers::Cell;

/// Values that a message shows.
const SHOWN: usize = 3;
/// Rows below which every row may well have a label of its own.
const FEW: usize = 20;

/// What was seen of a column, and its mistakes until all of it is seen.
#[derive(Debug, Default)]
pub(super) struct Whole {
    pub(super) rows: usize,
    /// Rows without the column.
    absent: usize,
    /// Rows with a value.
    known: usize,
    sorts: BTreeMap<Sort, usize>,
    /// The first values that are texts.
    texts: Vec<String>,
    held: Problems,
}

impl Whole {
    /// Notes a cell, right or wrong.
    pub(super) fn see(&mut self, cell: Option<&Cell>) {
        self.rows += 1;
        self.absent += usize::from(cell.is_none());
        self.known += usize::from(cell.is_some_and(|cell| !cell.is_missing()));
    }

    /// Notes that a cell seen is wrong.
    pub(super) fn hold(&mut self, cell: Option<&Cell>, wrong: &Wrong, problem: Problem) {
        *self.sorts.entry(wrong.sort).or_default() += 1;
        if let (Sort::Text, Some(Cell::Text(text))) = (wrong.sort, cell) {
            let text = crate::readers::shorten(text.trim());
            if self.texts.len() < SHOWN && !self.texts.contains(&text) {
                self.texts.push(text);
            }
        }
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

    /// Whether the column says nothing in any row.
    pub(super) fn is_silent(&self) -> bool {
        self.rows > 0 && self.known == 0
    }

    /// Number of cells with a mistake of a sort.
    pub(super) fn n(&self, sort: Sort) -> usize {
        self.sorts.get(&sort).copied().unwrap_or(0)
    }

    /// Such cells of all known ones in words, when nearly all are such.
    fn nearly_all(&self, sort: Sort) -> Option<String> {
        let n = self.n(sort);
        (n > 0 && n * 10 >= self.known * 9).then(|| format!("{n} of {}", plural(self.known, "value")))
    }

    /// The mistake of a target's column that is of another kind than the task's.
    pub(super) fn of_other_kind(&self, file: &Path, column: &str, task: &TaskSpec) -> Option<Problem> {
        let (what, kind) = match task.kind.target_type {
            TargetType::Numbers => {
                let n = self.nearly_all(Sort::Text)?;
                let texts = near::list(&self.texts);
                (format!("{n} are texts, such as {texts}, expected numbers"), with_labels(task)?)
            }
            TargetType::Label => {
                let n = self.nearly_all(Sort::Tags)?;
                (format!("{n} are lists as long as the words of their text, expected one label"), "tagging")
            }
            _ => return None,
        };
        let target = polytask_core::kind::find(kind)?.target;
        let remedy = format!("kind = {kind:?}, with columns = {{ {target} = {column:?} }}");
        Some(Problem::at(Place::file(file), format!("column `{column}`: {what}")).try_this(remedy))
    }

    /// The mistake of a column of `n_labels` labels that hardly two rows share.
    pub(super) fn of_ids(
        &self,
        file: &Path,
        column: &str,
        task: &TaskSpec,
        n_labels: usize,
    ) -> Option<Problem> {
        if self.known < FEW || n_labels * 10 < self.known * 9 {
            return None;
        }
        let what = format!(
            "column `{column}`: {} in {} of train: an id? expected labels that rows share",
            plural(n_labels, "label"),
            plural(self.known, "row")
        );
        let remedy = format!("the column of the labels: columns = {{ {} = \"...\" }}", task.kind.target);
        Some(Problem::at(Place::file(file), what).try_this(remedy))
    }
}

/// The kind of a task that reads the same and has one label.
fn with_labels(task: &TaskSpec) -> Option<&'static str> {
    let is_like = |kind: &&&polytask_core::KindInfo| {
        kind.inputs == task.kind.inputs && kind.target_type == TargetType::Label
    };
    KINDS.iter().find(is_like).map(|kind| kind.name)
}
