//! `polytask eval`: a trained model's scores on a suite's data, alone or paired with another model's.

use std::path::PathBuf;

use anyhow::Result;
use polytask_core::Split;
use polytask_train::judge::judge;

use crate::output::{self, Outcome};
use crate::progress::Progress;
use crate::suites;

/// Score a trained model on a suite's data
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask eval suite.toml --model runs/first/model
  polytask eval suite.toml --model runs/second/model --against runs/first/model

With --against, the difference of each task's main metric comes with a paired 95 % interval.

Exit codes: 0 done, 1 a task is beyond its margin below the other model, 2 could not run.")]
pub(crate) struct Args {
    /// The suite whose data is used
    suite: PathBuf,
    /// Folder of a trained model
    #[arg(long, short)]
    model: PathBuf,
    /// Folder of a model to compare with, on the same rows
    #[arg(long)]
    against: Option<PathBuf>,
    /// valid or test
    #[arg(long, default_value = "test", value_parser = ["valid", "test"])]
    split: String,
    /// Change a setting first: task.sts.margin=2
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Write the scores as MTEB-shaped result files below this folder
    #[arg(long)]
    mteb: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    let suite = suites::load(&args.suite, &args.set)?;
    suites::set_threads(suite.train.threads)?;
    let tasks: Vec<String> = suite.tasks.iter().map(|task| task.name.clone()).collect();
    let split = if args.split == "valid" { Split::Valid } else { Split::Test };
    let mut report =
        judge(suite, &args.model, args.against.as_deref(), split, &mut Progress::new(args.json))?;
    let unscored = tasks.iter().filter(|task| report.tasks.iter().all(|scored| scored.task != **task));
    let left_out =
        |task| format!("task `{task}` has no {} split with known targets and is left out", args.split);
    let left_out: Vec<String> = unscored.map(left_out).collect();
    report.notes.extend(left_out);
    if let Some(folder) = &args.mteb {
        let facts = polytask_eval::ModelFacts { name: report.name.clone(), ..Default::default() };
        polytask_eval::mteb::write(folder, &report, &facts, &polytask_eval::MtebRun::default())?;
    }
    if args.json {
        output::json(&report)?;
    } else {
        report.notes.iter().for_each(|note| output::note(format!("note: {note}")));
        output::line(polytask_eval::table(&report, output::width()).trim_end())?;
    }
    let regressed = report.tasks.iter().any(|task| task.regressed);
    Ok(if regressed { Outcome::Missed } else { Outcome::Done })
}
