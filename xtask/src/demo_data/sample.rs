//! Choosing rows by hash, and writing them as tables.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use polytask_core::hash::text64;

use super::DataFile;
use super::read::Row;

/// A text without differences of case and spacing: what counts as the same text in two splits.
pub(super) fn normal(text: &str) -> String {
    text.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

/// At most `n` rows per group, those of the lowest hash of `key`, in their old order.
pub(super) fn pick_per<G: Ord>(
    rows: &[Row],
    n: usize,
    group: impl Fn(&Row) -> G,
    key: impl Fn(&Row) -> String,
) -> Vec<Row> {
    let mut groups: BTreeMap<G, Vec<(u64, usize)>> = BTreeMap::new();
    for (i, row) in rows.iter().enumerate() {
        groups.entry(group(row)).or_default().push((text64(&key(row)), i));
    }
    let mut kept = BTreeSet::new();
    for mut members in groups.into_values() {
        members.sort_unstable();
        kept.extend(members.into_iter().take(n).map(|(_, i)| i));
    }
    kept.into_iter().map(|i| rows[i].clone()).collect()
}

/// At most `n` rows, those of the lowest hash of `key`, in their old order.
pub(super) fn pick(rows: &[Row], n: usize, key: impl Fn(&Row) -> String) -> Vec<Row> {
    pick_per(rows, n, |_| (), key)
}

/// Rows whose `key` is not among the keys of `others`, each key once.
pub(super) fn without(rows: Vec<Row>, others: &[Row], key: impl Fn(&Row) -> String) -> Vec<Row> {
    let mut seen: BTreeSet<String> = others.iter().map(&key).collect();
    rows.into_iter().filter(|row| seen.insert(key(row))).collect()
}

/// A TSV file of these rows; cells hold no tabs or line breaks, as in the sources.
pub(super) fn tsv_file(name: &'static str, about: &'static str, header: &[&str], rows: &[Row]) -> DataFile {
    let mut text = header.join("\t") + "\n";
    for row in rows {
        text += &(row.join("\t") + "\n");
    }
    DataFile { name, about, rows: rows.len(), bytes: text.into_bytes() }
}

/// A CSV file of these rows.
pub(super) fn csv_file(
    name: &'static str,
    about: &'static str,
    header: &[&str],
    rows: &[Row],
) -> Result<DataFile> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(header)?;
    for row in rows {
        writer.write_record(row)?;
    }
    Ok(DataFile { name, about, rows: rows.len(), bytes: writer.into_inner()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(cells: &[&str]) -> Vec<Row> {
        cells.iter().map(|cell| vec![(*cell).to_owned()]).collect()
    }

    fn first(row: &Row) -> String {
        row[0].clone()
    }

    #[test]
    fn a_choice_does_not_depend_on_the_order_of_rows() {
        let (forth, back) = (rows(&["a", "b", "c", "d", "e"]), rows(&["e", "d", "c", "b", "a"]));
        let chosen = |rows: &[Row]| pick(rows, 2, first).into_iter().collect::<BTreeSet<Row>>();
        assert_eq!(chosen(&forth), chosen(&back));
        assert_eq!(chosen(&forth).len(), 2);
    }

    #[test]
    fn every_group_gives_at_most_its_share() {
        let rows = rows(&["a1", "a2", "a3", "b1"]);
        let picked = pick_per(&rows, 2, |row| row[0].as_bytes()[0], first);
        assert_eq!(picked.iter().filter(|row| row[0].starts_with('a')).count(), 2);
        assert_eq!(picked.iter().filter(|row| row[0].starts_with('b')).count(), 1);
    }

    #[test]
    fn repeated_and_foreign_rows_go() {
        let kept = without(rows(&["A  x", "b", "a x", "c"]), &rows(&["c"]), |row| normal(&row[0]));
        assert_eq!(kept, rows(&["A  x", "b"]));
    }
}
