//! Four sets of texts with labels of their own: questions to a bank, news, kinds of things in an encyclopedia, commands to
//! an assistant.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use polytask_core::{Problem, atomic, hash};
use polytask_train::Result;
use serde_json::json;

use super::rows::{packed, sizes, texts, write};
use crate::paper::{Data, Request};

/// Rows of valid per label: what coefficients are learned on.
const VALID_PER_LABEL: usize = 10;
/// Most rows of train and of test.
const TRAIN: usize = 2000;
const TEST: usize = 500;

/// A set: what its task is called, its folder, its files, its columns of text and label.
struct Set {
    task: &'static str,
    folder: &'static str,
    train: &'static str,
    test: &'static str,
    label: &'static str,
}

const SETS: [Set; 4] = [
    Set { task: "banking", folder: "banking77", train: "train.csv", test: "test.csv", label: "category" },
    Set { task: "news", folder: "ag_news_sample", train: "train.tsv", test: "test.tsv", label: "label" },
    Set { task: "things", folder: "dbpedia14_sample", train: "train.tsv", test: "test.tsv", label: "label" },
    Set { task: "commands", folder: "snips", train: "train.tsv", test: "test.tsv", label: "intent" },
];

/// Writes train, valid and test of each set into the request's folder: valid has ten rows of each label, cut from train,
/// which has no text of test.
pub fn data(request: &Request) -> Result<Data> {
    let folders: Vec<PathBuf> = SETS.iter().map(|set| find(request, set)).collect::<Result<_>>()?;
    let places: Vec<&Path> = folders.iter().map(PathBuf::as_path).collect();
    let key = hash::sha256(format!("label sets 2 {}", sizes(&places)?).as_bytes());
    let data = Data { folder: request.folder.to_path_buf(), key };
    let mark = request.folder.join("data.key");
    if std::fs::read_to_string(&mark).is_ok_and(|known| known == data.key) {
        return Ok(data);
    }
    for (set, folder) in SETS.iter().zip(&folders) {
        let file = |split: &str| request.folder.join(format!("{}_{split}.jsonl", set.task));
        let mut test = rows(folder, set.test, set)?;
        test.truncate(TEST);
        let asked: BTreeSet<String> = test.iter().map(|[text, _]| folded(text)).collect();
        let mut others = rows(folder, set.train, set)?;
        others.retain(|[text, _]| !asked.contains(&folded(text)));
        let (valid, mut train) = parted(others);
        train.truncate(TRAIN);
        for (split, rows) in [("train", train), ("valid", valid), ("test", test)] {
            write(&file(split), rows.iter().map(|[text, label]| json!({"text": text, "label": label})))?;
        }
    }
    atomic::write(&mark, data.key.as_bytes())?;
    Ok(data)
}

fn find(request: &Request, set: &Set) -> Result<PathBuf> {
    let is_there = |folder: &Path| [set.train, set.test].iter().all(|file| packed(folder, file).is_file());
    let found = super::find(request.bases, set.folder, is_there);
    Ok(found.ok_or_else(|| {
        let what = format!("{}/{} is not in {}", set.folder, set.train, super::tried(request.bases));
        let names = SETS.map(|set| set.folder).join(", ");
        Problem::new(what).try_this(format!("`--data DIR` with the folders {names}"))
    })?)
}

/// Texts with labels, in the order of their hashes: any first part of them is drawn at random, the same each time.
fn rows(folder: &Path, file: &str, set: &Set) -> Result<Vec<[String; 2]>> {
    let mut rows = texts(&packed(folder, file), ["text", set.label])?;
    rows.retain(|[text, label]| !text.is_empty() && !label.is_empty());
    rows.sort_by_cached_key(|[text, label]| (hash::text64(&format!("{label}\t{text}")), text.clone()));
    rows.dedup();
    Ok(rows)
}

/// A text as one that differs in case and blanks alone is written.
fn folded(text: &str) -> String {
    text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first rows of each label, and the others.
fn parted(rows: Vec<[String; 2]>) -> (Vec<[String; 2]>, Vec<[String; 2]>) {
    let mut n: BTreeMap<String, usize> = BTreeMap::new();
    rows.into_iter().partition(|[_, label]| {
        let n = n.entry(label.clone()).or_default();
        *n += 1;
        *n <= VALID_PER_LABEL
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_rows_of_each_label_are_set_apart() {
        let row = |i: usize| [format!("text {i}"), if i.is_multiple_of(3) { "a" } else { "b" }.to_owned()];
        let (valid, train) = parted((0..60).map(row).collect());
        assert_eq!((valid.len(), train.len()), (20, 40));
        assert_eq!(valid.iter().filter(|[_, label]| label == "a").count(), 10);
        assert_eq!(train[0][0], "text 16");
    }
}
