//! Intents: Banking77.

use std::path::Path;

use anyhow::Result;

use super::read::{Row, csv};
use super::sample::{csv_file, normal, pick_per, without};
use super::{Set, note};

const HEADER: &[&str] = &["text", "category"];

/// Rows per intent.
const TRAIN: usize = 33;
const VALID: usize = 10;
const TEST: usize = 20;

/// The cut: the same number of rows per intent, as far as there are.
pub(super) fn make(data: &Path) -> Result<Set> {
    let folder = data.join("banking77");
    let official = csv(&folder.join("test.csv.gz"), HEADER)?;
    let rest = without(csv(&folder.join("train.csv.gz"), HEADER)?, &official, text);
    let test = per_intent(&official, TEST);
    let valid = per_intent(&rest, VALID);
    let train = per_intent(&without(rest, &valid, text), TRAIN);
    let files = vec![
        csv_file("train.csv", "official train part", HEADER, &train)?,
        csv_file("valid.csv", "official train part, other rows", HEADER, &valid)?,
        csv_file("test.csv", "official test part", HEADER, &test)?,
    ];
    Ok(Set { folder: "banking77", note: NOTE, files })
}

fn text(row: &Row) -> String {
    normal(&row[0])
}

fn per_intent(rows: &[Row], n: usize) -> Vec<Row> {
    pick_per(rows, n, |row| row[1].clone(), text)
}

const NOTE: note::Note = note::Note {
    title: "Banking77",
    about: "Questions of a bank's customers, each with one of 77 intents: the demo's task `intent` (kind `class`).",
    credit: "Iñigo Casanueva, Tadas Temčinas, Daniela Gerz, Matthew Henderson, Ivan Vulić (PolyAI): Efficient Intent \
             Detection with Dual Sentence Encoders, 2020.",
    origin: "`PolyAI-LDN/task-specific-datasets` at `57ec275d8078`, path `banking_data/`",
    licence: note::CC_BY_4,
    changes: "Subsampled: at most 33 train, 10 validation and 20 test rows per intent, chosen by a hash of the text; rows \
              of the train part whose text is repeated or stands in the test part were dropped. Texts and intents are as \
              in the source.",
};
