//! A run: joint training, the single-task trainings it is compared with, the report and the model folder.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use polytask_core::Suite;
use polytask_core::report::{DataCard, Lineage, REPORT_VERSION, RunReport, TaskReport};
use polytask_core::suite::Start;
use polytask_core::{Split, atomic};
use polytask_data::{Dataset, Plan, Symbols};
use polytask_eval::Predictions;
use polytask_nn::Block;
use polytask_nn::encoder::Encoder;

use crate::cache::FrozenStates;
use crate::choose::Reference;
use crate::diagnose::record;
use crate::engine::Weights;
use crate::evaluate;
use crate::history::History;
use crate::judged::judged;
use crate::learner::trained::{self, Place, Training};
use crate::learner::{Fitted, LEARNERS, Learner, Trained};
use crate::linear_probe::{self, Probes};
use crate::observe::{Event, Observer};
use crate::prepare::lineage;
use crate::share;
use crate::side::{Side, suite_compares, with_sides};
use crate::{Error, Result};

mod alone;

pub use crate::claim::{FolderLock, check_free, claim, lock};
pub use alone::{Finished, train_alone};

mod groups;
mod kept;
mod keys;
mod pace;
mod scores;
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

/// Joint run, baselines, report; everything is written to `options.out`.
pub fn run(prepared: &Prepared, options: &RunOptions, observer: &mut dyn Observer) -> Result<RunReport> {
    with_run(prepared, options, observer, |run, observer| run.execute(observer))
}

/// Lets `work` have a run before anything is trained.
pub fn with_run<R>(
    prepared: &Prepared,
    options: &RunOptions,
    observer: &mut dyn Observer,
    work: impl FnOnce(Run, &mut dyn Observer) -> Result<R>,
) -> Result<R> {
    with_sides(prepared, observer, |joint, single, observer| {
        work(Run::new(prepared, (joint, single), options, 0, observer)?, observer)
    })
}

/// A run in the making: what its learners are given.
pub struct Run<'a> {
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
    /// What the tasks can be compared with.
    learners: &'static [&'static dyn Learner],
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
            learners: LEARNERS,
            is_cache_noted: Cell::new(false),
        })
    }
}

impl<'a> Run<'a> {
    /// Suite, data and encoder.
    pub fn prepared(&self) -> &'a Prepared {
        self.prepared
    }

    /// What a task alone is trained on.
    pub(crate) fn single(&self) -> Side<'a> {
        self.single
    }

    /// The probes of all tasks, where training starts from them.
    pub(crate) fn probes(&self) -> Option<&Probes> {
        self.probes.as_ref()
    }

    /// Where it writes.
    pub(crate) fn options(&self) -> &RunOptions {
        self.options
    }

    /// Steps between measurements of what the tasks do to each other; 0 means never.
    pub(crate) fn diagnose_every(&self) -> u64 {
        self.diagnose_every
    }

    /// The same, where somebody asked for it.
    pub(crate) fn asked_every(&self) -> Option<u64> {
        self.is_every_asked.then_some(self.diagnose_every)
    }

    /// The split a task is reported on: test where it has a known target, else valid.
    pub fn split_of(&self, task: usize) -> Split {
        self.prepared.dataset.report_split(task)
    }
}

impl Run<'_> {
    /// The same compared with these learners, where the suite names them, in the place of [`LEARNERS`].
    #[must_use]
    pub fn among(self, learners: &'static [&'static dyn Learner]) -> Self {
        Self { learners, ..self }
    }

    /// Trains, compares and writes.
    pub fn execute(self, observer: &mut dyn Observer) -> Result<RunReport> {
        let mut seconds = BTreeMap::new();
        let training = timed(&mut seconds, "joint", || self.joint(observer))?;
        let Training { trained: joint, history, evaluation, .. } = training;
        // A part of the joint training's time, and not counted twice.
        seconds.entry("joint".into()).and_modify(|all| *all -= evaluation);
        seconds.insert(polytask_eval::mteb::EVALUATION.into(), evaluation);
        let singles = timed(&mut seconds, "single-task", || self.singles(observer))?;
        let others = timed(&mut seconds, "others", || self.others(observer))?;
        let tasks = timed(&mut seconds, "intervals", || self.task_reports(&joint, &singles, &others))?;
        let mut report = self.report(tasks, &joint, &singles, &history, seconds);
        if self.diagnose_every > 0 {
            report.on_valid = self.valid_reports(&joint, &singles)?;
        }
        let rows =
            judged(&self.prepared.suite, &self.joint.engine, &joint.predictions, |task| self.split_of(task));
        self.write(&report, &rows)?;
        Ok(report)
    }

    /// Trains all tasks together and writes the model folder.
    fn joint(&self, observer: &mut dyn Observer) -> Result<Training<'_>> {
        let suite = &self.prepared.suite;
        let tasks: Vec<usize> = (0..suite.tasks.len()).collect();
        let plan = Plan::new(suite, &self.prepared.dataset);
        let place = Place { name: "joint", side: self.joint };
        let training = Training::fit(self, place, &tasks, plan, &suite.train.weighting, observer)?;
        training.write(&self.options.out.join("model"))?;
        Ok(training)
    }

    /// A single-task training per task, unless the suite has one task or wants none.
    fn singles(&self, observer: &mut dyn Observer) -> Result<BTreeMap<usize, Trained>> {
        let suite = &self.prepared.suite;
        if !suite_compares(suite) {
            return Ok(BTreeMap::new());
        }
        let mut singles = BTreeMap::new();
        for task in 0..suite.tasks.len() {
            match self.alone(task, observer) {
                Ok(trained) => drop(singles.insert(task, trained)),
                // The joint run survived this task; so does the comparison, without it.
                Err(error @ Error::Diverged { .. }) => observer.event(Event::Note(&error.to_string())),
                Err(error) => return Err(error),
            }
        }
        Ok(singles)
    }

    /// A task alone, on the rows the joint run shows it; taken from the cache when it was trained before.
    fn alone(&self, task: usize, observer: &mut dyn Observer) -> Result<Trained> {
        let name = trained::name_of(self, task);
        let key = self.baseline_key(task);
        let place = self.options.baselines.as_ref().map(|folder| folder.join(format!("{key}.json")));
        if let Some(place) = place.as_deref().filter(|place| place.exists()) {
            if let Some(trained) = kept::read(place, &key).filter(|trained| self.is_of(&[task], trained)) {
                observer.event(Event::Note(&format!("{name}: taken from the cache of earlier runs")));
                return Ok(trained);
            }
            observer.event(Event::Note(&format!("{name}: the cached result is damaged, trained anew")));
        }
        let Training { trained, .. } = Training::alone(self, task, observer)?;
        if let Some(place) = place
            && let Err(error) = keep(&place, &key, &trained)
            && !self.is_cache_noted.replace(true)
        {
            observer.event(Event::Note(&not_kept(&name, error)));
        }
        Ok(trained)
    }

    /// Predictions on the split each task is reported on.
    pub(crate) fn predict(
        &self,
        side: Side,
        weights: Weights,
        tasks: &[usize],
    ) -> Result<BTreeMap<usize, Predictions>> {
        let mut out = BTreeMap::new();
        for split in [Split::Test, Split::Valid] {
            let of_split: Vec<usize> =
                tasks.iter().copied().filter(|&task| self.split_of(task) == split).collect();
            out.extend(evaluate::predict(&side.engine, weights, &of_split, split)?);
        }
        Ok(out)
    }

    /// The probes, where training starts from them.
    pub(crate) fn reference<'s>(&'s self, side: Side<'s>) -> Option<Reference<'s>> {
        let probes = self.probes.as_ref().filter(|_| self.prepared.suite.train.start == Start::Probe)?;
        Some(Reference { trunk: &side.parts.encoder.params, heads: &probes.heads, valid: &probes.valid })
    }

    /// What the heads start from.
    pub(crate) fn first_heads(&self, side: Side) -> Vec<Block> {
        let Suite { seed, train, .. } = &self.prepared.suite;
        match &self.probes {
            Some(probes) if train.start == Start::Probe => probes.heads.clone(),
            _ => side.parts.heads.iter().map(|head| head.block(*seed)).collect(),
        }
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
            on_valid: Vec::new(),
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
