//! A run: joint training, the single-task trainings it is compared with, the report and the model folder.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use polytask_core::Suite;
use polytask_core::report::{DataCard, Lineage, Point, REPORT_VERSION, RunReport, TaskReport};
use polytask_core::suite::Start;
use polytask_core::{Split, atomic};
use polytask_data::{Dataset, Plan, Symbols};
use polytask_eval::{Predictions, TaskRun};
use polytask_nn::encoder::Encoder;
use polytask_nn::{Block, Params};
use serde::{Deserialize, Serialize};

use crate::cache::FrozenStates;
use crate::checkpoint::{Checkpoints, fresh};
use crate::choose::Reference;
use crate::diagnose::record;
use crate::engine::Weights;
use crate::evaluate::{self, metrics};
use crate::history::History;
use crate::judged::judged;
use crate::linear_probe::{self, Probes};
use crate::observe::{Event, Observer};
use crate::prepare::lineage;
use crate::regularizer;
use crate::share;
use crate::side::{Side, suite_compares, with_sides};
use crate::to_model::to_model;
use crate::trainer::Trainer;
use crate::{Error, Result};
use polytask_weighting::table::{self, Setup};

mod alone;

pub use crate::claim::{FolderLock, check_free, claim, lock};
pub use alone::{Finished, train_alone};

mod groups;
mod kept;
mod keys;
mod pace;
mod written;

pub use keys::SEMANTICS;
pub(crate) use pace::{Pace, pace};

pub use groups::{GroupReport, check_shared, diagnose, groups};

/// What a run works on.
pub struct Prepared {
    /// The checked suite.
    pub suite: Suite,
    /// Its data.
    pub dataset: Dataset,
    /// The encoder as it was loaded.
    pub encoder: Encoder,
    /// What turns its inputs into symbols.
    pub symbols: Symbols,
    /// What the data looks like.
    pub card: DataCard,
    /// States of the frozen part that earlier trainings computed.
    pub frozen: FrozenStates,
}

/// Where a run writes and what it may reuse.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The run's folder.
    pub out: PathBuf,
    /// Continue from the last checkpoint.
    pub resume: bool,
    /// Where finished single-task results are kept between runs.
    pub baselines: Option<PathBuf>,
}

/// A training's result: kept weights are in the model folder, this is what the report needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Trained {
    predictions: BTreeMap<usize, Predictions>,
    losses: BTreeMap<String, Vec<Point>>,
    steps: u64,
    kept: u64,
    /// Share of the way from the probes to step `kept`, where the kept weights are interpolated.
    share: Option<f64>,
}

/// Joint run, baselines, report; everything is written to `options.out`.
pub fn run(prepared: &Prepared, options: &RunOptions, observer: &mut dyn Observer) -> Result<RunReport> {
    with_sides(prepared, observer, |joint, single, observer| {
        Run::new(prepared, (joint, single), options, 0, observer)?.execute(observer)
    })
}

struct Run<'a> {
    prepared: &'a Prepared,
    joint: Side<'a>,
    single: Side<'a>,
    /// Where it all comes from; hashes of all weights and files, so made once.
    lineage: Lineage,
    options: &'a RunOptions,
    /// Steps between measurements of what the tasks do to each other; 0 means never.
    diagnose_every: u64,
    /// Whether that was asked for: it then holds for a resumed training too, which else goes on as it began.
    is_every_asked: bool,
    /// The probes of the tasks, where training starts from them or is compared with them.
    probes: Option<Probes>,
    /// Whether the user knows that the cache takes nothing.
    is_cache_noted: Cell<bool>,
}

impl<'a> Run<'a> {
    fn new(
        prepared: &'a Prepared,
        (joint, single): (Side<'a>, Side<'a>),
        options: &'a RunOptions,
        diagnose_every: u64,
        observer: &mut dyn Observer,
    ) -> Result<Self> {
        let lineage = lineage(prepared);
        let starts_there = prepared.suite.train.start == Start::Probe;
        let probes = if starts_there { Some(linear_probe::fit(prepared, single, observer)?) } else { None };
        Ok(Self {
            prepared,
            joint,
            single,
            lineage,
            options,
            diagnose_every,
            is_every_asked: false,
            probes,
            is_cache_noted: Cell::new(false),
        })
    }
}

impl Run<'_> {
    fn execute(mut self, observer: &mut dyn Observer) -> Result<RunReport> {
        let mut seconds = BTreeMap::new();
        if self.probes.is_none() && self.prepared.suite.train.baselines {
            // Not the start, but still what the scores are held against.
            self.probes = Some(timed(&mut seconds, "probes", || {
                linear_probe::fit(self.prepared, self.single, observer)
            })?);
        }
        let (joint, history) = timed(&mut seconds, "joint", || self.joint(observer))?;
        let singles = timed(&mut seconds, "single-task", || self.singles(observer))?;
        let tasks = timed(&mut seconds, "intervals", || self.task_reports(&joint, &singles))?;
        let report = self.report(tasks, &joint, &singles, &history, seconds);
        let rows =
            judged(&self.prepared.suite, &self.joint.engine, &joint.predictions, |task| self.split_of(task));
        self.write(&report, &rows)?;
        Ok(report)
    }

    /// Trains all tasks together and writes the model folder.
    fn joint(&self, observer: &mut dyn Observer) -> Result<(Trained, History)> {
        let suite = &self.prepared.suite;
        let tasks: Vec<usize> = (0..suite.tasks.len()).collect();
        let plan = Plan::new(suite, &self.prepared.dataset);
        let (trained, history, (trunk, heads)) =
            self.train(("joint", self.joint), &tasks, plan, &suite.train.weighting, observer)?;
        let parts = self.joint.parts;
        let model = to_model(self.prepared, parts.encoder, &parts.heads, heads);
        model.save(&trunk, &self.options.out.join("model"))?;
        Ok((trained, history))
    }

    /// A single-task training per task, unless the suite has one task or wants none.
    fn singles(&self, observer: &mut dyn Observer) -> Result<BTreeMap<usize, Trained>> {
        let suite = &self.prepared.suite;
        if !suite_compares(suite) {
            return Ok(BTreeMap::new());
        }
        let mut singles = BTreeMap::new();
        for task in 0..suite.tasks.len() {
            match self.single(task, observer) {
                Ok(trained) => drop(singles.insert(task, trained)),
                // The joint run survived this task; so does the comparison, without it.
                Err(error @ Error::Diverged { .. }) => observer.event(Event::Note(&error.to_string())),
                Err(error) => return Err(error),
            }
        }
        Ok(singles)
    }

    /// A task alone, on the rows the joint run shows it; taken from the cache when it was trained before.
    fn single(&self, task: usize, observer: &mut dyn Observer) -> Result<Trained> {
        let name = format!("single {}", self.single.parts.heads[task].name);
        let key = self.baseline_key(task);
        let place = self.options.baselines.as_ref().map(|folder| folder.join(format!("{key}.json")));
        if let Some(place) = place.as_deref().filter(|place| place.exists()) {
            if let Some(trained) = kept::read(place, &key).filter(|trained| self.is_of(&[task], trained)) {
                observer.event(Event::Note(&format!("{name}: taken from the cache of earlier runs")));
                return Ok(trained);
            }
            observer.event(Event::Note(&format!("{name}: the cached result is damaged, trained anew")));
        }
        let plan = Plan::new(&self.prepared.suite, &self.prepared.dataset).for_task(task);
        let equal = polytask_core::method::Choice::named("equal");
        let (trained, _, _) = self.train((&name, self.single), &[task], plan, &equal, observer)?;
        if let Some(place) = place
            && let Err(error) = keep(&place, &key, &trained)
            && !self.is_cache_noted.replace(true)
        {
            observer.event(Event::Note(&not_kept(&name, error)));
        }
        Ok(trained)
    }

    /// One training from the loaded encoder and fresh heads; gives predictions of the kept weights.
    fn train(
        &self,
        (name, side): (&str, Side),
        tasks: &[usize],
        plan: Plan,
        weighting: &polytask_core::method::Choice,
        observer: &mut dyn Observer,
    ) -> Result<(Trained, History, (Params, Vec<Block>))> {
        let suite = &self.prepared.suite;
        let names = suite.tasks.iter().map(|task| task.name.clone()).collect();
        let parts = side.parts;
        let heads = self.first_heads(side);
        let folder = self.options.out.join("checkpoint").join(name.replace(' ', "-"));
        atomic::create_dir(&folder)?;
        let mut state = fresh(parts.encoder.params.clone(), heads, suite.tasks.len());
        state.history.diagnose_every = if tasks.len() > 1 { self.diagnose_every } else { 0 };
        let checkpoints = Checkpoints::new(&folder, &format!("{name} {}", self.identity()));
        let setup = Setup { tasks: names, lr: suite.train.lr };
        let method = match tasks.len() {
            // A task alone trains plainly, whatever the gradients.
            0 | 1 => table::make(weighting, &setup)?,
            _ => table::make_in(weighting, &setup, suite.train.gradients, side.engine.n_trained())?,
        };
        if tasks.len() > 1 {
            table::check_views(&weighting.name, method.needs(), suite.train.gradients, side.engine.trunk)?;
        }
        if method.needs().displaced {
            table::check_space(&weighting.name, method.needs(), suite.train.gradients)?;
        }
        // A task alone has nothing to be regularized against: its training is the plain one.
        let regularizer =
            if tasks.len() > 1 { regularizer::table::make(&suite.train.regularizer)? } else { None };
        let mut trainer = Trainer {
            engine: side.engine,
            spec: &suite.train,
            plan,
            tasks: tasks.to_vec(),
            method,
            regularizer,
            state,
            checkpoints: Some(checkpoints.clone()),
            spare: None,
            reference: self.reference(side),
            share: None,
            saved: None,
        };
        if self.options.resume && checkpoints.load(&mut trainer.state, &parts.trainable)? {
            trainer.method.restore(&trainer.state.method)?;
            if self.is_every_asked && tasks.len() > 1 {
                trainer.state.history.diagnose_every = self.diagnose_every;
            }
        }
        trainer.train(name, observer)?;
        let (trunk, heads, kept) = trainer.kept();
        let predictions = self.predict(side, Weights { trunk: &trunk, heads: &heads }, tasks)?;
        let history = std::mem::take(&mut trainer.state.history);
        let losses = history.loss_curves(&parts.heads);
        let trained = Trained { predictions, losses, steps: trainer.state.step, kept, share: trainer.share };
        Ok((trained, history, (trunk, heads)))
    }

    /// Predictions on the split each task is reported on.
    fn predict(&self, side: Side, weights: Weights, tasks: &[usize]) -> Result<BTreeMap<usize, Predictions>> {
        let mut out = BTreeMap::new();
        for split in [Split::Test, Split::Valid] {
            let of_split: Vec<usize> =
                tasks.iter().copied().filter(|&task| self.split_of(task) == split).collect();
            out.extend(evaluate::predict(&side.engine, weights, &of_split, split)?);
        }
        Ok(out)
    }

    /// Test where it has a known target, else valid.
    fn split_of(&self, task: usize) -> Split {
        self.prepared.dataset.report_split(task)
    }

    /// The probes, where training starts from them.
    fn reference<'s>(&'s self, side: Side<'s>) -> Option<Reference<'s>> {
        let probes = self.probes.as_ref().filter(|_| self.prepared.suite.train.start == Start::Probe)?;
        Some(Reference { trunk: &side.parts.encoder.params, heads: &probes.heads, valid: &probes.valid })
    }

    /// What the heads start from.
    fn first_heads(&self, side: Side) -> Vec<Block> {
        let Suite { seed, train, .. } = &self.prepared.suite;
        match &self.probes {
            Some(probes) if train.start == Start::Probe => probes.heads.clone(),
            _ => side.parts.heads.iter().map(|head| head.block(*seed)).collect(),
        }
    }

    fn task_reports(&self, joint: &Trained, singles: &BTreeMap<usize, Trained>) -> Result<Vec<TaskReport>> {
        let report = |(task, joint): (&usize, &Predictions)| {
            let spec = &self.prepared.suite.tasks[*task];
            Ok(polytask_eval::task_report(&TaskRun {
                task: &spec.name,
                kind: spec.kind.name,
                split: self.split_of(*task).name(),
                metrics: &metrics(spec.kind, &spec.metric),
                margin: spec.margin,
                joint,
                single: singles.get(task).and_then(|single| single.predictions.get(task)),
                probe: self.probes.as_ref().and_then(|probes| probes.predictions.get(task)),
                seed: self.prepared.suite.seed,
            })?)
        };
        joint.predictions.iter().map(report).collect()
    }

    fn report(
        &self,
        tasks: Vec<TaskReport>,
        joint: &Trained,
        singles: &BTreeMap<usize, Trained>,
        history: &History,
        seconds: BTreeMap<String, f64>,
    ) -> RunReport {
        let suite = &self.prepared.suite;
        let names: Vec<String> = suite.tasks.iter().map(|task| task.name.clone()).collect();
        let summary = polytask_eval::summarise(&tasks);
        let mut report = RunReport {
            version: REPORT_VERSION,
            name: suite.name.clone(),
            sides: Vec::new(),
            delta_m: summary.delta_m,
            worst: summary.worst,
            below: summary.below,
            weighting: suite.train.weighting.to_string(),
            regularizer: suite.train.regularizer.to_string(),
            steps: joint.steps,
            kept: joint.kept,
            share: joint.share,
            losses: joint.losses.clone(),
            single_losses: singles.values().flat_map(|single| single.losses.clone()).collect(),
            valid: history.valid_curves(&self.joint.parts.heads),
            observed: history.observed_curves(&self.joint.parts.heads),
            conflict: history.conflict_report(&names),
            diagnosis: record(&names, &history.measurements),
            data: self.prepared.card.clone(),
            isolated: history.isolated.clone(),
            lineage: self.lineage.clone(),
            seconds,
            notes: [self.notes(&tasks), history.notes.clone()].concat(),
            sizes: self.sizes(),
            cautions: Vec::new(),
            tasks,
        };
        polytask_eval::caution::apply(&mut report);
        report
    }
}

/// Runs `work` and notes its seconds.
fn timed<R>(seconds: &mut BTreeMap<String, f64>, phase: &str, work: impl FnOnce() -> Result<R>) -> Result<R> {
    let start = Instant::now();
    let result = work()?;
    seconds.insert(phase.into(), start.elapsed().as_secs_f64());
    Ok(result)
}

fn keep(place: &Path, key: &str, trained: &Trained) -> polytask_core::Result<()> {
    atomic::create_dir(place.parent().unwrap_or(Path::new(".")))?;
    kept::write(place, key, trained)
}

/// The cache only saves time: what it cannot take is no reason to end a run.
fn not_kept(name: &str, error: polytask_core::Error) -> String {
    let why = match error {
        polytask_core::Error::Io { action, path, source } => {
            format!("cannot {action} {}: {source}", path.display())
        }
        other => other.to_string(),
    };
    format!(
        "{name}: not kept for later runs: {why} (try: POLYTASK_CACHE or XDG_CACHE_HOME with a folder you may write)"
    )
}
