//! What was seen of a column of targets: how many cells, and which mistakes.

use std::collections::BTreeMap;

use super::{CellMistake, MistakeSort};
use crate::cell::{Cell, shorten};
use crate::{near, plural};

/// Values that a message shows.
const SHOWN: usize = 3;

/// Counts of a column's cells and of the mistakes in them.
#[derive(Debug, Default)]
pub struct SeenColumn {
    /// Rows seen.
    pub rows: usize,
    /// Rows without the column.
    pub absent: usize,
    /// Rows with a value.
    pub known: usize,
    sorts: BTreeMap<MistakeSort, usize>,
    /// The first values of each sort that stand in the place of numbers, and what to do about the first with commas.
    examples: BTreeMap<MistakeSort, Vec<String>>,
    commas: Option<String>,
}

impl SeenColumn {
    /// Notes a cell, right or wrong.
    pub fn see(&mut self, cell: Option<&Cell>) {
        self.rows += 1;
        self.absent += usize::from(cell.is_none());
        self.known += usize::from(cell.is_some_and(|cell| !cell.is_missing()));
    }

    /// Notes that a cell seen is wrong.
    pub fn count(&mut self, cell: Option<&Cell>, wrong: &CellMistake) {
        *self.sorts.entry(wrong.sort).or_default() += 1;
        if wrong.sort == MistakeSort::Commas {
            self.commas.get_or_insert_with(|| wrong.remedy.clone());
        }
        let shows = matches!(wrong.sort, MistakeSort::Text | MistakeSort::Commas | MistakeSort::Unknown);
        if let Some(text) = cell.filter(|_| shows).and_then(Cell::to_text) {
            let text = shorten(text.trim());
            let examples = self.examples.entry(wrong.sort).or_default();
            if examples.len() < SHOWN && !examples.contains(&text) {
                examples.push(text);
            }
        }
    }

    /// Number of cells with a mistake of a sort.
    pub fn n(&self, sort: MistakeSort) -> usize {
        self.sorts.get(&sort).copied().unwrap_or(0)
    }

    /// The first values of a sort, in words.
    pub fn examples(&self, sort: MistakeSort) -> String {
        near::list(self.examples.get(&sort).map_or(&[][..], Vec::as_slice))
    }

    /// The value of all cells of a sort, where it is the same in all of them.
    pub fn only(&self, sort: MistakeSort) -> Option<&str> {
        match self.examples.get(&sort)?.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// What to do about the first number with commas.
    pub fn remedy_of_commas(&self) -> Option<&str> {
        self.commas.as_deref()
    }

    /// Such cells of all known ones in words, when nearly all are such.
    pub fn nearly_all(&self, sort: MistakeSort) -> Option<String> {
        let n = self.n(sort);
        (n > 0 && n * 10 >= self.known * 9).then(|| format!("{n} of {}", plural(self.known, "value")))
    }
}
