//! One training of an arm, measured: scores on valid and test, time of a step, conflict, sharpness.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use polytask_core::Split;
use polytask_core::report::Point;
use polytask_eval::Predictions;
use polytask_train::assemble::{Draw, StepBatch, assemble};
use polytask_train::engine::{Engine, Weights};
use polytask_train::evaluate;
use polytask_train::observe::Observer;
use polytask_train::run::{Finished, Prepared, train_alone};
use polytask_train::sharpness::{Reach, Spot};
use polytask_train::{Error, Result};
use serde::{Deserialize, Serialize};

use super::clock::Clock;
use super::statistics::mean;

/// Batches, and rows of each source in a batch, that sharpness is measured on.
const BATCHES: usize = 6;
const ROWS: usize = 128;

/// What one training of an arm gave.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Measured {
    /// Task → its main metric.
    pub metrics: BTreeMap<String, String>,
    /// Task → main metric on valid.
    pub valid: BTreeMap<String, f64>,
    /// Task → main metric on the split it is reported on.
    pub test: BTreeMap<String, f64>,
    /// What else was measured.
    pub values: BTreeMap<String, f64>,
    /// Optimiser steps.
    pub steps: u64,
    /// Median milliseconds of a step; of all tasks' single trainings together.
    pub step_ms: f64,
    /// Seconds of training.
    pub seconds: f64,
    /// Why there is no score, when training diverged.
    pub diverged: Option<String>,
}

/// Trains a suite's tasks, together or each alone, and measures; `observe` names what methods see of themselves.
pub(super) fn measure(
    prepared: &Prepared,
    (name, alone): (&str, bool),
    observe: &[String],
    folder: &Path,
    observer: &mut dyn Observer,
) -> Result<Measured> {
    let names: Vec<String> = prepared.suite.tasks.iter().map(|task| task.name.clone()).collect();
    let all: Vec<usize> = (0..names.len()).collect();
    let groups: Vec<&[usize]> = if alone { all.chunks(1).collect() } else { vec![&all[..]] };
    let mut measured = Measured::default();
    for group in groups {
        let name = if alone { format!("{name} {}", names[group[0]]) } else { name.to_owned() };
        let (start, mut clock) = (Instant::now(), Clock::new(&mut *observer));
        let look = |finished: &Finished| look(finished, &names, observe);
        match train_alone(prepared, (&name, group), folder, &mut clock, look) {
            Ok(part) => measured.add(part),
            Err(error @ Error::Diverged { .. }) => measured.diverged = Some(error.to_string()),
            Err(error) => return Err(error),
        }
        measured.step_ms += clock.step_ms();
        measured.seconds += start.elapsed().as_secs_f64();
    }
    Ok(measured)
}

impl Measured {
    fn add(&mut self, part: Self) {
        self.metrics.extend(part.metrics);
        self.valid.extend(part.valid);
        self.test.extend(part.test);
        self.values.extend(part.values);
        self.steps += part.steps;
    }
}

/// Everything but times.
fn look(finished: &Finished, names: &[String], observe: &[String]) -> Result<Measured> {
    let Finished { engine, weights, tasks, .. } = finished;
    let valid = evaluate::predict(engine, *weights, tasks, Split::Valid)?;
    let metric = |task: &usize| (engine.heads[*task].name.clone(), engine.heads[*task].metric.clone());
    let mut values = if tasks.len() > 1 { mechanism(finished, names)? } else { BTreeMap::new() };
    values.extend(observe.iter().filter_map(|name| Some((name.clone(), observed(finished, name)?))));
    Ok(Measured {
        metrics: tasks.iter().map(metric).collect(),
        valid: scores(engine, &valid)?,
        test: scores(engine, finished.predictions)?,
        values,
        steps: finished.steps,
        ..Measured::default()
    })
}

/// Main metric of each task; one that is undefined is left out.
fn scores(engine: &Engine, predictions: &BTreeMap<usize, Predictions>) -> Result<BTreeMap<String, f64>> {
    let mut scores = BTreeMap::new();
    for (&task, predictions) in predictions {
        let head = &engine.heads[task];
        let score = polytask_eval::score(&head.metric, predictions)?;
        if score.is_finite() {
            scores.insert(head.name.clone(), score);
        }
    }
    Ok(scores)
}

/// A value that a method or regularizer saw of itself: mean over the last quarter of its curve, and over tasks.
fn observed(finished: &Finished, name: &str) -> Option<f64> {
    let curves = finished.history.observed_curves(finished.engine.heads).remove(name)?;
    let late = |points: &Vec<Point>| {
        let values: Vec<f64> = points[points.len() * 3 / 4..].iter().map(|point| point.value).collect();
        mean(&values)
    };
    mean(&curves.values().filter_map(late).collect::<Vec<_>>())
}

/// What shows how a joint training worked.
fn mechanism(finished: &Finished, names: &[String]) -> Result<BTreeMap<String, f64>> {
    let report = finished.history.conflict_report(names);
    let above = report.conflicting.iter().enumerate().flat_map(|(i, row)| row.iter().skip(i + 1));
    let conflict = mean(&above.flatten().copied().collect::<Vec<_>>());
    let sharpness = sharpness(&finished.engine, finished.weights, finished.tasks)?;
    let known = [("conflict", conflict), ("sharpness", sharpness)];
    Ok(known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
}

/// The sharpness of the trunk's trained parameters: mean over batches of train and over tasks.
fn sharpness(engine: &Engine, weights: Weights, tasks: &[usize]) -> Result<Option<f64>> {
    // Step 0 is no step of a training, and dropout is off: its masks would be part of the sharpness.
    let (engine, mut rises) = (Engine { dropout: 0.0, ..*engine }, Vec::new());
    for batch in batches(&engine, tasks) {
        let spot = Spot { engine: &engine, weights, batch: &batch, mode: engine.train_mode(0) };
        rises.extend(spot.rises(Reach::default())?);
    }
    Ok(mean(&rises))
}

/// The first rows of train, in batches.
fn batches(engine: &Engine, tasks: &[usize]) -> Vec<StepBatch> {
    let dataset = engine.dataset;
    let views: Vec<_> = tasks.iter().map(|&task| engine.heads[task].view(task, dataset)).collect();
    let mut sources: Vec<usize> = tasks.iter().map(|&task| dataset.tasks[task].source).collect();
    sources.sort_unstable();
    sources.dedup();
    let batch = |k: usize| {
        let rows = |&source: &usize| {
            let n = dataset.sources[source].splits.get(&Split::Train).map_or(0, polytask_data::Rows::len);
            let rows = (k * ROWS).min(n)..((k + 1) * ROWS).min(n);
            (source, rows.map(|row| row as u32).collect::<Vec<u32>>())
        };
        let draws: Vec<(usize, Vec<u32>)> = sources.iter().map(rows).filter(|(_, r)| !r.is_empty()).collect();
        let draw = Draw { seed: engine.seed, step: 0 };
        assemble(dataset, &views, Split::Train, &draws, draw, engine.trunk)
    };
    (0..BATCHES).map(batch).filter(|batch| !batch.parts.is_empty()).collect()
}
