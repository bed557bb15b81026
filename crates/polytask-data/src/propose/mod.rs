//! What a folder of data can be used for: sets of files, what their columns are, and the tasks these make.
//!
//! Only the first rows of a file are read. A guess says what it was made of; one that the values leave open is
//! written down as commented lines with the choice.

mod column;
mod drafted;
mod find;
mod form;
mod guess;
mod looked;
mod order;
mod rows;
mod target;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use polytask_core::input::{image::IMAGE, text::TEXT};
use polytask_core::suite::{self, Draft, DraftData, DraftTask};
use polytask_core::target::{OneLabel, Passages};
use polytask_core::{KindInfo, Split, TargetType, kind};

use crate::build::marks;
use crate::readers;
use column::{Column, Sample};
use drafted::quote;
use find::{Form as SetForm, Set};
use looked::Guess;

/// Most labels that are written out when train lacks some.
const MOST_WRITTEN: usize = 200;

/// Sources and tasks for the data of a folder, and files that fit none.
#[derive(Debug, Default)]
pub struct Proposal {
    /// What can be read, each with its tasks.
    pub drafts: Vec<Draft>,
    /// Files that cannot, and why.
    pub left_out: Vec<String>,
}

impl Proposal {
    /// Tasks that are written as such, and tasks that are written as commented lines.
    pub fn counts(&self) -> (usize, usize) {
        let tasks = || self.drafts.iter().flat_map(|draft| &draft.tasks);
        let sure = tasks().filter(|task| task.is_sure).count();
        (sure, tasks().count() - sure)
    }
}

/// Looks at the data in `root`, which the suite reaches by the path `way`.
pub fn propose(root: &Path, way: &Path) -> Proposal {
    let found = find::find(root);
    let mut proposal = Proposal { left_out: found.left_out, ..Proposal::default() };
    for set in found.sets {
        match draft(root, &set) {
            Ok(Some(draft)) => proposal.drafts.push(reached_by(way, draft)),
            Ok(None) => {}
            Err(why) => proposal.left_out.push(why),
        }
    }
    doubt_other_inputs(&mut proposal.drafts);
    doubt_parts(&mut proposal.drafts);
    name_tasks(&mut proposal.drafts);
    proposal
}

/// One network reads texts or something else: beside texts, other inputs are for a suite of their own.
fn doubt_other_inputs(drafts: &mut [Draft]) {
    let all = || drafts.iter().flat_map(|draft| &draft.tasks).filter(|task| task.is_sure);
    let texts = all().find(|task| task.kind.input == &TEXT);
    let Some(kept) = texts.or_else(|| all().next()).map(|task| task.kind.input) else { return };
    for task in drafts.iter_mut().flat_map(|draft| &mut draft.tasks).filter(|task| task.kind.input != kept) {
        task.is_sure = false;
        let (own, others) = (task.kind.input.plural, kept.plural);
        task.evidence.push(format!("{own} need a suite of their own: the other tasks read {others}"));
    }
}

/// A file without a split in its name beside files with the same targets is more often a part of them.
fn doubt_parts(drafts: &mut [Draft]) {
    let folder = |draft: &Draft| {
        let data =
            draft.data.data.clone().or_else(|| Some(draft.data.files.values().next()?.parent()?.into()))?;
        Some(if readers::format_of(&data).is_some() { data.parent()?.to_path_buf() } else { data })
    };
    let is_lone =
        |draft: &Draft| draft.data.data.as_ref().is_some_and(|data| readers::format_of(data).is_some());
    let targets = |draft: &Draft| -> Vec<_> {
        draft
            .tasks
            .iter()
            .filter(|task| task.is_sure)
            .map(|task| (task.kind.name, task.columns.clone()))
            .collect()
    };
    let whole: Vec<_> = drafts
        .iter()
        .filter(|draft| !is_lone(draft) && draft.data.corpus.is_none())
        .map(|draft| (draft.name.clone(), folder(draft), targets(draft)))
        .filter(|(_, _, targets)| !targets.is_empty())
        .collect();
    for draft in drafts.iter_mut().filter(|draft| is_lone(draft)) {
        let (own, place) = (targets(draft), folder(draft));
        let part =
            whole.iter().find(|(_, at, all)| *at == place && all.iter().all(|target| own.contains(target)));
        if let Some((name, ..)) = part {
            draft.evidence.push(format!("it lies beside `{name}` with the same columns: a part of it? Uncomment the lines if it is not"));
            draft.tasks.iter_mut().for_each(|task| task.is_sure = false);
        }
    }
}

/// The draft of a set; `None` for a file that only looks like data.
fn draft(root: &Path, set: &Set) -> Result<Option<Draft>, String> {
    match set.form {
        SetForm::Beir => {
            let kind = KindInfo::of(&Passages, &TEXT, 1);
            return Ok(Some(whole(set, kind, "a corpus, queries and judgements: retrieval")));
        }
        SetForm::Images => return Ok(Some(images(root, set))),
        SetForm::Table => {}
    }
    let Some(train) = set.files.get(&Split::Train) else { return Ok(None) };
    let shown = quote(&train.display().to_string());
    let sample = match column::sample(&root.join(train)) {
        Ok(sample) => sample,
        Err(error) => return Err(format!("{shown}: {}", one_line(&error.to_string()))),
    };
    let is_settings = train.extension().is_some_and(|ending| ending == "json") && set.files.len() == 1;
    if sample.rows == 0 {
        let why = sample.mistake.as_deref().map_or_else(|| "no rows".into(), one_line);
        return if is_settings { Ok(None) } else { Err(format!("{shown}: {why}")) };
    }
    if is_headless(&sample) {
        if sample.gaps > 0 && sample.columns.first().is_some_and(|first| first.most_words <= 1) {
            return Err(format!(
                "{shown}: looks like a word and its tag on each line (CoNLL); end the file's name in .conll"
            ));
        }
        return Err(format!(
            "{shown}: its first line looks like a row; write a line with the columns' names above it"
        ));
    }
    Ok(Some(of_table(root, set, &sample)))
}

/// A task that is a set as a whole.
fn whole(set: &Set, kind: Option<&'static KindInfo>, evidence: &str) -> Draft {
    let kind = kind.unwrap_or(kind::KINDS[0]);
    let task = DraftTask {
        name: set.name.clone(),
        kind,
        columns: Vec::new(),
        metric: None,
        labels: Vec::new(),
        separator: None,
        missing: Vec::new(),
        evidence: vec![evidence.into()],
        choices: Vec::new(),
        is_sure: true,
    };
    Draft { name: set.name.clone(), data: set.data.clone(), tasks: vec![task], ..Draft::default() }
}

/// Images with their classes; without files of classes the task is a comment.
fn images(root: &Path, set: &Set) -> Draft {
    let mut draft = whole(set, KindInfo::of(&OneLabel, &IMAGE, 1), "images by class: image-class");
    let folder = set.data.data.as_ref().map(|data| root.join(data)).unwrap_or_default();
    let names = suite::names_in(&folder);
    let lacks = |name: &&String| {
        suite::images::is_idx(name) && !suite::images::labels_of(&folder.join(name)).is_file()
    };
    if let Some(name) = names.iter().find(lacks) {
        let task = &mut draft.tasks[0];
        task.evidence =
            vec![format!("images without classes: {} has no file of labels beside it", quote(name))];
        task.is_sure = false;
    }
    draft
}

fn of_table(root: &Path, set: &Set, sample: &Sample) -> Draft {
    let Guess { columns, evidence, tasks, left_out, ignore } = guess::guess(sample);
    let mut draft = Draft {
        name: set.name.clone(),
        data: set.data.clone(),
        columns,
        evidence,
        tasks,
        left_out,
        ignore,
        ..Draft::default()
    };
    if sample.misread > 0 {
        let first = sample.mistake.as_deref().map(one_line).unwrap_or_default();
        draft.evidence.push(format!(
            "{} cannot be read, the first: {first}",
            polytask_core::plural(sample.misread, "row")
        ));
    }
    let others: BTreeMap<Split, Sample> = set
        .files
        .iter()
        .filter(|(split, _)| **split != Split::Train)
        .filter_map(|(split, file)| Some((*split, column::sample(&root.join(file)).ok()?)))
        .collect();
    drop_other_splits(set, sample, &others, &mut draft);
    let kept = draft.data.data.is_none();
    draft.cuts_valid = !(if kept { &draft.data.files } else { &set.files }).contains_key(&Split::Valid);
    for task in &mut draft.tasks {
        add_labels(task, sample, &others);
    }
    draft
}

/// Leaves out splits that lack a column of a task, such as test files without targets.
fn drop_other_splits(set: &Set, train: &Sample, others: &BTreeMap<Split, Sample>, draft: &mut Draft) {
    let sure = draft.tasks.iter().filter(|task| task.is_sure);
    let used: Vec<&String> =
        sure.flat_map(|task| &task.columns).chain(&draft.columns).map(|(_, column)| column).collect();
    let mut files = set.files.clone();
    for (split, file) in &set.files {
        let Some(other) = others.get(split).filter(|other| other.has_header && train.has_header) else {
            continue;
        };
        let missing: Vec<String> =
            used.iter().filter(|column| other.column(column).is_none()).map(|column| quote(column)).collect();
        if !missing.is_empty() {
            files.remove(split);
            draft.left_out.push(format!(
                "left out: file {}: it has no column {}",
                quote(&file.display().to_string()),
                missing.join(", ")
            ));
        }
    }
    if files.len() < set.files.len() {
        draft.data = DraftData { files, ..DraftData::default() };
    }
}

/// Writes the label set out where valid or test show labels that train lacks.
fn add_labels(task: &mut DraftTask, train: &Sample, others: &BTreeMap<Split, Sample>) {
    let Some((_, name)) = task.columns.iter().find(|(role, _)| role == task.kind.target) else { return };
    let labels = |sample: &Sample| {
        let labels = |column| labels_in(task.kind.target_type(), column, task.separator.unwrap_or("|"));
        sample.column(name).map(labels).unwrap_or_default()
    };
    let known = labels(train);
    if matches!(task.kind.target_type(), TargetType::Label | TargetType::Labels) {
        let cells = |sample: &Sample| -> Vec<String> {
            sample.column(name).map(|column| column.values.keys().cloned().collect()).unwrap_or_default()
        };
        let names: Vec<String> = others.values().chain([train]).flat_map(cells).collect();
        let names: Vec<String> =
            names.into_iter().chain(others.values().flat_map(labels)).chain(known.iter().cloned()).collect();
        let found: BTreeSet<&String> = marks(&names, false).into_iter().collect();
        task.missing = found.into_iter().cloned().collect();
        let words: BTreeSet<&String> =
            marks(&names, true).into_iter().filter(|mark| !task.missing.contains(mark)).collect();
        if !words.is_empty() {
            let words: Vec<String> = words.into_iter().map(|word| quote(word)).collect();
            task.choices.push(format!("if it means that nothing is known: missing = [{}]", words.join(", ")));
        }
    }
    let all: BTreeSet<String> = others.values().flat_map(labels).chain(known.iter().cloned()).collect();
    let extra = all.len() - known.len();
    if extra == 0 || !train.is_whole || known.is_empty() {
        return;
    }
    task.evidence
        .push(format!("valid and test show {} that train lacks", polytask_core::plural(extra, "label")));
    if all.len() <= MOST_WRITTEN {
        task.labels = all.into_iter().filter(|label| !task.missing.contains(label)).collect();
    } else {
        task.evidence.push("`labels = [...]` with all of them, or rows of train that have them".into());
        task.is_sure = false;
    }
}

/// The labels of a column as the reader reads them.
fn labels_in(target: TargetType, column: &Column, separator: &str) -> BTreeSet<String> {
    let values = || column.values.keys();
    match target {
        TargetType::Label => values().cloned().collect(),
        TargetType::Labels | TargetType::Tags if column.lists() > 0 => column.items.keys().cloned().collect(),
        TargetType::Labels => values()
            .filter(|value| marks(&[(*value).clone()], false).is_empty())
            .flat_map(|value| value.split(separator))
            .map(|label| label.trim().to_owned())
            .filter(|label| !label.is_empty())
            .collect(),
        TargetType::Tags => values().flat_map(|value| value.split_whitespace()).map(str::to_owned).collect(),
        TargetType::Numbers | TargetType::Passages => BTreeSet::new(),
    }
}

/// Whether the names of the columns are values: one stands in its own column again and again, and none is a usual name.
fn is_headless(sample: &Sample) -> bool {
    let again = |column: &Column| column.values.get(&column.name).is_some_and(|n| *n > 1);
    let is_usual = |column: &Column| {
        [&form::TEXTS[..], &form::TOKENS, &form::LABELS, &form::SCORES]
            .iter()
            .any(|list| form::is_in(list, &column.name))
            || form::is_id_name(&column.name)
    };
    sample.has_header && sample.columns.iter().any(again) && !sample.columns.iter().any(is_usual)
}

/// Tasks of one set are called by their columns; a name that says nothing, or is taken, gets the set's in front.
fn name_tasks(drafts: &mut [Draft]) {
    let mut uses: BTreeMap<String, usize> = BTreeMap::new();
    for task in drafts.iter().filter(|draft| draft.tasks.len() > 1).flat_map(|draft| &draft.tasks) {
        *uses.entry(task.name.clone()).or_default() += 1;
    }
    for draft in drafts.iter_mut().filter(|draft| draft.tasks.len() > 1) {
        for task in &mut draft.tasks {
            if uses[&task.name] > 1
                || form::is_in(&form::LABELS, &task.name) && task.name.starts_with("label")
            {
                task.name = format!("{}-{}", draft.name, task.name);
            }
        }
    }
}

/// The draft with the paths that the suite has to name.
fn reached_by(way: &Path, mut draft: Draft) -> Draft {
    let DraftData { data, files, corpus, queries, qrels } = &mut draft.data;
    let paths =
        data.iter_mut().chain(files.values_mut()).chain(corpus).chain(queries).chain(qrels.values_mut());
    for path in paths {
        let joined = if path.as_os_str() == "." { way.to_path_buf() } else { way.join(path.as_path()) };
        *path = if joined.as_os_str().is_empty() { ".".into() } else { joined };
    }
    draft
}

fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
