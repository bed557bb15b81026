//! Rows of found files, and rows that experiments write.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use polytask_core::atomic;
use polytask_data::readers;
use polytask_train::Result;
use serde_json::Value;

/// The text cells of some columns of a file's rows; an empty cell is an empty text.
///
/// # Errors
/// A file that cannot be read.
pub(crate) fn texts<const N: usize>(file: &Path, columns: [&str; N]) -> Result<Vec<[String; N]>> {
    let mut rows = Vec::new();
    for record in readers::open(file)? {
        let record = record?;
        let cell = |column: &str| record.get(column).and_then(readers::Cell::to_text).unwrap_or_default();
        rows.push(columns.map(|column| cell(column).trim().to_owned()));
    }
    Ok(rows)
}

/// Differs when the files do: names and sizes.
pub(crate) fn sizes(folders: &[&Path]) -> Result<String> {
    let mut all = Vec::new();
    for folder in folders {
        for entry in std::fs::read_dir(folder).map_err(polytask_core::Error::io("read", folder))? {
            let entry = entry.map_err(polytask_core::Error::io("read", folder))?;
            let size = entry.metadata().map_err(polytask_core::Error::io("read", folder))?.len();
            all.push(format!("{} {size}", entry.file_name().display()));
        }
    }
    all.sort();
    Ok(all.join("\n"))
}

/// A file of a folder, compressed or not.
pub(crate) fn packed(folder: &Path, file: &str) -> PathBuf {
    let compressed = folder.join(format!("{file}.gz"));
    if compressed.is_file() { compressed } else { folder.join(file) }
}

/// Writes rows as JSON lines.
pub(crate) fn write(file: &Path, rows: impl IntoIterator<Item = Value>) -> Result<()> {
    let mut text = String::new();
    for row in rows {
        text += &row.to_string();
        text.push('\n');
    }
    Ok(atomic::write(file, text.as_bytes())?)
}

/// Rows of equal keys as one, with all their values joined by `|`, in the order of first appearance.
pub(crate) fn grouped(edges: impl IntoIterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut place = BTreeMap::new();
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for (key, value) in edges {
        let at = *place.entry(key.clone()).or_insert(groups.len());
        if at == groups.len() {
            groups.push((key, Vec::new()));
        }
        if !groups[at].1.contains(&value) {
            groups[at].1.push(value);
        }
    }
    groups.into_iter().map(|(key, values)| (key, values.join("|"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_of_one_key_are_one_row_without_doubles() {
        let edge = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let edges = [edge("b", "1"), edge("a", "2"), edge("b", "3"), edge("b", "1")];
        assert_eq!(grouped(edges), [edge("b", "1|3"), edge("a", "2")]);
    }
}
