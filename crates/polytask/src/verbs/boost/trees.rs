//! A run of boosted trees, told as runs of networks are.

use std::path::Path;

use anyhow::Result;
use polytask_boost::suite::{RunFacts, RunProgress, run as run_trees};
use polytask_core::Suite;
use polytask_core::report::RunReport;
use polytask_data::{Dataset, NoTexts};
use polytask_train::observe::{Event, Observer};

/// Rounds between two lines of the log.
const EVERY: usize = 10;

/// Reads the data of a suite of tables.
pub(crate) fn read(suite: &Suite, observer: &mut dyn Observer) -> Result<Dataset> {
    polytask_boost::suite::check(suite)?;
    observer.event(Event::Note(&format!("reading the {}", suite.input().plural)));
    let dataset = polytask_data::build(suite, &NoTexts(suite.input()))?;
    polytask_boost::suite::check_data(suite, &dataset)?;
    dataset.warnings.iter().for_each(|warning| observer.event(Event::Note(warning)));
    Ok(dataset)
}

/// Fits, compares, writes.
pub(crate) fn run(
    suite: &Suite,
    dataset: &Dataset,
    out: &Path,
    observer: &mut dyn Observer,
) -> Result<RunReport> {
    let mut phase = String::new();
    let report = run_trees(RunFacts { suite, dataset, out }, &mut |progress| {
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
