//! A document before it is cut into passages.

use std::ops::Range;

use polytask_core::hash;
use serde_json::{Map, Value};

/// A heading within a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// Its words.
    pub title: String,
    /// 1 for the highest.
    pub level: usize,
    /// Where it stands in the text.
    pub bytes: Range<usize>,
}

/// A text with what is known of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    /// What it is called by; one of a kind in an index.
    pub id: String,
    /// The file it comes from, with the line of a row.
    pub source: String,
    /// What the whole of it is called.
    pub title: Option<String>,
    /// Its text.
    pub text: String,
    /// Its headings, in order.
    pub headings: Vec<Heading>,
    /// What is stored with it, to be shown and to filter by.
    pub fields: Map<String, Value>,
}

/// What stands below a heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentSection {
    /// The heading and those above it, outermost first.
    pub titles: Vec<String>,
    /// Where it stands in the text.
    pub body: Range<usize>,
}

impl Document {
    /// A text and nothing else.
    pub fn of_text(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }

    /// SHA-256 of everything an index keeps of it.
    pub fn hash(&self) -> String {
        let titles: Vec<(&str, usize)> = self.headings.iter().map(|h| (&*h.title, h.level)).collect();
        let all = serde_json::json!([self.title, self.text, titles, self.fields]);
        hash::sha256(all.to_string().as_bytes())
    }

    /// Its sections, in order: what stands before the first heading, and below each, where something does or nothing
    /// else follows.
    pub fn sections(&self) -> Vec<DocumentSection> {
        let mut sections = Vec::new();
        let mut above: Vec<&Heading> = Vec::new();
        let ends = self.headings.iter().skip(1).map(|next| next.bytes.start).chain([self.text.len()]);
        let first = self.headings.first().map_or(self.text.len(), |heading| heading.bytes.start);
        if !self.text[..first].trim().is_empty() {
            sections.push(DocumentSection { titles: Vec::new(), body: 0..first });
        }
        for (at, (heading, end)) in self.headings.iter().zip(ends).enumerate() {
            above.retain(|outer| outer.level < heading.level);
            above.push(heading);
            let body = heading.bytes.end.min(end)..end;
            let has_below = self.headings.get(at + 1).is_some_and(|next| next.level > heading.level);
            if !has_below || !self.text[body.clone()].trim().is_empty() {
                sections
                    .push(DocumentSection { titles: above.iter().map(|h| h.title.clone()).collect(), body });
            }
        }
        sections
    }
}
