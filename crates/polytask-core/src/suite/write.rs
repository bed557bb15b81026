//! From the suite back to a file: every key with its value, readable by [`super::load`] to the same suite.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item};

use super::Suite;
use super::keys::{KeyInfo, Table, ValueType, keys_of};

/// Keys of `[train]` that say how a run is done and change no bit of its weights.
const MEANS: [&str; 5] = ["baselines", "checkpoint_every", "data_mb", "recompute", "threads"];

/// The suite as a file with every default written out; paths as they are in the suite.
///
/// # Panics
/// When a path is not UTF-8, which neither a suite file nor [`Suite::with_absolute_paths`] gives.
pub fn to_toml(suite: &Suite) -> String {
    let mut value = serde_json::to_value(suite).expect("a suite has texts for keys and UTF-8 paths");
    for task in value.get_mut("task").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(file) = task.get("label_file").cloned() {
            task["labels"] = file;
        }
    }
    let mut document = DocumentMut::new();
    *document.as_table_mut() = section(Table::Root, &value);
    document.to_string()
}

/// SHA-256 of the merged suite: the same for two suites that mean the same, however they were written.
pub fn hash(suite: &Suite) -> String {
    crate::hash::sha256(to_toml(suite).as_bytes())
}

/// SHA-256 of the settings that decide a run's weights: the same for two suites that train to the same bytes.
pub fn weight_hash(suite: &Suite) -> String {
    crate::hash::sha256(weight_settings(&to_toml(suite)).join("\n").as_bytes())
}

/// The settings that decide a run's weights, a line each, of a file that [`to_toml`] wrote: keys that say only how
/// a run is done are left out, and a key that an earlier version did not write has its default. A text that is no
/// TOML is its own lines.
pub fn weight_settings(text: &str) -> Vec<String> {
    let Ok(document) = text.parse::<DocumentMut>() else { return text.lines().map(str::to_owned).collect() };
    settings_of(Table::Root, document.as_table())
}

fn settings_of(table: Table, written: &toml_edit::Table) -> Vec<String> {
    let is_means = |name: &str| table == Table::Train && MEANS.contains(&name);
    let known = keys_of(table).filter(|key| !is_means(key.name));
    let mut lines: Vec<String> = known.flat_map(|key| setting(key, written.get(key.name))).collect();
    let unknown = written.iter().filter(|(name, _)| keys_of(table).all(|key| key.name != *name));
    lines.extend(unknown.map(|(name, item)| line(name, item)));
    lines
}

/// A key's line, or the lines of its tables.
fn setting(key: &KeyInfo, given: Option<&Item>) -> Vec<String> {
    let headed = |header: String, table: Table, written: &toml_edit::Table| {
        [vec![header], settings_of(table, written)].concat()
    };
    match key.value {
        ValueType::Section(table) => {
            let written = given.and_then(Item::as_table).cloned().unwrap_or_default();
            headed(format!("[{}]", key.name), table, &written)
        }
        ValueType::Sections(table) => {
            let all = given.and_then(Item::as_array_of_tables).into_iter().flatten();
            all.flat_map(|written| headed(format!("[[{}]]", key.name), table, written)).collect()
        }
        _ => {
            let default = || item(&key.value, &serde_json::from_str(key.default).unwrap_or(Value::Null));
            given.cloned().or_else(default).map(|item| line(key.name, &item)).into_iter().collect()
        }
    }
}

fn line(name: &str, item: &Item) -> String {
    format!("{name} = {}", item.to_string().trim())
}

impl Suite {
    /// A path of the suite as one the process can open.
    pub fn path(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    /// The same suite with paths that hold from every folder, as run folders keep it.
    #[must_use]
    pub fn with_absolute_paths(&self) -> Self {
        let mut suite = self.clone();
        if self.path(Path::new(&self.model.encoder)).is_dir() {
            suite.model.encoder =
                self.absolute(Path::new(&self.model.encoder)).to_string_lossy().into_owned();
        }
        if let Some(endpoint) = &mut suite.model.endpoint {
            endpoint.cassette = self.absolute(&endpoint.cassette);
        }
        for teacher in suite.tasks.iter_mut().filter_map(|task| task.teacher.as_mut()) {
            teacher.model.iter_mut().for_each(|folder| *folder = self.absolute(folder));
        }
        for nodes in &mut suite.nodes {
            nodes.file = self.absolute(&nodes.file);
        }
        for task in &mut suite.tasks {
            let generated = task.generated.iter_mut().map(|rows| &mut rows.file);
            for path in task.label_file.iter_mut().chain(generated) {
                *path = self.absolute(path);
            }
        }
        for source in &mut suite.sources {
            let single = source.corpus.iter_mut().chain(&mut source.queries);
            for path in source.files.values_mut().chain(source.qrels.values_mut()).chain(single) {
                *path = self.absolute(path);
            }
        }
        suite
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        let full = self.path(path);
        let absolute = std::path::absolute(&full).unwrap_or(full);
        absolute.to_string_lossy().into_owned().into()
    }
}

/// A section, its keys in the order of the table of keys.
fn section(table: Table, values: &Value) -> toml_edit::Table {
    let mut written = toml_edit::Table::new();
    // Steps stand instead of epochs, not beside them.
    let steps = values.get("steps").is_some_and(|steps| !steps.is_null());
    for key in keys_of(table).filter(|key| !(steps && key.name == "epochs")) {
        let item = values.get(key.name).and_then(|value| item(&key.value, value));
        if let Some(item) = item {
            written.insert(key.name, item);
        }
    }
    written
}

/// A value in its form; none for what is absent.
fn item(form: &ValueType, value: &Value) -> Option<Item> {
    let sections = |table| value.as_array().into_iter().flatten().map(move |value| section(table, value));
    Some(match form {
        ValueType::Section(_) if value.is_null() => return None,
        ValueType::Section(table) => Item::Table(section(*table, value)),
        ValueType::Sections(table) => Item::ArrayOfTables(sections(*table).collect::<ArrayOfTables>()),
        ValueType::Columns | ValueType::Prompts | ValueType::Files
            if value.as_object().is_none_or(Map::is_empty) =>
        {
            return None;
        }
        _ => Item::Value(plain(value)?),
    })
}

/// JSON as TOML; null is absent, and a part without parameters is its name.
fn plain(value: &Value) -> Option<toml_edit::Value> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(x) => (*x).into(),
        Value::Number(x) => number(x),
        Value::String(x) => x.as_str().into(),
        Value::Array(items) => toml_edit::Value::Array(items.iter().filter_map(plain).collect::<Array>()),
        Value::Object(map) if map.len() == 1 && map.get("name").is_some_and(Value::is_string) => {
            return plain(&map["name"]);
        }
        Value::Object(map) => {
            let entries = map.iter().filter_map(|(key, value)| Some((key, plain(value)?)));
            toml_edit::Value::InlineTable(entries.collect::<InlineTable>())
        }
    })
}

/// Whole numbers stay whole, reals keep their shortest digits.
fn number(x: &serde_json::Number) -> toml_edit::Value {
    x.as_i64().map_or_else(|| x.as_f64().unwrap_or(f64::NAN).into(), Into::into)
}
