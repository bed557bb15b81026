//! The cells of one column of a split: a mistake that nearly all of them share is one mistake of the column.

use std::collections::BTreeMap;
use std::path::Path;

use polytask_core::kind::KINDS;
use polytask_core::suite::TaskSpec;
use polytask_core::{KindInfo, Place, Problem, TargetType, near, plural};

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
    /// The first values of each sort that stand in the place of numbers, and what to do about the first with commas.
    examples: BTreeMap<Sort, Vec<String>>,
    commas: Option<String>,
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
        if wrong.sort == Sort::Commas {
            self.commas.get_or_insert_with(|| wrong.remedy.clone());
        }
        let shows = matches!(wrong.sort, Sort::Text | Sort::Commas | Sort::Unknown);
        if let Some(text) = cell.filter(|_| shows).and_then(Cell::to_text) {
            let text = crate::readers::shorten(text.trim());
            let examples = self.examples.entry(wrong.sort).or_default();
            if examples.len() < SHOWN && !examples.contains(&text) {
                examples.push(text);
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

    /// The first values of a sort.
    fn examples(&self, sort: Sort) -> String {
        near::list(self.examples.get(&sort).map_or(&[][..], Vec::as_slice))
    }

    /// Such cells of all known ones in words, when nearly all are such.
    fn nearly_all(&self, sort: Sort) -> Option<String> {
        let n = self.n(sort);
        (n > 0 && n * 10 >= self.known * 9).then(|| format!("{n} of {}", plural(self.known, "value")))
    }

    /// The mistake that nearly all cells of a target's column share.
    pub(super) fn of_target(&self, file: &Path, column: &str, task: &TaskSpec) -> Option<Problem> {
        let (what, remedy) = match task.kind.target_type {
            TargetType::Numbers => self.with_commas().or_else(|| self.of_texts(column, task)),
            TargetType::Label => self.of_tags(column),
            _ => None,
        }?;
        Some(Problem::at(Place::file(file), format!("column `{column}`: {what}")).try_this(remedy))
    }

    /// The mistake of a split all whose labels are one that train does not have: hidden targets.
    pub(super) fn of_hidden(&self, file: &Path, column: &str, task: &TaskSpec) -> Option<Problem> {
        let n = self.n(Sort::Unknown);
        let only = self.examples.get(&Sort::Unknown).filter(|found| found.len() == 1)?.first()?;
        if n < 2 || n < self.known || task.kind.target_type != TargetType::Label {
            return None;
        }
        let what = format!(
            "column `{column}`: all {n} labels are `{only}`, which is none of train's: hidden targets? expected labels of train"
        );
        let remedy = format!("missing = [{only:?}] in the task, or leave the file out");
        Some(Problem::at(Place::file(file), what).try_this(remedy))
    }

    fn with_commas(&self) -> Option<(String, String)> {
        let (n, texts) = (self.nearly_all(Sort::Commas)?, self.examples(Sort::Commas));
        Some((format!("{n} are numbers with commas, such as {texts}, expected none"), self.commas.clone()?))
    }

    fn of_texts(&self, column: &str, task: &TaskSpec) -> Option<(String, String)> {
        let (n, texts) = (self.nearly_all(Sort::Text)?, self.examples(Sort::Text));
        let is_like =
            |kind: &KindInfo| kind.inputs == task.kind.inputs && kind.target_type == TargetType::Label;
        let kind = KINDS.iter().find(|kind| is_like(kind))?;
        Some((format!("{n} are texts, such as {texts}, expected numbers"), of_kind(kind, column)))
    }

    fn of_tags(&self, column: &str) -> Option<(String, String)> {
        let n = self.nearly_all(Sort::Tags)?;
        let what = format!("{n} are lists as long as the words of their text, expected one label");
        Some((what, of_kind(KindInfo::of_texts(TargetType::Tags, 1)?, column)))
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

/// How a suite says that a column is the target of another kind.
fn of_kind(kind: &KindInfo, column: &str) -> String {
    format!("kind = {:?}, with columns = {{ {} = {column:?} }}", kind.name, kind.target)
}
