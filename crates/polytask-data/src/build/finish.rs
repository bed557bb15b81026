//! What can only be said once a source is whole: scales, empty or one-sided splits, warnings.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use polytask_core::suite::{Identical, SourceSpec, TaskSpec};
use polytask_core::words::{plural, verb};
use polytask_core::{Place, Problem, Result, Split, Suite, near};

use unicode_normalization::UnicodeNormalization;

use super::intern::Interned;
use super::{Builder, numbers};
use crate::views::Finished;
use crate::{Dataset, SourceData, Targets, TaskData};

/// Groups of labels that a warning names.
const SHOWN: usize = 5;

/// A task before its source is read.
pub(super) fn empty_task(suite: &Suite, task: &TaskSpec) -> TaskData {
    let source = suite.sources.iter().position(|source| source.name == task.from).unwrap_or(0);
    TaskData { name: task.name.clone(), source, ..TaskData::default() }
}

impl Builder<'_> {
    /// The whole data set, when nothing was wrong.
    pub(super) fn finish(mut self) -> Result<Dataset> {
        let broken: Vec<bool> = (0..self.suite.sources.len()).map(|s| self.problems.touches(s)).collect();
        for (t, task) in self.suite.tasks.iter().enumerate() {
            let source = self.suite.source_of(task);
            let index = self.dataset.tasks[t].source;
            self.problems.begin(index);
            if broken[index] {
                // Rows are left out, so that nothing can be said of all of them.
                continue;
            }
            if let Some(hidden) = hide_constant_test(&mut self.dataset.tasks[t]) {
                self.dataset.warnings.push(hidden);
            }
            for problem in wrong_splits(self.suite, source, task, &self.dataset.tasks[t]) {
                self.problems.note(problem);
            }
            if let Some(problem) = weightless(self.suite, source, &self.dataset, t) {
                self.problems.note(problem);
            }
            self.dataset.tasks[t].scale = numbers::scale(task.kind.form, task.range, &self.dataset.tasks[t]);
            self.dataset.tasks[t].keeps_identical = task.identical == Identical::Keep;
            self.dataset.tasks[t].bounds = numbers::bounds(task.kind.form, &self.dataset.tasks[t]);
            let data = &self.dataset.tasks[t];
            let merged = self.merged[t].warning(&task.name);
            let mut said = warnings(source, task, data);
            said.extend(numbers::warnings(data, merged.is_some()));
            said.extend(merged);
            said.extend(self.merged[t].percents(&task.name));
            if let Some(problem) = self.merged[t].mixed(&task.name) {
                self.problems.note(problem);
            }
            self.dataset.warnings.extend(said);
        }
        self.dataset.warnings.extend(without_test(&self.dataset.sources));
        self.problems.check()?;
        let Interned { texts, truncated, folded, notes } = self.interner.finish()?;
        self.dataset.warnings.extend(notes);
        (self.dataset.texts, self.dataset.truncated, self.dataset.folded) = (texts, truncated, folded);
        let Finished { input, notes } = self.view.finish(&self.dataset)?;
        self.dataset.input = input;
        self.dataset.warnings.extend(notes);
        Ok(self.dataset)
    }
}

/// How the warning begins that sources have no test split; reports say of each task where its scores are from.
pub const NO_TEST: &str = "no test split in";

/// Says which sources have no test split.
fn without_test(sources: &[SourceData]) -> Option<String> {
    let lacks = |source: &&SourceData| !source.splits.is_empty() && !source.splits.contains_key(&Split::Test);
    let names: Vec<&String> = sources.iter().filter(lacks).map(|source| &source.name).collect();
    (!names.is_empty()).then(|| format!("{NO_TEST} {}: scores are on valid", near::list(&names)))
}

/// Number of rows whose target is known.
pub(crate) fn n_known(targets: &Targets) -> usize {
    (0..targets.len()).filter(|&i| targets.is_known(i)).count()
}

/// Splits a task cannot be trained or judged on.
fn wrong_splits(suite: &Suite, source: &SourceSpec, task: &TaskSpec, data: &TaskData) -> Vec<Problem> {
    let mut problems = Vec::new();
    let train = data.targets.get(&Split::Train);
    if train.is_none() && suite.is_to_judge {
        return Vec::new();
    }
    if train.is_none_or(|targets| n_known(targets) == 0) {
        let what = format!("task `{}` has no row with a known target in train", task.name);
        let place = place_of(suite, source, Split::Train);
        // Whatever else could be said follows from it.
        return vec![Problem::at(place, what).try_this("check the target's column in the suite")];
    }
    if task.kind.form.least_labels().is_some() && data.labels.is_empty() {
        let what = format!(
            "task `{}` has no label in train: the list of every row is empty, expected at least one label",
            task.name
        );
        let place = place_of(suite, source, Split::Train);
        problems.push(
            Problem::at(place, what).try_this("check the column of the labels, or name them with `labels`"),
        );
    }
    if !data.targets.contains_key(&Split::Valid) {
        let what = format!(
            "task `{}` has no valid split, and train has too few different rows to cut one",
            task.name
        );
        let place = place_of(suite, source, Split::Train);
        problems.push(Problem::at(place, what).try_this("give a valid file, or a `valid` share above 0"));
    }
    problems.extend(never_judged(suite, source, task, data));
    problems.extend(without_entities(suite, task, data));
    // A valid split that was cut from train by chance is no mistake of the file.
    if source.files.contains_key(&Split::Valid)
        && let Some(Targets::Label(rows)) = data.targets.get(&Split::Valid)
        && let [only] = classes(rows)[..]
        && rows.iter().flatten().count() > 1
        && data.labels.len() > 1
    {
        let what = format!(
            "all {} rows of valid of task `{}` have label `{}`, expected at least two labels",
            rows.iter().flatten().count(),
            task.name,
            data.labels[only as usize]
        );
        let place = place_of(suite, source, Split::Valid);
        problems.push(Problem::at(place, what).try_this("remove the valid file to have it cut from train"));
    }
    problems
}

/// Whether a tag says where an entity begins or goes on: `B-PER`, `I_PER`, a bare `B`.
pub(crate) fn is_of_entity(tag: &str) -> bool {
    let position = tag.split_once(['-', '_']).map_or(tag, |(position, _)| position);
    ["B", "I", "E", "S", "L", "U"].contains(&position)
}

/// Entities are found by the prefixes of tags: of parts of speech or numbers the score would say nothing.
fn without_entities(suite: &Suite, task: &TaskSpec, data: &TaskData) -> Option<Problem> {
    let reads_entities = task.metric.starts_with("entity") && data.labels.len() > 1;
    if !reads_entities || data.labels.iter().any(|tag| is_of_entity(tag)) {
        return None;
    }
    let shown = near::list(&data.labels[..data.labels.len().min(3)]);
    let what = format!(
        "`{}` of task `{}` finds entities by tags such as B-PER and I-PER, found none among {} ({shown})",
        task.metric,
        task.name,
        plural(data.labels.len(), "tag"),
    );
    let are_numbers = data.labels.iter().all(|tag| tag.parse::<u32>().is_ok());
    let remedy = if are_numbers {
        "labels = [\"O\", \"B-...\", ...]: the names of the numbers from 0 on"
    } else {
        "metric = \"accuracy\""
    };
    Some(Problem::at(Place::line(&suite.file, task.line), what).try_this(remedy))
}

/// Takes targets of test as unknown where all are one number that train never has: benchmarks hide them so.
fn hide_constant_test(data: &mut TaskData) -> Option<String> {
    let known = |split: Split| match data.targets.get(&split) {
        Some(Targets::Numbers { values, .. }) => values.iter().copied().filter(|v| !v.is_nan()).collect(),
        _ => Vec::new(),
    };
    let (train, test) = (known(Split::Train), known(Split::Test));
    let is_constant = test.windows(2).all(|pair| pair[0] == pair[1]);
    // A value that train has may be the right one.
    if test.len() < 2 || !is_constant || train.contains(&test[0]) {
        return None;
    }
    if let Some(Targets::Numbers { values, .. }) = data.targets.get_mut(&Split::Test) {
        values.fill(f64::NAN);
    }
    Some(format!(
        "task `{}`: all {} targets of test are {}, as where a benchmark hides them: they are read as unknown, and scores are on \
         valid",
        data.name,
        test.len(),
        test[0]
    ))
}

/// A task no row of which has weight would be trained on nothing.
fn weightless(suite: &Suite, source: &SourceSpec, dataset: &Dataset, task: usize) -> Option<Problem> {
    let targets = dataset.tasks[task].targets.get(&Split::Train)?;
    let weights = dataset.weights(task, Split::Train);
    let mut known =
        (0..targets.len()).filter(|&i| targets.is_known(i)).filter_map(|i| weights.get(i)).peekable();
    known.peek()?;
    if known.any(|&weight| weight > 0.0) {
        return None;
    }
    let what = format!(
        "task `{}`: the weight of every row with a known target in train is 0, expected one above 0",
        dataset.tasks[task].name
    );
    let place = place_of(suite, source, Split::Train);
    Some(Problem::at(place, what).try_this("check the `weight` column, or leave the task out"))
}

/// A task without any known target to judge it by would leave the report without a word.
fn never_judged(suite: &Suite, source: &SourceSpec, task: &TaskSpec, data: &TaskData) -> Option<Problem> {
    let judged: Vec<(Split, &Targets)> = [Split::Valid, Split::Test]
        .into_iter()
        .filter_map(|split| Some((split, data.targets.get(&split)?)))
        .collect();
    if judged.is_empty() || judged.iter().any(|(_, targets)| n_known(targets) > 0) {
        return None;
    }
    let found: Vec<String> = judged
        .iter()
        .map(|(split, targets)| format!("{} of {}", plural(targets.len(), "row"), split.name()))
        .collect();
    let what = format!(
        "task `{}` has no known target to be judged by: none in {}, expected at least one",
        task.name,
        found.join(" and ")
    );
    let split = if source.files.contains_key(&Split::Valid) || source.qrels.contains_key(&Split::Valid) {
        Split::Valid
    } else {
        Split::Train
    };
    let remedy =
        "fill the target's column in valid or test, or remove the valid file to have it cut from train";
    Some(Problem::at(place_of(suite, source, split), what).try_this(remedy))
}

fn place_of(suite: &Suite, source: &SourceSpec, split: Split) -> Place {
    let named = source.files.get(&split).or(source.qrels.get(&split));
    Place::file(
        &named.map_or_else(
            || suite.file.clone(),
            |named: &std::path::PathBuf| suite.folder.join(named as &Path),
        ),
    )
}

fn classes(rows: &[Option<u32>]) -> Vec<u32> {
    rows.iter().flatten().copied().collect::<BTreeSet<_>>().into_iter().collect()
}

/// Odd things that are no mistakes.
fn warnings(source: &SourceSpec, task: &TaskSpec, data: &TaskData) -> Vec<String> {
    let mut warnings = Vec::new();
    let name = &task.name;
    let only = only_label(data);
    for (split, targets) in &data.targets {
        if *split != Split::Train && n_known(targets) == 0 && !targets.is_empty() {
            warnings.push(format!("task `{name}` has no known target in {}", split.name()));
        }
        if let Targets::Label(rows) = targets
            && *split != Split::Train
            && classes(rows).len() == 1
            && !(*split == Split::Valid && source.files.contains_key(split))
            && only.is_none()
        {
            warnings.push(format!("task `{name}` has one label only in {}", split.name()));
        }
    }
    warnings.extend(only.map(|label| {
        format!("task `{name}` has one label only in train, `{label}`: there is nothing to tell apart")
    }));
    warnings.extend(twins(name, &data.labels));
    warnings.extend(super::marks::markers(name, &data.labels));
    warnings.extend(odd_minimum(data));
    warnings.extend(unanswered(source, data));
    let unseen = labels_without_rows(data);
    if !unseen.is_empty() {
        let shown: Vec<&str> = unseen.iter().take(5).copied().collect();
        let n = unseen.len();
        warnings.push(format!(
            "task `{name}`: {} {} no row in train ({})",
            plural(n, "label"),
            verb(n, "has", "have"),
            shown.join(", ")
        ));
    }
    warnings
}

/// The label of all rows of train, or the tag of all their words.
fn only_label(data: &TaskData) -> Option<&str> {
    let met: BTreeSet<u32> = match data.targets.get(&Split::Train)? {
        Targets::Label(rows) => rows.iter().flatten().copied().collect(),
        Targets::Tags(rows) => rows.iter().flatten().flatten().copied().collect(),
        _ => return None,
    };
    let only = met.first().filter(|_| met.len() == 1)?;
    data.labels.get(*only as usize).map(String::as_str)
}

/// Says how many judged queries no passage answers: no score counts them.
fn unanswered(source: &SourceSpec, data: &TaskData) -> Option<String> {
    let of_split = |(split, targets): (&Split, &Targets)| {
        let n = targets.len() - n_known(targets);
        (source.qrels.contains_key(split) && n > 0)
            .then(|| format!("{n} of {} in {}", plural(targets.len(), "judged query"), split.name()))
    };
    let is_ranked = data.targets.values().all(|targets| matches!(targets, Targets::Passages(_)));
    let found: Vec<String> = data.targets.iter().filter(|_| is_ranked).filter_map(of_split).collect();
    (!found.is_empty()).then(|| {
        format!(
            "task `{}`: no passage is graded above 0 for {}: they are left out",
            data.name,
            found.join(", ")
        )
    })
}

/// Says that a number below all others by itself looks like a mark for unknown targets.
fn odd_minimum(data: &TaskData) -> Option<String> {
    let Some(Targets::Numbers { width: 1, values }) = data.targets.get(&Split::Train) else { return None };
    let n = values.iter().filter(|value| **value == -1.0).count();
    let others = || values.iter().filter(|value| **value != -1.0 && !value.is_nan());
    let is_odd = n > 0 && others().count() > n && others().all(|value| *value >= 0.0);
    is_odd.then(|| {
        format!(
            "task `{}`: {} of train {} -1, all others are 0 or more; `missing = [\"-1\"]` reads it as unknown",
            data.name,
            plural(n, "target"),
            verb(n, "is", "are")
        )
    })
}

/// Labels that differ only in what slips of the hand and of programs change: case, blanks, signs without width, the
/// composition of letters.
fn twins(task: &str, labels: &[String]) -> Option<String> {
    let mut alike = BTreeMap::<String, Vec<&String>>::new();
    for label in labels {
        let visible: String = label.nfkc().filter(|c| !is_without_width(*c)).collect();
        let folded = visible.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
        alike.entry(folded).or_default().push(label);
    }
    let groups: Vec<String> =
        alike.into_values().filter(|group| group.len() > 1).map(|g| near::list(&g)).collect();
    let more = groups.len().saturating_sub(SHOWN);
    let shown = groups.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    (!groups.is_empty()).then(|| {
        format!(
            "task `{task}`: labels differ only in case, blanks or the form of letters: {shown}{more}; write each label in \
             one way"
        )
    })
}

/// Signs that no one sees: zero-width blanks and joiners, the mark of byte order, soft hyphens.
fn is_without_width(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' | '\u{ad}')
}

fn labels_without_rows(data: &TaskData) -> Vec<&str> {
    let mut seen = vec![false; data.labels.len()];
    match data.targets.get(&Split::Train) {
        Some(Targets::Label(rows)) => rows.iter().flatten().for_each(|&label| seen[label as usize] = true),
        Some(Targets::Labels(rows) | Targets::Tags(rows)) => {
            rows.iter().flatten().flatten().for_each(|&label| seen[label as usize] = true);
        }
        _ => return Vec::new(),
    }
    data.labels.iter().zip(seen).filter(|(_, seen)| !seen).map(|(label, _)| label.as_str()).collect()
}
