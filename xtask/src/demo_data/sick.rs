//! Similarity: Sentences Involving Compositional Knowledge.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use super::read::{Row, tsv};
use super::sample::{normal, pick, tsv_file, without};
use super::{Set, note};

const HEADER: &[&str] = &["pair_id", "sentence1", "sentence2", "relatedness", "entailment"];

/// Place of the label in [`HEADER`].
const ENTAILMENT: usize = 4;

const TEST: usize = 1500;

/// Pairs of train and of valid that keep their label of entailment: the demo's task with few labels.
const LABELLED: [usize; 2] = [200, 100];

/// The cut: the official train and trial parts without pairs of the test part, and a sample of the test part; few pairs
/// to learn from keep their label of entailment.
pub(super) fn make(data: &Path) -> Result<Set> {
    let [train, valid, test] = cut(data)?;
    let [train, valid] = [scarce(train, LABELLED[0]), scarce(valid, LABELLED[1])];
    let files = vec![
        tsv_file("train.tsv", "official train part", HEADER, &train),
        tsv_file("valid.tsv", "official trial part", HEADER, &valid),
        tsv_file("test.tsv", "official test part", HEADER, &test),
    ];
    Ok(Set { folder: "sick", note: NOTE, files })
}

/// The rows of train, valid and test.
pub(super) fn cut(data: &Path) -> Result<[Vec<Row>; 3]> {
    let folder = data.join("sick");
    let part = |name: &str| tsv(&folder.join(name), HEADER);
    let official = part("test.tsv.gz")?;
    let valid = without(part("dev.tsv.gz")?, &official, pair);
    let train = without(without(part("train.tsv.gz")?, &official, pair), &valid, pair);
    let test = pick(&official, TEST, pair);
    Ok([train, valid, test])
}

/// The rows, of which `n` keep their label of entailment.
fn scarce(mut rows: Vec<Row>, n: usize) -> Vec<Row> {
    let labelled: BTreeSet<String> = pick(&rows, n, label_key).iter().map(pair).collect();
    for row in rows.iter_mut().filter(|row| !labelled.contains(&pair(row))) {
        row[ENTAILMENT].clear();
    }
    rows
}

/// What decides which pairs keep their label: not the order by which other cuts pick pairs.
fn label_key(row: &Row) -> String {
    format!("labelled {}", pair(row))
}

/// The two sentences, whichever comes first.
pub(super) fn pair(row: &Row) -> String {
    let (a, b) = (normal(&row[1]), normal(&row[2]));
    if a <= b { format!("{a}\t{b}") } else { format!("{b}\t{a}") }
}

const NOTE: note::Note = note::Note {
    title: "SICK",
    about: "Pairs of sentences with their relatedness from 1 to 5, the demo's task `similar` (kind `similarity`), and for few \
            of them whether one follows from the other, its task `relation` (kind `pair-class`). **For non-commercial use only.** The sentences were \
            made from captions of Flickr8k, whose pictures are part of Flickr30k, the source of SNLI's premises, and from \
            descriptions of videos.",
    credit: "Marco Marelli, Stefano Menini, Marco Baroni, Luisa Bentivogli, Raffaella Bernardi, Roberto Zamparelli: A SICK \
             cure for the evaluation of compositional distributional semantic models, LREC 2014.",
    origin: "`brmson/dataset-sts` at `e1d3375f5b3b`, path `data/sts/sick2014/`",
    licence: note::CC_BY_NC_SA_3,
    changes: "Columns renamed; 1,500 of the 4,927 test rows, chosen by a hash of the pair; pairs of the train and trial parts \
              that are repeated or stand in the test part were dropped. Of the labels of entailment, 200 of train and 100 of \
              valid were kept, chosen by a hash of the pair; their other cells are empty. Texts, scores and labels are as in \
              the source.",
};
