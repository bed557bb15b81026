//! Files of rows: each is a document.

use polytask_core::Cell;
use polytask_data::readers::{self, Record};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use super::{Document, FoundFile, Skipped, Unreadable};

/// Which columns hold what; the first that a row has counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowColumns {
    /// The text.
    pub text: Vec<String>,
    /// What stands before it.
    pub title: Vec<String>,
    /// What the row is called.
    pub id: Vec<String>,
}

impl Default for RowColumns {
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            text: names(&["text", "description", "passage", "contents", "body", "content", "document_text"]),
            title: names(&["title"]),
            id: names(&["_id", "id", "code", "docid"]),
        }
    }
}

/// Gives each row of a file to `take`; a row that is none goes to `skip`.
///
/// # Errors
/// When the file cannot be opened, or none of its columns holds a text.
pub(super) fn read(
    file: &FoundFile,
    columns: &RowColumns,
    mut take: impl FnMut(Result<Document, Skipped>) -> polytask_model::Result<()>,
) -> polytask_model::Result<Result<(), Unreadable>> {
    let mut reader = match readers::open(&file.path) {
        Ok(reader) => reader,
        Err(error) => return Ok(Err(Unreadable::new(error.to_string()))),
    };
    let names = reader.columns();
    if !columns.text.iter().any(|name| names.contains(name)) {
        return Ok(Err(no_text(&names, columns)));
    }
    for record in reader {
        let source = |line: usize| format!("{}:{line}", file.name);
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                take(Err(Skipped { source: file.name.clone(), reason: error.to_string() }))?;
                continue;
            }
        };
        let source = source(record.line);
        match document(&record, columns, &source) {
            Some(document) => take(Ok(document))?,
            None => take(Err(Skipped { source, reason: "no text in this row".into() }))?,
        }
    }
    Ok(Ok(()))
}

fn no_text(names: &[String], columns: &RowColumns) -> Unreadable {
    Unreadable::new(format!(
        "no column `{}`, found `{}` (`--columns text=NAME` names another)",
        columns.text.join("`, `"),
        names.join("`, `")
    ))
}

fn document(record: &Record, columns: &RowColumns, source: &str) -> Option<Document> {
    let first = |names: &[String]| names.iter().find(|name| record.get(name).is_some()).cloned();
    let text_of = |name: &Option<String>| record.get(name.as_ref()?)?.to_text();
    let (text, title, id) = (first(&columns.text), first(&columns.title), first(&columns.id));
    // A title that is the text stands once.
    let title = title.filter(|title| Some(title) != text.as_ref());
    let roles = [&text, &title, &id];
    let is_other = |name: &&String| !roles.contains(&&Some((*name).clone()));
    let fields: Map<String, Value> = record
        .columns()
        .iter()
        .filter(is_other)
        .filter_map(|name| Some((name.clone(), value(record.get(name)?)?)))
        .collect();
    Some(Document {
        id: text_of(&id).filter(|id| !id.is_empty()).unwrap_or_else(|| source.to_owned()),
        source: source.to_owned(),
        title: text_of(&title).filter(|title| !title.trim().is_empty()),
        text: text_of(&text)?,
        headings: Vec::new(),
        fields,
    })
}

/// A cell as it is stored; nothing for what is unknown.
fn value(cell: &Cell) -> Option<Value> {
    match cell {
        Cell::Null => None,
        Cell::Bool(is) => Some(Value::Bool(*is)),
        Cell::Number(real) if real.fract() == 0.0 && real.abs() < 9e15 => Some(Value::from(*real as i64)),
        Cell::Number(real) => Number::from_f64(*real).map(Value::Number),
        Cell::Text(text) => Some(Value::String(text.clone())),
        Cell::List(items) => Some(Value::Array(items.iter().filter_map(value).collect())),
    }
}
