//! `polytask saliency`: which states each task's loss hangs on, and what the spectra of the weights say.

use std::path::PathBuf;

use anyhow::Result;
use polytask_core::saliency::SaliencyReport;
use polytask_core::{Split, atomic};
use polytask_train::saliency::{self, SaliencyOptions};

use polytask_terminal::output::{self, Outcome};
use polytask_terminal::progress::TerminalProgress;
use polytask_terminal::suites;

/// Show which shared states each task's loss hangs on, and the spectra of the weights
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask saliency runs/first
  polytask saliency runs/first --out saliency/first
  polytask saliency suite.toml --split train --json

A saliency is the gradient of a task's loss at the states the tasks share. The table shows its mean size by task, how
evenly tasks share positions (by position too), how alike two tasks look at the same samples, and the power-law
exponents of the weight matrices. A suite stands for its encoder as loaded, with fresh heads. Entropies are read as
the suite's `rep-mtl` regularizer reads them, by its defaults where it has none.

With --out, the folder gets saliency.html and saliency.json.

Exit codes: 0 done, 2 could not run.")]
pub(crate) struct Args {
    /// The folder of a run, or a suite file
    #[arg(value_name = "RUN_OR_SUITE")]
    source: PathBuf,
    /// train, valid or test
    #[arg(long, default_value = "valid", value_parser = ["train", "valid", "test"])]
    split: String,
    /// Most rows read of each source, spread evenly over it
    #[arg(long, default_value = "1024", value_parser = polytask_terminal::count)]
    rows: usize,
    /// Change a setting first
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Write a page and the numbers into this folder
    #[arg(long, short)]
    out: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    let report = report(args)?;
    if let Some(out) = &args.out {
        atomic::create_dir(out)?;
        polytask_eval::html::saliency::write(&report, &out.join("saliency.html"))?;
        atomic::write_json(&out.join("saliency.json"), &report)?;
    }
    if args.json {
        output::json(&report)?;
    } else {
        output::line(polytask_eval::saliency::text(&report, output::width()).trim_end())?;
    }
    Ok(Outcome::Done)
}

fn report(args: &Args) -> Result<SaliencyReport> {
    let split = Split::ALL.into_iter().find(|split| split.name() == args.split).unwrap_or(Split::Valid);
    let wanted = SaliencyOptions { split, rows: args.rows };
    let mut progress = TerminalProgress::new(args.json);
    if !args.source.exists() {
        let what = format!("there is neither a run nor a suite {}", args.source.display());
        return output::refuse(what, "the folder that `polytask train --out` was given, or a suite file");
    }
    if !args.source.is_dir() {
        let suite = suites::load(&args.source, &args.set)?;
        suites::set_threads(suite.train.threads)?;
        return Ok(saliency::of_suite(suite, wanted, &mut progress)?);
    }
    let (suite, model) = suites::of_trained(&args.source, None)?;
    let suite = suites::load(&suite, &args.set)?;
    suites::set_threads(suite.train.threads)?;
    Ok(saliency::of_model(suite, &model, wanted, &mut progress)?)
}
