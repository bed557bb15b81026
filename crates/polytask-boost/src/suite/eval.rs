//! Scores of saved trees on a suite's data, alone or paired with those of other trees.

use std::collections::BTreeMap;

use polytask_core::report::{REPORT_VERSION, RunReport};
use polytask_core::{Problem, Result, Split, Suite};
use polytask_data::{Dataset, Targets};
use polytask_eval::{JudgedRows, RowsOf, TaskRun};

use super::facts::{ByTask, metrics};
use super::model::{BoostModel, TreesTask};
use super::rows::Laid;
use super::written::keys;

/// Trees to score, and what they are called.
#[derive(Debug, Clone, Copy)]
pub struct TreesSide<'a> {
    /// Their name in the report.
    pub name: &'a str,
    /// The trees.
    pub model: &'a BoostModel,
}

/// Scores of trees, and the rows they stand on.
#[derive(Debug)]
pub struct JudgedTrees {
    /// The scores.
    pub report: RunReport,
    /// Predictions of each task.
    pub rows: Vec<JudgedRows>,
}

/// A suite's data as some trees read it.
struct Read {
    suite: Suite,
    dataset: Dataset,
    predictions: ByTask,
}

/// Reads a suite's data as some trees do.
pub type ReadAs<'a> = dyn Fn(&Suite, &BoostModel) -> Result<Dataset> + 'a;

/// Scores of trees on `split`, without one on the split a run would report each task on; with a second side the paired
/// difference to it stands in the place of the comparison with a model per task.
///
/// # Errors
/// When the trees do not know a task, no task has a known target there, or data is wrong.
pub fn judge_trees(
    suite: &Suite,
    side: TreesSide<'_>,
    against: Option<TreesSide<'_>>,
    split: Option<Split>,
    read: &ReadAs<'_>,
) -> Result<JudgedTrees> {
    let own = Read::new(suite, side.model, split, read)?;
    if own.predictions.is_empty() {
        return Err(nothing_known(suite, split));
    }
    let theirs = against.map(|side| Read::new(suite, side.model, split, read)).transpose()?;
    let theirs = theirs.map_or_else(ByTask::new, |read| read.predictions);
    let tasks = own.predictions.iter().map(|(&task, joint)| {
        let spec = &own.suite.tasks[task];
        polytask_eval::task_report(&TaskRun {
            task: &spec.name,
            kind: spec.kind.name,
            split: own.split_of(task, split).name(),
            metrics: &metrics(spec.kind, &spec.metric),
            margin: spec.margin,
            joint,
            single: theirs.get(&task),
            others: &[],
            seed: own.suite.seed,
        })
    });
    let tasks = tasks.collect::<Result<Vec<_>>>()?;
    let summary = polytask_eval::summarise(&tasks);
    let report = RunReport {
        version: REPORT_VERSION,
        name: side.name.to_owned(),
        sides: std::iter::once(side).chain(against).map(|side| side.name.to_owned()).collect(),
        delta_m: summary.delta_m,
        worst: summary.worst,
        below: summary.below,
        notes: own.dataset.warnings.clone(),
        seconds: BTreeMap::new(),
        tasks,
        ..RunReport::default()
    };
    Ok(JudgedTrees { report, rows: own.rows(split) })
}

fn nothing_known(suite: &Suite, split: Option<Split>) -> polytask_core::Error {
    let tasks: Vec<&str> = suite.tasks.iter().map(|task| task.name.as_str()).collect();
    let splits = split.map_or("test or valid", Split::name);
    let what =
        format!("no task has a known target in {splits}, expected one for one of {}", tasks.join(", "));
    Problem::new(what).try_this("another `--split`, or a file with targets for it").into()
}

impl Read {
    fn new(suite: &Suite, model: &BoostModel, split: Option<Split>, read: &ReadAs<'_>) -> Result<Self> {
        let mut suite = suite.clone();
        adopt_labels(&mut suite, model)?;
        let mut dataset = read(&suite, model)?;
        adopt_scales(&mut dataset, model)?;
        let mut read = Self { suite, dataset, predictions: ByTask::new() };
        for now in [Split::Test, Split::Valid] {
            let tasks = (0..read.suite.tasks.len()).filter(|&task| read.split_of(task, split) == now);
            let tasks: Vec<usize> = tasks.collect();
            let found = read.predictions_of(model, &tasks, now)?;
            read.predictions.extend(found);
        }
        Ok(read)
    }

    /// The split a task is scored on.
    fn split_of(&self, task: usize, split: Option<Split>) -> Split {
        split.unwrap_or_else(|| self.dataset.report_split(task))
    }

    fn predictions_of(&self, model: &BoostModel, tasks: &[usize], split: Split) -> Result<ByTask> {
        let laid = Laid::of(&self.dataset, split);
        if laid.texts.is_empty() || tasks.is_empty() {
            return Ok(ByTask::new());
        }
        let rows = model.view().texts(&self.dataset, &laid.texts)?;
        let (margins, n) = (model.margins(&rows), model.n_margins());
        let mut found = ByTask::new();
        for &task in tasks {
            let (own, data) = (model.task(&self.suite.tasks[task].name)?, &self.dataset.tasks[task]);
            let first = laid.first[data.source];
            let read = |row: usize| own.read(&margins[(first + row) * n..(first + row + 1) * n]);
            let predictions = data.targets.get(&split).and_then(|targets| own.predictions(targets, read));
            found.extend(predictions.map(|predictions| (task, predictions)));
        }
        Ok(found)
    }

    /// What was said of every row, as `compare` reads it.
    fn rows(&self, split: Option<Split>) -> Vec<JudgedRows> {
        let of_task = |(&task, predictions): (&usize, &polytask_eval::Predictions)| {
            let (spec, split) = (&self.suite.tasks[task], self.split_of(task, split));
            let of = RowsOf {
                task: &spec.name,
                kind: spec.kind.name,
                split: split.name(),
                metrics: &metrics(spec.kind, &spec.metric),
                margin: spec.margin,
                seed: self.suite.seed,
                inputs: &keys(&self.dataset, task, split),
                labels: &self.dataset.tasks[task].labels,
                passages: &[],
            };
            JudgedRows::new(&of, predictions.clone())
        };
        self.predictions.iter().map(of_task).collect()
    }
}

/// Margins mean the labels that the trees were grown for: the suite's tasks take those.
fn adopt_labels(suite: &mut Suite, model: &BoostModel) -> Result<()> {
    for task in &mut suite.tasks {
        let TreesTask { kind, labels, .. } = &model.task(&task.name)?.info;
        if kind != task.kind.name {
            let what = format!(
                "task `{}` is of kind {kind} in the model and {} in the suite",
                task.name, task.kind.name
            );
            return Err(Problem::new(what).try_this("the suite.toml in the model's run folder").into());
        }
        if !labels.is_empty() {
            task.labels = Some(labels.clone());
        }
    }
    Ok(())
}

/// Numbers come out in the units of the data that the trees were grown on.
fn adopt_scales(dataset: &mut Dataset, model: &BoostModel) -> Result<()> {
    for data in &mut dataset.tasks {
        let TreesTask { scale, bounds, .. } = &model.task(&data.name)?.info;
        let widths = data.targets.values().map(|targets| match targets {
            Targets::Numbers { width, .. } => *width,
            _ => 0,
        });
        let found = widths.max().unwrap_or(0);
        if scale.len() != found {
            let what = format!(
                "task `{}` has {found} numbers per row, expected {} as in the model",
                data.name,
                scale.len()
            );
            return Err(Problem::new(what).try_this("the suite.toml in the model's run folder").into());
        }
        data.scale.clone_from(scale);
        data.bounds.clone_from(bounds);
    }
    Ok(())
}
