//! The head of a paper's file: fixed headings, so that pages can be made of it.

use crate::root::TextFile;

/// The headings, in their order.
pub(super) const HEADINGS: [&str; 8] = [
    "What it does",
    "Paper",
    "Idea in five lines",
    "Objective",
    "Parts used",
    "Departures",
    "Cost",
    "Limits",
];

/// A head that has been read.
#[derive(Debug)]
pub(super) struct Header {
    /// The paper's number, or the name of an experiment.
    pub(super) id: String,
    /// Its name in prose.
    pub(super) title: String,
    /// The head as Markdown.
    pub(super) text: String,
    /// Where it stands.
    pub(super) file: String,
}

impl Header {
    /// Reads the head of a file.
    pub(super) fn read(file: &TextFile) -> Result<Self, String> {
        let lines = file.text.lines().map_while(|line| line.strip_prefix("//!"));
        let text: String =
            lines.map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line))).collect();
        let first = text.lines().next().unwrap_or_default();
        let (id, title) = first
            .strip_prefix("# ")
            .and_then(|first| first.split_once(": "))
            .ok_or_else(|| format!("begins with `{first}`, expected `//! # ID: Title`"))?;
        let found: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        if let Some(missing) = HEADINGS.iter().find(|heading| !found.contains(heading)) {
            return Err(format!("its head has no `## {missing}`"));
        }
        if found != HEADINGS {
            return Err(format!("its head has the headings {found:?}, expected {HEADINGS:?}"));
        }
        let (id, title) = (id.to_owned(), title.to_owned());
        Ok(Self { id, title, text, file: file.path.clone() })
    }

    /// Papers by number, then the others by name.
    pub(super) fn order(&self) -> (u32, String) {
        (self.id.parse().unwrap_or(u32::MAX), self.id.clone())
    }
}
