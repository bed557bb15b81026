//! `teacher`: another model whose answers on train a task learns from.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::catalogue::Catalogue;
use super::keys::Table;
use super::parts::Shelf;
use super::reporter::Reporter;
use super::section::Section;
use super::tree::{Data, Node};
use crate::kind::KindInfo;
use crate::method::Choice;
use crate::target::TargetType;

/// The loss of a teacher whose suite names none.
const LOSS: &str = "logit-mse";

/// The teacher of a task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TeacherSpec {
    /// Runs or model folders, relative to the suite's folder; of several the mean of their outputs counts.
    pub model: Vec<PathBuf>,
    /// Name of the task there; the one of the same name, or the only one that fits, where it is not given.
    pub task: Option<String>,
    /// What lies between the outputs of student and teacher.
    pub loss: Choice,
    /// Weight of the teacher; the labels have the rest.
    pub alpha: f64,
    /// Whether each of several models answers the rows of its own fold, the only ones it was not trained on.
    pub out_of_fold: bool,
}

/// The teacher of a task, where it has one.
pub(super) fn read(
    section: &Section,
    kind: &KindInfo,
    (catalogue, file): (&Catalogue, &Path),
    reporter: &mut Reporter,
) -> Option<TeacherSpec> {
    let node = section.node("teacher")?;
    if kind.input.whole_row {
        let what =
            format!("`teacher` in {} answers texts, but its rows are {}", section.label, kind.input.plural);
        reporter.report(section.place("teacher"), what, "remove it");
        return None;
    }
    let base = file.parent().unwrap_or(Path::new(""));
    let node = long_form(node);
    let own = Section::check(Table::Teacher, format!("the teacher of {}", section.label), &node, reporter);
    let model: Vec<PathBuf> = own.paths("model");
    let is_to_train = reporter.wants_train();
    if model.is_empty() && !own.is_refused("model") {
        let what = format!("{} has no `model`, expected a run or a model folder", own.label);
        reporter.report(own.origin, what, "teacher = { model = \"runs/teacher\" }");
    }
    // A trained model is judged without its teacher.
    let is_needed = |folder: &&PathBuf| is_to_train && !base.join(folder).is_dir();
    for folder in model.iter().filter(is_needed) {
        let what = format!("{}: there is no folder `{}`", own.label, folder.display());
        reporter.report(own.place("model"), what, "a run, or the folder `model` in one");
    }
    if matches!(kind.target_type(), TargetType::Tags | TargetType::Passages) {
        let what = format!("{}: tasks of the kind `{}` have none", own.label, kind.name);
        reporter.report(section.place("teacher"), what, "remove it");
    }
    let (loss, _) = Shelf { noun: "loss", parts: &catalogue.distils }.choice(&own, "loss", LOSS, reporter);
    Some(TeacherSpec {
        model,
        task: own.maybe_text("task"),
        loss,
        alpha: own.real("alpha"),
        out_of_fold: own.flag("out_of_fold"),
    })
}

/// `teacher = "runs/x"` is a table with that model.
fn long_form(node: &Node) -> Node {
    match &node.data {
        Data::Table(_) => node.clone(),
        _ => Node { origin: node.origin.clone(), data: Data::Table(vec![("model".into(), node.clone())]) },
    }
}
