//! The texts of a node set.

use std::collections::HashMap;
use std::path::Path;

use polytask_core::suite::NodeSpec;
use polytask_core::suite::nodes::columns;
use polytask_core::{Place, Problem, Result, near};

use super::columns::{IDS, TEXTS, first_of};
use super::found::Found;
use super::problems::Problems;
use crate::readers::{self, Cell, Record};

/// A text of a node set.
pub(super) struct NodeText {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) line: usize,
}

/// Reads a node set: every row's id and its text; rows with a mistake are noted and left out.
pub(super) fn read(file: &Path, spec: &NodeSpec, problems: &mut Problems) -> Result<Vec<NodeText>> {
    let mut reader = readers::open(file)?;
    let names = reader.columns();
    let found = Found { file, names: names.clone(), is_complete: true };
    let id = match &spec.id {
        Some(id) => expect(file, &names, id)?,
        None => first_of(IDS, &found).ok_or_else(|| missing(file, &names, "id", IDS))?,
    };
    let template = match &spec.text {
        Some(text) => text.clone(),
        None => usual_text(&found).ok_or_else(|| missing(file, &names, "text", TEXTS))?,
    };
    for column in columns(&template).unwrap_or_default() {
        expect(file, &names, column)?;
    }
    let (mut nodes, mut lines) = (Vec::new(), HashMap::new());
    for record in reader {
        match record.and_then(|record| node(file, &record, &id, &template)) {
            Ok(node) => match lines.insert(node.id.clone(), node.line) {
                None => nodes.push(node),
                Some(first) => problems.add(twice(file, &node, first))?,
            },
            Err(error) => problems.add_error(error)?,
        }
    }
    if nodes.is_empty() && problems.len() == 0 {
        let what = format!("node set `{}` has no rows, expected at least one", spec.name);
        problems
            .add(Problem::at(Place::file(file), what).try_this("check that the file was written whole"))?;
    }
    Ok(nodes)
}

/// Title and text, as a corpus has them.
fn usual_text(found: &Found<'_>) -> Option<String> {
    match (first_of(&["title"], found), first_of(TEXTS, found)) {
        (Some(title), Some(text)) => Some(format!("{{{title}}} {{{text}}}")),
        (Some(one), None) | (None, Some(one)) => Some(format!("{{{one}}}")),
        (None, None) => None,
    }
}

fn node(file: &Path, record: &Record, id: &str, template: &str) -> Result<NodeText> {
    let at = |what: &str| Problem::at(Place::line(file, record.line), what.to_owned());
    let id = record.get(id).filter(|cell| !cell.is_missing()).and_then(Cell::to_text);
    let id = id.ok_or_else(|| at("node has no id"))?;
    let value = |column: &str| record.get(column).and_then(Cell::to_text).unwrap_or_default();
    let is_empty = columns(template).unwrap_or_default().iter().all(|column| value(column).trim().is_empty());
    let text = filled(template, value);
    if is_empty {
        let what = format!("node `{}` has no text", readers::shorten(&id));
        return Err(at(&what).try_this("write its text, or remove the node").into());
    }
    Ok(NodeText { id, text, line: record.line })
}

/// A template with its columns filled in.
fn filled(template: &str, value: impl Fn(&str) -> String) -> String {
    let (mut text, mut rest) = (String::new(), template);
    while let Some((before, after)) = rest.split_once('{') {
        let (name, later) = after.split_once('}').unwrap_or((after, ""));
        text += before;
        text += value(name.trim()).trim();
        rest = later;
    }
    (text + rest).trim().to_owned()
}

fn twice(file: &Path, node: &NodeText, first: usize) -> Problem {
    let what = format!("two nodes have the id `{}`, the first in line {first}", readers::shorten(&node.id));
    Problem::at(Place::line(file, node.line), what).try_this("give each node an id of its own")
}

/// The column, which must be there.
fn expect(file: &Path, names: &[String], column: &str) -> Result<String> {
    if names.iter().any(|name| name == column) {
        return Ok(column.to_owned());
    }
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    let what = format!("no column `{column}`, found {}", readers::listed(names));
    Err(Problem::at(Place::line(file, 1), what).try_this(near::advice(column, &known)).into())
}

fn missing(file: &Path, names: &[String], role: &str, usual: &[&str]) -> polytask_core::Error {
    let what = format!(
        "no column for the {role} of nodes: found {}, expected `{}`",
        readers::listed(names),
        usual.join("` or `")
    );
    Problem::at(Place::line(file, 1), what).try_this(format!("`{role}` in the [[nodes]]")).into()
}

#[cfg(test)]
mod tests {
    use super::filled;

    #[test]
    fn templates_are_filled_from_columns() {
        let value = |column: &str| if column == "title" { " Chef ".to_owned() } else { String::new() };
        assert_eq!(filled("{title}: {about}", value), "Chef:");
        assert_eq!(filled("a {title} b", value), "a Chef b");
    }
}
