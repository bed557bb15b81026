//! `polytask train`: the tasks of a suite together, judged against single-task models.

use std::path::{Path, PathBuf};

use anyhow::Result;
use polytask_core::report::RunReport;
use polytask_core::{Suite, atomic, suite};
use polytask_train::log::Log;
use polytask_train::observe::Observer;
use polytask_train::prepare::prepare;
use polytask_train::run::{self, RunOptions};

use crate::output::{self, Outcome};
use crate::progress::Progress;
use crate::suites;

/// Train the tasks of a suite together and compare with single-task models
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask train suite.toml --out runs/first
  polytask train suite.toml --out runs/first --resume
  polytask train suite.toml --set train.weighting=pcgrad --set train.epochs=2 --seed 7

The run's folder holds model/ (loads in sentence-transformers), report.html, report.json, CARD.md, suite.toml
and log.jsonl. Exit codes: 0 done, 1 a task regressed beyond its margin, 2 could not run.")]
pub(crate) struct Args {
    /// The suite file; with --resume, the run's own copy is used
    suite: PathBuf,
    /// Folder of the run [default: runs/NAME]
    #[arg(long, short)]
    out: Option<PathBuf>,
    /// Change a setting: train.lr=3e-4, task.sts.margin=2
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Seed of every random choice
    #[arg(long)]
    seed: Option<u64>,
    /// Continue a run that was interrupted
    #[arg(long)]
    resume: bool,
    /// Replace the run in the folder
    #[arg(long, conflicts_with = "resume")]
    force: bool,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    let mut set = args.set.clone();
    set.extend(args.seed.map(|seed| format!("seed={seed}")));
    let suite = suites::load(&args.suite, &set)?;
    let out = args.out.clone().unwrap_or_else(|| Path::new("runs").join(&suite.name));
    run::claim(&out, args.force, args.resume)?;
    let mut progress = Progress::new(args.quiet);
    let report = execute(suite, &out, args.resume, &mut progress)?;
    show(&report, &out, args.json)
}

/// Prepares and runs a suite; the folder has been claimed.
pub(super) fn execute(suite: Suite, out: &Path, resume: bool, progress: &mut dyn Observer) -> Result<RunReport> {
    suites::set_threads(suite.train.threads)?;
    if let Some(report) = finished(out, resume)? {
        return Ok(report);
    }
    atomic::write(&out.join("suite.toml"), suite::to_toml(&suite.with_absolute_paths()).as_bytes())?;
    let mut log = Log::open(&out.join("log.jsonl"), progress)?;
    let prepared = prepare(suite, &mut log)?;
    let options = RunOptions { out: out.to_path_buf(), resume, baselines: Some(suites::baselines()) };
    Ok(run::run(&prepared, &options, &mut log)?)
}

/// The report of a run that has nothing left to resume.
fn finished(out: &Path, resume: bool) -> Result<Option<RunReport>> {
    let path = out.join("report.json");
    if !resume || !path.exists() {
        return Ok(None);
    }
    output::note("this run is finished; nothing to resume");
    let bytes = std::fs::read(&path).map_err(polytask_core::Error::io("read", &path))?;
    Ok(Some(serde_json::from_slice(&bytes)?))
}

/// Prints the outcome.
pub(super) fn show(report: &RunReport, out: &Path, json: bool) -> Result<Outcome> {
    if json {
        output::json(report)?;
    } else {
        output::line(polytask_eval::table(report, output::width()).trim_end())?;
        output::line(format!("\nmodel   {}", out.join("model").display()))?;
        output::line(format!("report  {}", out.join("report.html").display()))?;
    }
    let regressed = report.tasks.iter().any(|task| task.regressed);
    Ok(if regressed { Outcome::Missed } else { Outcome::Done })
}
