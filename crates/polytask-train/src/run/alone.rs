//! A training by itself, without baselines, report or model folder, for whoever looks at the weights it leaves.

use polytask_core::method::Choice;

use super::{
    BTreeMap, History, Observer, Path, Place, Plan, Prepared, Result, Run, RunOptions, Training, with_sides,
};
use crate::engine::{Engine, Weights};
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
        })
    })
}
