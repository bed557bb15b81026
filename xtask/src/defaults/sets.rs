//! The sets of data, one line each: where they lie, what task they make, and whether they had a say in the defaults.

use std::path::Path;

use anyhow::Result;

use super::read::{Row, conll, csv, jsonl, tsv};
use super::rows::{self, Parts};

/// What a set is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Its test scores were seen while the defaults were chosen.
    Development,
    /// Scored after the defaults stood.
    Unseen,
    /// Kept back until everything else was done.
    HeldOut,
}

/// A set of data as a task.
pub(super) struct Set {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    /// What it is, for the page.
    pub(super) about: &'static str,
    pub(super) role: Role,
    /// Reads the complete set from its folder.
    pub(super) read: fn(&Path) -> Result<Parts>,
}

use Role::{Development, HeldOut, Unseen};

const fn set(
    name: &'static str,
    kind: &'static str,
    about: &'static str,
    role: Role,
    read: fn(&Path) -> Result<Parts>,
) -> Set {
    Set { name, kind, about, role, read }
}

/// All sets.
pub(super) const SETS: &[Set] = &[
    set("banking77", "class", "77 intents", Development, |data| {
        let part = |name| {
            read(rows::renamed(
                csv(&data.join("banking77").join(name))?,
                &[("text", "text"), ("category", "label")],
            ))
        };
        parts(part("train.csv.gz")?, part("test.csv.gz")?)
    }),
    set("clinc150", "class", "150 intents", Development, |data| {
        clinc(data, |_, intent| Some(intent.to_owned()))
    }),
    set("clinc-domain", "class", "10 domains", Development, |data| {
        let domains = rows::domains(&data.join("clinc150/domains.json"))?;
        clinc(data, move |_, intent| domains.get(intent).cloned())
    }),
    set("ag-news", "class", "4 topics", Development, ag_news),
    set("ag-news-unbalanced", "class", "4 topics, counts 64 : 16 : 4 : 1 in train", Development, |data| {
        let mut parts = ag_news(data)?;
        parts.train = rows::unbalanced(parts.train);
        Ok(parts)
    }),
    set("csabstruct", "class", "5 roles of sentences in abstracts", Unseen, |data| {
        let part = |name| read(rows::sentences(&jsonl(&data.join("csabstruct").join(name))?));
        parts(part("train.jsonl.gz")?, part("test.jsonl.gz")?)
    }),
    set("sick-entailment", "pair-class", "3 relations of sentences", Development, |data| {
        sick(data, &[("sentence1", "a"), ("sentence2", "b"), ("entailment", "label")])
    }),
    set("snli", "pair-class", "3 relations of sentences", Unseen, |data| {
        let columns = [("premise", "a"), ("hypothesis", "b"), ("label", "label")];
        let part = |name| read(rows::renamed(tsv(&data.join("snli_sample").join(name))?, &columns));
        parts(part("train.tsv.gz")?, part("test.tsv.gz")?)
    }),
    set("wic", "pair-class", "same sense of a word or not", Unseen, |data| {
        let part = |name| read(rows::with_word(tsv(&data.join("wic").join(name))?));
        parts(part("train.tsv.gz")?, part("dev.tsv.gz")?)
    }),
    set("stsb", "similarity", "similarity from 0 to 5", Development, |data| {
        let columns = [("sentence1", "a"), ("sentence2", "b"), ("score", "score")];
        let part = |name| read(rows::renamed(tsv(&data.join("stsb").join(name))?, &columns));
        parts(part("train.tsv.gz")?, part("test.tsv.gz")?)
    }),
    set("sick-relatedness", "similarity", "relatedness from 1 to 5", Development, |data| {
        sick(data, &[("sentence1", "a"), ("sentence2", "b"), ("relatedness", "score")])
    }),
    set("gsm8k-steps", "regression", "steps of a sum told in words", Development, |data| {
        let part = |name| read(rows::steps(jsonl(&data.join("gsm8k").join(name))?));
        parts(part("train.jsonl.gz")?, part("test.jsonl.gz")?)
    }),
    set("math-level", "regression", "difficulty from 1 to 5, 500 problems in all", Development, |data| {
        let all = rows::renamed(
            jsonl(&data.join("math500/test.jsonl.gz"))?,
            &[("problem", "text"), ("level", "value")],
        );
        rows::third_for_test(all)
    }),
    set("ncbi-disease", "tagging", "names of diseases", Unseen, |data| {
        let part = |name: &str| conll(&data.join(format!("bio_ner/NCBI-disease.{name}.tsv.gz")));
        parts(part("train")?, part("test")?)
    }),
    set("restaurant-slots", "tagging", "5 slots of a booking", Development, |data| {
        restaurants(data, rows::slot_tags)
    }),
    set("restaurant-asked", "multilabel", "which of 5 slots a text fills", Development, |data| {
        restaurants(data, rows::slot_set)
    }),
    set("onet-titles", "retrieval", "job titles to 1,016 occupations", Unseen, |data| {
        let folder = data.join("onet_work");
        let pairs = |name| read(rows::title_pairs(&tsv(&folder.join(name))?));
        let corpus = rows::occupations(&tsv(&folder.join("occupations.tsv.gz"))?);
        Ok(Parts { train: pairs("titles_train.tsv.gz")?, test: pairs("titles_test.tsv.gz")?, corpus })
    }),
    set("snips-intent", "class", "7 intents", Development, |data| {
        snips(data, |row| rows::renamed(row, &[("text", "text"), ("intent", "label")]))
    }),
    set("financial-phrases", "class", "3 moods of business news, 501 phrases in all", HeldOut, |data| {
        let columns = [("input", "text"), ("label", "label")];
        let file = data.join("cross_task_icl/target_financial_phrasebank.jsonl.gz");
        rows::third_for_test(rows::renamed(jsonl(&file)?, &columns))
    }),
    set("sts15", "similarity", "similarity from 0 to 5, without the pairs of stsb", HeldOut, |data| {
        let columns = [("sentence1", "a"), ("sentence2", "b"), ("score", "score")];
        let read = |name: &str| read(rows::renamed(tsv(&data.join(name))?, &columns));
        // Most of it stands in STS-B, which is a development set.
        let looked_at = ["stsb/train.tsv.gz", "stsb/dev.tsv.gz", "stsb/test.tsv.gz"];
        let known = looked_at.into_iter().map(read).collect::<Result<Vec<_>>>()?.concat();
        rows::third_for_test(rows::without_pairs_of(&known, read("sts12_15/sts15.tsv.gz")?))
    }),
    set("bc5cdr", "tagging", "names of chemicals and diseases", HeldOut, |data| {
        let part = |name: &str| conll(&data.join(format!("bio_ner/BC5CDR.{name}.tsv.gz")));
        parts(part("train")?, part("test")?)
    }),
    set("snips-slots", "tagging", "39 slots", Development, |data| {
        snips(data, |rows| rows::snips_tags(&rows))
    }),
    set("dbpedia", "class", "14 topics", Development, |data| {
        let part = |name| {
            read(rows::renamed(
                tsv(&data.join("dbpedia14_sample").join(name))?,
                &[("text", "text"), ("label", "label")],
            ))
        };
        parts(part("train.tsv.gz")?, part("test.tsv.gz")?)
    }),
    set("mrpc", "pair-class", "paraphrase or not", Development, |data| {
        let columns = [("sentence1", "a"), ("sentence2", "b"), ("label", "label")];
        let part = |name| read(rows::renamed(tsv(&data.join("mrpc").join(name))?, &columns));
        parts(part("train.tsv.gz")?, part("test.tsv.gz")?)
    }),
];

/// The set of a name.
pub(super) fn find(name: &str) -> &'static Set {
    SETS.iter().find(|set| set.name == name).expect("cells name sets of the table")
}

/// Names the error of a reading closure.
#[expect(clippy::unnecessary_wraps, reason = "closures that read with `?` end in it")]
fn read(rows: Vec<Row>) -> Result<Vec<Row>> {
    Ok(rows)
}

#[expect(clippy::unnecessary_wraps, reason = "the end of every set's reader")]
fn parts(train: Vec<Row>, test: Vec<Row>) -> Result<Parts> {
    Ok(Parts { train, test, corpus: Vec::new() })
}

fn clinc(data: &Path, label: impl Fn(&Row, &str) -> Option<String>) -> Result<Parts> {
    let part = |name| read(rows::labelled(csv(&data.join("clinc150").join(name))?, "intent", &label));
    parts(part("train.csv.gz")?, part("test.csv.gz")?)
}

fn ag_news(data: &Path) -> Result<Parts> {
    let part = |name| {
        read(rows::renamed(
            tsv(&data.join("ag_news_sample").join(name))?,
            &[("text", "text"), ("label", "label")],
        ))
    };
    parts(part("train.tsv.gz")?, part("test.tsv.gz")?)
}

fn sick(data: &Path, columns: &[(&str, &str)]) -> Result<Parts> {
    let part = |name| read(rows::renamed(tsv(&data.join("sick").join(name))?, columns));
    parts(part("train.tsv.gz")?, part("test.tsv.gz")?)
}

fn restaurants(data: &Path, make: fn(Vec<Row>) -> Vec<Row>) -> Result<Parts> {
    let part = |name| read(make(jsonl(&data.join("restaurants8k").join(name))?));
    parts(part("train.jsonl.gz")?, part("test.jsonl.gz")?)
}

fn snips(data: &Path, make: impl Fn(Vec<Row>) -> Vec<Row>) -> Result<Parts> {
    let part = |name| read(make(tsv(&data.join("snips").join(name))?));
    parts(part("train.tsv.gz")?, part("test.tsv.gz")?)
}
