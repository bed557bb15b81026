//! Pairs of sentences with labels and scores: SICK's entailment and relatedness, the Microsoft paraphrases.
//!
//! Beside each train file stands one in which only some rows, the first ones by hash, keep their targets: what a student
//! with few labels sees of rows that its teacher can answer all the same.

use std::path::{Path, PathBuf};

use polytask_core::{Problem, atomic, hash};
use polytask_train::Result;
use serde_json::{Value, json};

use super::rows::{packed, sizes, texts, write};
use crate::paper::{Data, Request};

/// Writes all files into the request's folder; `labels` rows of the few-label files keep their targets.
pub fn data(request: &Request) -> Result<Data> {
    let (sick, mrpc) = (find(request, "sick")?, find(request, "mrpc")?);
    let few = request.number("labels").max(0.0) as usize;
    let key = hash::sha256(format!("pairs 1 {few} {}", sizes(&[&sick, &mrpc])?).as_bytes());
    let data = Data { folder: request.folder.to_path_buf(), key };
    let mark = request.folder.join("data.key");
    if std::fs::read_to_string(&mark).is_ok_and(|known| known == data.key) {
        return Ok(data);
    }
    for (split, file) in [("train", "train"), ("valid", "dev"), ("test", "test")] {
        let columns = ["sentence1", "sentence2", "entailment", "relatedness"];
        let rows = texts(&packed(&sick, &format!("{file}.tsv")), columns)?;
        let row =
            |[a, b, label, score]: &[String; 4]| json!({"a": a, "b": b, "label": label, "score": score});
        split_files(request.folder, "sick", split, &rows.iter().map(row).collect::<Vec<_>>(), few)?;
        let rows = texts(&packed(&mrpc, &format!("{file}.tsv")), ["sentence1", "sentence2", "label"])?;
        let word = |label: &str| if label == "1" { "same" } else { "other" };
        let row = |[a, b, label]: &[String; 3]| json!({"a": a, "b": b, "label": word(label)});
        split_files(request.folder, "mrpc", split, &rows.iter().map(row).collect::<Vec<_>>(), few)?;
    }
    atomic::write(&mark, data.key.as_bytes())?;
    Ok(data)
}

fn find(request: &Request, name: &str) -> Result<PathBuf> {
    let is_there =
        |folder: &Path| packed(folder, "train.tsv").is_file() && packed(folder, "dev.tsv").is_file();
    let found = super::find(request.bases, name, is_there);
    Ok(found.ok_or_else(|| {
        let what = format!("{name}/train.tsv is not in {}", super::tried(request.bases));
        Problem::new(what)
            .try_this(format!("`--data DIR` with the folder `{name}`: SICK, the Microsoft paraphrases"))
    })?)
}

/// The rows of a split; of train those with few labels too, once alone and once beside rows without.
fn split_files(folder: &Path, name: &str, split: &str, rows: &[Value], few: usize) -> Result<()> {
    write(&folder.join(format!("{name}_{split}.jsonl")), rows.iter().cloned())?;
    if split != "train" {
        return Ok(());
    }
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|&i| (hash::text64(&rows[i].to_string()), i));
    let mut is_known = vec![false; rows.len()];
    order.iter().take(few).for_each(|&i| is_known[i] = true);
    let known = || rows.iter().zip(&is_known).filter(|(_, is_known)| **is_known).map(|(row, _)| row.clone());
    write(&folder.join(format!("{name}_few.jsonl")), known())?;
    let hidden = rows.iter().zip(&is_known).map(|(row, &is_known)| {
        let mut row = row.clone();
        for target in ["label", "score"].into_iter().filter(|_| !is_known) {
            if row.get(target).is_some() {
                row[target] = Value::Null;
            }
        }
        row
    });
    write(&folder.join(format!("{name}_few_and_unlabelled.jsonl")), hidden)
}
