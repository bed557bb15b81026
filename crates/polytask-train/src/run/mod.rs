//! A run: joint training, the single-task trainings it is compared with, the report and the model folder.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use polytask_core::atomic;
use polytask_core::report::{REPORT_VERSION, RunReport, TaskReport};
use polytask_data::Plan;

pub use crate::context::{Run, RunOptions};
use crate::diagnose::record;
use crate::history::History;
use crate::judged::judged;
use crate::learner::trained::{self, Place, Training};
use crate::learner::{Fitted, LEARNERS, Learner, Trained};
use crate::observe::{Event, Observer};
pub use crate::prepared::Prepared;
use crate::segmenting;
use crate::share;
use crate::side::{Side, suite_compares, with_sides};
use crate::{Error, Result};

mod alone;

pub use crate::claim::{FolderLock, check_free, claim, lock};
pub use alone::{Finished, Learnt, learn_alone, train_alone};

mod groups;
mod kept;
mod keys;
mod scores;
mod written;

pub use keys::SEMANTICS;

pub use groups::{GroupReport, check_shared, diagnose, groups};

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

impl Run<'_> {
    /// Trains, compares with [`LEARNERS`] and writes.
    pub fn execute(self, observer: &mut dyn Observer) -> Result<RunReport> {
        self.execute_among(LEARNERS, observer)
    }

    /// The same compared with these learners, where the suite names them.
    pub fn execute_among(
        self,
        learners: &'static [&'static dyn Learner],
        observer: &mut dyn Observer,
    ) -> Result<RunReport> {
        let mut seconds = BTreeMap::new();
        let training = timed(&mut seconds, "joint", || self.joint(observer))?;
        let Training { trained: joint, history, evaluation, .. } = training;
        // A part of the joint training's time, and not counted twice.
        seconds.entry("joint".into()).and_modify(|all| *all -= evaluation);
        seconds.insert(polytask_eval::mteb::EVALUATION.into(), evaluation);
        let singles = timed(&mut seconds, "single-task", || self.singles(observer))?;
        let others = timed(&mut seconds, "others", || self.others(learners, observer))?;
        let tasks = timed(&mut seconds, "intervals", || self.task_reports(&joint, &singles, &others))?;
        let mut report = self.report(tasks, &joint, &singles, &history, seconds);
        if self.diagnose_every > 0 {
            report.on_valid = self.valid_reports(&joint, &singles)?;
        }
        report.segmentations = timed(&mut report.seconds, "segments", || {
            segmenting::finish(&self.prepared.suite, &self.options.out.join("model"), observer)
        })?;
        report.notes.extend(report.segmentations.iter().map(segmenting::said));
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
        self.never_drawn().into_iter().for_each(|said| observer.event(Event::Note(&said)));
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
            geometry: Vec::new(),
            segmentations: Vec::new(),
            trees: None,
            labels: Vec::new(),
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
