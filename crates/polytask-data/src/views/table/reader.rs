//! Cells of a table as symbols.

use std::collections::HashMap;
use std::path::Path;

use polytask_core::input::table::{
    ColumnForm, MISSING, TableColumn, TableSpec, category_symbol, category_text,
};
use polytask_core::target::{CellMistake, MistakeSort, number};

use super::encoded::CellReader;
use super::form::Form;
use crate::readers::Cell;
use crate::views::Fault;

/// Cells that say nothing in most tables people have (pandas reads most of them so, and UCI writes `?`).
const NOTHING: [&str; 11] = ["?", "-", "NA", "N/A", "n/a", "#N/A", "<NA>", "None", "none", "NULL", "missing"];
/// Different texts of a column that are remembered: more are no categories.
const MOST_TEXTS: usize = 100_000;

/// Reads cells of columns.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RowReader {
    pub(super) columns: Vec<Column>,
    /// Cells that mean unknown.
    pub(super) missing: Vec<String>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Column {
    pub(super) name: String,
    /// `None` until a cell says it.
    pub(super) form: Option<Form>,
    /// The categories met, by symbol.
    pub(super) texts: HashMap<u32, String>,
    /// Of a column of numbers: digits behind a zero, as codes have them.
    pub(super) code: Option<String>,
}

impl RowReader {
    /// A reader of the columns of a trained network.
    pub fn new(spec: &TableSpec) -> Self {
        let column = |TableColumn { name, form }: &TableColumn| {
            let (form, names) = match form {
                ColumnForm::Category { names } => (Some(Form::Category { is_declared: true }), &names[..]),
                ColumnForm::Number { .. } => (Some(Form::Number), &[][..]),
                ColumnForm::Text => (Some(Form::Text), &[][..]),
                ColumnForm::Image => (Some(Form::Image), &[][..]),
                ColumnForm::Silent => (Some(Form::Silent), &[][..]),
            };
            let texts = names.iter().map(|name| (category_symbol(name), name.clone())).collect();
            Column { name: name.clone(), form, texts, code: None }
        };
        Self { columns: spec.columns.iter().map(column).collect(), missing: spec.missing.clone() }
    }

    /// A reader that learns what columns hold; those in `categories` hold categories.
    pub(super) fn open(names: &[String], categories: &[String], missing: &[String]) -> Self {
        let column = |name: &String| {
            let form = categories.contains(name).then_some(Form::Category { is_declared: true });
            Column { name: name.clone(), form, ..Column::default() }
        };
        Self { columns: names.iter().map(column).collect(), missing: missing.to_vec() }
    }

    /// The same with columns of texts and images after the others.
    pub(super) fn with_encoded(mut self, texts: Vec<String>, images: Vec<String>) -> Self {
        let column = |form: Form| move |name| Column { name, form: Some(form), ..Column::default() };
        self.columns.extend(texts.into_iter().map(column(Form::Text)));
        self.columns.extend(images.into_iter().map(column(Form::Image)));
        self
    }

    /// Whether column `c` holds texts or images.
    pub fn is_encoded(&self, c: usize) -> bool {
        matches!(self.columns[c].form, Some(Form::Text | Form::Image))
    }

    /// The columns of one symbol each, which stand first.
    pub(super) fn plain(&self) -> &[Column] {
        let is_encoded = |column: &Column| matches!(column.form, Some(Form::Text | Form::Image));
        &self.columns[..self.columns.iter().position(is_encoded).unwrap_or(self.columns.len())]
    }

    /// Appends the symbols of a cell of column `c` of a file.
    ///
    /// # Errors
    /// When the cell holds something else than its column.
    pub fn append(
        &self,
        (c, cell): (usize, Option<&Cell>),
        (file, cells): (&Path, &mut CellReader),
        symbols: &mut Vec<u32>,
    ) -> Result<(), Fault> {
        if let Some(form @ (Form::Text | Form::Image)) = self.columns[c].form {
            return cells.append(form, known(cell, &self.missing), file, symbols);
        }
        symbols.push(self.symbol(c, cell).map_err(Fault::Cell)?);
        Ok(())
    }

    /// The names of the columns.
    pub fn names(&self) -> Vec<String> {
        self.columns.iter().map(|column| column.name.clone()).collect()
    }

    /// How many there are.
    pub fn n_columns(&self) -> usize {
        self.columns.len()
    }

    /// The name of column `c`.
    pub fn name(&self, c: usize) -> &str {
        &self.columns[c].name
    }

    /// Whether a symbol of column `c` is a category that the network does not know.
    pub fn is_unknown(&self, c: usize, symbol: u32) -> bool {
        let Column { form, texts, .. } = &self.columns[c];
        matches!(form, Some(Form::Category { .. })) && symbol != MISSING && !texts.contains_key(&symbol)
    }

    /// Learns from a cell of train what column `c` holds, and which categories there are.
    pub(super) fn learn(&mut self, c: usize, cell: Option<&Cell>) {
        let Some(cell) = known(cell, &self.missing) else { return };
        let Column { form, texts, code, .. } = &mut self.columns[c];
        let form = form.get_or_insert_with(|| form_of(cell));
        if *form == Form::Number && code.is_none() && is_code(cell) {
            *code = cell.to_text();
        }
        if let (Form::Category { .. }, Some(text)) = (form, category_text(cell))
            && texts.len() < MOST_TEXTS
        {
            texts.entry(category_symbol(&text)).or_insert(text);
        }
    }

    /// The symbol of a cell of column `c`.
    ///
    /// # Errors
    /// When the cell holds no number in a column of numbers, or a list.
    pub fn symbol(&self, c: usize, cell: Option<&Cell>) -> Result<u32, CellMistake> {
        let Column { name, form, .. } = &self.columns[c];
        let Some(cell) = known(cell, &self.missing).filter(|_| *form != Some(Form::Silent)) else {
            return Ok(MISSING);
        };
        if let Cell::List(_) = cell {
            let what = format!("value is {}, expected a number or a category", cell.describe());
            return Err(CellMistake::new(what, "a column for each of its items, or `ignore` with this one"));
        }
        // A column that no row of train has shown yet is what the cell itself is.
        match form.unwrap_or_else(|| form_of(cell)) {
            Form::Silent | Form::Text | Form::Image => Ok(MISSING),
            Form::Number => read_number(cell)
                .map(|value| (value as f32).to_bits())
                .map_err(|mistake| as_category(name, mistake)),
            Form::Category { .. } => Ok(category_text(cell).map_or(MISSING, |text| category_symbol(&text))),
        }
    }
}

/// What the first known cell of a column says: numbers with decimal commas are refused as numbers, and digits behind a
/// zero are a code.
fn form_of(cell: &Cell) -> Form {
    let is_number = match read_number(cell) {
        Ok(_) => !is_code(cell),
        Err(mistake) => mistake.sort == MistakeSort::Commas,
    };
    if is_number { Form::Number } else { Form::Category { is_declared: false } }
}

/// Whether a cell has digits alone, the first of several being 0.
fn is_code(cell: &Cell) -> bool {
    let Cell::Text(text) = cell else { return false };
    let text = text.trim();
    text.len() > 1 && text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A cell that says something.
fn known<'a>(cell: Option<&'a Cell>, missing: &[String]) -> Option<&'a Cell> {
    let is_marked = |cell: &Cell| {
        let says_nothing = matches!(cell, Cell::Text(text) if NOTHING.contains(&text.trim()));
        let is_named = |text: String| missing.iter().any(|word| same(word, &text));
        says_nothing || !missing.is_empty() && category_text(cell).is_some_and(is_named)
    };
    cell.filter(|cell| !cell.is_missing() && !is_marked(cell))
}

/// Whether a word of `missing` is the text of a cell.
fn same(word: &str, text: &str) -> bool {
    category_text(&Cell::Text(word.to_owned())).as_deref() == Some(text)
}

/// The number in a cell; switches are 0 and 1.
pub(super) fn read_number(cell: &Cell) -> Result<f64, CellMistake> {
    match cell {
        Cell::Bool(is) => Ok(f64::from(u8::from(*is))),
        Cell::Text(text) if text.trim().eq_ignore_ascii_case("true") => Ok(1.0),
        Cell::Text(text) if text.trim().eq_ignore_ascii_case("false") => Ok(0.0),
        other => number(other),
    }
}

/// A text in a column that began with numbers.
fn as_category(name: &str, mistake: CellMistake) -> CellMistake {
    if mistake.sort != MistakeSort::Text {
        return mistake;
    }
    let what = format!("{} as in the first rows of train", mistake.what);
    let remedy = format!("categories = [{name:?}], or `missing` with the word for what is unknown");
    CellMistake::new(what, remedy).of(MistakeSort::Text)
}
