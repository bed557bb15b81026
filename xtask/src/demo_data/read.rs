//! Reading the complete sets: gzipped CSV and plain TSV.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;

/// A row's cells.
pub(super) type Row = Vec<String>;

fn open(path: &Path) -> Result<GzDecoder<File>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(GzDecoder::new(file))
}

/// The rows of a gzipped CSV file with exactly this header.
pub(super) fn csv(path: &Path, header: &[&str]) -> Result<Vec<Row>> {
    let mut reader = csv::Reader::from_reader(open(path)?);
    ensure!(reader.headers()? == header, "{}: expected the columns {header:?}", path.display());
    let rows = reader.records().map(|row| Ok(row?.iter().map(str::to_owned).collect()));
    rows.collect::<Result<_>>().with_context(|| format!("cannot read {}", path.display()))
}

/// The rows of a gzipped TSV file (no quoting) with exactly this header.
pub(super) fn tsv(path: &Path, header: &[&str]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (number, line) in BufReader::new(open(path)?).lines().enumerate() {
        let line = line.with_context(|| format!("cannot read {}", path.display()))?;
        let row: Row = line.split('\t').map(str::to_owned).collect();
        let place = || format!("{}:{}", path.display(), number + 1);
        ensure!(row.len() == header.len(), "{}: {} cells, expected {}", place(), row.len(), header.len());
        ensure!(number > 0 || row == header, "{}: expected the columns {header:?}", place());
        rows.push(row);
    }
    ensure!(!rows.is_empty(), "{}: the file is empty", path.display());
    Ok(rows.split_off(1))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzipped(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut encoder = flate2::write::GzEncoder::new(file.reopen().unwrap(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap();
        file
    }

    #[test]
    fn tsv_rows_keep_their_quotes() {
        let file = gzipped("a\tb\n\"x\t1\n");
        assert_eq!(tsv(file.path(), &["a", "b"]).unwrap(), [["\"x", "1"]]);
    }

    #[test]
    fn wrong_columns_and_ragged_rows_are_refused() {
        assert!(tsv(gzipped("a\tc\n").path(), &["a", "b"]).is_err());
        assert!(
            tsv(gzipped("a\tb\nx\n").path(), &["a", "b"]).unwrap_err().to_string().contains(":2: 1 cells")
        );
        assert!(csv(gzipped("a,c\n").path(), &["a", "b"]).is_err());
    }
}
