//! One training of an arm, measured: scores on valid and test, time of a step, conflict, sharpness.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use polytask_core::report::Point;
use polytask_core::{Split, Suite};
use polytask_eval::Predictions;
use polytask_model::Model;
use polytask_train::assemble::{Draw, StepBatch, assemble};
use polytask_train::engine::{Engine, Weights};
use polytask_train::evaluate;
use polytask_train::judge::{Side, judge};
use polytask_train::observe::{Observer, Silent};
use polytask_train::run::{Finished, Prepared, learn_alone, train_alone};
use polytask_train::segmenting;
use polytask_train::sharpness::{Reach, Spot};
use polytask_train::{Error, Result};
use serde::{Deserialize, Serialize};

use super::clock::Clock;
use super::names::slug;
use super::statistics::mean;
use crate::paper::OracleScores;
use crate::recipe::{ArmSpec, Setting};

/// The learner that is the encoder as it came.
const PROBE: &str = "probe";

/// The row of segments by depths.
const TILING: &str = "texttiling";

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

/// A training to be measured.
pub(super) struct Lesson<'a> {
    pub(super) prepared: &'a Prepared,
    /// What the training is called.
    pub(super) name: &'a str,
    pub(super) arm: &'a ArmSpec,
    pub(super) setting: &'a Setting,
    /// What its model is asked without having been trained on it.
    pub(super) unseen: Option<&'a Suite>,
    /// Where its model is kept, for arms that learn from it.
    pub(super) kept: Option<&'a Path>,
    /// Names of what methods see of themselves.
    pub(super) observe: &'a [String],
    /// Where checkpoints and models lie.
    pub(super) folder: &'a Path,
}

impl Lesson<'_> {
    /// Trains a suite's tasks, together or each alone, and measures.
    pub(super) fn measure(&self, observer: &mut dyn Observer) -> Result<Measured> {
        if let Some(learner) = &self.arm.learner {
            return self.learn(learner, observer);
        }
        let all: Vec<usize> = (0..self.prepared.suite.tasks.len()).collect();
        let groups: Vec<&[usize]> = if self.arm.alone { all.chunks(1).collect() } else { vec![&all[..]] };
        let mut measured = Measured::default();
        for group in groups {
            self.train(group, &mut measured, observer)?;
        }
        if !self.arm.tasks.is_empty() {
            measured.keep(&self.setting.tasks);
        }
        Ok(measured)
    }

    /// Trains some tasks together and adds what was measured.
    fn train(&self, group: &[usize], measured: &mut Measured, observer: &mut dyn Observer) -> Result<()> {
        let tasks = &self.prepared.suite.tasks;
        let names: Vec<String> = tasks.iter().map(|task| task.name.clone()).collect();
        let alone = format!("{} {}", self.name, names[group[0]]);
        let name = if self.arm.alone { alone.as_str() } else { self.name };
        let (start, mut clock) = (Instant::now(), Clock::new(&mut *observer));
        let look = |finished: &Finished| {
            let mut part = look(finished, &names, self.observe)?;
            if let Some(kept) = self.kept {
                let of_task = || kept.join(slug(&names[group[0]]));
                finished.save(&if self.arm.alone { of_task() } else { kept.to_path_buf() })?;
            }
            if !self.arm.alone && self.prepared.suite.sources.iter().any(|source| source.documents.is_some())
            {
                finished.save(&self.model())?;
                self.segments(&mut part)?;
            }
            if !self.arm.alone && self.unseen.is_some() {
                finished.save(&self.model())?;
                self.ask(&self.model(), &mut part)?;
            }
            Ok(part)
        };
        match train_alone(self.prepared, (name, group), self.folder, &mut clock, look) {
            Ok(part) => measured.add(part),
            Err(error @ Error::Diverged { .. }) => measured.diverged = Some(error.to_string()),
            Err(error) => return Err(error),
        }
        measured.step_ms += clock.step_ms();
        measured.seconds += start.elapsed().as_secs_f64();
        Ok(())
    }

    /// Adds how well the heads of segmentations find segments together, and what depths by the same vectors find.
    fn segments(&self, measured: &mut Measured) -> Result<()> {
        for report in segmenting::finish(&self.prepared.suite, &self.model(), &mut Silent)? {
            let neighbours = format!("{}, {}", report.name, segmenting::BY_NEIGHBOURS);
            let is_meant = |name: &str| name == report.name || name == neighbours || name == TILING;
            for row in report.rows.iter().filter(|row| is_meant(&row.name)) {
                let values = [("pk", row.pk), ("boundary f1", row.f1)];
                let named = values.map(|(metric, value)| (format!("{} {metric}", row.name), 100.0 * value));
                measured.values.extend(named);
            }
        }
        // A model folder per training would be gigabytes; one that cannot be removed harms nobody.
        let _ = std::fs::remove_dir_all(self.model());
        Ok(())
    }

    /// What a learner beside the trainings makes of the tasks; the encoder as it came is asked what was not seen too.
    fn learn(&self, id: &str, observer: &mut dyn Observer) -> Result<Measured> {
        let start = Instant::now();
        let mut measured = learn_alone(self.prepared, id, self.folder, observer, |engine, learnt| {
            let metric =
                |task: &usize| (engine.heads[*task].name.clone(), engine.heads[*task].metric.clone());
            Ok(Measured {
                metrics: learnt.reported.keys().map(metric).collect(),
                valid: scores(engine, &learnt.valid)?,
                test: scores(engine, &learnt.reported)?,
                ..Measured::default()
            })
        })?;
        if id == PROBE && self.unseen.is_some() {
            let Prepared { encoder, bare, symbols, .. } = self.prepared;
            let encoder = bare.as_ref().unwrap_or(encoder).clone();
            let params = encoder.params.clone();
            Model::new(encoder, symbols.clone(), Vec::new()).save(&params, &self.model())?;
            self.ask(&self.model(), &mut measured)?;
        }
        measured.seconds = start.elapsed().as_secs_f64();
        Ok(measured)
    }

    /// Where the model of the training is kept while it is asked.
    fn model(&self) -> PathBuf {
        self.folder.join("model")
    }

    /// Asks a model what it was not trained on: a measured value per unseen task of the setting, a score for others.
    fn ask(&self, model: &Path, measured: &mut Measured) -> Result<()> {
        let Some(suite) = self.unseen else { return Ok(()) };
        let side = Side { name: self.name, folder: model };
        let judged = judge(suite.clone(), side, None, None, &mut Silent)?;
        for task in &judged.report.tasks {
            let Some(score) = task.joint.first() else { continue };
            if self.setting.unseen.contains(&task.task) {
                measured
                    .values
                    .insert(format!("{} {}", task.task, score.metric), 100.0 * score.interval.value);
            } else {
                measured.metrics.insert(task.task.clone(), score.metric.clone());
                measured.test.insert(task.task.clone(), score.interval.value);
            }
        }
        // A model folder per training would be gigabytes; one that cannot be removed harms nobody.
        let _ = std::fs::remove_dir_all(model);
        Ok(())
    }
}

impl Measured {
    /// What an oracle says.
    pub(super) fn of_oracle(scores: OracleScores, seconds: f64) -> Self {
        let OracleScores { tasks, measured, steps } = scores;
        Self {
            metrics: tasks.iter().map(|score| (score.task.into(), score.metric.into())).collect(),
            test: tasks.iter().map(|score| (score.task.into(), score.value)).collect(),
            values: measured.into_iter().map(|(name, value)| (name.into(), value)).collect(),
            step_ms: 1000.0 * seconds / steps.max(1) as f64,
            steps,
            seconds,
            ..Self::default()
        }
    }

    /// Leaves out the tasks that scores are not of.
    fn keep(&mut self, tasks: &[String]) {
        self.metrics.retain(|task, _| tasks.contains(task));
        self.valid.retain(|task, _| tasks.contains(task));
        self.test.retain(|task, _| tasks.contains(task));
    }

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
