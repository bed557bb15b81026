//! Rows of a table: a symbol per column, of its number or its category.
//!
//! The first known cell of a column in train says whether it holds numbers or categories; `categories` in the suite
//! says so of columns whose categories are written as numbers. Categories are those of train.

use std::collections::HashMap;

use polytask_core::cell::shorten;
use polytask_core::input::table::{ColumnForm, MISSING, OTHER, TableColumn, TableSpec};
use polytask_core::input::{InputSpec, KnownInput};
use polytask_core::suite::SourceSpec;
use polytask_core::target::{CellMistake, MistakeSort, number};
use polytask_core::{Error, Problem, Result, Split, Suite, plural};

use super::{Content, Fault, InputCells, SymbolBytes, View};
use crate::readers::Cell;
use crate::{Dataset, Tokenize};

/// Categories a column has at most: the first of train, all others being one.
const MOST_CATEGORIES: usize = 1000;
/// Cells that say nothing in most tables people have (pandas reads most of them so, and UCI writes `?`).
const NOTHING: [&str; 11] = ["?", "-", "NA", "N/A", "n/a", "#N/A", "<NA>", "None", "none", "NULL", "missing"];
/// Different numbers from which on a word beside them is taken for a slip.
const LEAST_NUMBERS: usize = 3;
/// Rows below which nothing is said of columns whose rows all differ.
const FEW: usize = 50;

/// The view of tables: of the columns a trained network reads, else of those that the first source has.
pub(super) fn open(_suite: &Suite, tokenizer: &dyn Tokenize) -> Box<dyn View> {
    let known = match tokenizer.input() {
        KnownInput::Table(spec) => spec,
        _ => TableSpec::default(),
    };
    Box::new(Table { reader: RowReader::new(&known), is_known: !known.columns.is_empty() })
}

/// Reads cells of columns.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RowReader {
    columns: Vec<Column>,
    /// Cells that mean unknown.
    missing: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
struct Column {
    name: String,
    /// `None` until a cell says it.
    form: Option<Form>,
}

#[derive(Debug, Clone, PartialEq)]
enum Form {
    Number,
    Category { places: HashMap<String, u32>, left_out: usize, is_declared: bool },
}

impl Form {
    fn of_names<S: AsRef<str>>(names: &[S], is_declared: bool) -> Self {
        let place = |(i, name): (usize, &S)| (name.as_ref().to_owned(), i as u32 + 1);
        Self::Category { places: names.iter().enumerate().map(place).collect(), left_out: 0, is_declared }
    }
}

impl RowReader {
    /// A reader of the columns of a trained network.
    pub fn new(spec: &TableSpec) -> Self {
        let form = |form: &ColumnForm| match form {
            ColumnForm::Number { .. } => Form::Number,
            ColumnForm::Category { names } => Form::of_names(names, true),
        };
        let column =
            |column: &TableColumn| Column { name: column.name.clone(), form: Some(form(&column.form)) };
        Self { columns: spec.columns.iter().map(column).collect(), missing: spec.missing.clone() }
    }

    /// The names of the columns.
    pub fn names(&self) -> Vec<String> {
        self.columns.iter().map(|column| column.name.clone()).collect()
    }

    /// Learns from a cell of train what column `c` holds, and which categories there are.
    fn learn(&mut self, c: usize, cell: Option<&Cell>) {
        let Some(cell) = known(cell, &self.missing) else { return };
        let form = self.columns[c].form.get_or_insert_with(|| {
            if number(&plain(cell)).is_ok() { Form::Number } else { Form::of_names::<&str>(&[], false) }
        });
        let (Form::Category { places, left_out, .. }, Some(text)) = (form, cell.to_text()) else { return };
        let (text, next) = (text.trim(), places.len() as u32 + 1);
        if places.contains_key(text) {
            return;
        }
        if places.len() == MOST_CATEGORIES {
            *left_out += 1;
        } else {
            places.insert(text.to_owned(), next);
        }
    }

    /// The symbol of a cell of column `c`.
    ///
    /// # Errors
    /// When the cell holds no number in a column of numbers, or a list.
    pub fn symbol(&self, c: usize, cell: Option<&Cell>) -> std::result::Result<u32, CellMistake> {
        let Column { name, form } = &self.columns[c];
        let (Some(cell), Some(form)) = (known(cell, &self.missing), form) else { return Ok(MISSING) };
        if let Cell::List(_) = cell {
            let what = format!("value is {}, expected a number or a category", cell.describe());
            return Err(CellMistake::new(what, "a column for each of its items, or `ignore` with this one"));
        }
        match form {
            Form::Number => number(&plain(cell))
                .map(|value| (value as f32).to_bits())
                .map_err(|mistake| as_category(name, mistake)),
            Form::Category { places, .. } => {
                let text = cell.to_text().unwrap_or_default();
                Ok(places.get(text.trim()).copied().unwrap_or(OTHER))
            }
        }
    }

    /// The columns once train is read, numbers with the moments of these rows of symbols.
    fn spec(&self, moments: &[Moments]) -> TableSpec {
        let form = |(column, of): (&Column, &Moments)| match &column.form {
            Some(Form::Category { places, .. }) => {
                let mut names: Vec<(&u32, &String)> =
                    places.iter().map(|(name, place)| (place, name)).collect();
                names.sort_unstable();
                ColumnForm::Category { names: names.into_iter().map(|(_, name)| name.clone()).collect() }
            }
            _ => ColumnForm::Number { mean: of.mean, std: of.std(), has_missing: of.missing > 0 },
        };
        let column = |pair: (&Column, &Moments)| TableColumn { name: pair.0.name.clone(), form: form(pair) };
        let columns = self.columns.iter().zip(moments).map(column).collect();
        TableSpec { columns, missing: self.missing.clone() }
    }
}

/// A cell that says something.
fn known<'a>(cell: Option<&'a Cell>, missing: &[String]) -> Option<&'a Cell> {
    let is_marked = |cell: &Cell| match cell {
        Cell::Text(text) => {
            let text = text.trim();
            NOTHING.contains(&text) || missing.iter().any(|word| word == text)
        }
        Cell::Number(_) if !missing.is_empty() => cell.to_text().is_some_and(|text| missing.contains(&text)),
        _ => false,
    };
    cell.filter(|cell| !cell.is_missing() && !is_marked(cell))
}

/// Switches are the numbers 0 and 1.
fn plain(cell: &Cell) -> Cell {
    match cell {
        Cell::Bool(is) => Cell::Number(f64::from(u8::from(*is))),
        Cell::Text(text) if text.eq_ignore_ascii_case("true") => Cell::Number(1.0),
        Cell::Text(text) if text.eq_ignore_ascii_case("false") => Cell::Number(0.0),
        other => other.clone(),
    }
}

/// A text in a column that began with numbers.
fn as_category(name: &str, mistake: CellMistake) -> CellMistake {
    if mistake.sort != MistakeSort::Text {
        return mistake;
    }
    let what = format!("{} as in the rows before", mistake.what);
    let remedy = format!("categories = [{name:?}], or `missing` with the word for what is unknown");
    CellMistake::new(what, remedy).of(MistakeSort::Text)
}

/// Mean and spread of numbers, one by one (Welford 1962).
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    n: usize,
    missing: usize,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, symbol: u32) {
        let value = f64::from(f32::from_bits(symbol));
        if value.is_nan() {
            self.missing += 1;
            return;
        }
        self.n += 1;
        let from = value - self.mean;
        self.mean += from / self.n as f64;
        self.squares += from * (value - self.mean);
    }

    /// The standard deviation; 1 where all are equal.
    fn std(self) -> f64 {
        let std = (self.squares / self.n.max(1) as f64).sqrt();
        // Rounding leaves a little of equal numbers.
        if std > 1e-9 * self.mean.abs() && std > 0.0 { std } else { 1.0 }
    }
}

struct Table {
    reader: RowReader,
    /// Whether a trained network says what the columns are.
    is_known: bool,
}

impl View for Table {
    fn columns(&mut self, source: &SourceSpec, rest: &[String]) -> Option<Vec<String>> {
        if self.reader.columns.is_empty() {
            let is_in = |name: &String| !source.ignore.contains(name);
            let names: Vec<String> = if source.features.is_empty() {
                rest.iter().filter(|name| is_in(name)).cloned().collect()
            } else {
                source.features.clone()
            };
            let form =
                |name: &String| source.categories.contains(name).then(|| Form::of_names::<&str>(&[], true));
            self.reader.columns = names.into_iter().map(|name| Column { form: form(&name), name }).collect();
        }
        let new = source.missing.iter().filter(|word| !self.reader.missing.contains(word));
        let new: Vec<String> = new.cloned().collect();
        self.reader.missing.extend(new);
        Some(self.reader.names())
    }

    fn read(&mut self, row: &InputCells<'_>, wrong: &mut dyn FnMut(usize, Fault)) -> Vec<Content> {
        let learns = row.is_train && !self.is_known;
        let mut bytes = Vec::with_capacity(4 * row.cells.len());
        for (c, cell) in row.cells.iter().enumerate() {
            if learns {
                self.reader.learn(c, *cell);
            }
            match self.reader.symbol(c, *cell) {
                Ok(symbol) => bytes.extend(symbol.to_le_bytes()),
                Err(mistake) => wrong(c, Fault::Cell(mistake)),
            }
        }
        // A row with a wrong cell is left out.
        let is_whole = bytes.len() == 4 * row.cells.len();
        is_whole.then_some(Content::Symbols(SymbolBytes { bytes, width: 4 })).into_iter().collect()
    }

    fn finish(&mut self, dataset: &Dataset) -> Result<(InputSpec, Vec<String>)> {
        let mixed: Vec<Problem> = self.reader.columns.iter().filter_map(mixed).collect();
        if !mixed.is_empty() {
            return Err(Error::Invalid(mixed));
        }
        let mut moments = vec![Moments::default(); self.reader.columns.len()];
        let trains = dataset.sources.iter().filter_map(|source| source.splits.get(&Split::Train));
        for &text in trains.flat_map(|rows| &rows.texts) {
            let symbols = dataset.texts.tokens(text);
            moments.iter_mut().zip(symbols).for_each(|(moments, &symbol)| moments.add(symbol));
        }
        let n: usize = moments.first().map_or(0, |of| of.n + of.missing);
        let said = self.reader.columns.iter().filter_map(|column| odd_categories(column, n));
        let said = said.collect();
        Ok((InputSpec::Table(self.reader.spec(&moments)), said))
    }
}

/// A column of categories most of which are numbers: a word for what is unknown came first, or they are codes.
fn mixed(column: &Column) -> Option<Problem> {
    let Column { name, form: Some(Form::Category { places, is_declared: false, .. }) } = column else {
        return None;
    };
    let (numbers, words): (Vec<_>, Vec<_>) =
        places.keys().partition(|text| number(&Cell::Text((*text).clone())).is_ok());
    let word = words.iter().min()?;
    if numbers.len() < LEAST_NUMBERS || numbers.len() < 2 * words.len() {
        return None;
    }
    let what = format!(
        "column `{name}`: {} of {} different values are numbers, and `{}` is none: expected numbers or categories",
        numbers.len(),
        places.len(),
        shorten(word)
    );
    let remedy = format!("missing = [{word:?}], or categories = [{name:?}]");
    Some(Problem::new(what).try_this(remedy))
}

/// Says that a column has more categories than can be told apart, or hardly any twice.
fn odd_categories(column: &Column, n_rows: usize) -> Option<String> {
    let Column { name, form: Some(Form::Category { places, left_out, .. }) } = column else { return None };
    let n = places.len();
    if *left_out > 0 {
        return Some(format!(
            "column `{name}`: more than {n} categories; {} are taken as unknown, `ignore = [{name:?}]` leaves the column out",
            plural(*left_out, "cell")
        ));
    }
    (n_rows >= FEW && 2 * n > n_rows).then(|| {
        format!(
            "column `{name}`: {n} different texts in {n_rows} rows of train, as of names or ids; `ignore = [{name:?}]` \
             leaves the column out"
        )
    })
}
