//! What the rows of train show of each column.

use std::collections::HashMap;

use polytask_core::Split;
use polytask_core::input::table::{ColumnForm, TableColumn, TableSpec};

use super::form::Form;
use super::is_known;
use super::reader::{Column, RowReader};
use crate::{Dataset, TextId};

/// Categories a column has at most: the most frequent ones of train.
pub(super) const MOST_CATEGORIES: usize = 1000;

/// What the rows of train show of all columns.
pub(super) struct SeenRows {
    pub(super) columns: Vec<SeenColumn>,
}

/// What they show of one.
#[derive(Debug, Clone, Default)]
pub(super) struct SeenColumn {
    /// Rows with a value.
    pub(super) known: usize,
    pub(super) missing: usize,
    /// How often each category stands in it.
    pub(super) counts: HashMap<u32, usize>,
    pub(super) mean: f64,
    squares: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    /// Whether each number is the one before plus something, and whole.
    pub(super) rises: bool,
    last: f64,
}

/// All rows of a split.
pub(super) fn rows_of(dataset: &Dataset, split: Split) -> impl Iterator<Item = TextId> + '_ {
    let splits = dataset.sources.iter().filter_map(move |source| source.splits.get(&split));
    splits.flat_map(|rows| rows.texts.iter().copied())
}

impl SeenRows {
    /// The rows of train as they are when valid has been cut from them.
    pub(super) fn of_train(dataset: &Dataset, reader: &RowReader) -> Self {
        let mut columns = vec![SeenColumn { rises: true, ..SeenColumn::default() }; reader.plain().len()];
        for row in rows_of(dataset, Split::Train) {
            let symbols = dataset.texts.tokens(row);
            for ((seen, column), &symbol) in columns.iter_mut().zip(reader.plain()).zip(symbols) {
                match (is_known(symbol), column.form) {
                    (false, _) => seen.missing += 1,
                    (true, Some(Form::Category { .. })) => seen.add_category(symbol),
                    (true, _) => seen.add_number(f64::from(f32::from_bits(symbol))),
                }
            }
        }
        Self { columns }
    }

    /// What a network reads.
    pub(super) fn spec(&self, reader: &RowReader) -> TableSpec {
        let named = |column: &Column, form| TableColumn { name: column.name.clone(), form };
        let plain =
            reader.plain().iter().zip(&self.columns).map(|(column, seen)| named(column, seen.form(column)));
        let encoded = reader.columns[reader.plain().len()..].iter().map(|column| match column.form {
            Some(Form::Image) => named(column, ColumnForm::Image),
            _ => named(column, ColumnForm::Text),
        });
        let columns = plain.chain(encoded).collect();
        TableSpec { columns, missing: reader.missing.clone(), image: None }
    }
}

impl SeenColumn {
    fn add_category(&mut self, symbol: u32) {
        *self.counts.entry(symbol).or_default() += 1;
        self.known += 1;
    }

    /// Takes a number into the moments, one by one (Welford 1962).
    fn add_number(&mut self, value: f64) {
        (self.low, self.high) =
            if self.known == 0 { (value, value) } else { (self.low.min(value), self.high.max(value)) };
        self.rises &= value.fract() == 0.0 && (self.known == 0 || value > self.last);
        self.last = value;
        self.known += 1;
        let from = value - self.mean;
        self.mean += from / self.known as f64;
        self.squares += from * (value - self.mean);
    }

    /// The standard deviation of its numbers.
    pub(super) fn std(&self) -> f64 {
        (self.squares / self.known.max(1) as f64).sqrt()
    }

    /// What a network reads of the column: nothing where train has one value, or none.
    fn form(&self, column: &Column) -> ColumnForm {
        match column.form {
            Some(Form::Number) if self.low < self.high => {
                ColumnForm::Number { mean: self.mean, std: self.std(), has_missing: self.missing > 0 }
            }
            Some(Form::Category { .. }) if self.counts.len() > 1 || self.known > 0 && self.missing > 0 => {
                ColumnForm::Category { names: self.names(column) }
            }
            _ => ColumnForm::Silent,
        }
    }

    /// The categories, the most frequent ones where there are too many, by name.
    fn names(&self, column: &Column) -> Vec<String> {
        let named = |(symbol, n): (&u32, &usize)| Some((*n, column.texts.get(symbol)?.clone()));
        let mut names: Vec<(usize, String)> = self.counts.iter().filter_map(named).collect();
        names.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        names.truncate(MOST_CATEGORIES);
        let mut names: Vec<String> = names.into_iter().map(|(_, name)| name).collect();
        names.sort_unstable();
        names
    }
}
