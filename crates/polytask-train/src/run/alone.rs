//! A training by itself, without baselines, report or model folder, for whoever looks at the weights it leaves.

use polytask_core::method::Choice;

use super::{
    BTreeMap, History, Observer, Parts, Path, Plan, Predictions, Prepared, Result, Run, RunOptions, Weights,
};
use crate::engine::Engine;

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
    let parts = Parts::new(prepared)?;
    let cache = parts.cache(observer)?;
    let options = RunOptions { out: out.into(), resume: false, baselines: None };
    let engine = parts.engine(cache.as_ref());
    let run = Run { prepared, parts: &parts, engine, options: &options, diagnose_every: 0 };
    let plan = Plan::new(&prepared.suite, &prepared.dataset);
    let equal = Choice::named("equal");
    let (plan, weighting) = match tasks {
        [task] => (plan.for_task(*task), &equal),
        _ => (plan, &prepared.suite.train.weighting),
    };
    let (trained, history, (trunk, heads)) = run.train(name, tasks, plan, weighting, observer)?;
    look(&Finished {
        engine: run.engine,
        weights: Weights { trunk: &trunk, heads: &heads },
        tasks,
        predictions: &trained.predictions,
        history: &history,
        steps: trained.steps,
    })
}
