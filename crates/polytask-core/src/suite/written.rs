//! The suite as written: TOML, and the overrides of `--set`, as a tree.

use std::path::Path;

use toml_edit::{Document, Item, TableLike};

use super::reporter::Reporter;
use super::tree::{Data, Node, Origin};
use crate::error::{Place, Problem};

/// The text of a file in UTF-8.
pub(super) fn decoded(bytes: Vec<u8>, path: &Path) -> Result<String, Problem> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
        let line = valid.matches('\n').count() + 1;
        Problem::at(Place::line(path, line), "bytes that are not UTF-8 text, expected a TOML file in UTF-8")
            .try_this("save the file as UTF-8")
    })
}

/// Reads TOML into a tree.
pub(super) fn read(text: &str, file: &Path) -> Result<Node, Problem> {
    let lines = Lines::of(text);
    match Document::parse(text) {
        Ok(document) => Ok(Node { origin: Origin::Line(1), data: lines.table(document.as_table()) }),
        Err(error) => Err(syntax_problem(&error, &lines, file)),
    }
}

fn syntax_problem(error: &toml_edit::TomlError, lines: &Lines, file: &Path) -> Problem {
    let line = error.span().map_or(0, |span| lines.line(span.start));
    let message = error.message().lines().collect::<Vec<_>>().join(", ");
    Problem::at(Place::line(file, line), format!("not valid TOML: {message}"))
        .try_this("write texts in quotes, tables as [train] or [[task]], and each key once per table")
}

/// Byte offsets of line starts.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(i, _)| i + 1);
        Self(std::iter::once(0).chain(breaks).collect())
    }

    fn line(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset)
    }

    fn origin(&self, span: Option<std::ops::Range<usize>>) -> Origin {
        Origin::Line(span.map_or(0, |span| self.line(span.start)))
    }

    fn table(&self, table: &dyn TableLike) -> Data {
        let entry = |(name, item): (&str, &Item)| {
            let key_span = table.key(name).and_then(toml_edit::Key::span);
            let node = self.item(item, key_span)?;
            Some((name.to_owned(), node))
        };
        Data::Table(table.iter().filter_map(entry).collect())
    }

    /// An item of a table; its place is that of its key (a header's, for a table).
    fn item(&self, item: &Item, key_span: Option<std::ops::Range<usize>>) -> Option<Node> {
        let span = key_span.or_else(|| item.span());
        let data = match item {
            Item::None => return None,
            Item::Value(value) => self.value(value),
            Item::Table(table) => self.table(table),
            Item::ArrayOfTables(tables) => Data::List(
                tables
                    .iter()
                    .map(|table| Node { origin: self.origin(table.span()), data: self.table(table) })
                    .collect(),
            ),
        };
        Some(Node { origin: self.origin(span), data })
    }

    fn value(&self, value: &toml_edit::Value) -> Data {
        use toml_edit::Value as V;
        match value {
            V::String(x) => Data::Text(x.value().clone()),
            V::Integer(x) => Data::Integer(*x.value()),
            V::Float(x) => Data::Real(*x.value()),
            V::Boolean(x) => Data::Bool(*x.value()),
            V::Datetime(_) => Data::Date,
            V::Array(items) => Data::List(
                items
                    .iter()
                    .map(|item| Node { origin: self.origin(item.span()), data: self.value(item) })
                    .collect(),
            ),
            V::InlineTable(table) => self.table(table),
        }
    }
}

/// Applies `--set` overrides to the tree, in their order; what cannot be applied is reported.
pub(super) fn apply(tree: &mut Node, overrides: &[String], reporter: &mut Reporter) {
    for text in overrides {
        if let Err((origin, what, remedy)) = set(tree, text) {
            reporter.report(&origin, what, remedy);
        }
    }
}

/// Keys of which the one given last wins, so that `--set` can replace either by the other.
const EXCLUSIVE: [(&str, &str); 2] = [("epochs", "steps"), ("data", "files")];

/// `task.NAME.loss.PARAMETER.LABEL` is the deepest path there is; labels may hold dots.
const MOST_STEPS: usize = 12;

fn set(tree: &mut Node, text: &str) -> Result<(), (Origin, String, String)> {
    let Some((path, value)) = text.split_once('=') else {
        let (what, remedy) = ("no value found, expected KEY=VALUE", "--set train.lr=3e-4");
        return Err((Origin::Set(text.into()), what.into(), remedy.into()));
    };
    let origin = Origin::Set(path.trim().into());
    let steps: Vec<&str> = path.trim().split('.').collect();
    if steps.len() > MOST_STEPS {
        let what = format!("{} keys inside each other, no suite has as many", steps.len());
        return Err((origin, what, String::new()));
    }
    let data = parse_value(value.trim(), &origin);
    let node = Node { origin: origin.clone(), data };
    place_value(tree, &steps, node).map_err(|(what, remedy)| (origin, what, remedy))
}

/// A TOML value; anything that is none is meant as a text, so that `--set train.weighting=uw` needs no quotes.
fn parse_value(text: &str, origin: &Origin) -> Data {
    fn replace_origins(node: &mut Node, origin: &Origin) {
        node.origin = origin.clone();
        match &mut node.data {
            Data::List(items) => items.iter_mut().for_each(|item| replace_origins(item, origin)),
            Data::Table(entries) => entries.iter_mut().for_each(|(_, item)| replace_origins(item, origin)),
            _ => {}
        }
    }
    let Ok(value) = text.parse::<toml_edit::Value>() else {
        return Data::Text(text.into());
    };
    let mut node = Node { origin: origin.clone(), data: Lines(vec![0]).value(&value) };
    replace_origins(&mut node, origin);
    node.data
}

fn place_value(node: &mut Node, path: &[&str], value: Node) -> Result<(), (String, String)> {
    let Some((step, rest)) = path.split_first() else {
        *node = value;
        return Ok(());
    };
    match &mut node.data {
        Data::Table(entries) => {
            let other = |(a, b): (&'static str, &'static str)| {
                (*step == a).then_some(b).or_else(|| (*step == b).then_some(a))
            };
            if let Some(other) = EXCLUSIVE.into_iter().find_map(other).filter(|_| rest.is_empty()) {
                entries.retain(|(name, _)| name != other);
            }
            let at = entries.iter().position(|(name, _)| name == step).unwrap_or_else(|| {
                let empty = Node { origin: value.origin.clone(), data: Data::Table(Vec::new()) };
                entries.push(((*step).to_owned(), empty));
                entries.len() - 1
            });
            place_value(&mut entries[at].1, rest, value)
        }
        Data::List(items) => {
            let name_of = |item: &Node| item.get("name").and_then(Node::text).map(str::to_owned);
            let names: Vec<String> = items.iter().filter_map(name_of).collect();
            let found = items.iter_mut().find(|item| name_of(item).as_deref() == Some(step));
            match found {
                Some(item) => place_value(item, rest, value),
                None => Err((format!("nothing is named `{step}`"), super::near::advice(step, &names))),
            }
        }
        _ => Err((
            format!("`{step}` is inside {}, expected a table or a list of tables", node.found()),
            String::new(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::reporter::Purpose;
    use super::*;

    #[test]
    fn places_are_the_lines_of_keys_and_headers() {
        let text =
            "a = 1\n[train]\nlr = 2\n\n[[task]]\nname = 'x'\n[[task]]\ncolumns.a = 'b'\nlist = [\n 1,\n 2]\n";
        let tree = read(text, Path::new("s.toml")).unwrap();
        let line = |node: &Node| node.origin.line();
        assert_eq!(line(tree.get("a").unwrap()), 1);
        assert_eq!(line(tree.get("train").unwrap()), 2);
        assert_eq!(line(tree.get("train").unwrap().get("lr").unwrap()), 3);
        let tasks = tree.get("task").unwrap().items();
        assert_eq!((line(&tasks[0]), line(&tasks[1])), (5, 7));
        assert_eq!(line(tasks[1].get("columns").unwrap().get("a").unwrap()), 8);
        assert_eq!(line(&tasks[1].get("list").unwrap().items()[1]), 11);
    }

    #[test]
    fn an_override_reaches_tasks_by_name_and_takes_bare_words() {
        let mut tree = read("[[task]]\nname = 'sts'\n", Path::new("s.toml")).unwrap();
        let sets = ["task.sts.margin=2", "train.weighting=uw", "seed = 7"].map(String::from);
        let mut reporter = Reporter::new(Path::new("s.toml"), Purpose::Train);
        apply(&mut tree, &sets, &mut reporter);
        assert!(reporter.finish().is_empty());
        assert!(matches!(tree.get("task").unwrap().items()[0].get("margin").unwrap().data, Data::Integer(2)));
        assert_eq!(tree.get("train").unwrap().get("weighting").unwrap().text(), Some("uw"));
        assert!(matches!(tree.get("seed").unwrap().data, Data::Integer(7)));
    }

    #[test]
    fn an_override_that_reaches_nothing_says_what_is_there() {
        let mut tree = read("seed = 1\n[[task]]\nname = 'sts'\n", Path::new("s.toml")).unwrap();
        let mut reporter = Reporter::new(Path::new("s.toml"), Purpose::Train);
        apply(&mut tree, &["task.stss.margin=2".into(), "seed".into(), "seed.x=1".into()], &mut reporter);
        let shown: Vec<String> = reporter.finish().iter().map(ToString::to_string).collect();
        assert_eq!(shown[2], "--set task.stss.margin: nothing is named `stss`\n    try: `sts`");
        assert_eq!(shown[0], "--set seed: no value found, expected KEY=VALUE\n    try: --set train.lr=3e-4");
        assert_eq!(shown[1], "--set seed.x: `x` is inside 1, expected a table or a list of tables");
    }
}
