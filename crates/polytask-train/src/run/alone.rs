//! A training by itself, without baselines, report or model folder, for whoever looks at the weights it leaves.

use polytask_core::method::Choice;
use polytask_core::{Problem, Split, near};

use super::{
    BTreeMap, History, Observer, Path, Place, Plan, Prepared, Result, Run, RunOptions, Training, with_sides,
};
use crate::engine::{Engine, Weights};
use crate::learner::LEARNERS;
use crate::side::Side;
use crate::to_model::to_model;
use polytask_eval::Predictions;

/// What a training left.
pub struct Finished<'a> {
    /// The unchanging parts of the training.
    pub engine: Engine<'a>,
    /// The weights it kept.
    pub weights: Weights<'a>,
    /// Suite indices of the tasks that were trained.
    pub tasks: &'a [usize],
    /// Predictions of these weights on the split each task is reported on.
    pub predictions: &'a BTreeMap<usize, Predictions>,
    /// What happened on the way.
    pub history: &'a History,
    /// Optimiser steps taken.
    pub steps: u64,
    run: &'a Run<'a>,
    side: Side<'a>,
}

impl Finished<'_> {
    /// Writes the model that the training left, with the heads of the tasks that were trained.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let (prepared, parts) = (self.run.prepared(), self.side.parts);
        let mut model = to_model(prepared, parts.encoder, &parts.heads, self.weights.heads.to_vec());
        let names: Vec<&String> = self.tasks.iter().map(|&task| &parts.heads[task].name).collect();
        model.tasks.retain(|task| names.contains(&&task.info.name));
        Ok(model.save(self.weights.trunk, folder)?)
    }
}

/// What a learner predicts of a suite's tasks: on valid, and on the split each is reported on.
pub struct Learnt {
    /// On valid.
    pub valid: BTreeMap<usize, Predictions>,
    /// On the split each task is reported on.
    pub reported: BTreeMap<usize, Predictions>,
}

/// Fits a learner to all tasks of a suite and lets `look` see what it predicts.
///
/// # Errors
/// An unknown learner.
pub fn learn_alone<R>(
    prepared: &Prepared,
    id: &str,
    out: &Path,
    observer: &mut dyn Observer,
    look: impl FnOnce(&Engine, Learnt) -> Result<R>,
) -> Result<R> {
    let Some(learner) = LEARNERS.iter().find(|learner| learner.info().id == id) else {
        let known: Vec<&str> = LEARNERS.iter().map(|learner| learner.info().id).collect();
        return Err(Problem::new(format!("unknown learner `{id}`"))
            .try_this(near::advice(id, &known))
            .into());
    };
    let options = RunOptions { out: out.into(), resume: false, baselines: None };
    let tasks: Vec<usize> = (0..prepared.suite.tasks.len()).collect();
    with_sides(prepared, observer, |joint, single, observer| {
        let run = Run::new(prepared, (joint, single), &options, 0, observer)?;
        let fitted = learner.fit(&run, &tasks, observer)?;
        let valid = fitted.predict(Split::Valid)?;
        let mut reported = BTreeMap::new();
        for split in [Split::Test, Split::Valid] {
            let found = fitted.predict(split)?;
            reported.extend(found.into_iter().filter(|(task, _)| run.split_of(*task) == split));
        }
        look(&single.engine, Learnt { valid, reported })
    })
}

/// Trains some tasks of a suite together as a run would, and lets `look` see what the training left; a task alone is
/// trained on the rows the joint run shows it, as a single-task baseline. `out` holds checkpoints while it trains.
pub fn train_alone<R>(
    prepared: &Prepared,
    (name, tasks): (&str, &[usize]),
    out: &Path,
    observer: &mut dyn Observer,
    look: impl FnOnce(&Finished) -> Result<R>,
) -> Result<R> {
    let options = RunOptions { out: out.into(), resume: false, baselines: None };
    let plan = Plan::new(&prepared.suite, &prepared.dataset);
    let equal = Choice::named("equal");
    let (plan, weighting) = match tasks {
        [task] => (plan.for_task(*task), &equal),
        _ => (plan, &prepared.suite.train.weighting),
    };
    with_sides(prepared, observer, |joint, single, observer| {
        let run = Run::new(prepared, (joint, single), &options, 0, observer)?;
        let side = if tasks.len() > 1 { joint } else { single };
        let place = Place { name, side };
        let training = Training::fit(&run, place, tasks, plan, weighting, observer)?;
        look(&Finished {
            engine: side.engine,
            weights: Weights { trunk: &training.trunk, heads: &training.heads },
            tasks,
            predictions: &training.trained.predictions,
            history: &training.history,
            steps: training.trained.steps,
            run: &run,
            side,
        })
    })
}
