//! A run of boosted trees, told as runs of networks are.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use polytask_boost::suite::{
    RunFacts, RunProgress, diagnose as diagnose_trees, groups as groups_of_trees, run as run_trees,
};
use polytask_core::Suite;
use polytask_core::report::{RunReport, TaskReport};
use polytask_data::Dataset;
use polytask_train::observe::{Event, Observer};

use super::texts::{Encoded, symbols};

/// Rounds between two lines of the log.
const EVERY: usize = 10;

/// Rows of a suite of tables, and the encoder of its texts.
pub(crate) struct Rows {
    pub(crate) dataset: Dataset,
    encoded: Option<Arc<Encoded>>,
}

/// Reads the data of a suite of tables.
pub(crate) fn read(suite: &Suite, observer: &mut dyn Observer) -> Result<Rows> {
    polytask_boost::suite::check(suite)?;
    observer.event(Event::Note(&format!("reading the {}", suite.input().plural)));
    let encoded = Encoded::of_suite(suite, observer)?.map(Arc::new);
    let dataset = polytask_data::build(suite, &*symbols(suite, None, encoded.as_ref()))?;
    polytask_boost::suite::check_data(suite, &dataset)?;
    dataset.warnings.iter().for_each(|warning| observer.event(Event::Note(warning)));
    Ok(Rows { dataset, encoded })
}

/// Fits, compares, writes.
pub(crate) fn run(suite: &Suite, rows: &Rows, out: &Path, observer: &mut dyn Observer) -> Result<RunReport> {
    let facts = RunFacts { suite, dataset: &rows.dataset, out };
    rows.save(out)?;
    told(observer, |observe| run_trees(facts, observe))
}

/// The same, measuring on the way what the tasks do to each other.
pub(crate) fn diagnose(
    suite: &Suite,
    (rows, measurements): (&Rows, usize),
    out: &Path,
    observer: &mut dyn Observer,
) -> Result<RunReport> {
    let facts = RunFacts { suite, dataset: &rows.dataset, out };
    rows.save(out)?;
    told(observer, |observe| diagnose_trees(facts, measurements, observe))
}

/// How groups of tasks fare together, against each task alone.
pub(crate) fn groups(
    suite: &Suite,
    groups: &[Vec<usize>],
    out: &Path,
    observer: &mut dyn Observer,
) -> Result<Vec<TaskReport>> {
    let rows = read(suite, observer)?;
    Ok(groups_of_trees(RunFacts { suite, dataset: &rows.dataset, out }, groups)?)
}

impl Rows {
    fn save(&self, out: &Path) -> Result<()> {
        match &self.encoded {
            Some(encoded) => encoded.save(&out.join("model")),
            None => Ok(()),
        }
    }
}

/// Tells of rounds as of steps.
fn told(
    observer: &mut dyn Observer,
    work: impl FnOnce(&mut dyn FnMut(RunProgress<'_>)) -> polytask_core::Result<RunReport>,
) -> Result<RunReport> {
    let mut phase = String::new();
    let report = work(&mut |progress| {
        let RunProgress { phase: name, round, rounds, loss } = progress;
        if phase != name || round == 1 {
            if !phase.is_empty() {
                observer.event(Event::Done);
            }
            name.clone_into(&mut phase);
            observer.event(Event::Phase { name, total: rounds as u64, done: 0 });
        }
        if round % EVERY == 0 || round == rounds {
            let losses = [("loss", loss)];
            observer.event(Event::Step {
                done: round as u64,
                losses: &losses,
                lr: 0.0,
                tokens: 0,
                observed: &[],
            });
        }
    })?;
    observer.event(Event::Done);
    Ok(report)
}
