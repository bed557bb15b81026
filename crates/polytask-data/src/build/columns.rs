//! Which column plays which role: what the suite says, else the role's name, else a usual synonym.

use std::path::Path;

use polytask_core::suite::{SourceSpec, TaskSpec};
use polytask_core::{Place, Problem, TargetType};

use crate::readers;

/// Column names of a row's id.
pub(super) const ID: &[&str] = &["id", "_id", "query_id", "query-id", "qid"];

/// The columns of a source's files.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Columns {
    /// Input texts, in the order of the kind's inputs.
    pub(super) inputs: Vec<String>,
    /// The row's id, where there is one.
    pub(super) id: Option<String>,
    /// Row weights, where named.
    pub(super) weight: Option<String>,
    /// Per task of the source.
    pub(super) tasks: Vec<TaskColumns>,
}

/// The columns of one task.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TaskColumns {
    /// The target; `None` when it comes from judgements.
    pub(super) target: Option<String>,
    /// Whether the file has no column of its target, which has been told.
    pub(super) is_missing: bool,
    /// Wrong passages.
    pub(super) negatives: Option<String>,
    /// The task's own row weights.
    pub(super) weight: Option<String>,
}

/// What is known of a file's columns.
pub(super) struct Found<'a> {
    pub(super) file: &'a Path,
    pub(super) names: Vec<String>,
    /// Whether `names` are all there are.
    pub(super) is_complete: bool,
}

impl Found<'_> {
    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }
}

/// Finds the columns of all tasks of a source, and tells every role without one; there are none where rows cannot be
/// read at all.
pub(super) fn resolve(
    source: &SourceSpec,
    tasks: &[&TaskSpec],
    judged: bool,
    found: &Found<'_>,
) -> (Option<Columns>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut keep = |found: Result<String, Problem>| found.map_err(|problem| problems.push(problem)).ok();
    let mut inputs: Vec<Vec<String>> = Vec::new();
    let (mut columns, mut targets) = (Vec::new(), Vec::new());
    let words = words_column(source, tasks, found).map(&mut keep);
    for task in tasks {
        let roles = task.kind.inputs.iter();
        inputs.push(match &words {
            Some(words) if task.kind.inputs.len() == 1 => words.iter().cloned().collect(),
            _ => roles.filter_map(|role| keep(role_column(source, task, role, found))).collect(),
        });
        let is_judged = judged && task.kind.target_type == TargetType::Passages;
        let target = (!is_judged).then(|| role_column(source, task, task.kind.target, found));
        let target = target.and_then(|found| found.map_err(|problem| targets.push(problem)).ok());
        let negatives = optional(source, task, "negatives", found).filter(|_| !is_judged);
        let weight = task.columns.get("weight").map(|name| keep(named(name, "weight", task, found)));
        let is_missing = target.is_none() && !is_judged;
        columns.push(TaskColumns { target, is_missing, negatives, weight: weight.flatten() });
    }
    let first = tasks.first().copied();
    let weight = source.columns.get("weight").zip(first);
    let weight = weight.and_then(|(name, task)| keep(named(name, "weight", task, found)));
    let longest = inputs.iter().max_by_key(|columns| columns.len()).cloned().unwrap_or_default();
    let is_whole = problems.is_empty();
    for (task, own) in tasks.iter().zip(&inputs).filter(|_| is_whole) {
        if !longest.starts_with(own) {
            problems.push(other_inputs(source, task, own, &longest, found.file));
        }
    }
    let id = source.columns.get("id").cloned().or_else(|| first_of(ID, found));
    // Without the target of one task the rows still have those of the others.
    let columns = problems.is_empty().then_some(Columns { inputs: longest, id, weight, tasks: columns });
    problems.extend(targets);
    (columns, problems)
}

/// The first of some names that a file has.
pub(super) fn first_of(names: &[&str], found: &Found<'_>) -> Option<String> {
    names.iter().find(|name| found.has(name)).map(|name| (*name).to_owned())
}

/// The column the suite names for a role, under the role's name or (source) under a synonym of it.
fn given<'a>(source: &'a SourceSpec, task: &'a TaskSpec, role: &str) -> Option<&'a String> {
    let own = task.columns.get(role).or_else(|| source.columns.get(role));
    own.or_else(|| task.kind.synonyms_of(role).iter().find_map(|name| source.columns.get(*name)))
}

fn role_column(
    source: &SourceSpec,
    task: &TaskSpec,
    role: &'static str,
    found: &Found<'_>,
) -> Result<String, Problem> {
    if let Some(name) = given(source, task, role) {
        return named(name, role, task, found);
    }
    let mut names = vec![role];
    names.extend(task.kind.synonyms_of(role));
    if role == "query" {
        // The column of BEIR's queries.jsonl.
        names.push("text");
    }
    match first_of(&names, found) {
        Some(name) => Ok(name),
        // Rows further down may still have it.
        None if !found.is_complete => Ok(role.to_owned()),
        None => Err(missing(task, role, &names, found)),
    }
}

/// The column of words where a task of the source tags them: it is the text of all tasks with one text, so that a
/// row is encoded once. The suite may name it by the role of any of these tasks.
fn words_column(
    source: &SourceSpec,
    tasks: &[&TaskSpec],
    found: &Found<'_>,
) -> Option<Result<String, Problem>> {
    let tagger = tasks.iter().find(|task| task.kind.target_type == TargetType::Tags)?;
    let single = || tasks.iter().filter(|task| task.kind.inputs.len() == 1);
    let readers = || std::iter::once(tagger).chain(single());
    let mut named: Vec<(&str, &String)> = readers()
        .filter_map(|task| Some((task.kind.inputs[0], given(source, task, task.kind.inputs[0])?)))
        .collect();
    named.dedup();
    if let Some(((role, words), (other, text))) =
        named.first().zip(named.iter().find(|(_, column)| *column != named[0].1))
    {
        return Some(Err(two_texts((role, words), (other, text), tagger, found.file)));
    }
    if let Some((role, name)) = named.first() {
        return Some(self::named(name, role, tagger, found));
    }
    let names: Vec<&str> = readers()
        .flat_map(|task| {
            let role = task.kind.inputs[0];
            [role].into_iter().chain(task.kind.synonyms_of(role).iter().copied())
        })
        .collect();
    Some(match first_of(&names, found) {
        Some(name) => Ok(name),
        None if !found.is_complete => Ok(tagger.kind.inputs[0].to_owned()),
        None => role_column(source, tagger, tagger.kind.inputs[0], found),
    })
}

/// Words and a text of their own beside them, in one source.
fn two_texts(words: (&str, &str), text: (&str, &str), tagger: &TaskSpec, file: &Path) -> Problem {
    let what = format!(
        "the words of task `{}` are `{}`, but `{}` names `{}`: the words are the text of every task of the source",
        tagger.name, words.1, text.0, text.1
    );
    Problem::at(Place::file(file), what)
        .try_this(format!("name one of them: columns = {{ {} = {:?} }}", words.0, words.1))
}

/// A column that need not be there.
fn optional(source: &SourceSpec, task: &TaskSpec, role: &str, found: &Found<'_>) -> Option<String> {
    if task.kind.target_type != TargetType::Passages {
        return None;
    }
    let names = [&[role][..], task.kind.synonyms_of(role)].concat();
    given(source, task, role).cloned().or_else(|| first_of(&names, found))
}

/// A column the suite names.
fn named(name: &str, role: &str, task: &TaskSpec, found: &Found<'_>) -> Result<String, Problem> {
    if found.has(name) || !found.is_complete {
        return Ok(name.to_owned());
    }
    Err(missing(task, role, &[name], found))
}

fn missing(task: &TaskSpec, role: &str, expected: &[&str], found: &Found<'_>) -> Problem {
    let what = format!(
        "no column for `{role}` of task `{}`: found {}, expected `{}`",
        task.name,
        readers::listed(&found.names),
        expected.join("` or `")
    );
    let named = || format!("name the column in the suite: columns = {{ {role} = \"...\" }}");
    let remedy = readers::other_separator(found.file, &found.names, expected).unwrap_or_else(named);
    Problem::at(Place::line(found.file, 1), what).try_this(remedy)
}

/// A task whose texts are not those of the source's rows.
fn other_inputs(
    source: &SourceSpec,
    task: &TaskSpec,
    own: &[String],
    rows: &[String],
    file: &Path,
) -> Problem {
    let what = format!(
        "task `{}` reads `{}`, but the rows of source `{}` are `{}`; tasks of one source share their texts",
        task.name,
        own.join("`, `"),
        source.name,
        rows.join("`, `")
    );
    Problem::at(Place::file(file), what).try_this("give the task `data` or a source of its own")
}
