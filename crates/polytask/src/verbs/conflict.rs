//! `polytask conflict`: which task hurts which, and what to do about it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use polytask_core::report::{RunReport, TaskReport};
use polytask_core::{Suite, atomic};
use polytask_eval::conflict::{self, Conflict};
use polytask_eval::html;
use polytask_train::learner::SINGLE;
use polytask_train::observe::Observer;
use polytask_train::prepare::prepare;
use polytask_train::run::{self, Prepared};

use crate::verbs::boost::trees::{self, Rows};
use crate::verbs::train::{RunArgs, Work};
use polytask_terminal::count;
use polytask_terminal::output::{self, Outcome};
use polytask_terminal::progress::TerminalProgress;

/// How often effects of trees are measured, each time on other rows.
const MEASUREMENTS: usize = 8;

/// Say which task hurts which, and which tasks to group, with the evidence
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask conflict suite.toml
  polytask conflict suite.toml --models 2 --verify
  polytask conflict suite.toml --out runs/first-conflict --resume --json

Trains all tasks together and each alone, as `polytask train` does, and measures on the way what a step on one
task does to the others. Of trees (`trees` in [model]) each pair of tasks is grown together and each alone, on drawn
rows, and judged by the loss on valid. --out holds conflict.html, conflict.json, joint/ (a run's folder) and, with --verify,
verify/ with a model per suggested group.

Exit codes: 0 done, whatever the findings; 2 could not run.")]
pub(crate) struct Args {
    /// The suite file
    suite: PathBuf,
    /// Folder of the findings [default: runs/NAME-conflict]
    #[arg(long, short)]
    out: Option<PathBuf>,
    /// Most models the tasks may be divided among [default: as many as help clearly]
    #[arg(long, value_name = "K", value_parser = count)]
    models: Option<usize>,
    /// Train the suggested groups and compare with the prediction
    #[arg(long)]
    verify: bool,
    /// Optimiser steps of the joint training, in place of the suite's
    #[arg(long, value_name = "N", value_parser = count)]
    steps: Option<usize>,
    /// Steps between measurements [default: 24 measurements in all]
    #[arg(long, value_name = "N", value_parser = count)]
    every: Option<usize>,
    #[command(flatten)]
    run: RunArgs,
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    let suite = args.load()?;
    let out = args.out.clone().unwrap_or_else(|| Path::new("runs").join(format!("{}-conflict", suite.name)));
    if suite.model.trees.is_some() {
        return args.trees(&suite, &out);
    }
    let mut progress = args.run.progress();
    let joint = out.join("joint");
    let work = args.run.begin(suite.clone(), &joint, &mut progress)?;
    if let Work::Open(prepared) = &work {
        run::check_shared(prepared)?;
    }
    let _held = run::lock(&out)?;
    let (report, prepared) = args.joint(work, &joint, &mut progress)?;
    let mut found = conflict::conflict(&report, args.models)?;
    write(&found, &out)?;
    if args.verify {
        let prepared = match prepared {
            Some(prepared) => prepared,
            None => Box::new(prepare(args.run.adopted(suite, &joint)?, &mut progress)?),
        };
        let reports = args.verified(&found, &prepared, &out.join("verify"), &mut progress)?;
        conflict::verify(&mut found, &reports);
        write(&found, &out)?;
    }
    show(&found, &out, args.run.json)?;
    Ok(Outcome::Done)
}

impl Args {
    /// The suite; what cannot be compared or divided is refused before anything is trained.
    fn load(&self) -> Result<Suite> {
        let steps = self.steps.map(|steps| format!("train.steps={steps}"));
        let mut suite = self.run.load(&self.suite, &steps.iter().map(String::as_str).collect::<Vec<_>>())?;
        let n = suite.tasks.len();
        if n < 2 {
            let what = format!("suite {} has {n} task, expected at least 2 to compare", self.suite.display());
            return output::refuse(what, "a suite with the tasks you think of sharing a model");
        }
        if let Some(models) = self.models.filter(|&models| models > n) {
            let what = format!("`--models {models}` for {n} tasks, expected 1 to {n}");
            return output::refuse(what, "fewer models, or leave `--models` out");
        }
        // Without single-task models there is no change to explain.
        if !suite.train.compares(SINGLE) {
            suite.train.baselines.insert(0, SINGLE.to_owned());
        }
        Ok(suite)
    }

    /// What the tasks do to each other in trees for all of them.
    fn trees(&self, suite: &Suite, out: &Path) -> Result<Outcome> {
        if self.steps.is_some() || self.every.is_some() {
            let what = "`--steps` and `--every` are about a network, and the suite trains trees";
            return output::refuse(what, "`--set model.trees.rounds=50`");
        }
        let mut progress = self.run.progress();
        let _held = run::lock(out)?;
        let train = |suite: &Suite, rows: &Rows, out: &Path, observer: &mut dyn Observer| {
            trees::diagnose(suite, (rows, MEASUREMENTS), out, observer)
        };
        let joint = out.join("joint");
        let report = self.run.apart(suite, &joint, &mut progress, (trees::read, train))?;
        let mut found = conflict::conflict(&report, self.models)?;
        write(&found, out)?;
        if self.verify {
            let groups = groups(&found, suite);
            let reports = trees::groups(suite, &groups, &joint, &mut progress)?;
            conflict::verify(&mut found, &reports);
            write(&found, out)?;
        }
        show(&found, out, self.run.json)?;
        Ok(Outcome::Done)
    }

    /// The joint run, or the report of one that is finished.
    fn joint(
        &self,
        work: Work,
        out: &Path,
        progress: &mut TerminalProgress,
    ) -> Result<(RunReport, Option<Box<Prepared>>)> {
        let prepared = match work {
            Work::Finished(report) => return Ok((*report, None)),
            Work::Open(prepared) => prepared,
        };
        let every = self.every.unwrap_or(0) as u64;
        let report = self.run.train_in(&prepared, out, progress, |prepared, options, observer| {
            run::diagnose(prepared, options, every, observer)
        })?;
        Ok((report, Some(prepared)))
    }

    /// Trains the suggested groups of at least two tasks.
    fn verified(
        &self,
        found: &Conflict,
        prepared: &Prepared,
        out: &Path,
        progress: &mut TerminalProgress,
    ) -> Result<Vec<TaskReport>> {
        let groups = groups(found, &prepared.suite);
        let reports = run::groups(prepared, &self.run.options(out), &groups, progress)?;
        Ok(reports.into_iter().flat_map(|report| report.tasks).collect())
    }
}

/// The suggested groups of at least two tasks, by their places in the suite.
fn groups(found: &Conflict, suite: &Suite) -> Vec<Vec<usize>> {
    let index = |name: &String| suite.tasks.iter().position(|task| task.name == *name);
    let groups = found.suggestion().groups.iter().filter(|group| group.len() > 1);
    groups.map(|group| group.iter().filter_map(index).collect()).collect()
}

fn write(found: &Conflict, out: &Path) -> Result<()> {
    atomic::create_dir(out)?;
    html::write_conflict(found, &out.join("conflict.html"))?;
    Ok(atomic::write_json(&out.join("conflict.json"), found)?)
}

fn show(found: &Conflict, out: &Path, json: bool) -> Result<()> {
    if json {
        return output::json(found);
    }
    output::line(conflict::text(found, output::width()).trim_end())?;
    output::line(format!("\nfindings  {}", out.join("conflict.html").display()))
}
