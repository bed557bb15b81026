//! Which column plays which role: what the suite says, else the role's name, else a usual synonym.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use polytask_core::suite::{SourceSpec, TaskSpec};
use polytask_core::{Place, Problem, Suite};

use super::found::Found;
use super::wanted::Wanted;
use crate::views::{SourceColumns, View};

/// Column names of a passage's id, in the order of preference.
pub(super) const IDS: &[&str] =
    &["_id", "id", "docid", "doc_id", "corpus_id", "corpus-id", "passage_id", "pid", "code"];
/// Column names of a passage's text.
pub(super) const TEXTS: &[&str] =
    &["text", "document_text", "passage", "contents", "content", "body", "description"];

/// Column names of a row's id.
pub(super) const ID: &[&str] = &["id", "_id", "query_id", "query-id", "qid"];

/// The columns of a source's files.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Columns {
    /// What inputs are made of: a column for each, in the order of the kind's inputs, or several for one.
    pub(super) inputs: Vec<String>,
    /// Inputs of a row.
    pub(super) n_inputs: usize,
    /// The row's id, where there is one.
    pub(super) id: Option<String>,
    /// Row weights, where named.
    pub(super) weight: Option<String>,
    /// Per task of the source.
    pub(super) tasks: Vec<TaskColumns>,
    /// Those that the first rows lack, in a file that declares no columns.
    pub(super) doubtful: Vec<Wanted>,
    /// All that the first rows have, in a file that declares no columns.
    pub(super) first_keys: Option<HashSet<String>>,
}

/// The columns of one task.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TaskColumns {
    /// The target; `None` when it comes from judgements.
    pub(super) target: Option<String>,
    /// Wrong passages.
    pub(super) negatives: Option<String>,
    /// The task's own row weights.
    pub(super) weight: Option<String>,
}

impl Columns {
    /// Whether a task has its target in this column.
    pub(super) fn names_target(&self, name: &str) -> bool {
        self.tasks.iter().any(|task| task.target.as_deref() == Some(name))
    }
}

impl TaskColumns {
    fn names(&self) -> impl Iterator<Item = &String> {
        self.target.iter().chain(&self.negatives).chain(&self.weight)
    }
}

/// What is asked of the files of a source.
pub(super) struct Asked<'a> {
    pub(super) suite: &'a Suite,
    pub(super) source: &'a SourceSpec,
    /// The tasks of the source.
    pub(super) tasks: &'a [&'a TaskSpec],
    /// Whether judgements say what answers the rows.
    pub(super) is_judged: bool,
}

/// The columns that inputs are made of.
struct InputColumns {
    names: Vec<String>,
    /// Inputs of a row.
    n_inputs: usize,
}

/// Finds the columns of all tasks of a source, and tells every role without one; there are none where rows cannot be
/// read at all.
pub(super) fn resolve(
    asked: &Asked<'_>,
    found: &Found<'_>,
    view: &mut dyn View,
) -> (Option<Columns>, Vec<Problem>) {
    let Asked { suite, source, tasks, is_judged } = *asked;
    let (mut inputs, mut targets) = (Finder::new(source, found), Finder::new(source, found));
    let tasks_columns: Vec<TaskColumns> = tasks.iter().map(|task| targets.task(task, is_judged)).collect();
    let weight = tasks.first().and_then(|task| inputs.weight(task, &source.columns, &source.column_lines));
    let id = source.columns.get("id").cloned().or_else(|| first_of(ID, found));
    let taken: Vec<String> =
        tasks_columns.iter().flat_map(TaskColumns::names).chain(&weight).chain(&id).cloned().collect();
    let named = match of_view(asked, found, (&taken, id.as_deref()), view) {
        Some(named) => named,
        None => of_roles(asked, found, &mut inputs),
    };
    let (named, mut problems) = match named {
        Ok(named) => (Some(named), Vec::new()),
        Err(problems) => (None, problems),
    };
    // Without the target of one task the rows still have those of the others.
    let can_read = inputs.missing.is_empty();
    let missing = inputs.missing.iter().chain(&targets.missing);
    problems.extend(missing.map(|wanted| wanted.problem(&suite.file, found, None)));
    let doubtful = [inputs.doubtful, targets.doubtful].concat();
    let columns = named.filter(|_| can_read).map(|InputColumns { names, n_inputs }| Columns {
        inputs: names,
        n_inputs,
        id,
        weight,
        tasks: tasks_columns,
        doubtful,
        first_keys: (!found.is_complete).then(|| found.names.iter().cloned().collect()),
    });
    (columns, problems)
}

/// The columns of an input that takes all that no task reads otherwise.
fn of_view(
    asked: &Asked<'_>,
    found: &Found<'_>,
    (taken, id): (&[String], Option<&str>),
    view: &mut dyn View,
) -> Option<Result<InputColumns, Vec<Problem>>> {
    let rest: Vec<String> = found.names.iter().filter(|name| !taken.contains(name)).cloned().collect();
    let columns = SourceColumns {
        suite: asked.suite,
        source: asked.source,
        file: found.file,
        names: &found.names,
        is_complete: found.is_complete,
        rest: &rest,
        targets: taken,
        id,
    };
    Some(view.columns(&columns)?.map(|names| InputColumns { names, n_inputs: 1 }))
}

/// The columns of the roles that the kinds of the tasks have: a column for each input.
fn of_roles(
    asked: &Asked<'_>,
    found: &Found<'_>,
    inputs: &mut Finder<'_>,
) -> Result<InputColumns, Vec<Problem>> {
    let Asked { source, tasks, .. } = *asked;
    let mut problems = Vec::new();
    let words =
        inputs.words(tasks).map(|found| found.map_err(|problem| problems.push(problem)).ok().flatten());
    let mut own: Vec<Vec<String>> = Vec::new();
    for task in tasks {
        let roles = task.kind.inputs.iter();
        own.push(match &words {
            Some(words) if task.kind.inputs.len() == 1 => words.iter().cloned().collect(),
            _ => roles.filter_map(|role| inputs.role(task, role)).collect(),
        });
    }
    let names = own.iter().max_by_key(|columns| columns.len()).cloned().unwrap_or_default();
    let is_whole = problems.is_empty() && inputs.missing.is_empty();
    let others = tasks.iter().zip(&own).filter(|(_, own)| is_whole && !names.starts_with(own));
    problems.extend(others.map(|(task, own)| other_inputs(source, task, own, &names, found.file)));
    let n_inputs = names.len();
    if problems.is_empty() { Ok(InputColumns { names, n_inputs }) } else { Err(problems) }
}

/// Looks for columns in a file, and notes those that are not there.
struct Finder<'a> {
    source: &'a SourceSpec,
    found: &'a Found<'a>,
    missing: Vec<Wanted>,
    doubtful: Vec<Wanted>,
}

impl<'a> Finder<'a> {
    fn new(source: &'a SourceSpec, found: &'a Found<'a>) -> Self {
        Self { source, found, missing: Vec::new(), doubtful: Vec::new() }
    }

    /// The column under one of its names.
    fn take(&mut self, wanted: Wanted) -> Option<String> {
        let known = wanted.names.iter().find(|name| self.found.has(name)).cloned();
        if known.is_some() {
            return known;
        }
        // Rows further down may still have it.
        let doubted = (!self.found.is_complete).then(|| wanted.names[0].clone());
        wanted.join(if doubted.is_some() { &mut self.doubtful } else { &mut self.missing });
        doubted
    }

    fn role(&mut self, task: &TaskSpec, role: &'static str) -> Option<String> {
        if let Some((name, line)) = given(self.source, task, role) {
            return self.take(Wanted::named(task, role, name, line));
        }
        let mut names = vec![role];
        names.extend(task.kind.synonyms_of(role));
        if role == "query" {
            // The column of BEIR's queries.jsonl.
            names.push("text");
        }
        self.take(Wanted::usual(task, role, &names))
    }

    /// The columns of a task's target.
    fn task(&mut self, task: &TaskSpec, judged: bool) -> TaskColumns {
        let is_judged = judged && !task.kind.answers_rows();
        let target = if is_judged { None } else { self.role(task, task.kind.target) };
        let negatives = optional(self.source, task, "negatives", self.found).filter(|_| !is_judged);
        let weight = self.weight(task, &task.columns, &task.column_lines);
        TaskColumns { target, negatives, weight }
    }

    /// The column of weights, where one is named.
    fn weight(
        &mut self,
        task: &TaskSpec,
        columns: &BTreeMap<String, String>,
        lines: &BTreeMap<String, usize>,
    ) -> Option<String> {
        let name = columns.get("weight")?;
        let line = lines.get("weight").copied().unwrap_or(0);
        self.take(Wanted::named(task, "weight", name, line))
    }

    /// The column of words where a task of the source tags them: it is the text of all tasks with one text, so that a
    /// row is encoded once. The suite may name it by the role of any of these tasks.
    fn words(&mut self, tasks: &[&TaskSpec]) -> Option<Result<Option<String>, Problem>> {
        let tagger = *tasks.iter().find(|task| task.kind.tags_words())?;
        let single = || tasks.iter().copied().filter(|task| task.kind.inputs.len() == 1);
        let readers = || std::iter::once(tagger).chain(single());
        let named: Vec<(&TaskSpec, &str, &String, usize)> = readers()
            .filter_map(|task| {
                let (column, line) = given(self.source, task, task.kind.inputs[0])?;
                Some((task, task.kind.inputs[0], column, line))
            })
            .collect();
        if let Some(&(_, role, words, _)) = named.first()
            && let Some(&(_, other, text, _)) = named.iter().find(|(_, _, column, _)| *column != words)
        {
            return Some(Err(two_texts((role, words), (other, text), tagger, self.found.file)));
        }
        if let Some(&(task, role, name, line)) = named.first() {
            return Some(Ok(self.take(Wanted::named(task, role, name, line).read_by(single()))));
        }
        let roles = readers().map(|task| (task, task.kind.inputs[0]));
        let mut names: Vec<&str> = Vec::new();
        for (task, role) in roles {
            names.extend(std::iter::once(role).chain(task.kind.synonyms_of(role).iter().copied()));
        }
        let mut met = BTreeSet::new();
        names.retain(|name| met.insert(*name));
        Some(Ok(self.take(Wanted::usual(tagger, tagger.kind.inputs[0], &names).read_by(single()))))
    }
}

/// The first of some names that a file has.
pub(super) fn first_of(names: &[&str], found: &Found<'_>) -> Option<String> {
    names.iter().find(|name| found.has(name)).map(|name| (*name).to_owned())
}

/// The column the suite names for a role, under the role's name or (source) under a synonym of it, and the line.
fn given<'a>(source: &'a SourceSpec, task: &'a TaskSpec, role: &str) -> Option<(&'a String, usize)> {
    let at = |columns: &'a BTreeMap<String, String>, lines: &BTreeMap<String, usize>, role: &str| {
        Some((columns.get(role)?, lines.get(role).copied().unwrap_or(0)))
    };
    let of_source = |role: &str| at(&source.columns, &source.column_lines, role);
    let own = at(&task.columns, &task.column_lines, role).or_else(|| of_source(role));
    own.or_else(|| task.kind.synonyms_of(role).iter().find_map(|name| of_source(name)))
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
    if task.kind.answers_rows() {
        return None;
    }
    let names = [&[role][..], task.kind.synonyms_of(role)].concat();
    given(source, task, role).map(|(name, _)| name.clone()).or_else(|| first_of(&names, found))
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
