//! A run: trees for all tasks, the models they are compared with, the report and the model's folder.

use std::collections::BTreeMap;
use std::time::Instant;

use polytask_core::method::Choice;
use polytask_core::report::{REPORT_VERSION, RunReport, TaskReport, TreesReport};
use polytask_core::{Problem, Result, Split, Suite};
use polytask_eval::{OtherRun, Predictions, TaskRun};
use serde_json::json;

use super::conflict::measure;
use super::facts::{ByTask, RunFacts, RunProgress, metrics};
use super::fit::{Curves, Fitting, fit_suite};
use super::gates::group_gates;
use super::model::{BoostModel, TreesOf};
use super::rows::{Laid, ViewedRows};
use super::written::{lineage, notes, write};
use crate::method::{BOOST, RMTGB, robust_params};

/// Rows of a split as trees see them, and where each source begins.
struct Asked {
    rows: ViewedRows,
    laid: Laid,
}

/// Most rows a column's shuffling is measured on; above them nothing is shuffled.
const MOST_SHUFFLED: usize = 40_000;
/// Largest number of columns that are shuffled.
const MOST_COLUMNS: usize = 200;

/// Fits, compares, writes; `observe` hears of every round.
///
/// # Errors
/// When settings or data are wrong, or the folder cannot be written.
pub fn run(facts: RunFacts<'_>, observe: &mut dyn FnMut(RunProgress<'_>)) -> Result<RunReport> {
    trained(facts, None, observe)
}

/// The same; with trees and a number also what the tasks do to each other, measured as often.
pub(super) fn trained(
    facts: RunFacts<'_>,
    measured: Option<(&Choice, usize)>,
    observe: &mut dyn FnMut(RunProgress<'_>),
) -> Result<RunReport> {
    let RunFacts { suite, dataset, out } = facts;
    let Some(choice) = &suite.model.trees else {
        return Err(Problem::new("the suite names no trees").try_this("trees = \"boost\" in [model]").into());
    };
    let all: Vec<usize> = (0..suite.tasks.len()).collect();
    let mut seconds = BTreeMap::new();
    let mut fit = |name: &str, choice: &Choice, tasks: &[usize]| -> Result<(BoostModel, Curves)> {
        let start = Instant::now();
        let fitting = Fitting { suite, dataset, choice, tasks };
        let fitted = fit_suite(fitting, &mut |round, rounds, loss| {
            observe(RunProgress { phase: name, round, rounds, loss });
        });
        let phase = if name.starts_with("single") { "single-task" } else { name };
        *seconds.entry(phase.to_owned()).or_insert(0.0) += start.elapsed().as_secs_f64();
        fitted
    };
    let (model, losses) = fit("joint", choice, &all)?;
    model.save(&out.join("model"))?;
    let joint = predictions(facts, &model, &all)?;
    let compared = compared(facts, choice, &model, &mut fit)?;
    let tasks = task_reports(facts, (&joint, &compared.single), &compared.others, None)?;
    let on_valid = match measured {
        Some(_) => {
            let joint = predictions_on(facts, &model, &all, Some(Split::Valid))?;
            task_reports(facts, (&joint, &compared.single_on_valid), &[], Some(Split::Valid))?
        }
        None => Vec::new(),
    };
    let diagnosis = measured.map(|measured| measure(facts, measured, observe)).transpose()?;
    let summary = polytask_eval::summarise(&tasks);
    let trees = trees_report(facts, &model, &joint, &compared.single)?;
    let steps = losses.values().map(Vec::len).max().unwrap_or(0) as u64;
    let report = RunReport {
        version: REPORT_VERSION,
        name: suite.name.clone(),
        delta_m: summary.delta_m,
        worst: summary.worst,
        below: summary.below,
        weighting: choice.to_string(),
        steps,
        kept: steps,
        losses,
        single_losses: compared.single_losses,
        data: polytask_data::card(suite, dataset),
        lineage: lineage(suite, dataset, &model),
        on_valid,
        diagnosis,
        trees: Some(trees),
        seconds,
        notes: notes(facts, &tasks),
        tasks,
        ..RunReport::default()
    };
    write(facts, &report, &joint)?;
    Ok(report)
}

/// What a model is compared with.
#[derive(Default)]
struct Compared {
    /// Predictions of models of each task alone.
    single: ByTask,
    /// The same on valid.
    single_on_valid: ByTask,
    single_losses: Curves,
    /// Predictions of others, by what they are called.
    others: Vec<(&'static str, ByTask)>,
}

/// Fits some tasks under a name.
type Fit<'a> = dyn FnMut(&str, &Choice, &[usize]) -> Result<(BoostModel, Curves)> + 'a;

/// Trains what the suite wants the model compared with.
fn compared(facts: RunFacts<'_>, choice: &Choice, model: &BoostModel, fit: &mut Fit<'_>) -> Result<Compared> {
    let (suite, mut compared) = (facts.suite, Compared::default());
    let all: Vec<usize> = (0..suite.tasks.len()).collect();
    if compares_alone(suite, model) {
        for (tasks, alone) in alone(suite, choice, model)? {
            let (model, curves) = fit("single", &alone, &tasks)?;
            compared.single.extend(predictions(facts, &model, &tasks)?);
            compared.single_on_valid.extend(predictions_on(facts, &model, &tasks, Some(Split::Valid))?);
            compared.single_losses.extend(curves);
        }
    }
    for (id, other) in settings_of_the_method(suite, choice)? {
        let (model, _) = fit(id, &other, &all)?;
        compared.others.push((id, predictions(facts, &model, &all)?));
    }
    if suite.train.compares("prior") {
        compared.others.push(("prior", prior(facts, &all)?));
    }
    Ok(compared)
}

/// Whether there is something that sharing could cost.
fn compares_alone(suite: &Suite, model: &BoostModel) -> bool {
    let shares = suite.tasks.len() > 1 || matches!(model.trees, TreesOf::Groups(_));
    shares && suite.train.compares("single")
}

/// The trainings of tasks alone, in as many rounds as the joint one: of groups all together, for they share nothing.
fn alone(suite: &Suite, choice: &Choice, model: &BoostModel) -> Result<Vec<(Vec<usize>, Choice)>> {
    let each = || (0..suite.tasks.len()).map(|task| vec![task]);
    if choice.name == BOOST.id {
        return Ok(each().map(|tasks| (tasks, choice.clone())).collect());
    }
    let params = robust_params(choice, suite.seed)?;
    let alone = rounds(choice, 0, 0, params.shared + params.gated + params.own);
    if matches!(model.trees, TreesOf::Groups(_)) {
        return Ok(vec![((0..suite.tasks.len()).collect(), alone)]);
    }
    Ok(each().map(|tasks| (tasks, alone.clone())).collect())
}

/// The method's own other settings in as many rounds: all groups pooled, and blocks without gates.
fn settings_of_the_method(suite: &Suite, choice: &Choice) -> Result<Vec<(&'static str, Choice)>> {
    if choice.name != RMTGB.id || !suite.train.compares("single") {
        return Ok(Vec::new());
    }
    let params = robust_params(choice, suite.seed)?;
    let all = params.shared + params.gated + params.own;
    let pooling = ("pooling", rounds(choice, all, 0, 0));
    let mtgb = ("mtgb", rounds(choice, params.shared + params.gated, 0, params.own));
    Ok(if params.gated > 0 { vec![pooling, mtgb] } else { vec![pooling] })
}

fn rounds(choice: &Choice, shared: usize, gated: usize, own: usize) -> Choice {
    let mut choice = choice.clone();
    for (name, n) in [("shared", shared), ("gated", gated), ("own", own)] {
        choice.params.insert(name.into(), json!(n));
    }
    choice
}

fn asked(facts: RunFacts<'_>, model: &BoostModel, split: Split) -> Result<Option<Asked>> {
    let laid = Laid::of(facts.dataset, split);
    if laid.texts.is_empty() {
        return Ok(None);
    }
    let view = model.view();
    Ok(Some(Asked { rows: view.texts(facts.dataset, &laid.texts)?, laid }))
}

/// Predictions of tasks, on the split each is reported on.
pub(super) fn predictions(facts: RunFacts<'_>, model: &BoostModel, tasks: &[usize]) -> Result<ByTask> {
    predictions_on(facts, model, tasks, None)
}

/// The same on a split, where one is given.
fn predictions_on(
    facts: RunFacts<'_>,
    model: &BoostModel,
    tasks: &[usize],
    on: Option<Split>,
) -> Result<ByTask> {
    let mut all = ByTask::new();
    let split_of = |task: usize| on.unwrap_or_else(|| facts.dataset.report_split(task));
    for split in [Split::Test, Split::Valid] {
        let of_split = || tasks.iter().enumerate().filter(|(_, task)| split_of(**task) == split);
        let Some(asked) = of_split().next().and_then(|_| asked(facts, model, split).transpose()) else {
            continue;
        };
        let asked = asked?;
        let margins = model.margins(&asked.rows);
        for (place, &task) in of_split() {
            all.extend(
                predicted(facts, model, (place, task, split), &asked.laid, &margins)
                    .map(|found| (task, found)),
            );
        }
    }
    Ok(all)
}

/// What margins say of a task's known rows in a split; its place is that among the model's tasks.
fn predicted(
    facts: RunFacts<'_>,
    model: &BoostModel,
    (place, task, split): (usize, usize, Split),
    laid: &Laid,
    margins: &[f64],
) -> Option<Predictions> {
    let (data, n) = (&facts.dataset.tasks[task], model.n_margins());
    let (first, own) = (laid.first[data.source], &model.tasks[place]);
    let targets = data.targets.get(&split)?;
    own.predictions(targets, |row| own.read(&margins[(first + row) * n..(first + row + 1) * n]))
}

/// What needs no columns: shares of labels, means of numbers.
fn prior(facts: RunFacts<'_>, tasks: &[usize]) -> Result<ByTask> {
    let mut choice = Choice::named(BOOST.id);
    choice.params.insert("rounds".into(), json!(1));
    let fitting = Fitting { suite: facts.suite, dataset: facts.dataset, choice: &choice, tasks };
    let (mut model, _) = fit_suite(fitting, &mut |_, _, _| ())?;
    if let TreesOf::Boost(booster) = &mut model.trees {
        booster.trees.clear();
    }
    predictions(facts, &model, tasks)
}

pub(super) fn task_reports(
    facts: RunFacts<'_>,
    (joint, single): (&ByTask, &ByTask),
    others: &[(&str, ByTask)],
    on: Option<Split>,
) -> Result<Vec<TaskReport>> {
    let RunFacts { suite, dataset, .. } = facts;
    let report = |(&task, predictions): (&usize, &Predictions)| {
        let spec = &suite.tasks[task];
        let of = |(learner, all): &'_ (&'_ str, ByTask)| {
            all.get(&task).map(|predictions| ((*learner).to_owned(), predictions.clone()))
        };
        let found: Vec<(String, Predictions)> = others.iter().filter_map(of).collect();
        let others: Vec<OtherRun<'_>> =
            found.iter().map(|(learner, predictions)| OtherRun { learner, predictions }).collect();
        polytask_eval::task_report(&TaskRun {
            task: &spec.name,
            kind: spec.kind.name,
            split: on.unwrap_or_else(|| dataset.report_split(task)).name(),
            metrics: &metrics(spec.kind, &spec.metric),
            margin: spec.margin,
            joint: predictions,
            single: single.get(&task),
            others: &others,
            seed: suite.seed,
        })
    };
    joint.iter().map(report).collect()
}

fn trees_report(
    facts: RunFacts<'_>,
    model: &BoostModel,
    joint: &ByTask,
    single: &ByTask,
) -> Result<TreesReport> {
    let trees = model.all_trees();
    let mut importance = model.importance();
    shuffle_columns(facts, model, &mut importance)?;
    Ok(TreesReport {
        trees: trees.len(),
        leaves: trees.iter().map(|(_, tree)| tree.n_leaves()).sum(),
        importance,
        groups: group_gates(facts, model, joint, single)?,
    })
}

/// Measures what shuffling a column costs, on the split of the first task.
fn shuffle_columns(
    facts: RunFacts<'_>,
    model: &BoostModel,
    importance: &mut [polytask_core::report::ColumnImportance],
) -> Result<()> {
    let split = facts.dataset.report_split(0);
    let Some(Asked { rows, laid }) = asked(facts, model, split)? else { return Ok(()) };
    let read = model.read_columns();
    if rows.table.n_rows() > MOST_SHUFFLED || read.len() > MOST_COLUMNS {
        return Ok(());
    }
    let score = |margins: &[f64]| {
        let of_task = |(place, spec): (usize, &polytask_core::suite::TaskSpec)| {
            let found = predicted(facts, model, (place, place, split), &laid, margins);
            let Some(found) = found else { return Ok(f64::NAN) };
            let sign = if polytask_eval::higher_is_better(&spec.metric) { 100.0 } else { -1.0 };
            Ok(sign * polytask_eval::score(&spec.metric, &found)?)
        };
        facts.suite.tasks.iter().enumerate().map(of_task).collect::<Result<Vec<f64>>>()
    };
    let lost = model.permutation(&rows, facts.suite.seed, &score)?;
    for column in importance.iter_mut() {
        let Some(at) = read.iter().position(|(name, _)| *name == column.column) else { continue };
        let of = |place: usize| lost[at][place];
        let own = model.tasks.iter().position(|task| task.info.name == column.task);
        let mean = || {
            let known: Vec<f64> = lost[at].iter().copied().filter(|lost| lost.is_finite()).collect();
            known.iter().sum::<f64>() / known.len() as f64
        };
        column.permutation = Some(own.map_or_else(mean, of)).filter(|lost| lost.is_finite());
    }
    Ok(())
}
