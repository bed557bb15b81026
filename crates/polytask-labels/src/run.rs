//! A run: every task's labels described, heads fitted on frozen vectors, calibrated on valid, judged side by side.

use std::collections::BTreeMap;
use std::time::Instant;

use polytask_core::report::{Point, REPORT_VERSION, RunReport, TaskReport};
use polytask_eval::{OtherRun, Predictions, TaskRun};
use polytask_nn::Result;

use crate::facts::{LabelRun, RunPhase};
use crate::fitting::{Fitting, Judged};
use crate::model::{LabelModel, MatchedTask};
use crate::written::{metrics, notes, write};

/// Fits, compares, writes.
///
/// # Errors
/// When data or settings are wrong, or the folder cannot be written.
pub fn run(of: LabelRun<'_>, observe: &mut dyn FnMut(RunPhase<'_>)) -> Result<RunReport> {
    let (judged, mut report) = judged(of, observe)?;
    let models: Vec<MatchedTask> = judged.iter().map(|one| one.matched.clone()).collect();
    let tuned = judged.iter().find_map(|one| one.tuned.as_deref());
    LabelModel::save(tuned.unwrap_or(of.encoder), &models, &of.out.join("model"))?;
    let with_scores = judged.iter().enumerate().filter(|(_, one)| !one.predictions.is_empty());
    let joint = with_scores.map(|(task, one)| (task, one.predictions[0].1.clone())).collect();
    write(of, &mut report, &joint)?;
    Ok(report)
}

/// Fits and compares; nothing is written.
///
/// # Errors
/// When data or settings are wrong.
pub fn judge(of: LabelRun<'_>) -> Result<RunReport> {
    Ok(judged(of, &mut |_| ())?.1)
}

fn judged(of: LabelRun<'_>, observe: &mut dyn FnMut(RunPhase<'_>)) -> Result<(Vec<Judged>, RunReport)> {
    let start = Instant::now();
    let tasks = (0..of.suite.tasks.len()).map(|task| Fitting::new(of, task)?.judged(observe));
    let judged = tasks.collect::<Result<Vec<Judged>>>()?;
    let fitted = start.elapsed().as_secs_f64();
    let with_scores = || judged.iter().enumerate().filter(|(_, one)| !one.predictions.is_empty());
    let tasks = with_scores()
        .map(|(task, one)| task_report(of, task, &one.predictions))
        .collect::<Result<Vec<_>>>()?;
    let curve =
        |one: &Judged| (!one.losses.is_empty()).then(|| (one.matched.name.clone(), one.losses.clone()));
    let losses: BTreeMap<String, Vec<Point>> = judged.iter().filter_map(curve).collect();
    let steps = losses.values().map(Vec::len).max().unwrap_or(0) as u64;
    let mut report = RunReport {
        version: REPORT_VERSION,
        name: of.suite.name.clone(),
        steps,
        kept: steps,
        losses,
        data: polytask_data::card(of.suite, of.dataset),
        labels: judged.iter().map(|one| one.report.clone()).collect(),
        seconds: BTreeMap::from([("joint".to_owned(), fitted)]),
        tasks,
        ..RunReport::default()
    };
    report.notes = notes(of, &report.tasks, judged.iter().flat_map(|one| one.notes.iter().cloned()));
    Ok((judged, report))
}

fn task_report(of: LabelRun<'_>, task: usize, predictions: &[(String, Predictions)]) -> Result<TaskReport> {
    let spec = &of.suite.tasks[task];
    let others: Vec<OtherRun<'_>> =
        predictions[1..].iter().map(|(learner, predictions)| OtherRun { learner, predictions }).collect();
    Ok(polytask_eval::task_report(&TaskRun {
        task: &spec.name,
        kind: spec.kind.name,
        split: of.dataset.report_split(task).name(),
        metrics: &metrics(spec.kind, &spec.metric),
        margin: spec.margin,
        joint: &predictions[0].1,
        single: None,
        others: &others,
        seed: of.suite.seed,
    })?)
}
