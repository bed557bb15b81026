//! The pairs of texts: read, without doubles, and refused where they can teach nothing.

use std::collections::HashSet;
use std::path::Path;

use anyhow::Result;
use polytask_core::{Error, Place, Problem};
use polytask_data::readers::{self, Cell, Record};
use serde_json::json;

use crate::columns::Columns;
use polytask_terminal::output;

/// Roles that a column can be named for: the two texts of a row, and the score of a pair of dev.
pub(super) const ROLES: [&str; 3] = ["a", "b", "score"];
/// Usual names of their columns, the role's own first.
const NAMES: [&[&str]; 3] = [
    &["a", "sentence1", "sentence_A", "anchor", "premise", "question"],
    &["b", "sentence2", "sentence_B", "positive", "hypothesis", "passage"],
    &["score", "scores", "label", "relatedness", "similarity"],
];
/// Place of the score among the roles.
const SCORE: usize = 2;
/// Fewer pairs teach nothing.
const LEAST: usize = 100;

/// Distinct pairs in the order of their file.
pub(super) struct Pairs {
    pub(super) rows: Vec<[String; 2]>,
    /// Rows that stood there before.
    pub(super) doubles: usize,
}

/// Reads the pairs of a file.
pub(super) fn read(file: &Path, columns: &Columns) -> Result<Pairs> {
    let (mut rows, mut met, mut doubles) = (Vec::new(), HashSet::new(), 0);
    for record in readers::open(file)? {
        let row = texts(file, &record?, columns)?;
        if met.insert(row.clone()) {
            rows.push(row);
        } else {
            doubles += 1;
        }
    }
    check(file, &rows)?;
    Ok(Pairs { rows, doubles })
}

/// The rows of a file of pairs with scores, as JSON lines that the trainings read.
pub(super) fn scored(file: &Path, columns: &Columns) -> Result<String> {
    let mut lines = String::new();
    for record in readers::open(file)? {
        let record = record?;
        let [a, b] = texts(file, &record, columns)?;
        let score = cell(file, &record, columns, SCORE)?;
        lines += &json!({"a": a, "b": b, "score": score}).to_string();
        lines.push('\n');
    }
    Ok(lines)
}

/// The two texts of a row.
fn texts(file: &Path, record: &Record, columns: &Columns) -> Result<[String; 2]> {
    Ok([cell(file, record, columns, 0)?, cell(file, record, columns, 1)?])
}

/// The cell of a role, as a text.
fn cell(file: &Path, record: &Record, columns: &Columns, role: usize) -> Result<String> {
    let names = columns.given(ROLES[role]).map_or_else(|| NAMES[role].to_vec(), |column| vec![column]);
    let found = names.iter().find_map(|name| record.get(name)).and_then(Cell::to_text);
    let missing = || {
        let what = format!("no text `{}`, looked for: {}", ROLES[role], names.join(", "));
        let problem = Problem::at(Place::line(file, record.line), what);
        Error::from(problem.try_this(format!("`--columns {}=COLUMN`", ROLES[role])))
    };
    Ok(found.ok_or_else(missing)?)
}

fn check(file: &Path, rows: &[[String; 2]]) -> Result<()> {
    if rows.len() < LEAST {
        let what = format!("{} has {} distinct pairs, expected at least {LEAST}", file.display(), rows.len());
        return output::refuse(what, "more pairs; texts that may belong together, and some that do not");
    }
    let same = rows.iter().filter(|[a, b]| a.trim() == b.trim()).count();
    if 2 * same > rows.len() {
        let what = format!("{same} of the {} pairs of {} are one text twice", rows.len(), file.display());
        return output::refuse(what, "pairs of two texts, or `--columns a=...,b=...` where others are meant");
    }
    Ok(())
}
