//! Reading the complete sets: gzipped tables, JSON lines and `CoNLL` files.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result};
use flate2::read::GzDecoder;
use serde_json::{Map, Value};

/// A row by its columns.
pub(super) type Row = Map<String, Value>;

fn open(path: &Path) -> Result<BufReader<Box<dyn Read>>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let is_packed = path.extension().is_some_and(|extension| extension == "gz");
    Ok(BufReader::new(if is_packed { Box::new(GzDecoder::new(file)) } else { Box::new(file) }))
}

fn lines(path: &Path) -> Result<Vec<String>> {
    let lines: std::io::Result<Vec<String>> = open(path)?.lines().collect();
    lines.with_context(|| format!("cannot read {}", path.display()))
}

/// The rows of a CSV file.
pub(super) fn csv(path: &Path) -> Result<Vec<Row>> {
    let mut reader = csv::Reader::from_reader(open(path)?);
    let header = reader.headers()?.clone();
    let row = |cells: csv::Result<csv::StringRecord>| Ok(named(header.iter(), cells?.iter()));
    reader.records().map(row).collect()
}

/// The rows of a TSV file without quoting.
pub(super) fn tsv(path: &Path) -> Result<Vec<Row>> {
    let lines = lines(path)?;
    let header: Vec<&str> = lines.first().context("the file is empty")?.split('\t').collect();
    Ok(lines[1..].iter().map(|line| named(header.iter().copied(), line.split('\t'))).collect())
}

/// The rows of a file of JSON lines.
pub(super) fn jsonl(path: &Path) -> Result<Vec<Row>> {
    lines(path)?.iter().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// Sentences of a `CoNLL` file, as columns `tokens` and `tags`.
pub(super) fn conll(path: &Path) -> Result<Vec<Row>> {
    let (lines, mut rows) = (lines(path)?, Vec::new());
    for sentence in lines.split(|line| line.trim().is_empty()).filter(|sentence| !sentence.is_empty()) {
        let cell = |last: bool| {
            let of = |line: &String| {
                let mut cells = line.split('\t');
                Value::from(if last { cells.next_back() } else { cells.next() }.unwrap_or_default())
            };
            Value::Array(sentence.iter().map(of).collect())
        };
        rows.push(Row::from_iter([("tokens".into(), cell(false)), ("tags".into(), cell(true))]));
    }
    Ok(rows)
}

fn named<'a>(header: impl Iterator<Item = &'a str>, cells: impl Iterator<Item = &'a str>) -> Row {
    header.map(str::to_owned).zip(cells.map(Value::from)).collect()
}
