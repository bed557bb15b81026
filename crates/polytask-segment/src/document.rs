//! A document in units, with what is known of its segments.

use polytask_core::{Cell, Problem, plural};

use crate::Boundaries;

/// Sentences (or turns) of a document, in order, with the section and the class of each where they are known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SegmentedDocument {
    /// What it is called.
    pub id: String,
    /// Its sentences.
    pub sentences: Vec<String>,
    /// The section of each, equal for sentences of one section.
    pub sections: Option<Vec<usize>>,
    /// The class of each, where it is known.
    pub classes: Option<Vec<Option<String>>>,
}

/// Which columns of a row hold what; the first that a row has counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentColumns {
    /// A list of sentences.
    pub sentences: Vec<String>,
    /// The section of each sentence: any values, equal within a section.
    pub sections: Vec<String>,
    /// Whether each sentence ends a segment: 0 or 1.
    pub boundaries: Vec<String>,
    /// The class of each sentence; sections, where nothing else says where these end.
    pub labels: Vec<String>,
    /// What the document is called.
    pub id: Vec<String>,
}

/// Roles of the columns of a document, as they are named in settings.
pub use polytask_core::suite::DOCUMENT_ROLES as ROLES;

impl Default for DocumentColumns {
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            sentences: names(&["sentences", "turns", "units", "utterances"]),
            sections: names(&["sections"]),
            boundaries: names(&["boundaries"]),
            labels: names(&["labels", "classes"]),
            id: names(&["id", "_id", "doc_id", "document_id", "abstract_id"]),
        }
    }
}

impl DocumentColumns {
    /// The same with another column for some roles; a column that is named for one role plays no other.
    #[must_use]
    pub fn named<'a>(mut self, pairs: impl IntoIterator<Item = (&'a String, &'a String)>) -> Self {
        for (role, column) in pairs {
            self.each().into_iter().for_each(|(_, names)| names.retain(|name| name != column));
            if let Some((_, names)) = self.each().into_iter().find(|(known, _)| known == role) {
                *names = vec![column.clone()];
            }
        }
        self
    }

    fn each(&mut self) -> [(&'static str, &mut Vec<String>); 5] {
        let Self { sentences, sections, boundaries, labels, id } = self;
        [
            (ROLES[0], sentences),
            (ROLES[1], sections),
            (ROLES[2], boundaries),
            (ROLES[3], labels),
            (ROLES[4], id),
        ]
    }
}

impl SegmentedDocument {
    /// A document of the cells of a row; `fallback` is its name where it has none.
    ///
    /// # Errors
    /// When it has no list of sentences, one of them is unknown, or what is said of them is not as long. An empty one is
    /// a sentence: transcripts have turns without words.
    pub fn of_cells<'c>(
        cell: &dyn Fn(&str) -> Option<&'c Cell>,
        columns: &DocumentColumns,
        fallback: &str,
    ) -> Result<Self, Problem> {
        let first = |names: &[String]| {
            let found = names.iter().find_map(|name| Some((name.clone(), cell(name)?)));
            found.filter(|(_, cell)| !cell.is_missing())
        };
        let id = first(&columns.id).and_then(|(_, id)| id.to_text()).unwrap_or_else(|| fallback.to_owned());
        let sentences = sentences_of(&id, first(&columns.sentences), &columns.sentences)?;
        let listed = |names: &[String]| {
            first(names).map(|found| as_long(&id, &found.0, found.1, sentences.len())).transpose()
        };
        let labels = listed(&columns.labels)?;
        let sections = match (listed(&columns.sections)?, listed(&columns.boundaries)?, &labels) {
            (Some(sections), _, _) => Some(numbered(&sections)),
            (None, Some(ends), _) => Some(Boundaries::new(marks(&id, &ends)?).sections()),
            (None, None, Some(labels)) => Some(Boundaries::of_sections(&texts(labels)).sections()),
            (None, None, None) => None,
        };
        let class = |cell: &Cell| (!cell.is_missing()).then(|| cell.to_text()).flatten();
        let classes = labels.map(|labels| labels.iter().map(class).collect());
        Ok(Self { id, sentences, sections, classes })
    }

    /// Where its segments end, where that is known.
    pub fn boundaries(&self) -> Option<Boundaries> {
        self.sections.as_deref().map(Boundaries::of_sections)
    }

    /// Up to `width` sentences that end with the sentence `last`, as one text.
    pub fn before(&self, last: usize, width: usize) -> String {
        let end = last + 1;
        self.sentences[end.saturating_sub(width.max(1))..end].join(" ")
    }

    /// Up to `width` sentences from the sentence `first` on, as one text.
    pub fn after(&self, first: usize, width: usize) -> String {
        self.sentences[first..(first + width.max(1)).min(self.sentences.len())].join(" ")
    }
}

fn sentences_of(id: &str, found: Option<(String, &Cell)>, names: &[String]) -> Result<Vec<String>, Problem> {
    let Some((name, cell)) = found else {
        let what =
            format!("document `{id}` has no column `{}`, expected a list of sentences", names.join("` or `"));
        return Err(Problem::new(what).try_this("columns = { sentences = \"...\" }"));
    };
    let Some(items) = cell.to_items() else {
        let what = format!("document `{id}`: `{name}` is {}, expected a list of sentences", cell.describe());
        return Err(Problem::new(what).try_this("[\"One sentence.\", \"Another.\"]"));
    };
    let text = |(at, item): (usize, &Cell)| {
        item.to_text().ok_or_else(|| {
            let what = format!("document `{id}`: sentence {} of {} is null", at + 1, items.len());
            Problem::new(what).try_this("leave it out, with what is said of it in the other columns")
        })
    };
    items.iter().enumerate().map(text).collect()
}

/// The items of a list that says something of each sentence.
fn as_long(id: &str, name: &str, cell: &Cell, n: usize) -> Result<Vec<Cell>, Problem> {
    let Some(items) = cell.to_items() else {
        let what = format!("document `{id}`: `{name}` is {}, expected a list", cell.describe());
        return Err(Problem::new(what).try_this("one value per sentence"));
    };
    if items.len() == n {
        return Ok(items);
    }
    let what = format!(
        "document `{id}`: {} in `{name}`, {}, expected as many",
        plural(items.len(), "value"),
        plural(n, "sentence")
    );
    Err(Problem::new(what).try_this("one value per sentence, the last one's too"))
}

fn texts(cells: &[Cell]) -> Vec<String> {
    cells.iter().map(|cell| cell.to_text().unwrap_or_default()).collect()
}

/// Equal values as equal numbers, counted from 0 in the order they are met.
fn numbered(cells: &[Cell]) -> Vec<usize> {
    let mut met = std::collections::HashMap::new();
    let number = |text: String| {
        let n = met.len();
        *met.entry(text).or_insert(n)
    };
    texts(cells).into_iter().map(number).collect()
}

fn marks(id: &str, cells: &[Cell]) -> Result<Vec<bool>, Problem> {
    let mark = |cell: &Cell| match cell {
        Cell::Bool(mark) => Some(*mark),
        cell => match cell.to_text()?.trim() {
            "0" | "0.0" | "false" => Some(false),
            "1" | "1.0" | "true" => Some(true),
            _ => None,
        },
    };
    let read = |cell: &Cell| {
        mark(cell).ok_or_else(|| {
            let what = format!("document `{id}`: boundary {}, expected 0 or 1", cell.describe());
            Problem::new(what).try_this("1 for the last sentence of a segment, 0 for any other")
        })
    };
    cells.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(row: Value, columns: &DocumentColumns) -> Result<SegmentedDocument, Problem> {
        let Value::Object(fields) = row else { panic!("a row is an object") };
        let cells: Vec<(String, Cell)> = fields.into_iter().map(|(k, v)| (k, Cell::from_json(v))).collect();
        let cell = |name: &str| cells.iter().find(|(known, _)| known == name).map(|(_, cell)| cell);
        SegmentedDocument::of_cells(&cell, columns, "t.jsonl:1")
    }

    #[test]
    fn sections_come_from_themselves_from_boundaries_or_from_labels() {
        let columns = DocumentColumns::default();
        let all = [
            json!({"sentences": ["a", "b", "c"], "sections": [7, 7, "x"], "labels": ["p", "q", null]}),
            json!({"id": "d", "sentences": ["a", "b", "c"], "boundaries": [0, 1, 1]}),
            json!({"sentences": ["a", "b", "c"], "labels": ["p", "p", "q"]}),
        ];
        let all: Vec<_> = all.into_iter().map(|row| read(row, &columns).unwrap()).collect();
        assert!(all.iter().all(|document| document.boundaries().unwrap().places() == [1]));
        assert_eq!((&*all[0].id, &*all[1].id), ("t.jsonl:1", "d"));
        assert_eq!(all[0].classes.as_ref().unwrap()[2], None);
        assert!(all[1].classes.is_none());
        assert!(read(json!({"sentences": ["a"]}), &columns).unwrap().boundaries().is_none());
    }

    #[test]
    fn a_column_named_for_one_role_plays_no_other() {
        let pairs =
            [("sections".to_owned(), "labels".to_owned()), ("sentences".to_owned(), "lines".to_owned())];
        let columns = DocumentColumns::default().named(pairs.iter().map(|(role, column)| (role, column)));
        let found = read(json!({"lines": ["a", "b"], "labels": [0, -1]}), &columns).unwrap();
        assert_eq!((found.sections, found.classes), (Some(vec![0, 1]), None));
    }

    #[test]
    fn mistakes_name_the_document_and_what_was_expected() {
        let cases = [
            (
                json!({"id": "d7", "sentences": ["a", "b"], "labels": ["x"]}),
                "1 value in `labels`, 2 sentences",
            ),
            (json!({"id": "d7", "sentences": ["a", null]}), "sentence 2 of 2 is null"),
            (json!({"id": "d7", "sentences": "one text"}), "expected a list of sentences"),
            (json!({"id": "d7", "text": "x"}), "has no column `sentences` or"),
            (json!({"id": "d7", "sentences": ["a"], "boundaries": [2]}), "boundary 2, expected 0 or 1"),
        ];
        for (row, expected) in cases {
            let problem = read(row, &DocumentColumns::default()).unwrap_err();
            assert!(problem.what.contains(expected) && problem.what.contains("`d7`"), "{problem}");
            assert!(problem.remedy.is_some());
        }
    }

    #[test]
    fn contexts_end_at_the_ends_of_the_document() {
        let sentences = ["a", "b", "c"].map(str::to_owned).to_vec();
        let document = SegmentedDocument { sentences, ..SegmentedDocument::default() };
        assert_eq!((document.before(1, 2), document.after(2, 2)), ("a b".to_owned(), "c".to_owned()));
        assert_eq!((document.before(0, 3), document.after(1, 1)), ("a".to_owned(), "b".to_owned()));
    }
}
