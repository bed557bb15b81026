//! The data sets of a folder by the names of its files: splits belong together, BEIR and image folders are whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use polytask_core::Split;
use polytask_core::suite::{COMPRESSIONS, DraftData, images, is_readable, names_in};

/// How deep folders are looked into, the first one counted.
const DEPTH: usize = 4;
/// Folders that hold programs, not data.
const SKIPPED: [&str; 5] = ["target", "node_modules", "__pycache__", "venv", "site-packages"];
/// Endings of data that no reader knows.
const UNREAD: [&str; 17] = [
    "txt", "dat", "tags", "conllu", "xlsx", "xls", "ods", "numbers", "feather", "arrow", "pkl", "pickle",
    "h5", "hdf5", "docx", "sqlite", "db",
];
/// Words in file names that mean a split, beside those a suite knows.
const WORDS: [(&str, Split); 5] = [
    ("training", Split::Train),
    ("trainval", Split::Train),
    ("devel", Split::Valid),
    ("development", Split::Valid),
    ("testing", Split::Test),
];

/// What a set of files is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Rows with columns.
    Table,
    /// Corpus, queries and judgements.
    Beir,
    /// Images by class.
    Images,
}

/// Files that belong together.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Set {
    pub(super) name: String,
    pub(super) form: Form,
    /// Paths from the folder that was looked at.
    pub(super) data: DraftData,
    /// Every split's file, however `data` names it.
    pub(super) files: BTreeMap<Split, PathBuf>,
}

/// What a folder holds: sets, and files that no set has with the reason.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) sets: Vec<Set>,
    pub(super) left_out: Vec<String>,
}

/// All sets in a folder and the folders below.
pub(super) fn find(root: &Path) -> Found {
    let mut found = Found::default();
    let name =
        root.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    look(root, Path::new(""), &name.unwrap_or_else(|| "task".into()), DEPTH, &mut found);
    found
}

fn look(root: &Path, place: &Path, name: &str, depth: usize, found: &mut Found) {
    let folder = root.join(place);
    let names = names_in(&folder);
    if names.iter().any(|name| name == "polytask.json")
        || names.iter().any(|name| name == "model.safetensors")
    {
        return;
    }
    if images::has_splits(&folder, &names) {
        let data = DraftData { data: Some(here(place)), ..DraftData::default() };
        return found.sets.push(Set { name: name.into(), form: Form::Images, data, files: BTreeMap::new() });
    }
    let mut parts = parts(&folder, &names);
    if let Some(set) = beir(&folder, place, name, &mut parts) {
        found.sets.push(set);
    }
    tables(place, name, parts, found);
    let unread = names.iter().filter(|name| is_unread(name) && folder.join(name).is_file());
    found.left_out.extend(unread.map(|name| {
        format!(
            "{:?}: no name of a format that is read; save it as CSV or JSON lines, or end it in .conll where each \
             line is a word and its tag",
            place.join(name).display().to_string()
        )
    }));
    let below = names.iter().filter(|name| !name.starts_with('.') && !SKIPPED.contains(&name.as_str()));
    for below in below.filter(|name| *name != "qrels" && folder.join(name).is_dir() && depth > 1) {
        look(root, &place.join(below), below, depth - 1, found);
    }
}

/// Whether a file's name is that of data in a format no reader knows.
fn is_unread(name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    ending.is_some_and(|ending| UNREAD.contains(&ending.as_str()))
}

fn here(place: &Path) -> PathBuf {
    if place.as_os_str().is_empty() { PathBuf::from(".") } else { place.to_path_buf() }
}

/// Base name → split (`None` for a file that names none) → file names.
type Parts = BTreeMap<String, BTreeMap<Option<Split>, Vec<String>>>;

fn parts(folder: &Path, names: &[String]) -> Parts {
    let mut parts = Parts::new();
    for name in names.iter().filter(|name| is_readable(name) && folder.join(name).is_file()) {
        let (base, split) = cut(&stem(name));
        parts.entry(base).or_default().entry(split).or_default().push(name.clone());
    }
    parts
}

/// The name without format, compression and the number of a shard.
fn stem(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let plain = COMPRESSIONS.iter().find_map(|c| lower.strip_suffix(&format!(".{c}"))).unwrap_or(&lower);
    let stem = plain.rsplit_once('.').map_or(plain, |(stem, _)| stem);
    let shard = stem.rsplit_once("-of-").and_then(|(front, _)| front.rsplit_once('-'));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let end = match shard {
        Some((front, number)) if is_number(number) => front.len(),
        _ => stem.len(),
    };
    name[..end].to_owned()
}

/// The split a name ends or begins with, and the rest of the name.
fn cut(stem: &str) -> (String, Option<Split>) {
    const BY: [char; 4] = ['-', '_', '.', ' '];
    if let Some(split) = split_of(stem) {
        return (String::new(), Some(split));
    }
    let last = stem.rsplit_once(BY);
    let first = stem.split_once(BY).map(|(word, rest)| (rest, word));
    let found = [last, first].into_iter().flatten().find_map(|(rest, word)| Some((rest, split_of(word)?)));
    match found {
        Some((rest, split)) => (rest.trim_matches(BY).to_owned(), Some(split)),
        None => (stem.to_owned(), None),
    }
}

fn split_of(word: &str) -> Option<Split> {
    let word = word.to_ascii_lowercase();
    let known = Split::ALL.into_iter().find(|split| split.stems().contains(&word.as_str()));
    known.or_else(|| WORDS.iter().find(|(name, _)| *name == word).map(|(_, split)| *split))
}

/// Corpus, queries and judgements, taken out of the parts.
fn beir(folder: &Path, place: &Path, name: &str, parts: &mut Parts) -> Option<Set> {
    let corpus = parts.get("corpus")?.get(&None)?.first()?.clone();
    let judged = names_in(&folder.join("qrels"));
    let is_train = |name: &String| split_of(&stem(name)) == Some(Split::Train);
    let set = |data| Set { name: name.into(), form: Form::Beir, data, files: BTreeMap::new() };
    if parts.get("queries").is_some_and(|splits| splits.contains_key(&None)) && judged.iter().any(is_train) {
        parts.remove("corpus");
        parts.remove("queries");
        return Some(set(DraftData { data: Some(here(place)), ..DraftData::default() }));
    }
    let of = |base: &str| -> BTreeMap<Split, PathBuf> {
        let splits = parts.get(base).into_iter().flatten();
        splits.filter_map(|(split, names)| Some(((*split)?, place.join(names.first()?)))).collect()
    };
    let (files, qrels) = (of("queries"), of("qrels"));
    let shared =
        parts.get("queries").and_then(|splits| splits.get(&None)?.first().map(|name| place.join(name)));
    let queries = if files.is_empty() { shared } else { None };
    if !qrels.contains_key(&Split::Train) || (queries.is_none() && !files.contains_key(&Split::Train)) {
        return None;
    }
    for base in ["corpus", "queries", "qrels"] {
        parts.remove(base);
    }
    let qrels =
        qrels.into_iter().filter(|(split, _)| queries.is_some() || files.contains_key(split)).collect();
    Some(set(DraftData { data: None, files, corpus: Some(place.join(corpus)), queries, qrels }))
}

fn tables(place: &Path, folder: &str, parts: Parts, found: &mut Found) {
    for (base, splits) in parts {
        let name = if base.is_empty() { folder.to_owned() } else { base };
        let mut files = BTreeMap::new();
        for (split, names) in &splits {
            for extra in names.iter().skip(1) {
                let (shown, first) = (shown(&place.join(extra)), &names[0]);
                found.left_out.push(format!("{shown}: beside {first:?}, one file per split is read"));
            }
            if let Some(split) = split {
                files.insert(*split, place.join(&names[0]));
            }
        }
        if let Some(names) = splits.get(&None) {
            // A name without a split stands for itself.
            let file = place.join(&names[0]);
            let data = DraftData { data: Some(file.clone()), ..DraftData::default() };
            let files = BTreeMap::from([(Split::Train, file)]);
            found.sets.push(Set { name: name.clone(), form: Form::Table, data, files });
        }
        if files.contains_key(&Split::Train) {
            let is_one_each = splits.values().all(|names| names.len() == 1);
            found.sets.push(split_set(place, name, files, is_one_each));
        } else {
            let without =
                files.values().map(|file| format!("{}: there is no train file beside it", shown(file)));
            found.left_out.extend(without);
        }
    }
}

/// A path in quotes, so that no control character of it can end a comment.
fn shown(path: &Path) -> String {
    super::drafted::quote(&path.to_string_lossy())
}

/// A set with a file per split: its folder where that says it all, else every file.
fn split_set(place: &Path, name: String, files: BTreeMap<Split, PathBuf>, is_one_each: bool) -> Set {
    let is_plain = |(split, file): (&Split, &PathBuf)| {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.split_once('.').is_some_and(|(stem, _)| split.stems().contains(&stem))
    };
    let data = if is_one_each && files.iter().all(is_plain) {
        DraftData { data: Some(here(place)), ..DraftData::default() }
    } else {
        DraftData { files: files.clone(), ..DraftData::default() }
    };
    Set { name, form: Form::Table, data, files }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_are_found_at_either_end_of_a_name() {
        let cases = [
            ("train.csv", "", Some(Split::Train)),
            ("foo-train.tsv", "foo", Some(Split::Train)),
            ("foo_dev.jsonl.gz", "foo", Some(Split::Valid)),
            ("test.foo.csv", "foo", Some(Split::Test)),
            ("BC5CDR.devel.tsv.gz", "BC5CDR", Some(Split::Valid)),
            ("validation-00000-of-00001.parquet", "", Some(Split::Valid)),
            ("my_data_TRAIN.parquet", "my_data", Some(Split::Train)),
            ("tickets.csv", "tickets", None),
            ("training-log.csv", "log", Some(Split::Train)),
            ("contest.csv", "contest", None),
        ];
        for (name, base, split) in cases {
            assert_eq!(cut(&stem(name)), (base.to_owned(), split), "{name}");
        }
    }

    fn put(folder: &Path, files: &[&str]) {
        for file in files {
            let path = folder.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
    }

    #[test]
    fn files_of_one_set_are_found_together_wherever_they_lie() {
        let folder = tempfile::tempdir().unwrap();
        put(
            folder.path(),
            &[
                "a/train.csv",
                "a/dev.csv",
                "a/notes.txt",
                "foo-train.tsv",
                "foo-dev.tsv",
                "lone.csv",
                "only_test.csv",
                "d/facts/corpus.jsonl",
                "d/facts/queries.jsonl",
                "d/facts/qrels/train.tsv",
                "flat/corpus.jsonl.gz",
                "flat/queries_train.jsonl",
                "flat/queries_test.jsonl",
                "flat/qrels_train.tsv",
                "flat/qrels_test.tsv",
                "run/model/polytask.json",
                "run/model/train.csv",
                ".git/train.csv",
                "target/train.csv",
            ],
        );
        let found = find(folder.path());
        let shown: Vec<(&str, Form)> = found.sets.iter().map(|set| (set.name.as_str(), set.form)).collect();
        let expected = [
            ("foo", Form::Table),
            ("lone", Form::Table),
            ("a", Form::Table),
            ("facts", Form::Beir),
            ("flat", Form::Beir),
        ];
        assert_eq!(shown, expected);
        assert_eq!(found.sets[0].data.files.len(), 2);
        assert_eq!(found.sets[2].data.data.as_deref(), Some(Path::new("a")));
        assert_eq!(found.sets[4].data.qrels.len(), 2);
        assert_eq!(found.left_out[0], "\"only_test.csv\": there is no train file beside it");
        assert!(found.left_out[1].contains("a/notes.txt") && found.left_out[1].contains(".conll"));
        assert_eq!(found.left_out.len(), 2);
    }
}
