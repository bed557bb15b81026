//! Rows of a caller's file as inputs of the tasks that are asked: texts and images task by task, a row of a table once
//! for all of them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use polytask_core::Cell;
use polytask_core::target::CellMistake;
use polytask_data::views::{CellReader, Fault, RowReader};
use polytask_data::{Symbols, Tokenize};

use crate::input::Input;
use crate::question::Question;
use crate::{ModelTask, Result};

/// A row that inputs are read from.
pub trait InputRow {
    /// The text in the first of some fields that there are.
    fn text_of(&self, names: &[&str]) -> Result<String>;
    /// The words in the first of some fields that there are.
    fn words_of(&self, names: &[&str]) -> Result<Vec<String>>;
    /// The cell of a field, where it is there.
    fn cell_of(&self, name: &str) -> Option<Cell>;
    /// A file that a cell names.
    fn beside(&self, file: &str) -> String;
    /// Whether a field is there.
    fn has(&self, name: &str) -> bool;
    /// The mistake that none of some fields is there.
    fn none_of(&self, names: &[String]) -> crate::Error;
    /// A mistake in the cell of a field, with its place.
    fn mistake(&self, name: &str, mistake: CellMistake) -> crate::Error;
}

/// Reads the inputs of tasks from rows.
pub struct InputReading {
    table: Option<TableFields>,
    reads_images: bool,
}

/// The columns of a table and the fields they stand in.
struct TableFields {
    reader: RowReader,
    /// The field of each column.
    fields: Vec<String>,
    /// What reads texts and images in columns.
    cells: RefCell<CellReader>,
    /// Cells with a category that the model does not know, by field.
    unknown: RefCell<BTreeMap<String, usize>>,
}

impl InputReading {
    /// For a model that reads such symbols; `renamed` are columns of a table that stand in another field.
    pub fn of(symbols: &Symbols, renamed: &[(String, String)]) -> Self {
        let field = |name: String| {
            let other = renamed.iter().rev().find(|(column, _)| *column == name);
            other.map_or(name, |(_, field)| field.clone())
        };
        let table = symbols.table().ok().map(RowReader::new).map(|reader| TableFields {
            fields: reader.names().into_iter().map(field).collect(),
            reader,
            cells: RefCell::new(CellReader::new(&symbols.cells().unwrap_or_default())),
            unknown: RefCell::default(),
        });
        Self { table, reads_images: symbols.images().is_ok() }
    }

    /// Whether a row has what a task reads; `names` are the fields that each input may stand in.
    pub fn fits(&self, row: &dyn InputRow, names: &[Vec<&str>]) -> bool {
        match &self.table {
            Some(table) => table.fields.iter().any(|field| row.has(field)),
            None => names.iter().all(|names| names.iter().any(|name| row.has(name))),
        }
    }

    /// The fields of a table that the model reads; none of a model that reads something else.
    pub fn fields(&self) -> &[String] {
        self.table.as_ref().map_or(&[], |table| &table.fields)
    }

    /// How many cells of each field held a category that the model does not know.
    pub fn unknown(&self) -> BTreeMap<String, usize> {
        self.table.as_ref().map(|table| table.unknown.borrow().clone()).unwrap_or_default()
    }

    /// What some rows ask of some tasks; `names` are, for each task, the fields that each input may stand in, best first.
    /// A row of a table is one for all tasks, and read once.
    ///
    /// # Errors
    /// When a field is not there or holds something else.
    pub fn questions<'t, R: InputRow>(
        &self,
        tasks: &[&'t ModelTask],
        names: &[Vec<Vec<&str>>],
        rows: &[R],
    ) -> Result<Vec<Question<'t>>> {
        if let Some(table) = &self.table {
            let row = |row: &R| Ok(vec![Input::Row(table.symbols(row)?)]);
            let rows: Vec<Vec<Input>> = rows.iter().map(row).collect::<Result<_>>()?;
            return Ok(tasks.iter().map(|&task| Question { task, rows: rows.clone() }).collect());
        }
        let question = |(&task, names): (&&'t ModelTask, &Vec<Vec<&str>>)| {
            let rows = rows.iter().map(|row| self.read(task, row, names)).collect::<Result<_>>()?;
            Ok(Question { task, rows })
        };
        tasks.iter().zip(names).map(question).collect()
    }

    /// The symbols of a row of a table.
    ///
    /// # Errors
    /// When no column is there, or one holds something else; when something else is read.
    pub fn symbols(&self, row: &dyn InputRow) -> Result<Vec<u32>> {
        self.table.as_ref().map_or_else(|| Ok(Vec::new()), |table| table.symbols(row))
    }

    /// The inputs of a row for a task.
    fn read(&self, task: &ModelTask, row: &dyn InputRow, names: &[Vec<&str>]) -> Result<Vec<Input>> {
        let input = |names: &Vec<&str>| {
            Ok(match (self.reads_images, task.reads_words()) {
                (true, _) => Input::Image(row.beside(&row.text_of(names)?)),
                (false, true) => Input::Words(row.words_of(names)?),
                (false, false) => Input::Text(row.text_of(names)?),
            })
        };
        names.iter().map(input).collect()
    }
}

impl TableFields {
    /// The symbols of a row; a field that is not there is unknown, but not all of them.
    fn symbols(&self, row: &dyn InputRow) -> Result<Vec<u32>> {
        if !self.fields.iter().any(|field| row.has(field)) {
            return Err(row.none_of(&self.fields));
        }
        let mut symbols = Vec::with_capacity(self.fields.len());
        for (c, field) in self.fields.iter().enumerate() {
            self.append(c, (field, row), &mut symbols)?;
        }
        Ok(symbols)
    }

    fn append(&self, c: usize, (field, row): (&str, &dyn InputRow), symbols: &mut Vec<u32>) -> Result<()> {
        let (cell, cells) = (row.cell_of(field), &mut *self.cells.borrow_mut());
        // Files that cells name are looked for beside the rows.
        let (start, file) = (symbols.len(), row.beside("rows"));
        self.reader.append((c, cell.as_ref()), (Path::new(&file), cells), symbols).map_err(|fault| {
            match fault {
                Fault::Cell(mistake) => row.mistake(field, self.with_remedy(c, mistake)),
                Fault::Named(error) => error.into(),
            }
        })?;
        if !self.reader.is_encoded(c) && self.reader.is_unknown(c, symbols[start]) {
            *self.unknown.borrow_mut().entry(field.to_owned()).or_default() += 1;
        }
        Ok(())
    }

    fn with_remedy(&self, c: usize, mistake: CellMistake) -> CellMistake {
        if self.reader.is_encoded(c) {
            return mistake;
        }
        CellMistake { remedy: "a number, or null where it is unknown".into(), ..mistake }
    }
}
