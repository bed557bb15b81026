//! The suite as a tree of values, each knowing the line (or the `--set`) it came from.
//!
//! The tree is our own and not the parser's, so that overrides with no place in the file can join it before anything is
//! checked.

use std::path::Path;

use serde_json::Value;

use crate::error::Place;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// By `--set` with this path.
    Set(String),
    /// In this line of the file, counted from 1.
    Line(usize),
}

impl Origin {
    /// The place to show.
    pub(super) fn place(&self, file: &Path) -> Place {
        match self {
            Self::Set(path) => Place::file(Path::new(&format!("--set {path}"))),
            Self::Line(line) => Place::line(file, *line),
        }
    }

    /// The line in the file; 0 for an override.
    pub(super) fn line(&self) -> usize {
        match self {
            Self::Set(_) => 0,
            Self::Line(line) => *line,
        }
    }
}

/// A value and where it was written.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) origin: Origin,
    pub(super) data: Data,
}

/// What was written.
#[derive(Debug, Clone)]
pub(super) enum Data {
    Bool(bool),
    Integer(i64),
    Real(f64),
    Text(String),
    Date,
    List(Vec<Node>),
    Table(Vec<(String, Node)>),
}

impl Node {
    /// The value of a key of a table.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// The entries of a table; none for anything else.
    pub(super) fn entries(&self) -> &[(String, Self)] {
        match &self.data {
            Data::Table(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; none for anything else.
    pub(super) fn items(&self) -> &[Self] {
        match &self.data {
            Data::List(items) => items,
            _ => &[],
        }
    }

    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value as JSON; numbers JSON cannot hold (inf, nan) and dates become null, which no range contains.
    pub(super) fn json(&self) -> Value {
        match &self.data {
            Data::Bool(x) => (*x).into(),
            Data::Integer(x) => (*x).into(),
            Data::Real(x) => (*x).into(),
            Data::Text(x) => x.as_str().into(),
            Data::Date => Value::Null,
            Data::List(items) => items.iter().map(Self::json).collect(),
            Data::Table(entries) => {
                Value::Object(entries.iter().map(|(key, node)| (key.clone(), node.json())).collect())
            }
        }
    }

    /// A tree of JSON whose every value was written at one place.
    pub(super) fn from_json(value: &Value, origin: &Origin) -> Self {
        let node = |value| Self::from_json(value, origin);
        let data = match value {
            Value::Null => Data::Date,
            Value::Bool(x) => Data::Bool(*x),
            Value::Number(x) => {
                x.as_i64().map_or_else(|| Data::Real(x.as_f64().unwrap_or(f64::NAN)), Data::Integer)
            }
            Value::String(x) => Data::Text(x.clone()),
            Value::Array(items) => Data::List(items.iter().map(node).collect()),
            Value::Object(map) => Data::Table(map.iter().map(|(key, x)| (key.clone(), node(x))).collect()),
        };
        Self { origin: origin.clone(), data }
    }

    /// What was found, in the words of an error.
    pub(super) fn found(&self) -> String {
        match &self.data {
            Data::Bool(x) => x.to_string(),
            Data::Integer(x) => x.to_string(),
            Data::Real(x) => x.to_string(),
            Data::Text(x) => format!("{:?}", shorten(x)),
            Data::Date => "a date".into(),
            Data::List(_) => "a list".into(),
            Data::Table(_) => "a table".into(),
        }
    }
}

/// At most 60 characters of a text.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}
