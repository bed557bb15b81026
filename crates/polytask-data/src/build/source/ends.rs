//! What can be said of the columns of a split once its rows are read.

use std::path::Path;

use polytask_core::target::{JoinedLabels, MistakeSort};
use polytask_core::words::verb;
use polytask_core::{Place, Problem, Result, Split, TargetType, near, plural};

use super::super::columns::{Asked, Columns, resolve};
use super::super::found::Found;
use super::super::problems::enough;
use super::super::wanted::as_in_train;
use super::super::whole::Whole;
use super::Reading;
use crate::readers::Reader;

/// Labels that a message shows.
const SHOWN: usize = 5;

impl Reading<'_, '_> {
    /// Finds the columns in the first file; later files must have the same. `None` where rows cannot be read.
    pub(super) fn find_columns<'f>(
        &mut self,
        split: Split,
        file: &'f Path,
        reader: &mut Reader,
        judged: bool,
    ) -> Result<Option<Found<'f>>> {
        let found = Found { file, names: reader.columns(), is_complete: reader.has_header() };
        let Some(columns) = &self.columns else {
            let asked =
                Asked { suite: self.builder.suite, source: self.spec, tasks: &self.tasks, is_judged: judged };
            let (columns, problems) = resolve(&asked, &found, &mut *self.builder.view);
            self.columns = columns;
            problems.into_iter().try_for_each(|problem| self.builder.problems.add(problem))?;
            return if self.columns.is_some() { Ok(Some(found)) } else { Err(enough()) };
        };
        if !found.is_complete {
            return Ok(Some(found));
        }
        let is_absent = |name: &&String| !found.names.contains(name);
        let targets = columns.tasks.iter().filter_map(|task| task.target.as_ref());
        let mut absent: Vec<String> = targets.filter(is_absent).cloned().collect();
        let inputs: Vec<String> = columns.inputs.iter().filter(is_absent).cloned().collect();
        let can_read = inputs.is_empty() || self.lack(split, &inputs, &found);
        if !can_read {
            absent.extend(inputs);
        }
        for name in &absent {
            self.builder.problems.note_once(as_in_train(name, &found));
        }
        Ok(can_read.then_some(found))
    }

    /// Whether rows can be read that lack these columns of their inputs, which is said then: some of several, and none
    /// that only has another name.
    fn lack(&mut self, split: Split, absent: &[String], found: &Found<'_>) -> bool {
        let Some(columns) = &self.columns else { return false };
        if !self.builder.view.may_lack(split) || absent.len() == columns.inputs.len() {
            return false;
        }
        let is_other = |name: &&String| !columns.inputs.contains(name) && !columns.names_target(name);
        let others: Vec<&String> = found.names.iter().filter(is_other).collect();
        if absent.iter().any(|name| near::nearest(name, &others).is_some()) {
            return false;
        }
        let names = near::list(absent);
        let n = absent.len();
        let note = format!(
            "{} {names} {} not in {} of source `{}`: unknown in all its rows",
            if n == 1 { "column" } else { "columns" },
            verb(n, "is", "are"),
            split.name(),
            self.spec.name
        );
        self.builder.dataset.warnings.push(note);
        true
    }

    /// Starts to look at the columns of a split; gives the number of mistakes that were there before.
    pub(super) fn begin_columns(&mut self) -> usize {
        let n_inputs = self.columns.as_ref().map_or(0, |columns| columns.inputs.len());
        self.inputs = (0..n_inputs).map(|_| Whole::default()).collect();
        self.targets = self.tasks.iter().map(|_| Whole::default()).collect();
        self.builder.problems.mark()
    }

    /// Notes the mistakes of the columns of a split.
    pub(super) fn end_columns(&mut self, split: Split, found: &Found<'_>, before: usize) -> Result<()> {
        let Some(columns) = self.columns.take() else { return Ok(()) };
        let inputs = std::mem::take(&mut self.inputs);
        let absent = columns.inputs.iter().zip(&inputs).filter(|(_, whole)| whole.is_absent());
        let absent: Vec<String> = absent.map(|(name, _)| name.clone()).collect();
        self.columns = Some(columns);
        // What a header lacks has been told.
        let has_all = absent.is_empty() || found.is_complete && self.builder.view.may_lack(split);
        let can_read = has_all || self.lack(split, &absent, found);
        let Some(columns) = self.columns.take() else { return Ok(()) };
        for (name, whole) in columns.inputs.iter().zip(inputs) {
            let is_told = !can_read && whole.is_absent();
            let problem = is_told.then(|| self.absent_column(split, &columns, name, &whole, found));
            self.note(problem, whole);
        }
        for (t, whole) in std::mem::take(&mut self.targets).into_iter().enumerate() {
            let problem = columns.tasks[t].target.as_deref().and_then(|name| {
                let absent = split == Split::Train && whole.is_absent();
                let absent = absent.then(|| self.absent_column(split, &columns, name, &whole, found));
                absent.or_else(|| self.target_mistake(split, t, name, &whole, found.file))
            });
            let is_told = self.is_told[t];
            self.is_told[t] |= split == Split::Train && problem.is_some();
            // What is wrong with the column in train is so in the other splits too.
            if !is_told {
                self.note(problem, whole);
            }
        }
        self.columns = Some(columns);
        self.builder.problems.settle(before)?;
        // Of rows without texts nothing more can be said, and the other splits are likely as this one.
        if !can_read && split == Split::Train { Err(enough()) } else { Ok(()) }
    }

    /// Notes the mistakes of the cells of a split that was not read to its end.
    pub(super) fn end_cells(&mut self) {
        for whole in std::mem::take(&mut self.inputs).into_iter().chain(std::mem::take(&mut self.targets)) {
            self.builder.problems.absorb(whole.into_held());
        }
    }

    /// Notes the one mistake of a column, else those of its cells.
    fn note(&mut self, problem: Option<Problem>, whole: Whole) {
        match problem {
            Some(problem) => self.builder.problems.note_once(problem),
            None => self.builder.problems.absorb(whole.into_held()),
        }
    }

    fn absent_column(
        &self,
        split: Split,
        columns: &Columns,
        name: &str,
        whole: &Whole,
        found: &Found<'_>,
    ) -> Problem {
        let wanted = columns.doubtful.iter().find(|wanted| wanted.names[0] == name);
        match wanted.filter(|_| split == Split::Train) {
            Some(wanted) => wanted.problem(&self.builder.suite.file, found, Some(whole.seen.rows)),
            None => as_in_train(name, found),
        }
    }

    /// The mistake that is one of the whole column of a task's target.
    fn target_mistake(
        &mut self,
        split: Split,
        t: usize,
        name: &str,
        whole: &Whole,
        file: &Path,
    ) -> Option<Problem> {
        let task = self.tasks[t];
        if split == Split::Train && whole.is_silent() && task.kind.answers_rows() {
            let what = format!("task `{}` has no row with a known target in train", task.name);
            let problem = Problem::at(Place::file(file), what);
            return Some(problem.try_this(format!("check the target's column in the suite, `{name}`")));
        }
        if split == Split::Train && task.kind.target_type() == TargetType::Label && task.labels.is_none() {
            self.ids[t] = whole.of_ids(file, name, task, self.labels[t].names().len());
        }
        if split == Split::Train && task.kind.target_type() == TargetType::Labels {
            let joined = self.labels[t].joined();
            if let Some(joined) = joined {
                return Some(joined_labels(file, name, &joined));
            }
        }
        let of_ids =
            self.ids[t].clone().filter(|_| split != Split::Train && whole.seen.n(MistakeSort::Unknown) > 0);
        if split != Split::Train && of_ids.is_none() {
            return whole.of_hidden(file, name, task);
        }
        of_ids.or_else(|| whole.of_target(file, name, task).filter(|_| split == Split::Train))
    }
}

/// Several labels in a cell with another sign between them than the suite says: which one holds cannot be told.
fn joined_labels(file: &Path, column: &str, joined: &JoinedLabels) -> Problem {
    let JoinedLabels { sign, n_with, n_all, labels } = joined;
    let what = format!(
        "column `{column}`: `{sign}` stands in {n_with} of {n_all} different values and `|` in none, expected `|` between \
         the labels of a cell"
    );
    let shown = near::list(&labels[..labels.len().min(SHOWN)]);
    let more = if labels.len() > SHOWN { ", ..." } else { "" };
    let n = plural(labels.len(), "label");
    let remedy = format!(
        "separator = {sign:?} in the task ({n}: {shown}{more}), or separator = \"|\" where each value is one label"
    );
    Problem::at(Place::file(file), what).try_this(remedy)
}
