//! YAML as a tree that knows its lines. Doubled keys are mistakes, and so are references, which a few bytes can make
//! endless.

use std::path::Path;

use polytask_core::{Place, Problem};
use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::Value;

/// Most levels inside each other.
const MOST_NESTED: usize = 32;

/// A value and the line it stands on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) content: Content,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    /// A number, a text, true, false or null.
    Scalar(Value),
    List(Vec<Node>),
    /// Keys in their order, with their lines.
    Map(Vec<(String, usize, Node)>),
}

impl Node {
    /// What stands under a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, ..)| name == key).map(|(.., node)| node)
    }

    /// The entries of a table.
    pub(crate) fn entries(&self) -> &[(String, usize, Self)] {
        match &self.content {
            Content::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.content {
            Content::List(items) => items,
            _ => &[],
        }
    }

    /// A text.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(value) => value.as_str(),
            _ => None,
        }
    }

    /// A plain value.
    pub(crate) fn scalar(&self) -> Option<&Value> {
        match &self.content {
            Content::Scalar(value) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        self.content == Content::Scalar(Value::Null)
    }

    /// What it is, in words.
    pub(crate) fn describe(&self) -> String {
        match &self.content {
            Content::Scalar(value) => value.to_string(),
            Content::List(items) => format!("a list of {}", items.len()),
            Content::Map(_) => "a table".into(),
        }
    }
}

/// The only document of a text.
///
/// # Errors
/// What is no YAML, more than one document, doubled keys, references: with the line.
pub(crate) fn parse(text: &str, file: &Path) -> Result<Node, Problem> {
    let at =
        |line: usize, what: String, remedy: &str| Problem::at(Place::line(file, line), what).try_this(remedy);
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let line = error.marker().line();
            at(line, format!("not valid YAML: {}", error.info()), "indent with blanks, `key: value`")
        })?;
        let line = span.start.line();
        builder.take(event, line).map_err(|(what, remedy)| at(line, what, remedy))?;
    }
    builder.done.ok_or_else(|| at(0, "the file is empty".into(), "`merge_method: linear` and `models:`"))
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    done: Option<Node>,
}

struct Open {
    node: Node,
    /// The key that waits for its value.
    key: Option<(String, usize)>,
}

type Mistake = (String, &'static str);

impl Builder {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), Mistake> {
        match event {
            Event::Scalar(text, style, ..) => {
                self.add(Node { line, content: Content::Scalar(scalar(&text, style)) })
            }
            Event::SequenceStart(..) => self.start(Node { line, content: Content::List(Vec::new()) }),
            Event::MappingStart(..) => self.start(Node { line, content: Content::Map(Vec::new()) }),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => self.add(open.node),
                None => Ok(()),
            },
            Event::Alias(_) => Err(("a reference (`*name`) is not read here".into(), "write the value out")),
            Event::DocumentStart(_) if self.done.is_some() => {
                Err(("a second document, expected one".into(), "a file per merge, run one after the other"))
            }
            _ => Ok(()),
        }
    }

    fn start(&mut self, node: Node) -> Result<(), Mistake> {
        if self.open.len() >= MOST_NESTED {
            return Err((format!("more than {MOST_NESTED} levels inside each other"), "a flatter file"));
        }
        self.open.push(Open { node, key: None });
        Ok(())
    }

    fn add(&mut self, node: Node) -> Result<(), Mistake> {
        let Some(open) = self.open.last_mut() else {
            self.done = Some(node);
            return Ok(());
        };
        match &mut open.node.content {
            Content::List(items) => items.push(node),
            Content::Map(entries) => match open.key.take() {
                Some((key, line)) => entries.push((key, line, node)),
                None => open.key = Some((key_of(entries, &node)?, node.line)),
            },
            Content::Scalar(_) => {}
        }
        Ok(())
    }
}

/// A node as a key of a table.
fn key_of(entries: &[(String, usize, Node)], node: &Node) -> Result<String, Mistake> {
    let Some(value) = node.scalar() else {
        return Err((format!("a key is {}, expected a word", node.describe()), "`key: value`"));
    };
    let key = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match entries.iter().find(|(name, ..)| *name == key) {
        Some((_, line, _)) => Err((format!("`{key}` is given twice, first in line {line}"), "remove one")),
        None => Ok(key),
    }
}

/// A plain text as a value.
fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return text.into();
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return true.into(),
        "false" | "False" | "FALSE" => return false.into(),
        _ => {}
    }
    // `nan` and `inf` would be numbers to the parser below.
    let is_number = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    if let (true, Ok(whole)) = (is_number, text.parse::<i64>()) {
        return whole.into();
    }
    match text.parse::<f64>() {
        Ok(number) if is_number && number.is_finite() => number.into(),
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> Result<Node, String> {
        parse(text, Path::new("c.yaml")).map_err(|problem| problem.to_string())
    }

    #[test]
    fn values_keep_their_types_and_lines() {
        let node = read("a: 1\nb: [0.5, x, 'true', ~]\nc:\n  - d: .5\n    e: yes\n").unwrap();
        assert_eq!(node.get("a").unwrap().scalar(), Some(&json!(1)));
        let b: Vec<&Value> = node.get("b").unwrap().items().iter().filter_map(Node::scalar).collect();
        assert_eq!(b, [&json!(0.5), &json!("x"), &json!("true"), &Value::Null]);
        let d = node.get("c").unwrap().items()[0].get("d").unwrap();
        assert_eq!((d.line, d.scalar()), (4, Some(&json!(0.5))));
    }

    #[test]
    fn what_is_no_such_file_is_refused_with_its_line() {
        for (text, part) in [
            ("a: 1\na: 2\n", "c.yaml:2: `a` is given twice, first in line 1"),
            ("a: &x 1\nb: *x\n", "c.yaml:2: a reference"),
            ("a: 1\n---\nb: 2\n", "a second document"),
            ("", "empty"),
            ("a: [1\nb: 2\n", "not valid YAML"),
            (&"[".repeat(100), "levels"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
