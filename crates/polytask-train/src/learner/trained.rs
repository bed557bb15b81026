//! `single`: a model trained for each task alone; and the training that it is, of one task or of several together.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use polytask_core::method::Choice;
use polytask_core::report::Point;
use polytask_core::{Family, MethodInfo, Split, atomic};
use polytask_data::Plan;
use polytask_eval::Predictions;
use polytask_nn::{Block, Params};
use polytask_weighting::Weighting;
use polytask_weighting::table::{self, Setup};
use serde::{Deserialize, Serialize};

use super::folder::ModelFolder;
use super::{Fitted, Learner};
use crate::Result;
use crate::checkpoint::{Checkpoints, fresh};
use crate::context::Run;
use crate::engine::Weights;
use crate::evaluate;
use crate::history::History;
use crate::observe::Observer;
use crate::regularizer;
use crate::side::{SINGLE, Side};
use crate::to_model::to_model;
use crate::trainer::Trainer;

const INFO: MethodInfo = MethodInfo {
    id: SINGLE,
    title: "Single-task model",
    paper: "",
    family: Family::Learner,
    about: "a model trained for each task alone, on the rows and at the steps the joint training shows it",
    cost: "as much again as the joint training",
    kinds: &[],
    params: &[],
};

/// The learner that trains each task alone.
pub(super) struct Single;

/// A training's result: the weights are elsewhere, this is what the report needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trained {
    /// On the split each task is reported on.
    pub(crate) predictions: BTreeMap<usize, Predictions>,
    /// On valid.
    pub(crate) valid: BTreeMap<usize, Predictions>,
    pub(crate) losses: BTreeMap<String, Vec<Point>>,
    pub(crate) steps: u64,
    pub(crate) kept: u64,
    /// Share of the way from the probes to step `kept`, where the kept weights are interpolated.
    pub(crate) share: Option<f64>,
}

/// What a training is called, and the encoder and heads it works on.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a, 'r> {
    /// Its name, which its checkpoints have too.
    pub(crate) name: &'a str,
    /// What it works on.
    pub(crate) side: Side<'r>,
}

/// A finished training with the weights it kept.
pub(crate) struct Training<'r> {
    run: &'r Run<'r>,
    pub(crate) side: Side<'r>,
    pub(crate) tasks: Vec<usize>,
    pub(crate) trunk: Params,
    pub(crate) heads: Vec<Block>,
    pub(crate) trained: Trained,
    pub(crate) history: History,
    /// Seconds the predictions took.
    pub(crate) evaluation: f64,
}

impl Learner for Single {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn fit<'r>(
        &self,
        run: &'r Run,
        tasks: &[usize],
        observer: &mut dyn Observer,
    ) -> Result<Box<dyn Fitted + 'r>> {
        let names = &run.prepared().suite.tasks;
        let alone = |&task: &usize| {
            Ok(OneTask { task: names[task].name.clone(), model: Training::alone(run, task, observer)? })
        };
        Ok(Box::new(Alone(tasks.iter().map(alone).collect::<Result<_>>()?)))
    }

    fn read<'r>(&self, run: &'r Run, folder: &Path) -> Result<Box<dyn Fitted + 'r>> {
        let names = run.prepared().suite.tasks.iter().map(|task| task.name.clone());
        let read = |task: String| Ok(OneTask { model: ModelFolder::read(run, &folder.join(&task))?, task });
        let written = names.filter(|task| folder.join(task).exists());
        Ok(Box::new(Alone(written.map(read).collect::<Result<_>>()?)))
    }
}

/// Models of one task each; on disk a folder for each, by the task's name.
struct Alone<F>(Vec<OneTask<F>>);

struct OneTask<F> {
    task: String,
    model: F,
}

impl<F: Fitted> Fitted for Alone<F> {
    fn predict(&self, split: Split) -> Result<BTreeMap<usize, Predictions>> {
        let mut all = BTreeMap::new();
        for one in &self.0 {
            all.extend(one.model.predict(split)?);
        }
        Ok(all)
    }

    fn write(&self, folder: &Path) -> Result<()> {
        self.0.iter().try_for_each(|one| one.model.write(&folder.join(&one.task)))
    }
}

impl Fitted for Training<'_> {
    fn predict(&self, split: Split) -> Result<BTreeMap<usize, Predictions>> {
        let weights = Weights { trunk: &self.trunk, heads: &self.heads };
        evaluate::predict(&self.side.engine, weights, &self.tasks, split)
    }

    fn write(&self, folder: &Path) -> Result<()> {
        let (parts, prepared) = (self.side.parts, self.run.prepared());
        let mut model = to_model(prepared, parts.encoder, &parts.heads, self.heads.clone());
        let is_trained = |name: &str| self.tasks.iter().any(|&task| parts.heads[task].name == name);
        model.tasks.retain(|task| is_trained(&task.info.name));
        Ok(model.save(&self.trunk, folder)?)
    }
}

/// What the training of a task alone is called.
pub(crate) fn name_of(run: &Run, task: usize) -> String {
    format!("single {}", run.prepared().suite.tasks[task].name)
}

impl<'r> Training<'r> {
    /// Trains a task alone, plainly, on the rows the joint training shows it.
    pub(crate) fn alone(run: &'r Run, task: usize, observer: &mut dyn Observer) -> Result<Self> {
        let prepared = run.prepared();
        let plan = Plan::new(&prepared.suite, &prepared.dataset).for_task(task);
        let place = Place { name: &name_of(run, task), side: run.single() };
        Self::fit(run, place, &[task], plan, &Choice::named("equal"), observer)
    }

    /// One training from the loaded encoder and the run's first heads; predictions are of the weights it keeps.
    pub(crate) fn fit(
        run: &'r Run,
        place: Place<'_, 'r>,
        tasks: &[usize],
        plan: Plan,
        weighting: &Choice,
        observer: &mut dyn Observer,
    ) -> Result<Self> {
        let Place { name, side } = place;
        let parts = side.parts;
        let mut trainer = trainer(run, place, tasks, plan, weighting)?;
        let Some(checkpoints) = trainer.checkpoints.clone() else {
            unreachable!("trainings of runs have checkpoints")
        };
        if run.options().resume && checkpoints.load(&mut trainer.state, &parts.trainable)? {
            trainer.method.restore(&trainer.state.method)?;
            if let Some(every) = run.asked_every().filter(|_| tasks.len() > 1) {
                trainer.state.history.diagnose_every = every;
            }
        }
        trainer.train(name, observer)?;
        let (trunk, heads, kept) = trainer.kept();
        let weights = Weights { trunk: &trunk, heads: &heads };
        let start = Instant::now();
        let predictions = run.predict(side, weights, tasks)?;
        let evaluation = start.elapsed().as_secs_f64();
        let valid = valid(run, side, weights, &predictions, tasks)?;
        let history = std::mem::take(&mut trainer.state.history);
        let losses = history.loss_curves(&parts.heads);
        let trained =
            Trained { predictions, valid, losses, steps: trainer.state.step, kept, share: trainer.share };
        Ok(Self { run, side, tasks: tasks.to_vec(), trunk, heads, trained, history, evaluation })
    }
}

/// Predictions on valid: those at hand where a task is reported on valid.
fn valid(
    run: &Run,
    side: Side,
    weights: Weights,
    reported: &BTreeMap<usize, Predictions>,
    tasks: &[usize],
) -> Result<BTreeMap<usize, Predictions>> {
    let is_reported = |task: &usize| run.split_of(*task) == Split::Valid;
    let (at_hand, missing): (Vec<usize>, Vec<usize>) = tasks.iter().partition(|task| is_reported(task));
    let mut valid = evaluate::predict(&side.engine, weights, &missing, Split::Valid)?;
    valid.extend(at_hand.iter().filter_map(|task| Some((*task, reported.get(task)?.clone()))));
    Ok(valid)
}

/// A training before its first step.
fn trainer<'r>(
    run: &'r Run,
    Place { name, side }: Place<'_, 'r>,
    tasks: &[usize],
    plan: Plan,
    weighting: &Choice,
) -> Result<Trainer<'r>> {
    let suite = &run.prepared().suite;
    let folder = run.options().out.join("checkpoint").join(name.replace(' ', "-"));
    atomic::create_dir(&folder)?;
    let mut state = fresh(side.parts.encoder.params.clone(), run.first_heads(side), suite.tasks.len());
    state.history.diagnose_every = if tasks.len() > 1 { run.diagnose_every() } else { 0 };
    // A task alone has nothing to be regularized against: its training is the plain one.
    let regularizer =
        if tasks.len() > 1 { regularizer::table::make(&suite.train.regularizer)? } else { None };
    Ok(Trainer {
        engine: side.engine,
        spec: &suite.train,
        plan,
        tasks: tasks.to_vec(),
        method: weighting_of(run, side, tasks, weighting)?,
        regularizer,
        state,
        checkpoints: Some(Checkpoints::new(&folder, &format!("{name} {}", run.identity()))),
        spare: None,
        reference: run.reference(side),
        share: None,
        saved: None,
    })
}

/// The weighting of a training, checked against what its gradients are taken of; a task alone trains plainly, whatever
/// these are.
fn weighting_of(run: &Run, side: Side, tasks: &[usize], weighting: &Choice) -> Result<Box<dyn Weighting>> {
    let suite = &run.prepared().suite;
    let names = suite.tasks.iter().map(|task| task.name.clone()).collect();
    let (setup, gradients) = (Setup { tasks: names, lr: suite.train.lr }, suite.train.gradients);
    let method = match tasks.len() {
        0 | 1 => table::make(weighting, &setup)?,
        _ => table::make_in(weighting, &setup, gradients, side.engine.n_trained())?,
    };
    if tasks.len() > 1 {
        table::check_views(&weighting.name, method.needs(), gradients, side.engine.trunk)?;
    }
    if method.needs().displaced {
        table::check_space(&weighting.name, method.needs(), gradients)?;
    }
    Ok(method)
}
