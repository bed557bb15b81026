//! Draws of few rows per label from four sets of texts, with descriptions of their labels.
//!
//! News has the published draws of 16; other sets are drawn here, by seed. Tests are the first 1,000 rows of news, and as
//! many rows of the others at even distances. Descriptions were written without a look at any text of test; intents have
//! their names as words.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use polytask_core::{Problem, Purpose, Rng, atomic, hash};
use polytask_train::Result;
use serde_json::json;

use super::rows::{packed, sizes, texts, write};
use crate::paper::{Data, Request};

/// Rows of a test.
const TEST: usize = 1000;
/// Rows of a label on valid.
const VALID: usize = 16;
/// Made-up rows of a label, and the share of them that is given another one.
const MADE: usize = 16;
const WRONG: f64 = 0.4;
/// Seeds of the published draws.
const DRAWS: [&str; 5] = ["13", "21", "42", "87", "100"];

/// What the labels of news mean.
const NEWS: [(&str, &str); 4] = [
    ("World", "News about world politics, governments, wars and international affairs."),
    ("Sports", "News about sports, teams, players, games and championships."),
    ("Business", "News about business, companies, markets, finance and the economy."),
    ("Sci/Tech", "News about science and technology, computers, software and the internet."),
];

/// Text and label.
type Row = (String, String);

/// Writes all files into the request's folder.
pub fn data(request: &Request) -> Result<Data> {
    let sets = [
        ("ag_news_sample", "fewshot16.tsv"),
        ("banking77", "train.csv"),
        ("clinc150", "train.csv"),
        ("dbpedia14_sample", "train.tsv"),
    ];
    let [news, banking, clinc, dbpedia] = sets.map(|(name, file)| find(request, name, file));
    let (news, banking, clinc, dbpedia) = (news?, banking?, clinc?, dbpedia?);
    let shots = request.number("shots") as usize;
    let found = sizes(&[&news, &banking, &clinc, &dbpedia])?;
    let key = hash::sha256(format!("few labels 2 {shots} {} {found}", request.seed).as_bytes());
    let data = Data { folder: request.folder.to_path_buf(), key };
    let mark = request.folder.join("data.key");
    if std::fs::read_to_string(&mark).is_ok_and(|known| known == data.key) {
        return Ok(data);
    }
    let draw = Draw { shots, seed: request.seed, folder: request.folder };
    draw.news(&news)?;
    let named = |rows: &[Row]| described(rows, |name| name.replace('_', " "));
    draw.set("banking", &banking, ("train.csv", "test.csv", "category"), named)?;
    draw.set("clinc", &clinc, ("train.csv", "test.csv", "intent"), named)?;
    draw.set("dbpedia", &dbpedia, ("train.tsv", "test.tsv", "label"), |rows| described(rows, of_ontology))?;
    atomic::write(&mark, data.key.as_bytes())?;
    Ok(data)
}

fn find(request: &Request, name: &str, file: &str) -> Result<PathBuf> {
    let is_there = |folder: &Path| packed(folder, file).is_file();
    let found = super::find(request.bases, name, is_there);
    Ok(found.ok_or_else(|| {
        let what = format!("{name}/{file} is not in {}", super::tried(request.bases));
        Problem::new(what).try_this(format!("`--data DIR` with the folder `{name}`"))
    })?)
}

/// What an entry of the ontology is, in a sentence.
fn of_ontology(name: &str) -> String {
    let mut words = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(c.to_lowercase());
    }
    format!("The text describes this: {words}.")
}

/// Every label of some rows with its description.
fn described(rows: &[Row], say: impl Fn(&str) -> String) -> Vec<(String, String)> {
    let labels: std::collections::BTreeSet<&String> = rows.iter().map(|(_, label)| label).collect();
    labels.into_iter().map(|label| (label.clone(), say(label))).collect()
}

/// How rows are drawn, and where they go.
struct Draw<'a> {
    shots: usize,
    seed: u64,
    folder: &'a Path,
}

impl Draw<'_> {
    /// Made-up rows: texts that nobody trains or is judged on stand for a perfect generator, and with a share of labels
    /// exchanged for a bad one.
    fn made(&self, name: &str, rows: &[Row], labels: &[(String, String)]) -> Result<()> {
        let made = firsts(rows, MADE);
        let mut rng = Rng::new(self.seed, Purpose::Pick, &[hash::text64(name)]);
        let spoilt = |(text, label): &Row| {
            let place = labels.iter().position(|(known, _)| known == label).unwrap_or(0);
            let other = (place + 1 + rng.below(labels.len() - 1)) % labels.len();
            let label = if rng.uniform() < WRONG { labels[other].0.clone() } else { label.clone() };
            (text.clone(), label)
        };
        let wrong: Vec<Row> = made.iter().map(spoilt).collect();
        for (file, rows) in [("made", &made), ("wrong", &wrong)] {
            let rows = rows.iter().map(|(text, label)| json!({ "text": text, "label": label }));
            write(&self.folder.join(format!("{name}_{file}.jsonl")), rows)?;
        }
        Ok(())
    }

    /// The published draws of news.
    fn news(&self, folder: &Path) -> Result<()> {
        let seed = DRAWS[(self.seed.max(1) as usize - 1) % DRAWS.len()];
        let all = texts(&packed(folder, "fewshot16.tsv"), ["seed", "split", "label", "text"])?;
        let of = |split: &str| -> Vec<Row> {
            let rows = all.iter().filter(|row| row[0] == seed && row[1] == split);
            rows.map(|row| (row[3].clone(), row[2].clone())).collect()
        };
        let test = texts(&packed(folder, "test.tsv"), ["text", "label"])?;
        let test: Vec<Row> = test.into_iter().take(TEST).map(|[text, label]| (text, label)).collect();
        let labels: Vec<(String, String)> = NEWS.map(|(name, means)| (name.into(), means.into())).to_vec();
        let unused = texts(&packed(folder, "train.tsv"), ["text", "label"])?;
        let unused: Vec<Row> = unused.into_iter().map(|[text, label]| (text, label)).collect();
        self.made("news", &unused, &labels)?;
        self.write("news", (&firsts(&of("train"), self.shots), &firsts(&of("dev"), VALID), &test), &labels)
    }

    /// A draw from the train rows of a set.
    fn set(
        &self,
        name: &str,
        folder: &Path,
        (train, test, label): (&str, &str, &str),
        describe: impl Fn(&[Row]) -> Vec<(String, String)>,
    ) -> Result<()> {
        let rows = |file: &str| -> Result<Vec<Row>> {
            let rows = texts(&packed(folder, file), ["text", label])?;
            Ok(rows.into_iter().map(|[text, label]| (text, label)).collect())
        };
        let (mut train, test) = (rows(train)?, rows(test)?);
        let labels = describe(&train);
        Rng::new(self.seed, Purpose::Split, &[hash::text64(name)]).shuffle(&mut train);
        let drawn = firsts(&train, self.shots + VALID.min(self.shots));
        let taken: std::collections::BTreeSet<&Row> = drawn.iter().collect();
        let unused: Vec<Row> = train.iter().filter(|row| !taken.contains(row)).cloned().collect();
        self.made(name, &unused, &labels)?;
        let (mut counts, mut few, mut valid) = (BTreeMap::<&str, usize>::new(), Vec::new(), Vec::new());
        for row in &drawn {
            let n = counts.entry(&row.1).or_default();
            if *n < self.shots {
                few.push(row.clone());
            } else {
                valid.push(row.clone());
            }
            *n += 1;
        }
        let n = test.len().min(TEST);
        let test: Vec<Row> = (0..n).map(|i| test[i * test.len() / n].clone()).collect();
        self.write(name, (&few, &valid, &test), &labels)
    }

    fn write(
        &self,
        name: &str,
        (train, valid, test): (&[Row], &[Row], &[Row]),
        labels: &[(String, String)],
    ) -> Result<()> {
        for (split, rows) in [("train", train), ("valid", valid), ("test", test)] {
            let rows = rows.iter().map(|(text, label)| json!({ "text": text, "label": label }));
            write(&self.folder.join(format!("{name}_{split}.jsonl")), rows)?;
        }
        let mut file = String::new();
        for (label, means) in labels {
            // Labels and descriptions hold no quotes; JSON's escapes are TOML's.
            let _ = writeln!(file, "{} = {}", json!(label), json!(means));
        }
        Ok(atomic::write(&self.folder.join(format!("{name}_labels.toml")), file.as_bytes())?)
    }
}

/// The first rows of each label, in their order.
fn firsts(rows: &[Row], n: usize) -> Vec<Row> {
    let mut counts = BTreeMap::<&str, usize>::new();
    let mut kept = Vec::new();
    for row in rows {
        let count = counts.entry(&row.1).or_default();
        if *count < n {
            *count += 1;
            kept.push(row.clone());
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_rows_of_each_label_are_taken_as_are_asked_for() {
        let row = |text: &str, label: &str| (text.to_owned(), label.to_owned());
        let rows = [row("1", "a"), row("2", "a"), row("3", "b"), row("4", "a")];
        assert_eq!(firsts(&rows, 2), [row("1", "a"), row("2", "a"), row("3", "b")]);
    }

    #[test]
    fn entries_of_the_ontology_are_words() {
        assert_eq!(of_ontology("MeanOfTransportation"), "The text describes this: mean of transportation.");
    }
}
