//! Labels with what they mean: the file `labels = "labels.toml"` names, and the keys of tasks that match texts with
//! descriptions.

use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::keys::Table;
use super::label_keys::trimmed;
use super::parts::{LABEL_HEADS, Shelf, is_label_head, tunes_encoder};
use super::reporter::Reporter;
use super::section::Section;
use super::tree::{Data, Node, shorten};
use super::{GeneratedRows, Suite, near, written};
use crate::error::{Error, Place, Problem, Result};
use crate::kind::KindInfo;
use crate::method::Choice;
use crate::target::TargetType;

/// Share of rows of known labels that may be answered "none of these", where rows of none are known.
const USUAL_RATE: f64 = 0.05;

/// A label and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedLabel {
    /// Its name, as the target's column has it.
    pub name: String,
    /// What it means, in words; its name where nobody wrote any.
    pub description: String,
    /// Whether somebody wrote what it means.
    pub is_described: bool,
}

/// Labels with descriptions of a TOML file, in its order.
///
/// # Errors
/// When the file cannot be read, has no label, or describes two labels alike.
pub fn described(path: &Path) -> Result<Vec<DescribedLabel>> {
    let bytes = crate::files::read(path, crate::files::SMALL).map_err(Error::io("read", path))?;
    let tree = written::read(&written::decoded(bytes, path)?, path)?;
    let mut problems = Vec::new();
    let mut labels: Vec<(usize, DescribedLabel)> = Vec::new();
    for (name, node) in tree.entries() {
        let line = node.origin.line();
        match label(name, node) {
            Ok(label) => match alike(&label, &labels) {
                Some((first, other)) => problems.push(same(path, line, &label, (first, &other))),
                None => labels.push((line, label)),
            },
            Err(what) => problems
                .push(Problem::at(Place::line(path, line), what).try_this("name = \"what the label means\"")),
        }
    }
    if labels.is_empty() && problems.is_empty() {
        let what = "the file has no label, expected lines name = \"description\"";
        problems.push(Problem::at(Place::file(path), what).try_this("sports = \"News about sports.\""));
    }
    if problems.is_empty() {
        Ok(labels.into_iter().map(|(_, label)| label).collect())
    } else {
        Err(Error::Invalid(problems))
    }
}

fn label(name: &str, node: &Node) -> std::result::Result<DescribedLabel, String> {
    let name = name.trim();
    if name.is_empty() {
        return Err("a label has an empty name, which in data means unknown".into());
    }
    let Some(text) = node.text() else {
        return Err(format!("label `{}` is {}, expected its description", shorten(name), node.found()));
    };
    let is_described = !text.trim().is_empty();
    let description = if is_described { text.trim() } else { name };
    Ok(DescribedLabel { name: name.into(), description: description.into(), is_described })
}

/// An earlier label with the same description.
fn alike(label: &DescribedLabel, earlier: &[(usize, DescribedLabel)]) -> Option<(usize, String)> {
    let folded = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let own = folded(&label.description);
    let same = earlier.iter().find(|(_, other)| folded(&other.description) == own);
    same.map(|(line, other)| (*line, other.name.clone()))
}

fn same(path: &Path, line: usize, label: &DescribedLabel, (first, other): (usize, &str)) -> Problem {
    let what = format!(
        "label `{}` has the description of label `{}` in line {first}: no text could tell them apart",
        shorten(&label.name),
        shorten(other)
    );
    Problem::at(Place::line(path, line), what).try_this("say what sets it apart")
}

/// The label set of a task.
#[derive(Default)]
pub(super) struct LabelSet {
    pub(super) names: Option<Vec<String>>,
    pub(super) file: Option<PathBuf>,
    pub(super) described: Vec<DescribedLabel>,
}

/// The label set that a section gives, as a list or as a file; with what `none` names at its end.
pub(super) fn labels(section: &Section, suite: &Path, reporter: &mut Reporter) -> LabelSet {
    let none = section.maybe_text("none").map(|none| none.trim().to_owned());
    let with_none = |mut names: Vec<String>| {
        names.extend(none.clone().filter(|none| !names.contains(none)));
        names
    };
    let Some(file) = section.path("labels") else {
        let listed = section.has("labels").then(|| with_none(trimmed(section, "labels")));
        return LabelSet { names: listed, ..LabelSet::default() };
    };
    let full = suite.parent().unwrap_or(Path::new("")).join(&file);
    let origin = section.place("labels");
    if !full.is_file() {
        let what = format!("`labels` in {}: there is no file `{}`", section.label, file.display());
        reporter.report(origin, what, "a TOML file of lines name = \"description\", or a list of labels");
        return LabelSet { file: Some(file), ..LabelSet::default() };
    }
    match described(&full) {
        Ok(all) => {
            if let Some(none) = none.as_ref().filter(|none| all.iter().any(|label| label.name == **none)) {
                let what = format!(
                    "`none` in {} is `{}`, which is a label of the file",
                    section.label,
                    shorten(none)
                );
                reporter.report(section.place("none"), what, "take it out of the file");
            }
            let names = with_none(all.iter().map(|label| label.name.clone()).collect());
            LabelSet { names: Some(names), file: Some(file), described: all }
        }
        Err(Error::Invalid(problems)) => {
            problems.into_iter().for_each(|problem| reporter.report_elsewhere(origin, problem));
            LabelSet { file: Some(file), ..LabelSet::default() }
        }
        Err(error) => {
            reporter.report(origin, error.to_string(), "");
            LabelSet { file: Some(file), ..LabelSet::default() }
        }
    }
}

/// The share of rows of known labels that may be answered "none of these".
pub(super) fn out_of_scope(section: &Section) -> Option<f64> {
    section.maybe_real("out_of_scope").or_else(|| section.has("none").then_some(USUAL_RATE))
}

/// A head that is fitted beside the task's own.
pub(super) fn beside(section: &Section, reporter: &mut Reporter) -> Option<Choice> {
    Shelf { noun: "head", parts: LABEL_HEADS }.maybe(section, "beside", reporter)
}

/// The made-up rows of a task.
pub(super) fn generated(section: &Section, suite: &Path, reporter: &mut Reporter) -> Option<GeneratedRows> {
    let node = section.node("generated")?;
    let label = format!("`generated` of {}", section.label);
    let own = Section::check(Table::Generated, label, node, reporter);
    let Some(file) = own.path("file") else {
        if matches!(node.data, Data::Table(_)) && !own.is_refused("file") {
            let what = format!("{} has no `file`, expected JSON lines with `text` and `label`", own.label);
            reporter.report(own.origin, what, "generated = { file = \"gen.jsonl\" }");
        }
        return None;
    };
    if !suite.parent().unwrap_or(Path::new("")).join(&file).is_file() {
        let what = format!("`file` in {}: there is no file `{}`", own.label, file.display());
        reporter.report(own.place("file"), what, "JSON lines with `text` and `label`");
    }
    let (filter, gate, most) = (own.real("filter"), own.flag("gate"), own.size("most"));
    Some(GeneratedRows { file, filter, gate, most })
}

/// Whether a task may have no rows to train on: its labels say what they mean.
pub(super) fn needs_no_train(draft: &Draft) -> bool {
    draft.section.path("labels").is_some()
}

/// Heads and keys that match texts with descriptions are for labels of texts, and the keys for these heads.
pub(super) fn fits(draft: &Draft, kind: &KindInfo, head: &Choice, reporter: &mut Reporter) {
    let (section, label) = (&draft.section, &draft.section.label);
    let has_labels = matches!(kind.target_type(), TargetType::Label | TargetType::Labels);
    // Labels of an order have losses of their own.
    let has_own_loss = kind.losses.iter().any(|loss| ["cross-entropy", "bce"].contains(loss));
    let is_of_texts = kind.inputs == ["text"] && has_labels && !kind.tags_words() && has_own_loss;
    let matches = is_label_head(&head.name);
    if matches && !is_of_texts {
        let key = if section.has("head") { "head" } else { "labels" };
        let what = format!("head `{}` in {label} does not fit the kind `{}`", head.name, kind.name);
        return reporter.report(
            section.place(key),
            what,
            "kind = \"class\" or \"multilabel\", or another head",
        );
    }
    for key in
        ["none", "out_of_scope", "generated", "beside"].into_iter().filter(|key| section.has(key) && !matches)
    {
        let heads: Vec<&str> = LABEL_HEADS.iter().map(|head| head.id).collect();
        let what = format!("`{key}` in {label} is for heads that match descriptions, found `{}`", head.name);
        reporter.report(section.place(key), what, format!("one of {}", near::list(&heads)));
    }
    if section.has("generated") && kind.target_type() == TargetType::Labels {
        let what =
            format!("`generated` in {label} holds rows of one label each, found the kind `{}`", kind.name);
        reporter.report(section.place("generated"), what, "kind = \"class\", or remove it");
    }
    if section.has("generated") && tunes_encoder(&head.name) {
        let what =
            format!("`generated` in {label} is for heads on the encoder as it is, found `{}`", head.name);
        reporter.report(section.place("generated"), what, "head = \"bilinear\", or remove it");
    }
    if section.has("none") && kind.target_type() == TargetType::Labels {
        let what = format!("`none` in {label}: a row of several labels that has none is an empty list");
        reporter.report(section.place("none"), what, "remove it");
    }
}

/// Heads that match descriptions leave the encoder as it is, so that no task beside them may train it.
pub(super) fn all_or_none(suite: &Suite, tasks: &[Draft], reporter: &mut Reporter) {
    if !suite.matches_labels() {
        return;
    }
    let tuning = suite.tasks.iter().zip(tasks).find(|(task, _)| tunes_encoder(&task.head.name));
    if let Some((_, draft)) = tuning.filter(|_| tasks.len() > 1) {
        let what = format!(
            "the head of {} tunes the encoder for itself, but the suite has {} tasks",
            draft.section.label,
            tasks.len()
        );
        reporter.report(draft.section.place("head"), what, "a suite of its own, or beside = \"contrastive\"");
    }
    for (task, draft) in suite.tasks.iter().zip(tasks).filter(|(task, _)| !task.matches_labels()) {
        let what = format!(
            "head `{}` in {} is trained with the encoder, which other tasks of the suite leave as it is",
            task.head.name, draft.section.label
        );
        let key = if draft.section.has("head") { "head" } else { "name" };
        reporter.report(draft.section.place(key), what, "head = \"label-cross\", or a suite of its own");
    }
}
