//! A row of a data file before its columns have a meaning.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use polytask_core::Cell;

/// Names of columns, shared by rows and found by hash.
#[derive(Debug, Clone, Default)]
pub struct Columns(Arc<Names>);

#[derive(Debug, Default)]
struct Names {
    list: Vec<String>,
    /// Place of each name, made when it is first asked for; few names are searched faster as they are.
    places: OnceLock<HashMap<String, usize>>,
}

/// Names up to which a search needs no table.
const FEW: usize = 16;

impl Columns {
    /// The place of a column.
    pub fn place(&self, name: &str) -> Option<usize> {
        let names = &self.0.list;
        if names.len() <= FEW {
            return names.iter().position(|known| known == name);
        }
        let places = self.0.places.get_or_init(|| {
            // The first of equal names is the one that is found.
            names.iter().enumerate().rev().map(|(place, name)| (name.clone(), place)).collect()
        });
        places.get(name).copied()
    }
}

impl Deref for Columns {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0.list
    }
}

impl FromIterator<String> for Columns {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        Self(Arc::new(Names { list: names.into_iter().collect(), places: OnceLock::new() }))
    }
}

impl PartialEq for Columns {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

/// A row of a file.
#[derive(Debug, Clone)]
pub struct Record {
    /// Line in the file, counted from 1 (Parquet: the row).
    pub line: usize,
    /// Empty lines before it, which a table does not count as rows.
    pub skipped: usize,
    columns: Columns,
    cells: Vec<Cell>,
    /// Further columns that hold 0, of a format that does not write it.
    zeros: Option<fn(&str) -> bool>,
}

/// What a column holds that its format does not write.
static ZERO: Cell = Cell::Number(0.0);

impl Record {
    /// A row of `columns`; there are as many cells.
    pub fn new(line: usize, columns: Columns, cells: Vec<Cell>) -> Self {
        debug_assert_eq!(columns.len(), cells.len());
        Self { line, skipped: 0, columns, cells, zeros: None }
    }

    /// The same after some empty lines.
    pub(super) fn after(self, skipped: usize) -> Self {
        Self { skipped, ..self }
    }

    /// The same where further columns of these names hold 0.
    pub(super) fn with_zeros(self, is_zero: fn(&str) -> bool) -> Self {
        Self { zeros: Some(is_zero), ..self }
    }

    /// The same with further cells; `columns` are the names of all.
    pub(super) fn extended(mut self, columns: Columns, cells: Vec<Cell>) -> Self {
        self.cells.extend(cells);
        debug_assert_eq!(columns.len(), self.cells.len());
        Self { columns, ..self }
    }

    /// The names of the row's columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The cell of a column; `None` when the row has no such column.
    pub fn get(&self, column: &str) -> Option<&Cell> {
        let zero = || self.zeros.filter(|is_zero| is_zero(column)).map(|_| &ZERO);
        self.columns.place(column).map(|i| &self.cells[i]).or_else(zero)
    }
}

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        let of = |record: &Self| (record.line, record.skipped);
        of(self) == of(other) && self.columns == other.columns && self.cells == other.cells
    }
}
