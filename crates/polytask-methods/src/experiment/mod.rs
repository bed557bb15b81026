//! An experiment: every arm of a recipe on every seed, then the differences judged.
//!
//! Whatever has been trained is kept in the output folder beside the suite it was trained by, and is not trained
//! again: an interrupted experiment goes on where it stopped. Worlds of known truth are run each time: they take seconds.

mod clock;
mod judge;
mod labelled;
mod measure;
mod names;
mod statistics;
mod steps;
mod train;
mod trained;
mod trees;

use std::path::PathBuf;

use polytask_core::atomic;
use polytask_core::suite::Catalogue;
use polytask_train::Result;
use polytask_train::cache::FrozenStates;
use polytask_train::observe::{Event, Observer};
use polytask_train::run;

use crate::findings::Findings;
use crate::paper::Paper;
use crate::recipe::Recipe;

pub use clock::Clock;
pub(crate) use judge::sentence;
pub use measure::Measured;

/// How an experiment is run.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    /// The short form.
    pub quick: bool,
    /// The arms that are trained, with those they refer to; all when none is named.
    pub arms: Vec<String>,
    /// Seeds, when not as many as the recipe says.
    pub seeds: Option<usize>,
    /// The experiment's folder.
    pub out: PathBuf,
    /// Folders in which data sets are looked for, in order.
    pub bases: Vec<PathBuf>,
    /// Settings changed in every arm; `method.…` change the experiment.
    pub set: Vec<String>,
    /// The parts suites may name.
    pub catalogue: &'a Catalogue,
    /// The command that asked for it, without places of this machine.
    pub command: String,
    /// Commit of the source tree that the program was built from; empty where it is not known.
    pub commit: String,
}

impl Options<'_> {
    /// Where the findings go; those of some arms leave those of all alone.
    pub fn findings(&self) -> PathBuf {
        self.out.join(if self.arms.is_empty() { "findings.json" } else { "findings-of-arms.json" })
    }
}

/// Runs a paper's experiment, or what is left of it, and judges it; the findings are also written to the folder.
pub fn reproduce(paper: &Paper, options: &Options, observer: &mut dyn Observer) -> Result<Findings> {
    let mut recipe = Recipe::read(paper.recipe, &options.set)?.only(&options.arms)?;
    if options.quick {
        recipe = recipe.shortened();
    }
    if let Some(seeds) = options.seeds {
        recipe = recipe.with_seeds(seeds);
    }
    let _held = run::lock(&options.out)?;
    let lab = train::Lab { paper, recipe: &recipe, options, frozen: FrozenStates::default() };
    observer.event(Event::Note(&format!("{}: {} trainings at most", paper.title, lab.trainings())));
    let mut trained = Vec::new();
    for setting in &recipe.spec.setting {
        trained.push((setting, lab.setting(setting, observer)?));
    }
    let findings = judge::judge(paper, &recipe, options, &trained);
    atomic::write_json(&options.findings(), &findings)?;
    Ok(findings)
}
