//! Documents of files and folders: plain text, Markdown, HTML, PDF, and rows of JSONL, CSV, TSV and Parquet.

mod document;
mod html;
mod markdown;
mod pdf;
mod rows;
mod text;
mod walk;

use std::fmt;
use std::path::Path;

use polytask_core::{Error, files};
use polytask_data::readers;
use serde::Serialize;
use serde_json::Value;

pub use document::{Document, DocumentSection, Heading};
pub use rows::RowColumns;
pub(crate) use walk::MANIFEST;
pub use walk::{FoundFile, files_of};

/// Something that is not in the index, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The file, with the line of a row.
    pub source: String,
    /// Why.
    pub reason: String,
}

/// Why a file cannot be read.
#[derive(Debug, PartialEq, Eq)]
struct Unreadable(String);

impl Unreadable {
    fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Most bytes of a file that is one document.
pub const LARGEST: u64 = files::LARGE;

/// Whether a folder is an index.
pub fn is_index(folder: &Path) -> bool {
    let manifest = files::read(&folder.join(MANIFEST), files::SMALL).ok();
    manifest.is_some_and(|bytes| {
        bytes.starts_with(b"{") && bytes.windows(16).any(|part| part == b"\"polytask_index\"")
    })
}

/// Gives the documents of a file to `take`, and what is no document with the reason.
///
/// # Errors
/// Those of `take`; a file that cannot be read is none.
pub fn read(
    file: &FoundFile,
    columns: &RowColumns,
    take: &mut dyn FnMut(Result<Document, Skipped>) -> polytask_model::Result<()>,
) -> polytask_model::Result<()> {
    let read = if readers::format_of(&file.path).is_some() {
        rows::read(file, columns, &mut *take)?
    } else {
        match whole(file) {
            Ok(document) => {
                take(Ok(document))?;
                Ok(())
            }
            Err(unreadable) => Err(unreadable),
        }
    };
    match read {
        Ok(()) => Ok(()),
        Err(Unreadable(reason)) => take(Err(Skipped { source: file.name.clone(), reason })),
    }
}

/// A file that is one document.
fn whole(file: &FoundFile) -> Result<Document, Unreadable> {
    let bytes = files::read(&file.path, LARGEST)
        .map_err(|error| Unreadable::new(Error::io("read", &file.path)(error).to_string()))?;
    let ending = file.path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    let document = match ending.as_deref() {
        _ if bytes.starts_with(b"%PDF-") => Document::of_text(&pdf::read(&bytes)?),
        Some("pdf") => return Err(Unreadable::new("a broken PDF file: it does not begin as one")),
        Some("html" | "htm" | "xhtml") => html::read(&text::decode(bytes)?),
        Some("md" | "markdown") => {
            let text = text::decode(bytes)?;
            Document { headings: markdown::headings(&text), text, ..Document::default() }
        }
        _ => Document { text: text::decode(bytes)?, ..Document::default() },
    };
    let fields = ending.map(|ending| ("type".to_owned(), Value::String(ending))).into_iter().collect();
    Ok(Document { id: file.name.clone(), source: file.name.clone(), fields, ..document })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(name: &str, content: &[u8]) -> (Vec<Document>, Vec<Skipped>) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), content).unwrap();
        let (mut found, mut skipped) = (Vec::new(), Vec::new());
        for file in files_of(&[folder.path().to_path_buf()]).0 {
            read(&file, &RowColumns::default(), &mut |item| {
                match item {
                    Ok(document) => found.push(document),
                    Err(why) => skipped.push(why),
                }
                Ok(())
            })
            .unwrap();
        }
        (found, skipped)
    }

    #[test]
    fn rows_are_documents_with_their_other_columns_stored() {
        let lines = "{\"_id\":\"c1\",\"title\":\"T\",\"text\":\"a b\",\"year\":2019}\n{\"text\":\"no id\"}\n{\"title\":\"x\"}\nbroken\n";
        let (found, skipped) = documents("c.jsonl", lines.as_bytes());
        assert_eq!((&*found[0].id, found[0].title.as_deref(), &*found[0].text), ("c1", Some("T"), "a b"));
        assert_eq!(found[0].fields["year"], 2019);
        assert_eq!((&*found[1].id, &*found[1].source), ("c.jsonl:2", "c.jsonl:2"));
        assert_eq!(skipped.len(), 2, "{skipped:?}");
        assert!(skipped[0].source == "c.jsonl:3" && skipped[1].reason.contains("JSON"), "{skipped:?}");
    }

    #[test]
    fn a_table_without_a_text_is_skipped_as_one_with_its_columns() {
        let (found, skipped) = documents("qrels.tsv", b"query\tscore\na\t1\nb\t0\n");
        assert!(found.is_empty() && skipped.len() == 1, "{skipped:?}");
        assert!(skipped[0].reason.contains("`query`, `score`") && skipped[0].reason.contains("--columns"));
    }

    #[test]
    fn files_are_documents_by_their_ending() {
        let (found, _) = documents("a.md", b"# Title\ntext");
        assert_eq!((&*found[0].id, &*found[0].headings[0].title), ("a.md", "Title"));
        let (found, _) = documents("a.html", b"<h1>Title</h1>text");
        assert_eq!(found[0].text, "Title\n\ntext");
        let (found, _) = documents("a.txt", b"");
        assert_eq!(found[0].text, "");
        for (name, content) in [("a.bin", &b"\0\x01"[..]), ("a.pdf", b"text"), ("b.pdf", b"%PDF-1.4 broken")]
        {
            let (found, skipped) = documents(name, content);
            assert!(found.is_empty() && skipped.len() == 1, "{name}");
        }
    }
}
