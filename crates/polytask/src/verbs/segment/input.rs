//! Documents as texts cut into sentences.

use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Result;
use polytask_core::files;
use polytask_data::{documents as rows, readers};
use polytask_index::documents::{self, Document, FoundFile, RowColumns, Skipped, files_of};
use polytask_segment::{SegmentedDocument, sentences};

use super::{Args, document_columns, is_input};
use polytask_terminal::output;

/// A text cut into sentences.
pub(super) struct ReadText {
    pub(super) id: String,
    pub(super) text: String,
    /// Its sentences, as bytes.
    pub(super) sentences: Vec<Range<usize>>,
    /// The last sentence of every section but the last.
    pub(super) ends: Vec<usize>,
    /// The headings above each section, with its first sentence.
    pub(super) titles: Vec<(usize, Vec<String>)>,
    /// Whether places are told by sentence, since the text is only their sum.
    pub(super) is_listed: bool,
}

/// Refuses a file that is not there before a model is loaded.
pub(super) fn check_there(paths: &[PathBuf]) -> Result<()> {
    match paths.iter().find(|path| !is_input(path) && path.symlink_metadata().is_err()) {
        Some(absent) => output::refuse(
            format!("{} does not exist", absent.display()),
            "a file or a folder that is there, or - for standard input",
        ),
        None => Ok(()),
    }
}

/// Gives every document to `take`; what cannot be read is listed.
pub(super) fn read(args: &Args, take: &mut dyn FnMut(ReadText) -> Result<()>) -> Result<Vec<Skipped>> {
    let mut skipped = Vec::new();
    for path in &args.documents {
        if is_input(path) {
            take(standard_input()?)?;
            continue;
        }
        let (found, unlisted) = files_of(std::slice::from_ref(path));
        skipped.extend(unlisted);
        for file in &found {
            if has_sentences(args, &file.path) {
                of_sentences(args, file, &mut skipped, take)?;
            } else {
                of_texts(args, file, &mut skipped, take)?;
            }
        }
    }
    Ok(skipped)
}

fn standard_input() -> Result<ReadText> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(files::LARGE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > files::LARGE {
        return output::refuse("standard input is longer than 1 GiB", "several files");
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(of_document(Document { id: "-".into(), ..Document::of_text(&text) })),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            output::refuse(
                format!("standard input is not UTF-8 at byte {at}"),
                "iconv -f ISO-8859-1 -t UTF-8, or what it was saved as",
            )
        }
    }
}

/// Whether the rows of a file are lists of sentences; a file that cannot be opened is told when it is read.
fn has_sentences(args: &Args, file: &Path) -> bool {
    if file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("ref")) {
        return true;
    }
    let names = document_columns(&args.columns).sentences;
    let has = |mut reader: readers::Reader| reader.columns().iter().any(|column| names.contains(column));
    readers::format_of(file).is_some() && readers::open(file).is_ok_and(has)
}

fn of_sentences(
    args: &Args,
    file: &FoundFile,
    skipped: &mut Vec<Skipped>,
    take: &mut dyn FnMut(ReadText) -> Result<()>,
) -> Result<()> {
    let mut skip = |error: polytask_core::Error| {
        skipped.push(Skipped { source: file.name.clone(), reason: error.to_string() });
    };
    match rows::open(&file.path, &document_columns(&args.columns)) {
        Err(error) => skip(error),
        Ok(documents) => {
            for document in documents {
                match document {
                    Ok((_, document)) => take(of_list(document))?,
                    Err(error) => skip(error),
                }
            }
        }
    }
    Ok(())
}

fn of_texts(
    args: &Args,
    file: &FoundFile,
    skipped: &mut Vec<Skipped>,
    take: &mut dyn FnMut(ReadText) -> Result<()>,
) -> Result<()> {
    let mut columns = RowColumns::default();
    for (role, names) in [("text", &mut columns.text), ("title", &mut columns.title), ("id", &mut columns.id)]
    {
        if let Some(column) = args.columns.given(role) {
            *names = vec![column.to_owned()];
        }
    }
    // Reading has errors of its own; those of taking go around it.
    let mut failed = Ok(());
    let read = documents::read(file, &columns, &mut |item| {
        match item {
            Err(why) => skipped.push(why),
            Ok(document) => {
                failed = take(of_document(document));
                if failed.is_err() {
                    return Err(polytask_core::Error::Bug("taking failed".into()).into());
                }
            }
        }
        Ok(())
    });
    failed?;
    Ok(read?)
}

/// A document whose sentences are given: its text is these, a blank between.
fn of_list(document: SegmentedDocument) -> ReadText {
    let (mut text, mut places) = (String::new(), Vec::with_capacity(document.sentences.len()));
    for sentence in &document.sentences {
        if !text.is_empty() {
            text.push(' ');
        }
        let start = text.len();
        text.push_str(sentence);
        places.push(start..text.len());
    }
    ReadText {
        id: document.id,
        text,
        sentences: places,
        ends: Vec::new(),
        titles: Vec::new(),
        is_listed: true,
    }
}

/// A document as a text; its headings begin segments.
fn of_document(document: Document) -> ReadText {
    let (mut places, mut ends, mut titles) = (Vec::new(), Vec::new(), Vec::new());
    for section in document.sections() {
        let own = sentences(&document.text, section.body);
        if own.is_empty() {
            continue;
        }
        if !places.is_empty() {
            ends.push(places.len() - 1);
        }
        titles.push((places.len(), section.titles));
        places.extend(own);
    }
    ReadText { id: document.id, text: document.text, sentences: places, ends, titles, is_listed: false }
}
