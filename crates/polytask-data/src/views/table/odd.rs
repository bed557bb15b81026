//! What is odd about the columns of a table, in words.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use polytask_core::cell::{Cell, shorten};
use polytask_core::input::table::{ColumnForm, TableColumn, TableSpec, category_symbol};
use polytask_core::{Place, Problem, Split, near, plural};

use super::form::Form;
use super::is_known;
use super::reader::{Column, RowReader, read_number};
use super::seen::{MOST_CATEGORIES, SeenColumn, SeenRows, rows_of};
use crate::Dataset;

/// Different numbers from which on a word beside them is taken for a slip.
const LEAST_NUMBERS: usize = 2;
/// Rows below which nothing is said of columns whose rows all differ.
const FEW: usize = 50;
/// Share of the cells of a split that may be unknown to train without a word.
const UNKNOWN: f64 = 0.05;
/// Steps of f32 in a standard deviation below which numbers are so large that their differences are lost.
const STEPS: f64 = 1000.0;
/// Whole numbers up to here are exact in f32.
const WHOLE: f64 = 16_777_216.0;
/// Columns that a note names.
const SHOWN: usize = 5;

/// Columns of which cannot be told whether they hold numbers or categories.
pub(super) fn mixed(reader: &RowReader, file: &Path) -> Vec<Problem> {
    let problem = |column: &Column| Some(Problem { place: Some(Place::file(file)), ..doubt(column)? });
    reader.columns.iter().filter_map(problem).collect()
}

fn doubt(column: &Column) -> Option<Problem> {
    column
        .code
        .as_ref()
        .map(|code| code_among_numbers(&column.name, code))
        .or_else(|| words_among_numbers(column))
}

/// A column of numbers with codes among them.
fn code_among_numbers(name: &str, code: &str) -> Problem {
    let what = format!(
        "column `{name}`: `{}` begins with 0 as codes do, among numbers: expected numbers or categories",
        shorten(code)
    );
    Problem::new(what).try_this(format!("categories = [{name:?}], or numbers without zeros before them"))
}

/// Categories most of which are numbers: a word for what is unknown came first, or they are codes.
fn words_among_numbers(column: &Column) -> Option<Problem> {
    let Column { name, form: Some(Form::Category { is_declared: false }), texts, .. } = column else {
        return None;
    };
    let is_number = |text: &&String| read_number(&Cell::Text((*text).clone())).is_ok();
    let (numbers, words): (Vec<&String>, Vec<&String>) = texts.values().partition(is_number);
    let word = words.iter().min()?;
    if numbers.len() < LEAST_NUMBERS || numbers.len() < 2 * words.len() {
        return None;
    }
    let what = format!(
        "column `{name}`: {} of {} different values are numbers, and `{}` is none: expected numbers or categories",
        numbers.len(),
        texts.len(),
        shorten(word)
    );
    Some(Problem::new(what).try_this(format!("missing = [{word:?}], or categories = [{name:?}]")))
}

/// Keys that rows of train have and the first rows do not.
pub(super) fn unread(names: &BTreeSet<String>) -> Option<String> {
    let shown: Vec<&String> = names.iter().take(SHOWN).collect();
    (!names.is_empty()).then(|| {
        format!(
            "{} of later rows, {}, {} not read, as the first rows lack them; `features` names what is read",
            plural(names.len(), "key"),
            near::list(&shown),
            polytask_core::words::verb(names.len(), "is", "are")
        )
    })
}

/// What is odd about columns as train shows them.
pub(super) fn columns(reader: &RowReader, seen: &SeenRows, spec: &TableSpec) -> Vec<String> {
    let of = |((column, seen), spec): ((&Column, &SeenColumn), &TableColumn)| {
        let odd = match (&spec.form, column.form) {
            (ColumnForm::Silent, _) => Some(silent(seen)),
            (_, Some(Form::Number)) => index(seen).or_else(|| coarse(seen)),
            _ => categories(column, seen),
        }?;
        Some(format!("column `{}`: {odd}", column.name))
    };
    reader.columns.iter().zip(&seen.columns).zip(&spec.columns).filter_map(of).collect()
}

fn silent(seen: &SeenColumn) -> String {
    if seen.known > 0 && seen.low.abs() >= WHOLE {
        return format!(
            "numbers about {} differ by less than f32 can tell, or not at all, so it is not read; subtract the smallest of them",
            seen.low
        );
    }
    let value = if seen.known == 0 { "no value" } else { "one value" };
    format!("{value} in train, so it is not read")
}

/// Whole numbers that rise from row to row.
fn index(seen: &SeenColumn) -> Option<String> {
    let is_dense = seen.high - seen.low < 2.0 * seen.known as f64;
    (seen.rises && seen.known >= FEW && seen.missing == 0 && is_dense).then(|| {
        "whole numbers that rise from row to row, as of an index or an id; `ignore` leaves it out".into()
    })
}

/// Numbers whose differences are lost.
fn coarse(seen: &SeenColumn) -> Option<String> {
    let step = seen.low.abs().max(seen.high.abs()) * f64::from(f32::EPSILON);
    (seen.std() < STEPS * step).then(|| {
        format!(
            "numbers from {} to {} are so large that differences below {step:.2e} are lost; subtract the smallest of them",
            seen.low, seen.high
        )
    })
}

/// More categories than can be told apart, hardly any twice, or dates.
fn categories(column: &Column, seen: &SeenColumn) -> Option<String> {
    let n = seen.counts.len();
    let leave_out = format!("`ignore = [{:?}]` leaves the column out", column.name);
    let dates = column.texts.values().filter(|text| is_date(text)).count();
    if dates * 10 > column.texts.len() * 9 {
        return Some(format!(
            "dates are read as {n} categories without an order; {leave_out}, or write numbers"
        ));
    }
    if n > MOST_CATEGORIES {
        return Some(format!(
            "{n} categories, of which the {MOST_CATEGORIES} most frequent are read; {leave_out}"
        ));
    }
    (seen.known >= FEW && 2 * n > seen.known).then(|| {
        format!(
            "{n} different texts in {} of train, as of names or ids; {leave_out}",
            plural(seen.known, "row")
        )
    })
}

/// Whether a text begins as 2026-11-30 or ends as 30.11.2026 does.
fn is_date(text: &str) -> bool {
    let day = text.split([' ', 'T']).next().unwrap_or_default();
    let parts: Vec<&str> = day.split(['-', '/', '.']).collect();
    let are_digits =
        parts.iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    are_digits && matches!(lengths[..], [4, 1..=2, 1..=2] | [1..=2, 1..=2, 2 | 4])
}

/// Categories of valid and test that a network does not know, where they are many.
pub(super) fn unknown(spec: &TableSpec, dataset: &Dataset) -> Vec<String> {
    let symbols = |column: &TableColumn| match &column.form {
        ColumnForm::Category { names } => Some(names.iter().map(|name| category_symbol(name)).collect()),
        _ => None,
    };
    let known: Vec<Option<HashSet<u32>>> = spec.columns.iter().map(symbols).collect();
    [Split::Valid, Split::Test].iter().flat_map(|&split| unknown_in(split, spec, &known, dataset)).collect()
}

fn unknown_in(
    split: Split,
    spec: &TableSpec,
    known: &[Option<HashSet<u32>>],
    dataset: &Dataset,
) -> Vec<String> {
    let (mut counts, mut n) = (vec![0_usize; known.len()], 0_usize);
    for row in rows_of(dataset, split) {
        n += 1;
        for ((count, known), &symbol) in counts.iter_mut().zip(known).zip(dataset.texts.tokens(row)) {
            let is_new = known.as_ref().is_some_and(|known| is_known(symbol) && !known.contains(&symbol));
            *count += usize::from(is_new);
        }
    }
    let many = spec.columns.iter().zip(counts).filter(|(_, count)| *count as f64 > UNKNOWN * n as f64);
    many.map(|(column, count)| {
        format!(
            "column `{}`: {count} of {} of {} have a category that the network does not know",
            column.name,
            plural(n, "row"),
            split.name()
        )
    })
    .collect()
}
