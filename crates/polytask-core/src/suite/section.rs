//! One table of the suite: its keys checked against [`super::keys`], its values typed with defaults.
//!
//! A value that fails its check is reported and then treated as absent, so that reading goes on with the
//! default and every further mistake is found too.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::Split;
use super::keys::{self, KeyInfo, Table, ValueType};
use super::near;
use super::reporter::Reporter;
use super::tree::{Data, Node, Origin};
use crate::input::table::TOWERS;
use crate::synonyms;

/// A table whose keys have been checked.
pub(super) struct Section<'a> {
    table: Table,
    /// How errors name it: `[train]`, `task "sts"`.
    pub(super) label: String,
    /// Where it starts.
    pub(super) origin: &'a Origin,
    given: BTreeMap<&'static str, &'a Node>,
    /// Keys whose value was reported.
    refused: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// Checks every key of `node`; `node` may be anything, a value that is no table has no keys.
    pub(super) fn check(table: Table, label: String, node: &'a Node, reporter: &mut Reporter) -> Self {
        let mut section =
            Self { table, label, origin: &node.origin, given: BTreeMap::new(), refused: Vec::new() };
        if !matches!(node.data, Data::Table(_)) {
            let what = format!("{} is {}, expected a table", section.label, node.found());
            reporter.report(&node.origin, what, format!("open it with {}", table.header()));
        }
        for (name, value) in node.entries() {
            match keys::find(table, name) {
                None => section.unknown(name, value, reporter),
                Some(key) if section.accepts(key, value, reporter) => {
                    section.given.insert(key.name, value);
                }
                Some(key) => section.refused.push(key.name),
            }
        }
        section
    }

    fn unknown(&self, name: &str, value: &Node, reporter: &mut Reporter) {
        // The nearest key of half a million is not looked for.
        if reporter.counts_only() {
            return;
        }
        let here: Vec<&str> = keys::keys_of(self.table).map(|key| key.name).collect();
        let elsewhere = keys::keys().iter().find(|key| key.name == name);
        let homes =
            |key: &KeyInfo| key.tables.iter().map(|table| table.header()).collect::<Vec<_>>().join(" or ");
        let remedy = match (synonyms::advice(name, &here), elsewhere) {
            (Some(meant), _) => meant,
            (None, Some(key)) => format!("`{name}` belongs to {}", homes(key)),
            (None, None) => match near::nearest(name, &here) {
                Some(near) => format!("`{near}`"),
                // A word of another tool for a key of another table.
                None => keys::keys()
                    .iter()
                    .find_map(|key| {
                        Some(format!("{} in {}", synonyms::advice(name, &[key.name])?, homes(key)))
                    })
                    .unwrap_or_else(|| near::advice(name, &here)),
            },
        };
        reporter.report(
            &value.origin,
            format!("unknown key `{}` in {}", super::tree::shorten(name), self.label),
            remedy,
        );
    }

    fn accepts(&self, key: &'static KeyInfo, value: &Node, reporter: &mut Reporter) -> bool {
        let Some(wrong) = mistake(&key.value, value) else { return true };
        let what =
            format!("`{}` in {} is {}, expected {}", key.name, self.label, wrong.found, wrong.expected);
        let remedy = wrong.remedy.unwrap_or_else(|| match key.default {
            "" => String::new(),
            default => format!("the default is {default}"),
        });
        reporter.report(&wrong.origin, what, remedy);
        false
    }

    /// Where a key was written; the section's start when it was not.
    pub(super) fn place(&self, key: &str) -> &'a Origin {
        self.given.get(key).map_or(self.origin, |node| &node.origin)
    }

    /// Whether a valid value was given.
    pub(super) fn has(&self, key: &str) -> bool {
        self.given.contains_key(key)
    }

    /// The table it is one of.
    pub(super) fn table(&self) -> Table {
        self.table
    }

    /// Whether the value is the one the key has when it is not given: a merged suite has every default written out.
    pub(super) fn is_default(&self, key: &str) -> bool {
        let default = keys::find(self.table, key).and_then(|info| serde_json::from_str(info.default).ok());
        let (given, default) = (self.value(key), default.unwrap_or(Value::Null));
        given == default || given.as_f64().is_some_and(|given| default.as_f64() == Some(given))
    }

    /// Whether a value was given and reported, so that its absence needs no report.
    pub(super) fn is_refused(&self, key: &str) -> bool {
        self.refused.contains(&key)
    }

    /// The value as written, if it was given and valid.
    pub(super) fn node(&self, key: &str) -> Option<&'a Node> {
        self.given.get(key).copied()
    }

    /// The value given, else the default; null when there is neither.
    pub(super) fn value(&self, key: &str) -> Value {
        let default = || {
            let info = keys::find(self.table, key).expect("the reader asks for keys of the table only");
            serde_json::from_str(info.default).unwrap_or(Value::Null)
        };
        self.node(key).map_or_else(default, Node::json)
    }

    pub(super) fn maybe_real(&self, key: &str) -> Option<f64> {
        self.value(key).as_f64()
    }

    pub(super) fn real(&self, key: &str) -> f64 {
        self.maybe_real(key).expect("a number is given or the default")
    }

    pub(super) fn maybe_count(&self, key: &str) -> Option<u64> {
        self.value(key).as_u64()
    }

    pub(super) fn count(&self, key: &str) -> u64 {
        self.maybe_count(key).expect("a count is given or the default")
    }

    pub(super) fn maybe_size(&self, key: &str) -> Option<usize> {
        self.maybe_count(key).and_then(|n| usize::try_from(n).ok())
    }

    pub(super) fn size(&self, key: &str) -> usize {
        self.count(key).try_into().unwrap_or(usize::MAX)
    }

    /// The numbers of a list, when one is given.
    pub(super) fn maybe_sizes(&self, key: &str) -> Option<Vec<usize>> {
        self.node(key).and_then(|node| serde_json::from_value(node.json()).ok())
    }

    /// Two numbers, when they are given.
    pub(super) fn maybe_interval(&self, key: &str) -> Option<(f64, f64)> {
        self.node(key).and_then(|node| serde_json::from_value(node.json()).ok())
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        self.value(key).as_bool().expect("a switch is given or the default")
    }

    /// A switch that may be something else.
    pub(super) fn switch(&self, key: &str) -> Option<bool> {
        self.value(key).as_bool()
    }

    pub(super) fn maybe_text(&self, key: &str) -> Option<String> {
        self.value(key).as_str().map(str::to_owned)
    }

    pub(super) fn text(&self, key: &str) -> String {
        self.maybe_text(key).expect("a text is given or the default")
    }

    /// The name of the part that is a key's default.
    pub(super) fn part(&self, key: &str) -> String {
        let info = keys::find(self.table, key).expect("the reader asks for keys of the table only");
        serde_json::from_str(info.default).expect("the default of a part is its name")
    }

    pub(super) fn texts(&self, key: &str) -> Vec<String> {
        serde_json::from_value(self.value(key)).unwrap_or_default()
    }

    /// A closed set of words as its type.
    pub(super) fn word<T: serde::de::DeserializeOwned>(&self, key: &str) -> T {
        serde_json::from_value(self.value(key)).expect("the words of a key are those of its type")
    }

    pub(super) fn path(&self, key: &str) -> Option<PathBuf> {
        self.maybe_text(key).map(PathBuf::from)
    }

    /// A path, or all of a list.
    pub(super) fn paths(&self, key: &str) -> Vec<PathBuf> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let texts = node.items().iter().filter_map(Node::text);
        node.text().into_iter().chain(texts).map(PathBuf::from).collect()
    }

    /// Split → path with where each was written.
    pub(super) fn files(&self, key: &str) -> Vec<(Split, PathBuf, &'a Origin)> {
        let entries = self.node(key).map_or(&[][..], Node::entries);
        let read = |(name, node): &'a (String, Node)| Some((split(name)?, node.text()?.into(), &node.origin));
        entries.iter().filter_map(read).collect()
    }
}

/// The split a name means.
pub(super) fn split(name: &str) -> Option<Split> {
    Split::ALL.into_iter().find(|split| split.stems().contains(&name))
}

struct Mistake {
    origin: Origin,
    found: String,
    expected: String,
    remedy: Option<String>,
}

/// What is wrong with a value, if anything.
fn mistake(expected: &ValueType, node: &Node) -> Option<Mistake> {
    let whole = || Some(wrong(node, node.found(), expected));
    let real = |low: bool| node.json().as_f64().is_some_and(|x| x < 1.0 && (x > 0.0 || low && x == 0.0));
    let text = node.text();
    let fine = match expected {
        ValueType::Scalar(crate::method::Range::OneOf(words)) => return word_mistake(expected, words, node),
        ValueType::Scalar(range) => range.contains(&node.json()),
        ValueType::Joined(words) => {
            let bad =
                |text: &str| text.split('+').find(|part| !words.contains(&part.trim())).map(str::to_owned);
            let part = text.map_or(Some(String::new()), bad)?;
            let remedy = near::nearest(part.trim(), words).map(|near| format!("{near:?}"));
            return Some(Mistake { remedy, ..wrong(node, node.found(), expected) });
        }
        ValueType::Share => real(true),
        ValueType::Fraction => real(false),
        ValueType::Betas => {
            node.items().len() == 2
                && node.items().iter().all(|beta| mistake(&ValueType::Share, beta).is_none())
        }
        ValueType::Interval => matches!(
            &node.items().iter().filter_map(|item| item.json().as_f64()).collect::<Vec<_>>()[..],
            [low, high] if low < high && node.items().len() == 2
        ),
        ValueType::Counts(n) => {
            let is_count = |item: &Node| item.json().as_u64().is_some_and(|n| n > 0);
            let items = node.items();
            !items.is_empty() && n.is_none_or(|n| n == items.len()) && items.iter().all(is_count)
        }
        ValueType::Name => text.is_some_and(is_name),
        ValueType::Paths if matches!(node.data, Data::List(_)) => {
            !node.items().is_empty()
                && node.items().iter().all(|item| mistake(&ValueType::Path, item).is_none())
        }
        ValueType::Text | ValueType::Path | ValueType::Paths => {
            text.is_some_and(|text| !text.trim().is_empty())
        }
        ValueType::Learners if node.json().is_boolean() => true,
        ValueType::LabelSet if text.is_some_and(|text| !text.trim().is_empty()) => true,
        ValueType::LabelSet | ValueType::Texts | ValueType::Blocks | ValueType::Learners => {
            return list_mistake(expected, node);
        }
        ValueType::Columns | ValueType::Prompts | ValueType::Files => return table_mistake(expected, node),
        ValueType::Part => text.is_some() || matches!(node.data, Data::Table(_)),
        // Each is checked as a section of its own.
        ValueType::Section(_) => true,
        ValueType::Sections(_) => matches!(node.data, Data::List(_)),
    };
    if fine { None } else { whole() }
}

fn wrong(node: &Node, found: String, expected: &ValueType) -> Mistake {
    let remedy = match expected {
        ValueType::Sections(table) => Some(format!("open each with {}", table.header())),
        ValueType::Path if matches!(node.data, Data::Table(_)) => {
            Some("files = { train = \"...\", test = \"...\" } for a file per split".into())
        }
        ValueType::Files if node.text().is_some() => {
            Some("data = \"...\" for one path, or files = { train = \"...\" }".into())
        }
        ValueType::Name => node.text().map(|text| format!("{:?}", usable_name(text))),
        _ => None,
    };
    Mistake { origin: node.origin.clone(), found, expected: expected.describe(), remedy }
}

fn word_mistake(expected: &ValueType, words: &[&str], node: &Node) -> Option<Mistake> {
    let found = wrong(node, node.found(), expected);
    match node.text() {
        Some(word) if words.contains(&word) => None,
        Some(word) => {
            Some(Mistake { remedy: near::nearest(word, words).map(|near| format!("{near:?}")), ..found })
        }
        None => Some(found),
    }
}

fn list_mistake(expected: &ValueType, node: &Node) -> Option<Mistake> {
    if !matches!(node.data, Data::List(_)) {
        return Some(wrong(node, node.found(), expected));
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut fine = |item: &Node| match (expected, item.text()) {
        (_, None) => false,
        (ValueType::Blocks, Some(text)) => is_block(text),
        (_, Some(text)) => seen.insert(text.to_owned()),
    };
    // The first bad item is enough: the others are usually wrong in the same way.
    let bad = node.items().iter().find(|item| !fine(item))?;
    Some(wrong(bad, format!("a list with {}", bad.found()), expected))
}

fn table_mistake(expected: &ValueType, node: &Node) -> Option<Mistake> {
    let Data::Table(entries) = &node.data else {
        return Some(wrong(node, node.found(), expected));
    };
    let may_be_empty = matches!(expected, ValueType::Prompts);
    let text_of = |node: &Node| node.text().is_some_and(|text| may_be_empty || !text.trim().is_empty());
    let mut seen = Vec::new();
    for (name, value) in entries {
        if !text_of(value) {
            return Some(wrong(value, format!("a table with `{name}` = {}", value.found()), expected));
        }
        if matches!(expected, ValueType::Columns | ValueType::Prompts) {
            continue;
        }
        match split(name) {
            None => return Some(wrong(value, format!("a table with the key `{name}`"), expected)),
            Some(split) if seen.contains(&split) => {
                return Some(wrong(value, format!("a table that names {} twice", split.name()), expected));
            }
            Some(split) => seen.push(split),
        }
    }
    None
}

/// Whether a name can be part of a file name everywhere.
pub(super) fn is_name(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !text.is_empty() && text.len() <= 64 && text.chars().all(legal)
}

/// The nearest usable name.
pub(super) fn usable_name(text: &str) -> String {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c: char| !is_legal(c)).filter(|word| !word.is_empty());
    let name: String = words.collect::<Vec<_>>().join("-").chars().take(64).collect();
    if name.is_empty() { "task-1".into() } else { name }
}

/// `embeddings`, `layer.3`, `layer.0-3`.
fn is_block(text: &str) -> bool {
    let number = |text: &str| text.parse::<u16>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    let of_tower = |tower: &&str| text.strip_prefix(*tower)?.strip_prefix('.');
    let text = TOWERS.iter().find_map(of_tower).unwrap_or(text);
    match text.strip_prefix("layer.").map(|range| range.split_once('-').unwrap_or((range, range))) {
        Some((first, last)) => matches!((number(first), number(last)), (Some(a), Some(b)) if a <= b),
        None => text == "embeddings" || TOWERS.contains(&text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_names_are_embeddings_layers_and_rising_ranges() {
        let legal = [
            "embeddings",
            "layer.0",
            "layer.0-3",
            "layer.11-11",
            "text",
            "image.layer.0-2",
            "text.embeddings",
        ];
        assert!(legal.iter().all(|text| is_block(text)));
        let wrong = [
            "",
            "layer",
            "layer.",
            "layer.x",
            "layer.3-1",
            "layer.-1",
            "layer.0-",
            "layer.+1",
            "layer.0-1-2",
        ];
        assert!(wrong.iter().all(|text| !is_block(text)));
    }

    #[test]
    fn a_suggested_name_is_usable() {
        for text in ["my task", "ä/ö", "", "  ", &"x".repeat(90)] {
            assert!(is_name(&usable_name(text)), "{text}");
        }
    }
}
