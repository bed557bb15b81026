//! The pairs of texts: read, without doubles, and refused where they can teach nothing.

use std::collections::HashSet;
use std::path::Path;

use anyhow::Result;
use polytask_core::{Place, Problem};
use polytask_data::readers::{self, Cell};

use crate::columns::Columns;
use polytask_terminal::output;

/// The two texts of a row.
pub(super) const ROLES: [&str; 2] = ["a", "b"];
/// Usual names of their columns, beside the role's own.
const NAMES: [&[&str]; 2] = [
    &["sentence1", "sentence_A", "anchor", "premise", "question"],
    &["sentence2", "sentence_B", "positive", "hypothesis", "passage"],
];
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
        let record = record?;
        let text = |i: usize| {
            let names = columns
                .given(ROLES[i])
                .map_or_else(|| [&[ROLES[i]], NAMES[i]].concat(), |column| vec![column]);
            names.iter().find_map(|name| record.get(name)).and_then(Cell::to_text).ok_or_else(|| {
                let what = format!("no text `{}`, looked for: {}", ROLES[i], names.join(", "));
                let place = Place::line(file, record.line);
                Problem::at(place, what).try_this(format!("`--columns {}=COLUMN`", ROLES[i]))
            })
        };
        let row =
            [text(0).map_err(polytask_core::Error::from)?, text(1).map_err(polytask_core::Error::from)?];
        if met.insert(row.clone()) {
            rows.push(row);
        } else {
            doubles += 1;
        }
    }
    check(file, &rows)?;
    Ok(Pairs { rows, doubles })
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
