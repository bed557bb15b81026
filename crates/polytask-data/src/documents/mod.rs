//! Documents in sentences, with what is known of their segments: rows of any format, `.ref` files of Choi (2000), files of
//! a label and a sentence per line.

mod rows;

use std::path::Path;

use polytask_core::{Error, Place, Problem, Result, files};
use polytask_segment::SegmentedDocument;
use polytask_segment::document::DocumentColumns;
use polytask_segment::read::{read_choi, read_labelled};

use crate::readers::{self, Reader};

pub use rows::{columns_of, reader};

/// A stream of documents; after a mistake it goes on with the next one where that is possible.
pub type Documents = Box<dyn Iterator<Item = Result<(usize, SegmentedDocument)>> + Send>;

/// The documents of a file, each with its line; its ending tells how they stand there.
///
/// # Errors
/// When the file cannot be opened, or is of no known form.
pub fn open(file: &Path, columns: &DocumentColumns) -> Result<Documents> {
    let ending = file.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    match ending.as_deref() {
        Some("ref") => {
            let document = read_choi(&name(file), &whole(file)?);
            let document = document.map_err(|problem| at(file, 0, problem))?;
            Ok(Box::new(std::iter::once(Ok((1, document)))))
        }
        Some("txt" | "lab") => {
            let read = read_labelled(&name(file), &whole(file)?);
            let documents = read.map_err(|(line, problem)| at(file, line, problem))?;
            Ok(Box::new(documents.into_iter().enumerate().map(|(i, document)| Ok((i + 1, document)))))
        }
        _ => Ok(of_rows(readers::open(file)?, file, columns.clone())),
    }
}

/// All documents of a file.
///
/// # Errors
/// When it cannot be read, or one of them is not as expected.
pub fn read(file: &Path, columns: &DocumentColumns) -> Result<Vec<SegmentedDocument>> {
    open(file, columns)?.map(|document| document.map(|(_, document)| document)).collect()
}

/// The documents of some rows.
pub fn of_rows(rows: Reader, file: &Path, columns: DocumentColumns) -> Documents {
    let (file, shown) = (file.to_path_buf(), name(file));
    Box::new(rows.map(move |record| {
        let record = record?;
        let fallback = format!("{shown}:{}", record.line);
        let document = SegmentedDocument::of_cells(&|name| record.get(name), &columns, &fallback);
        document.map(|document| (record.line, document)).map_err(|problem| at(&file, record.line, problem))
    }))
}

fn whole(file: &Path) -> Result<String> {
    files::read_text(file, files::LARGE).map_err(Error::io("read", file))
}

fn name(file: &Path) -> String {
    file.file_name().map_or_else(|| file.display().to_string(), |name| name.to_string_lossy().into_owned())
}

fn at(file: &Path, line: usize, problem: Problem) -> Error {
    Problem { place: Some(Place::line(file, line)), ..problem }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(name: &str, content: &str) -> Result<Vec<SegmentedDocument>> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        std::fs::write(&file, content).unwrap();
        read(&file, &DocumentColumns::default())
    }

    #[test]
    fn every_form_of_file_gives_the_same_segments() {
        let forms = [
            ("a.jsonl", "{\"sentences\":[\"A.\",\"B.\"],\"labels\":[\"x\",\"y\"]}\n"),
            ("a.ref", "==========\nA.\n==========\nB.\n==========\n"),
            ("a.txt", "x\tA.\ny\tB.\n"),
        ];
        for (name, content) in forms {
            let found = documents(name, content).unwrap();
            assert_eq!(found[0].sentences, ["A.", "B."], "{name}");
            assert_eq!(found[0].boundaries().unwrap().places(), [0], "{name}");
        }
    }

    #[test]
    fn mistakes_name_the_line() {
        let wrong = [
            ("a.jsonl", "{\"sentences\":[\"A.\"]}\n{\"sentences\":[\"A.\",null]}\n", "a.jsonl:2"),
            ("a.txt", "x\tA.\nno tab\n", "a.txt:2"),
            ("a.ref", "A.\n", "a.ref"),
            ("a.xyz", "A.\n", "unknown file format"),
        ];
        for (name, content, expected) in wrong {
            let error = documents(name, content).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
