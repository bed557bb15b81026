//! `cargo xtask demo-data --data DIR`: cuts the demo's four data sets, and one with planted conflict, out of
//! complete ones.
//!
//! The cuts depend on nothing but the texts: rows are ranked by a hash, so the same input gives the same bytes on
//! every machine. Rows of an official test part come into `test` only, and no training or validation row
//! repeats a test row.

mod banking77;
mod note;
mod onet;
mod planted;
mod read;
mod sample;
mod sick;
mod snli;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, ensure};
use polytask_core::atomic;

use crate::options::Options;
use crate::root::root;
use note::Note;

/// Most bytes of all sets, so that they can live in the source tree.
const BUDGET: usize = 6 << 20;

/// A file of a set.
struct DataFile {
    /// Path in the set's folder.
    name: &'static str,
    /// What its rows are.
    about: &'static str,
    /// Number of rows, the header not counted.
    rows: usize,
    /// The content.
    bytes: Vec<u8>,
}

/// A data set of the demo.
struct Set {
    /// Folder under `demo/`.
    folder: &'static str,
    /// What its README says.
    note: Note,
    /// Its files.
    files: Vec<DataFile>,
}

/// Makes the sets.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let options = Options::parse(arguments, &["data", "out"], &[])?;
    let data = PathBuf::from(options.require("data")?);
    let out = options.get("out").map_or_else(|| root().join("demo"), PathBuf::from);
    let sets = [
        banking77::make(&data)?,
        snli::make(&data)?,
        sick::make(&data)?,
        onet::make(&data)?,
        planted::make(&data)?,
    ];
    let bytes: usize = sets.iter().flat_map(|set| &set.files).map(|file| file.bytes.len()).sum();
    ensure!(bytes <= BUDGET, "the demo's data has {bytes} bytes, at most {BUDGET}");
    for set in &sets {
        write(&out, set)?;
    }
    println!("{bytes} bytes under {}", out.display());
    Ok(ExitCode::SUCCESS)
}

fn write(out: &Path, set: &Set) -> Result<()> {
    let folder = out.join(set.folder);
    for file in &set.files {
        let path = folder.join(file.name);
        atomic::create_dir(path.parent().unwrap_or(&folder))?;
        atomic::write(&path, &file.bytes)?;
        println!("{}/{}: {} rows, {} bytes", set.folder, file.name, file.rows, file.bytes.len());
    }
    atomic::write(&folder.join("README.md"), set.note.readme(&set.files).as_bytes())?;
    atomic::write(&folder.join("LICENSE"), set.note.licence().as_bytes())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use polytask_core::hash::sha256;

    use super::*;

    const FOLDERS: &[&str] = &["banking77", "snli", "sick", "onet", "planted"];

    fn read(path: &str) -> String {
        std::fs::read_to_string(root().join("demo").join(path)).unwrap()
    }

    /// The rows of a table without its header and the given number of leading columns.
    fn inputs(path: &str, columns: std::ops::Range<usize>) -> BTreeSet<String> {
        let cells = |line: &str| {
            line.split('\t').map(str::to_lowercase).collect::<Vec<_>>()[columns.clone()].join("\t")
        };
        read(path).lines().skip(1).map(cells).collect()
    }

    #[test]
    fn every_committed_file_has_the_hash_its_readme_names() {
        for folder in FOLDERS {
            let readme = read(&format!("{folder}/README.md"));
            let files = readme.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
            let mut n = 0;
            for (name, rest) in files {
                let bytes = std::fs::read(root().join("demo").join(folder).join(name)).unwrap();
                assert!(rest.contains(&sha256(&bytes)), "{folder}/{name} is not what its README says");
                n += 1;
            }
            assert!(n >= 3, "{folder}: the README names {n} files");
        }
    }

    #[test]
    fn every_set_states_source_and_licence() {
        for folder in FOLDERS {
            let readme = read(&format!("{folder}/README.md"));
            assert!(readme.contains("## Source") && readme.contains("## Changes"), "{folder}");
            assert!(
                read(&format!("{folder}/LICENSE")).contains("https://creativecommons.org/licenses/"),
                "{folder}"
            );
        }
    }

    #[test]
    fn no_training_or_validation_row_is_a_test_row() {
        for (set, columns) in [("snli", 1..3), ("sick", 1..3), ("planted", 0..2)] {
            let test = inputs(&format!("{set}/test.tsv"), columns.clone());
            for split in ["train", "valid"] {
                let rows = inputs(&format!("{set}/{split}.tsv"), columns.clone());
                assert!(rows.is_disjoint(&test), "{set}/{split}");
            }
        }
    }

    #[test]
    fn no_premise_is_shared_between_the_splits_of_snli() {
        let [train, valid, test] =
            ["train", "valid", "test"].map(|split| inputs(&format!("snli/{split}.tsv"), 1..2));
        assert!(train.is_disjoint(&valid) && train.is_disjoint(&test) && valid.is_disjoint(&test));
    }

    #[test]
    fn every_judgement_of_onet_names_a_query_and_a_passage() {
        let ids = |path: &str| -> BTreeSet<String> {
            let id = |line: &str| -> String {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["_id"].as_str().unwrap().to_owned()
            };
            read(path).lines().map(id).collect()
        };
        let (corpus, queries) = (ids("onet/corpus.jsonl"), ids("onet/queries.jsonl"));
        let mut judged = BTreeSet::new();
        for split in ["train", "valid", "test"] {
            let text = read(&format!("onet/qrels/{split}.tsv"));
            let mut here = BTreeSet::new();
            for line in text.lines().skip(1) {
                let cells: Vec<&str> = line.split('\t').collect();
                assert!(queries.contains(cells[0]) && corpus.contains(cells[1]) && cells[2] == "1", "{line}");
                here.insert(cells[0].to_owned());
            }
            assert!(here.is_disjoint(&judged), "{split} judges a query of another split");
            judged.extend(here);
        }
        assert_eq!(judged, queries);
    }
}
