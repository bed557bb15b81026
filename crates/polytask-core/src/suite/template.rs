//! How `polytask init` writes a suite: settings with their meaning, then drafts of sources and tasks, each guess with its
//! evidence as a comment, and what is unsure as commented lines.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use super::Split;
use super::keys::{self, KeyInfo, Table};
use super::section::usable_name;
use crate::input::{FreshTraining, text};
use crate::kind::KindInfo;

/// Keys of `[model]` and `[train]` that a first suite shows; `true` = written, `false` = as a comment.
const SHOWN: &[(&str, bool)] =
    &[("encoder", true), ("freeze", false), ("max_length", false), ("sampling", false)];

/// What stands in `[train]` in place of settings.
const LEFT_TO_DATA: &str =
    "# Epochs, batches, rate and weighting are chosen from the data; `polytask show` says what and why.\n";

/// Rows found, and the tasks that can be made of their columns.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Draft {
    /// Name of the source.
    pub name: String,
    /// Where the rows are, as the suite names it.
    pub data: DraftData,
    /// Whether valid has to be cut from train.
    pub cuts_valid: bool,
    /// Columns of a table that are not read.
    pub ignore: Vec<String>,
    /// Input role and column, where the reader would not find the column by itself.
    pub columns: Vec<(String, String)>,
    /// What was seen of the rows and their inputs.
    pub evidence: Vec<String>,
    /// The tasks.
    pub tasks: Vec<DraftTask>,
    /// Columns and files that no task uses, and why.
    pub left_out: Vec<String>,
}

/// Where the rows of a draft are; paths are relative to the suite.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DraftData {
    /// A folder, or one file; else `files` says it.
    pub data: Option<PathBuf>,
    /// The file of each split.
    pub files: BTreeMap<Split, PathBuf>,
    /// Passages (retrieval).
    pub corpus: Option<PathBuf>,
    /// Queries of all splits (retrieval).
    pub queries: Option<PathBuf>,
    /// Judgements of each split (retrieval).
    pub qrels: BTreeMap<Split, PathBuf>,
}

/// A task that a column can be.
#[derive(Debug, Clone, PartialEq)]
pub struct DraftTask {
    /// Name of the task.
    pub name: String,
    /// The kind that fits best.
    pub kind: &'static KindInfo,
    /// Target role and column.
    pub columns: Vec<(String, String)>,
    /// The metric, where the kind's first does not fit.
    pub metric: Option<&'static str>,
    /// The label set, where train does not show all of it.
    pub labels: Vec<String>,
    /// What stands between the labels of a cell, where that is no bar.
    pub separator: Option<&'static str>,
    /// Labels that look like marks for unknown targets.
    pub missing: Vec<String>,
    /// What was seen of the column.
    pub evidence: Vec<String>,
    /// Lines that would take the place of the ones written: another kind, other columns.
    pub choices: Vec<String>,
    /// Whether it is written as a task; else as commented lines.
    pub is_sure: bool,
}

/// A suite file called `name` for the data of the drafts; an example to fill in when there are none.
pub fn template(name: &str, drafts: &[Draft], left_out: &[String]) -> String {
    let mut text = String::from(
        "# A suite of polytask. `polytask check` finds mistakes, `polytask show` prints every default.\n",
    );
    let _ = write!(text, "name = \"{}\"\nseed = 13\n", usable_name(name));
    let tasks = || drafts.iter().flat_map(|draft| &draft.tasks).filter(|task| task.is_sure);
    let input = tasks().next().map_or(&text::TEXT, |task| task.kind.input);
    let fresh = input.fresh.filter(|_| tasks().all(|task| task.kind.input == input));
    for table in [Table::Model, Table::Train] {
        let _ = write!(text, "\n{}\n", table.header());
        match (fresh, table) {
            // The defaults of these settings depend on what is read; those of `setting` are for texts.
            (Some(FreshTraining { encoder, .. }), Table::Model) => {
                let _ = writeln!(text, "encoder = {encoder:?}  # A network for {}.", input.plural);
            }
            (Some(_), _) => {}
            (None, _) => {
                text.push_str(if table == Table::Train { LEFT_TO_DATA } else { "" });
                keys::keys_of(table).for_each(|key| setting(&mut text, key));
            }
        }
    }
    if drafts.is_empty() && left_out.is_empty() {
        text.push_str(EXAMPLE);
    }
    let mut names = Names(BTreeSet::from(["mean".to_owned()]));
    for draft in drafts {
        write_draft(&mut text, draft, &mut names);
    }
    if !left_out.is_empty() {
        text.push_str("\n# Files that no task reads:\n");
        left_out.iter().for_each(|line| comment(&mut text, line));
    }
    text
}

/// What is written when no data are found.
const EXAMPLE: &str = r#"
# One [[task]] per data set. A folder holds train, valid and test files (.csv, .tsv, .jsonl or .parquet).
[[task]]
name = "intent"
kind = "class"          # columns: text, label
data = "data/intent"
"#;

fn setting(text: &mut String, key: &KeyInfo) {
    let Some((_, active)) = SHOWN.iter().find(|(name, _)| *name == key.name) else { return };
    let (mark, default) =
        (if *active { "" } else { "# " }, if key.default.is_empty() { "128" } else { key.default });
    let _ = writeln!(text, "{mark}{} = {default}  # {}", key.name, key.about);
}

/// Names given so far: sources and tasks share them.
struct Names(BTreeSet<String>);

impl Names {
    /// The name, with a number behind it when it is taken.
    fn take(&mut self, name: &str) -> String {
        let base = usable_name(name);
        let mut taken = base.clone();
        let mut n = 2;
        while !self.0.insert(taken.clone()) {
            let kept: String = base.chars().take(56).collect();
            taken = format!("{kept}-{n}");
            n += 1;
        }
        taken
    }
}

fn comment(text: &mut String, line: &str) {
    // What comes from a file was escaped by whoever quoted it; no line may end the comment all the same.
    let line: String = line.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    let _ = writeln!(text, "# {line}");
}

fn write_draft(text: &mut String, draft: &Draft, names: &mut Names) {
    text.push('\n');
    let n_sure = draft.tasks.iter().filter(|task| task.is_sure).count();
    if draft.tasks.is_empty() {
        let name = usable_name(&draft.name);
        comment(text, &format!("`{name}`: no task"));
        draft.evidence.iter().chain(&draft.left_out).for_each(|line| comment(text, line));
    } else if let [task] = &draft.tasks[..]
        && !task.kind.input.whole_row
    {
        // Rows of a table are a source of their own: one more of its columns may be learned any time.
        draft.evidence.iter().for_each(|line| comment(text, line));
        write_alone(text, draft, task, names);
        draft.left_out.iter().for_each(|line| comment(text, line));
    } else {
        draft.evidence.iter().for_each(|line| comment(text, line));
        write_shared(text, draft, n_sure > 0, names);
    }
}

/// A task with data of its own.
fn write_alone(text: &mut String, draft: &Draft, task: &DraftTask, names: &mut Names) {
    task.evidence.iter().for_each(|line| comment(text, line));
    let columns: Vec<_> = draft.columns.iter().chain(&task.columns).cloned().collect();
    let mut lines = head(Table::Task, &names.take(&draft.name));
    lines.push(kind_line(task));
    lines.extend(data_lines(draft));
    lines.extend(columns_line(&columns));
    lines.extend(settings_of(task));
    write_lines(text, &lines, task.is_sure);
    task.choices.iter().for_each(|line| comment(text, line));
}

/// A source, and the tasks that read its rows.
fn write_shared(text: &mut String, draft: &Draft, is_sure: bool, names: &mut Names) {
    let source = names.take(&draft.name);
    let mut lines = head(Table::Source, &source);
    lines.extend(data_lines(draft));
    lines.extend(columns_line(&draft.columns));
    write_lines(text, &lines, is_sure);
    draft.left_out.iter().for_each(|line| comment(text, line));
    for task in &draft.tasks {
        text.push('\n');
        task.evidence.iter().for_each(|line| comment(text, line));
        let mut lines = head(Table::Task, &names.take(&task.name));
        lines.push(kind_line(task));
        lines.push(format!("from = \"{source}\""));
        lines.extend(columns_line(&task.columns));
        lines.extend(settings_of(task));
        write_lines(text, &lines, task.is_sure);
        task.choices.iter().for_each(|line| comment(text, line));
    }
}

fn write_lines(text: &mut String, lines: &[String], is_sure: bool) {
    for line in lines {
        let _ = writeln!(text, "{}{line}", if is_sure { "" } else { "# " });
    }
}

fn head(table: Table, name: &str) -> Vec<String> {
    vec![table.header().to_owned(), format!("name = \"{name}\"")]
}

fn kind_line(task: &DraftTask) -> String {
    format!("kind = \"{}\"", task.kind.name)
}

fn data_lines(draft: &Draft) -> Vec<String> {
    let data = &draft.data;
    let path = |key: &str, path: &Option<PathBuf>| {
        path.as_ref().map(|path| format!("{key} = {}", quoted(&path.display().to_string())))
    };
    let files = |key: &str, files: &BTreeMap<Split, PathBuf>| {
        let entry = |(split, path): (&Split, &PathBuf)| {
            format!("{} = {}", split.name(), quoted(&path.display().to_string()))
        };
        let entries: Vec<String> = files.iter().map(entry).collect();
        (!entries.is_empty()).then(|| format!("{key} = {{ {} }}", entries.join(", ")))
    };
    let mut lines: Vec<String> = [
        path("data", &data.data),
        files("files", &data.files),
        path("corpus", &data.corpus),
        path("queries", &data.queries),
        files("qrels", &data.qrels),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !draft.ignore.is_empty() {
        let names: Vec<String> = draft.ignore.iter().map(|name| quoted(name)).collect();
        lines.push(format!("ignore = [{}]", names.join(", ")));
    }
    if draft.cuts_valid {
        lines.push("valid = 0.1  # no valid file: this share of train, by hash".into());
    }
    lines
}

fn columns_line(columns: &[(String, String)]) -> Option<String> {
    let entries: Vec<String> =
        columns.iter().map(|(role, column)| format!("{role} = {}", quoted(column))).collect();
    (!entries.is_empty()).then(|| format!("columns = {{ {} }}", entries.join(", ")))
}

fn settings_of(task: &DraftTask) -> Vec<String> {
    let metric = task.metric.map(|metric| format!("metric = \"{metric}\""));
    let labels: Vec<String> = task.labels.iter().map(|label| quoted(label)).collect();
    let labels = (!labels.is_empty()).then(|| format!("labels = [{}]", labels.join(", ")));
    let separator = task.separator.map(|separator| format!("separator = {}", quoted(separator)));
    let missing: Vec<String> = task.missing.iter().map(|mark| quoted(mark)).collect();
    let missing = (!missing.is_empty())
        .then(|| format!("missing = [{}]  # these look like marks for unknown targets", missing.join(", ")));
    metric.into_iter().chain(separator).chain(labels).chain(missing).collect()
}

/// A text as TOML writes it, on one line: the escapes of JSON are among those of TOML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(name: &str, column: &str, is_sure: bool) -> DraftTask {
        DraftTask {
            name: name.into(),
            kind: crate::kind::find("class").unwrap(),
            columns: vec![("label".into(), column.into())],
            metric: None,
            labels: vec!["a\"b".into()],
            separator: None,
            missing: Vec::new(),
            evidence: vec![format!("column {column:?}: evidence")],
            choices: Vec::new(),
            is_sure,
        }
    }

    #[test]
    fn whatever_the_names_are_the_file_is_toml_and_no_name_is_taken_twice() {
        let odd = "l\n\r[[task]]\u{7f}\"'\\ä";
        let data = DraftData { data: Some(odd.into()), ..DraftData::default() };
        let one = Draft { name: "mean".into(), data, tasks: vec![task("x", odd, true)], ..Draft::default() };
        let two = Draft { tasks: vec![task("x", odd, true), task("mean", odd, false)], ..one.clone() };
        let text = template("my data", &[one, two.clone(), two], &[format!("file {odd}")]);
        let document: toml_edit::DocumentMut = text.parse().unwrap();
        let names = |key: &str| -> Vec<String> {
            let tables = document[key].as_array_of_tables().unwrap();
            tables.iter().map(|table| table["name"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(
            (names("source"), names("task")),
            (
                vec!["mean-3".to_owned(), "mean-5".to_owned()],
                vec!["mean-2".to_owned(), "x".to_owned(), "x-2".to_owned()],
            ),
            "{text}"
        );
        let first = document["task"].as_array_of_tables().unwrap().get(0).unwrap();
        assert_eq!(first["columns"]["label"].as_str(), Some(odd));
        assert_eq!(first["data"].as_str(), Some(odd));
    }

    #[test]
    fn commented_tasks_are_right_once_they_are_uncommented() {
        let draft = Draft {
            name: "s".into(),
            tasks: vec![task("x", "x", true), task("y", "y", false)],
            ..Draft::default()
        };
        let text = template("t", &[draft], &[]);
        let start = text.find("# [[task]]").unwrap();
        let opened = text[start..].replace("# ", "");
        assert!(opened.starts_with("[[task]]\nname = \"y\"\nkind = \"class\"\nfrom = \"s\"\n"), "{text}");
        assert!((text[..start].to_owned() + &opened).parse::<toml_edit::DocumentMut>().is_ok());
    }
}
