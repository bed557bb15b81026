//! Graded sentence pairs beside search, and each of them in the other's form.
//!
//! Pairs are SICK's, with the test pairs of the STS benchmark beside them; search is from task statements to the O*NET
//! occupations they belong to. Pairs of at least 0.8 also stand as queries with their answers, and statements with their
//! occupation and with another one as pairs of 1 and 0: so one loss can serve both tasks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use polytask_core::{Problem, Purpose, Rng, atomic, hash};
use polytask_train::Result;
use serde_json::json;

use super::rows::{grouped, packed, sizes, texts, write};
use crate::paper::{Data, Request};

/// Seed of the occupations that do not fit.
const OTHERS: u64 = 15;

/// Least score of a pair whose second text answers the first.
const ANSWER: f64 = 0.8;

/// Writes all files into the request's folder.
pub fn data(request: &Request) -> Result<Data> {
    let folders = [("sick", "train.tsv"), ("stsb", "test.tsv"), ("onet_work", "occupations.tsv")];
    let found = folders.map(|(name, file)| find(request, name, file));
    let [sick, stsb, onet] = found;
    let (sick, stsb, onet) = (sick?, stsb?, onet?);
    let key = hash::sha256(format!("sentences 2 {}", sizes(&[&sick, &stsb, &onet])?).as_bytes());
    let data = Data { folder: request.folder.to_path_buf(), key };
    let mark = request.folder.join("data.key");
    if std::fs::read_to_string(&mark).is_ok_and(|known| known == data.key) {
        return Ok(data);
    }
    pairs(&sick, &stsb, request.folder)?;
    benchmark(&stsb, request.folder)?;
    search(&onet, request.folder)?;
    atomic::write(&mark, data.key.as_bytes())?;
    Ok(data)
}

fn find(request: &Request, name: &str, file: &str) -> Result<PathBuf> {
    let is_there = |folder: &Path| packed(folder, file).is_file();
    let found = super::find(request.bases, name, is_there);
    Ok(found.ok_or_else(|| {
        let what = format!("{name}/{file} is not in {}", super::tried(request.bases));
        Problem::new(what)
            .try_this(format!("`--data DIR` with the folder `{name}`: SICK, the STS benchmark, O*NET"))
    })?)
}

/// A pair in either order, whatever its letters' case.
type PairKey = [String; 2];

fn key(a: &str, b: &str) -> PairKey {
    let mut key = [a.to_lowercase(), b.to_lowercase()];
    key.sort();
    key
}

/// The pairs that are tested on: none of them is trained on.
fn tested(sick: &Path, stsb: &Path) -> Result<BTreeSet<PairKey>> {
    let files = [packed(sick, "test.tsv"), packed(stsb, "test.tsv")];
    let rows =
        files.iter().map(|file| texts(file, ["sentence1", "sentence2"])).collect::<Result<Vec<_>>>()?;
    Ok(rows.into_iter().flatten().map(|[a, b]| key(&a, &b)).collect())
}

/// SICK with scores from 0 to 1, and its close pairs as queries with answers; without what is tested on.
fn pairs(sick: &Path, stsb: &Path, folder: &Path) -> Result<()> {
    let tested = tested(sick, stsb)?;
    for (split, file) in [("train", "train"), ("valid", "dev"), ("test", "test")] {
        let path = packed(sick, &format!("{file}.tsv"));
        let rows = texts(&path, ["sentence1", "sentence2", "relatedness"])?;
        let rows: Vec<(String, String, f64)> = rows
            .into_iter()
            .map(|[a, b, score]| Ok((a, b, scaled(&path, &score, (1.0, 5.0))?)))
            .collect::<Result<_>>()?;
        let rows: Vec<(String, String, f64)> =
            rows.into_iter().filter(|(a, b, _)| split == "test" || !tested.contains(&key(a, b))).collect();
        let row = |(a, b, score): &(String, String, f64)| json!({"a": a, "b": b, "score": score});
        write(&folder.join(format!("pairs_{split}.jsonl")), rows.iter().map(row))?;
        if split != "test" {
            let close = rows.iter().filter(|(.., score)| *score >= ANSWER);
            let row = |(a, b, _): &(String, String, f64)| json!({"query": a, "positive": b});
            write(&folder.join(format!("answers_{split}.jsonl")), close.map(row))?;
        }
    }
    Ok(())
}

/// The test pairs of the STS benchmark.
fn benchmark(stsb: &Path, folder: &Path) -> Result<()> {
    let path = packed(stsb, "test.tsv");
    let rows = texts(&path, ["sentence1", "sentence2", "score"])?;
    let row =
        |[a, b, score]: [String; 3]| Ok(json!({"a": a, "b": b, "score": scaled(&path, &score, (0.0, 5.0))?}));
    write(&folder.join("benchmark_test.jsonl"), rows.into_iter().map(row).collect::<Result<Vec<_>>>()?)
}

/// A score on a scale, from 0 to 1.
fn scaled(path: &Path, text: &str, (low, high): (f64, f64)) -> Result<f64> {
    let score: Option<f64> = text.parse().ok().filter(|score| (low..=high).contains(score));
    let score = score.ok_or_else(|| {
        Problem::new(format!("{}: found score `{text}`, expected {low} to {high}", path.display()))
            .try_this("the file as it was published")
    })?;
    Ok((score - low) / (high - low))
}

/// Task statements, their occupations, and the same as pairs.
fn search(onet: &Path, folder: &Path) -> Result<()> {
    let rows = texts(&packed(onet, "occupations.tsv"), ["code", "title", "description"])?;
    let node = |[code, title, description]: &[String; 3]| json!({"id": code, "text": format!("{title}: {description}")});
    write(&folder.join("occupations.jsonl"), rows.iter().map(node))?;
    for split in ["train", "test"] {
        let edges = texts(&packed(onet, &format!("tasks_{split}.tsv")), ["task", "code"])?;
        let edges = grouped(edges.into_iter().map(|[task, code]| (task, code)));
        let edge = |(task, codes): &(String, String)| json!({"task": task, "occupation": codes});
        write(&folder.join(format!("statements_{split}.jsonl")), edges.iter().map(edge))?;
        if split == "train" {
            let mut rng = Rng::new(OTHERS, Purpose::Pick, &[]);
            let text = |[_, title, description]: &[String; 3]| format!("{title}: {description}");
            let mut lines = Vec::new();
            for (task, codes) in &edges {
                let own = rows.iter().find(|row| codes.split('|').any(|code| code == row[0]));
                lines.extend(own.map(|row| json!({"a": task, "b": text(row), "score": 1.0})));
                let other = &rows[rng.below(rows.len())];
                if !codes.split('|').any(|code| code == other[0]) {
                    lines.push(json!({"a": task, "b": text(other), "score": 0.0}));
                }
            }
            write(&folder.join("fits_train.jsonl"), lines)?;
        }
    }
    Ok(())
}
