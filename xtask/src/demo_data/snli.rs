//! Entailment: Stanford Natural Language Inference.

use std::path::Path;

use anyhow::Result;

use super::read::{Row, tsv};
use super::sample::{normal, pick, pick_per, tsv_file};
use super::{Set, note};

const HEADER: &[&str] = &["label", "premise", "hypothesis"];

/// Premises per split; each has three hypotheses.
const TRAIN: usize = 2000;
const VALID: usize = 234;
const TEST: usize = 500;

/// The cut: whole premises, so that no premise stands in two splits.
pub(super) fn make(data: &Path) -> Result<Set> {
    let folder = data.join("snli_sample");
    let official = tsv(&folder.join("test.tsv.gz"), HEADER)?;
    let rest = other_premises(tsv(&folder.join("train.tsv.gz"), HEADER)?, &official);
    let test = by_premise(&official, TEST);
    let valid = by_premise(&rest, VALID);
    let train = by_premise(&other_premises(rest, &valid), TRAIN);
    let files = vec![
        tsv_file("train.tsv", "official validation part", HEADER, &train),
        tsv_file("valid.tsv", "official validation part, other premises", HEADER, &valid),
        tsv_file("test.tsv", "official test part", HEADER, &test),
    ];
    Ok(Set { folder: "snli", note: NOTE, files })
}

fn premise(row: &Row) -> String {
    normal(&row[1])
}

fn other_premises(rows: Vec<Row>, others: &[Row]) -> Vec<Row> {
    let taken: std::collections::BTreeSet<String> = others.iter().map(premise).collect();
    rows.into_iter().filter(|row| !taken.contains(&premise(row))).collect()
}

/// All rows of `n` premises.
fn by_premise(rows: &[Row], n: usize) -> Vec<Row> {
    let once = pick_per(rows, 1, premise, |row| row.join("\t"));
    let chosen: std::collections::BTreeSet<String> = pick(&once, n, premise).iter().map(premise).collect();
    rows.iter().filter(|row| chosen.contains(&premise(row))).cloned().collect()
}

const NOTE: note::Note = note::Note {
    title: "SNLI",
    about: "A picture's caption and a sentence that follows from it, contradicts it or does neither: the demo's task \
            `entail` (kind `pair-class`). The training part of SNLI (550,000 pairs) is not included; expect scores far \
            below those published for it. The captions are from Flickr30k, which contains the pictures SICK's sentences \
            come from.",
    credit: "Samuel R. Bowman, Gabor Angeli, Christopher Potts, Christopher D. Manning: A large annotated corpus for \
             learning natural language inference, EMNLP 2015.",
    origin: "`MJ-Jang/BECEL` at `f5bdd1196e46`, path `data/snli/` (the original SNLI rows only)",
    licence: note::CC_BY_SA_4,
    changes: "Subsampled by premise, chosen by a hash: train and validation rows come from the official validation part, \
              test rows from the official test part; premises of the test part were dropped elsewhere. Texts and labels \
              are as in the source.",
};
