//! The suite that `polytask init` starts from: made of the data files it finds, their kinds guessed from their columns.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::Split;
use super::files::{is_readable, names_in, stem_file};
use super::images;
use super::keys::{self, KeyInfo, Table};
use super::section::usable_name;
use crate::kind::{KINDS, KindInfo};

/// Longest first line that is read for its columns.
const MOST_HEADER_BYTES: u64 = 1 << 16;
/// Keys of `[model]` and `[train]` that a first suite shows; `true` = written, `false` = as a comment.
const SHOWN: &[(&str, bool)] = &[
    ("encoder", true),
    ("freeze", false),
    ("max_length", false),
    ("epochs", true),
    ("batch_tokens", true),
    ("lr", true),
    ("sampling", false),
    ("weighting", true),
];

/// A suite file for the data in `folder`: a task per folder with a train file, per BEIR folder and per further
/// file; an example to fill in when there is none.
pub fn template(folder: &Path) -> String {
    template_from(folder, Path::new(""))
}

/// As [`template`], for a suite file that reaches `folder` by the path `way`.
pub fn template_from(folder: &Path, way: &Path) -> String {
    let tasks = find(folder);
    let name = folder.file_name().map_or_else(|| "suite".into(), |name| usable_name(&name.to_string_lossy()));
    let mut text = String::from(
        "# A suite of polytask. `polytask check` finds mistakes, `polytask show` prints every default.\n",
    );
    let _ = write!(text, "name = \"{name}\"\nseed = 13\n");
    for table in [Table::Model, Table::Train] {
        let _ = write!(text, "\n{}\n", table.header());
        keys::keys_of(table).for_each(|key| setting(&mut text, key));
    }
    if tasks.is_empty() {
        text.push_str(EXAMPLE);
    }
    for mut task in tasks {
        task.data = way.join(&task.data).display().to_string();
        task.write(&mut text);
    }
    text
}

/// What is written when no data are found.
const EXAMPLE: &str = r#"
# One [[task]] per data set. A folder holds train, valid and test files (.csv, .tsv, .jsonl or .parquet).
[[task]]
name = "intent"
kind = "class"          # columns: text, label
data = "data/intent"
"#;

fn setting(text: &mut String, key: &KeyInfo) {
    let Some((_, active)) = SHOWN.iter().find(|(name, _)| *name == key.name) else { return };
    let (mark, default) =
        (if *active { "" } else { "# " }, if key.default.is_empty() { "128" } else { key.default });
    let _ = writeln!(text, "{mark}{} = {default}  # {}", key.name, key.about);
}

/// Data that can become a task.
#[derive(Debug, PartialEq)]
struct Candidate {
    name: String,
    /// Relative to the suite's folder.
    data: String,
    /// The kind its columns fit, and the columns themselves.
    kind: Option<&'static KindInfo>,
    columns: Vec<String>,
}

impl Candidate {
    fn write(&self, text: &mut String) {
        let data = toml_edit::Value::from(self.data.as_str());
        let _ = write!(text, "\n[[task]]\nname = \"{}\"\n", self.name);
        let line = self.kind.map(|kind| format!("kind = \"{}\"  # {}", kind.name, kind.about));
        let _ = writeln!(text, "{}", line.unwrap_or_else(guessed_kind));
        let _ = writeln!(text, "data = {}", data.to_string().trim());
        if self.kind.is_none() && !self.columns.is_empty() {
            // Names from a file: escaped, so that none can end the comment.
            let columns: Vec<String> = self.columns.iter().map(|column| format!("{column:?}")).collect();
            let _ = writeln!(
                text,
                "# columns = {{ text = \"...\", label = \"...\" }}  # found: {}",
                columns.join(", ")
            );
        }
    }
}

/// The line for columns that fit no kind.
fn guessed_kind() -> String {
    let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    format!("kind = \"class\"  # a guess, one of: {}", names.join(", "))
}

/// Data in a folder, in its subfolders, and in those of `data/`.
fn find(folder: &Path) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    let mut places = vec![String::new()];
    places.extend(names_in(folder).into_iter().filter(|name| !name.starts_with('.')));
    places.extend(names_in(&folder.join("data")).into_iter().map(|name| format!("data/{name}")));
    for place in places {
        let path = folder.join(&place);
        let candidate = if path.is_dir() { of_folder(folder, &path, &place) } else { of_file(&path, &place) };
        found.extend(candidate);
    }
    number_equal_names(&mut found);
    found
}

fn number_equal_names(found: &mut [Candidate]) {
    let mut taken = std::collections::BTreeSet::from(["mean".to_owned()]);
    for candidate in found {
        let base = candidate.name.clone();
        let mut n = 2;
        while !taken.insert(candidate.name.clone()) {
            let kept: String = base.chars().take(56).collect();
            candidate.name = format!("{kept}-{n}");
            n += 1;
        }
    }
}

fn of_folder(base: &Path, path: &Path, place: &str) -> Option<Candidate> {
    let names = names_in(path);
    let data = if place.is_empty() { "." } else { place };
    let home = if place.is_empty() { base } else { path };
    let name = usable_name(&home.file_name().map_or_else(|| "task".into(), |name| name.to_string_lossy()));
    let judged = stem_file(&names_in(&path.join("qrels")), Split::Train.stems()).is_some();
    if judged && stem_file(&names, &["corpus"]).is_some() && stem_file(&names, &["queries"]).is_some() {
        let kind = crate::kind::find("retrieval");
        return Some(Candidate { name, data: data.into(), kind, columns: Vec::new() });
    }
    if images::has_splits(path, &names) {
        let kind = crate::kind::find("image-class");
        return Some(Candidate { name, data: data.into(), kind, columns: Vec::new() });
    }
    let train = stem_file(&names, Split::Train.stems())?;
    let columns = columns_of(&path.join(train));
    Some(Candidate { name, data: data.into(), kind: guess(&columns), columns })
}

/// A file that is not one of a folder's splits.
fn of_file(path: &Path, place: &str) -> Option<Candidate> {
    let name = path.file_name()?.to_str()?;
    let stem = name.split('.').next()?;
    let is_part = super::section::split(stem).is_some() || ["corpus", "queries"].contains(&stem);
    // A lone .json file is more often settings than rows.
    let is_settings = path.extension().is_some_and(|ending| ending == "json");
    if is_part || is_settings || !is_readable(name) || !path.is_file() {
        return None;
    }
    let columns = columns_of(path);
    Some(Candidate { name: usable_name(stem), data: place.into(), kind: guess(&columns), columns })
}

/// Column names of an uncompressed CSV, TSV or JSONL file; none of others.
fn columns_of(path: &Path) -> Vec<String> {
    let mut line = Vec::new();
    let Ok(file) = crate::files::open(path) else { return Vec::new() };
    let mut head = BufReader::new(file.take(MOST_HEADER_BYTES));
    if head.read_until(b'\n', &mut line).is_err() {
        return Vec::new();
    }
    let line = String::from_utf8_lossy(&line);
    let line = line.trim_start_matches('\u{feff}').trim_end_matches(['\r', '\n']);
    let cells = |by: char| line.split(by).map(|cell| cell.trim_matches('"').to_owned()).collect();
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => cells(','),
        Some("tsv") => cells('\t'),
        Some("jsonl") => {
            let object: Option<serde_json::Map<_, _>> = serde_json::from_str(line).ok();
            object.map(|object| object.keys().cloned().collect()).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

/// The kind whose inputs and target are all among the columns; the most roles under their own names win.
fn guess(columns: &[String]) -> Option<&'static KindInfo> {
    let exact = |role: &str| columns.iter().any(|column| column == role);
    let known = |kind: &KindInfo, role: &str| {
        let synonyms = kind.synonyms.iter().filter(|(of, _)| *of == role).flat_map(|(_, names)| *names);
        exact(role) || synonyms.into_iter().any(|name| exact(name))
    };
    let roles = |kind: &'static KindInfo| kind.inputs.iter().copied().chain([kind.target]);
    let fitting = KINDS.iter().copied().filter(|kind| roles(kind).all(|role| known(kind, role)));
    // Of equals the first: `max_by_key` alone would take the last.
    fitting.rev().max_by_key(|kind| (kind.inputs.len(), roles(kind).filter(|role| exact(role)).count()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::{Catalogue, parse};

    fn put(folder: &Path, file: &str, text: &str) {
        let path = folder.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn catalogue() -> Catalogue {
        const PLAIN: crate::MethodInfo = crate::MethodInfo {
            id: "equal",
            title: "Equal",
            paper: "",
            family: crate::Family::LossWeighting,
            about: "",
            cost: "",
            kinds: &[],
            params: &[],
        };
        static EQUAL: crate::MethodInfo = PLAIN;
        static HARD: crate::MethodInfo =
            crate::MethodInfo { id: "hard", family: crate::Family::Sharing, ..PLAIN };
        Catalogue {
            losses: Vec::new(),
            weightings: vec![&EQUAL],
            regularizers: Vec::new(),
            metrics: Vec::new(),
            sharings: vec![&HARD],
        }
    }

    #[test]
    fn found_data_become_a_valid_suite_with_guessed_kinds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        put(path, "data/intents/train.csv", "text,label\na,b\n");
        put(path, "data/sick/train.tsv", "sentence_A\tsentence_B\tscore\n");
        put(path, "data/sick/dev.tsv", "sentence_A\tsentence_B\tscore\n");
        put(path, "data/ner/train.jsonl", "{\"tokens\": [], \"tags\": []}\n");
        put(path, "data/facts/corpus.jsonl", "");
        put(path, "data/facts/queries.jsonl", "");
        put(path, "data/facts/qrels/train.tsv", "");
        put(path, "mean.csv", "\"x\",\"y\u{1}\u{7f}\"\n");
        put(path, "my pairs.csv", "premise,hypothesis,label\n");
        put(path, "notes.txt", "text,label\n");
        put(path, "package.json", "{\"text\": \"a\", \"label\": \"b\"}\n");
        let text = template(path);
        let suite = parse(&text, &path.join("suite.toml"), &catalogue(), &[]).unwrap();
        let found: Vec<(&str, &str)> =
            suite.tasks.iter().map(|task| (task.name.as_str(), task.kind.name)).collect();
        let expected = [
            ("mean-2", "class"),
            ("my-pairs", "pair-class"),
            ("facts", "retrieval"),
            ("intents", "class"),
            ("ner", "tagging"),
            ("sick", "similarity"),
        ];
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_folder_of_splits_is_a_suite_of_one_task() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "train.csv", "text,label\n");
        put(folder.path(), "test.csv", "text,label\n");
        let suite =
            parse(&template(folder.path()), &folder.path().join("s.toml"), &catalogue(), &[]).unwrap();
        assert_eq!(suite.tasks.len(), 1);
        assert_eq!(suite.sources[0].files[&Split::Test], Path::new("./test.csv"));
    }

    #[test]
    fn without_data_only_the_data_of_the_example_are_missing() {
        let folder = tempfile::tempdir().unwrap();
        let error =
            parse(&template(folder.path()), &folder.path().join("s.toml"), &catalogue(), &[]).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("`data/intent` does not exist"), "{error}");
        assert_eq!(error.matches("try:").count(), 1, "{error}");
    }
}
