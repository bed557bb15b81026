//! Where a source's rows are: folders searched, files checked to exist, near names offered for those that do not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Split;
use super::images;
use super::keys::Table;
use super::near;
use super::reporter::Reporter;
use super::section::Section;
use super::tree::Origin;
use crate::files::names_in;

/// File formats that are read, by extension, in any case of letters.
pub const FORMATS: &[&str] = &[
    "csv", "tsv", "jsonl", "parquet", "tab", "ndjson", "json", "conll", "bio", "iob", "iob2", "libsvm",
    "svm", "svmlight",
];
/// Forms of documents in sentences that are read beside these.
const DOCUMENT_FORMS: [&str; 3] = ["ref", "txt", "lab"];
/// Compressions that are read, by further extension.
pub const COMPRESSIONS: &[&str] = &["gz", "zst"];

/// The folder of judgements in a BEIR folder.
const QRELS: &str = "qrels";

/// What a folder of BEIR's layout holds, by name.
#[derive(Debug)]
pub struct BeirFolder {
    /// The file of passages.
    pub corpus: String,
    /// The file of queries.
    pub queries: String,
    /// The files in the folder `qrels`.
    judged: Vec<String>,
}

impl BeirFolder {
    /// The files of a folder; none where it has another layout.
    pub fn find(folder: &Path) -> Option<Self> {
        let (names, qrels) = (names_in(folder), folder.join(QRELS));
        let corpus = stem_file(&names, &["corpus"])?.clone();
        let queries = stem_file(&names, &["queries"])?.clone();
        qrels.is_dir().then(|| Self { corpus, queries, judged: names_in(&qrels) })
    }

    /// The file of judgements of a split, relative to the folder.
    pub fn qrels(&self, split: Split) -> Option<PathBuf> {
        stem_file(&self.judged, split.stems()).map(|name| Path::new(QRELS).join(name))
    }
}

/// What a source's keys lead to.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) files: BTreeMap<Split, PathBuf>,
    pub(super) corpus: Option<PathBuf>,
    pub(super) queries: Option<PathBuf>,
    pub(super) qrels: BTreeMap<Split, PathBuf>,
    /// Whether something was wrong, so that consequences need no report.
    pub(super) broken: bool,
}

/// Resolves the keys `data`, `files`, `corpus`, `queries` and `qrels` of a section.
pub(super) fn resolve(section: &Section, base: &Path, reporter: &mut Reporter) -> Found {
    let is_documents = section.table() == Table::Source && section.has("documents");
    let mut search = Search { base, label: &section.label, reporter, is_documents, found: Found::default() };
    match section.path("data") {
        Some(_) if section.has("files") => {
            let what = format!("{} has both `data` and `files`, expected one of them", section.label);
            search.fail(section.place("files"), what, "remove one");
        }
        Some(data) => search.data(&data, section.place("data")),
        None => {}
    }
    for (split, path, origin) in section.files("files") {
        let is_classes = images::is_class_folder(&base.join(&path));
        if is_classes
            || search.file(&path, &format!("files.{}", split.name()), origin) && search.format(&path, origin)
        {
            search.found.files.insert(split, path);
        }
    }
    for (split, path, origin) in section.files("qrels") {
        if search.file(&path, &format!("qrels.{}", split.name()), origin) {
            search.found.qrels.insert(split, path);
        }
    }
    for key in ["corpus", "queries"] {
        let Some(path) = section.path(key) else { continue };
        if search.file(&path, key, section.place(key)) {
            let slot = if key == "corpus" { &mut search.found.corpus } else { &mut search.found.queries };
            *slot = Some(path);
        }
    }
    search.found
}

/// Reports a file that is not there, or of no known format.
pub(super) fn expect_file(section: &Section, base: &Path, path: &Path, reporter: &mut Reporter) {
    let mut search =
        Search { base, label: &section.label, reporter, is_documents: false, found: Found::default() };
    let origin = section.place("file");
    let _ = search.file(path, "file", origin) && search.format(path, origin);
}

struct Search<'a, 'b, 'c> {
    base: &'a Path,
    label: &'a str,
    reporter: &'b mut Reporter<'c>,
    /// Whether files hold documents, which have forms of their own.
    is_documents: bool,
    found: Found,
}

impl Search<'_, '_, '_> {
    fn fail(&mut self, origin: &Origin, what: String, remedy: impl Into<String>) {
        self.found.broken = true;
        self.reporter.report(origin, what, remedy);
    }

    /// Whether a file is there.
    fn file(&mut self, path: &Path, key: &str, origin: &Origin) -> bool {
        let full = self.base.join(path);
        if full.is_file() {
            return true;
        }
        let state = match &full {
            folder if folder.is_dir() => "is a folder, expected a file",
            other if other.exists() => "is not a regular file, expected one",
            _ => "does not exist",
        };
        let what = format!("`{key}` in {}: `{}` {state}", self.label, path.display());
        self.fail(origin, what, near_files(self.base, path));
        false
    }

    /// Whether a file's format is known by its name.
    fn format(&mut self, path: &Path, origin: &Origin) -> bool {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_document =
            self.is_documents && name.rsplit('.').next().is_some_and(|e| DOCUMENT_FORMS.contains(&e));
        if is_readable(&name) || images::is_idx(&name) || is_document {
            return true;
        }
        let what =
            format!("`{}` in {} has no known format, expected {}", path.display(), self.label, formats());
        self.fail(origin, what, "convert it, or give it the ending of what it is");
        false
    }

    /// One file to train on, a BEIR folder, or a folder with a file per split.
    fn data(&mut self, path: &Path, origin: &Origin) {
        let full = self.base.join(path);
        if full.is_file() {
            if self.format(path, origin) {
                self.found.files.insert(Split::Train, path.into());
            }
            return;
        }
        if !full.is_dir() {
            let state = if full.exists() { "is not a regular file, expected one" } else { "does not exist" };
            let what = format!("`data` in {}: `{}` {state}", self.label, path.display());
            self.fail(origin, what, near_files(self.base, path));
            return;
        }
        let names = names_in(&full);
        if images::has_splits(&full, &names) {
            self.found.files = images::splits(path, &full, &names);
            return;
        }
        match BeirFolder::find(&full) {
            Some(beir) => {
                self.found.corpus = Some(path.join(beir.corpus));
                self.found.queries = Some(path.join(beir.queries));
                self.found.qrels = self.splits(&path.join(QRELS), &beir.judged, origin);
            }
            None => self.found.files = self.splits(path, &names, origin),
        }
    }

    /// The file of each split in a folder.
    fn splits(&mut self, folder: &Path, names: &[String], origin: &Origin) -> BTreeMap<Split, PathBuf> {
        let mut found = BTreeMap::new();
        for split in Split::ALL {
            let candidates: Vec<&String> =
                names.iter().filter(|name| has_stem(name, split.stems())).collect();
            if let [first, second, ..] = candidates[..] {
                let folder = folder.display();
                let what = format!("folder `{folder}` has both {first} and {second} for {}", split.name());
                self.fail(origin, what, "name the files one by one with `files`");
            }
            if let Some(name) = candidates.first() {
                found.insert(split, folder.join(name));
            }
        }
        let is_enough = !found.is_empty() && !self.reporter.wants_train();
        if !found.contains_key(&Split::Train) && !is_enough {
            let what = format!(
                "folder `{}` of {} has no train file, expected {}",
                folder.display(),
                self.label,
                train_names()
            );
            self.fail(origin, what, holds(&self.base.join(folder), names));
        }
        found
    }
}

/// Whether a file's name ends in a format that is read.
pub fn is_readable(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let name = name.as_str();
    let plain = COMPRESSIONS.iter().find_map(|c| name.strip_suffix(c)?.strip_suffix('.')).unwrap_or(name);
    plain.rsplit_once('.').is_some_and(|(stem, format)| !stem.is_empty() && FORMATS.contains(&format))
}

fn has_stem(name: &str, stems: &[&str]) -> bool {
    is_readable(name) && name.split_once('.').is_some_and(|(stem, _)| stems.contains(&stem))
}

/// The file with one of these stems.
pub(super) fn stem_file<'a>(names: &'a [String], stems: &[&str]) -> Option<&'a String> {
    names.iter().find(|name| has_stem(name, stems))
}

fn formats() -> String {
    format!(".{} (.{})", FORMATS.join(", ."), COMPRESSIONS.join(", ."))
}

fn train_names() -> String {
    format!("train.{{{}}} (or with .{})", FORMATS.join(","), COMPRESSIONS.join(", ."))
}

/// What is near a path that does not exist: the nearest name in its folder, else the names there.
fn near_files(base: &Path, path: &Path) -> String {
    let base = if base.as_os_str().is_empty() { Path::new(".") } else { base };
    let (parent, name) = (path.parent().unwrap_or(Path::new("")), path.file_name());
    let folder = base.join(parent);
    if !folder.is_dir() {
        let shown = std::path::absolute(base).unwrap_or_else(|_| base.into());
        return format!("there is no folder `{}` in {}", parent.display(), shown.display());
    }
    let names: Vec<String> = names_in(&folder).into_iter().filter(|name| !name.starts_with('.')).collect();
    let wanted = name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match near::nearest(&wanted, &names) {
        Some(near) => format!("`{}`", parent.join(near).display()),
        None => holds(&folder, &names),
    }
}

/// What a folder holds, at most 8 names.
fn holds(folder: &Path, names: &[String]) -> String {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.into());
    if names.is_empty() {
        return format!("the folder {} is empty", folder.display());
    }
    let more = if names.len() > 8 { ", …" } else { "" };
    format!("the folder {} holds {}{more}", folder.display(), near::list(&names[..names.len().min(8)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_known_by_name_with_and_without_compression() {
        assert!(["a.csv", "TRAIN.TSV.gz", "x.jsonl.zst", "a.b.parquet"].iter().all(|name| is_readable(name)));
        assert!(["a", "csv", ".csv", "a.txt", "a.gz", "a.csv.bz2"].iter().all(|name| !is_readable(name)));
    }
}
