//! `polytask check`: is this suite right?

use std::path::PathBuf;

use anyhow::Result;
use polytask_core::{Error, Place, Problem, Suite, plural};
use polytask_data::PullOptions;
use serde_json::{Value, json};

use crate::output::{self, Outcome};
use crate::suites;

/// Check a suite file: every mistake with its line, what was expected, what to try
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  polytask check suite.toml --data\n\nExit codes: 0 right, 2 mistakes.")]
pub(crate) struct Args {
    /// The suite file
    suite: PathBuf,
    /// Change a setting before checking: train.lr=3e-4
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Also read every data file: columns, labels, tags
    #[arg(long)]
    data: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    let checked = suites::load(&args.suite, &args.set).and_then(|suite| {
        check_encoder(&suite)?;
        // The tokenizer does not matter here, and the small one needs no download.
        let read = || polytask_data::build(&suite, &polytask_data::Tokenizer::tiny());
        let warnings = if args.data { read()?.warnings } else { Vec::new() };
        Ok((suite, warnings))
    });
    match checked {
        Ok((suite, warnings)) if args.json => {
            let (ok, n) = (true, suite.tasks.len());
            output::json(&json!({ "ok": ok, "tasks": n, "problems": [], "warnings": warnings }))?;
        }
        Ok((suite, warnings)) => {
            let tasks: Vec<&str> = suite.tasks.iter().map(|task| task.name.as_str()).collect();
            output::line(format!(
                "{}: right; {}: {}",
                args.suite.display(),
                plural(tasks.len(), "task"),
                tasks.join(", ")
            ))?;
            warnings.iter().try_for_each(|warning| output::line(format!("warning: {warning}")))?;
        }
        Err(error) if args.json => {
            output::json(&json!({ "ok": false, "problems": problems(&error) }))?;
            return Ok(Outcome::Refused);
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Outcome::Done)
}

/// A slip in the encoder's name, as far as it shows without the network.
fn check_encoder(suite: &Suite) -> Result<(), Error> {
    let name = &suite.model.encoder;
    if suite.folder.join(name).is_dir() {
        return Ok(());
    }
    let Some(problem) = polytask_data::pull::doubt(name, &PullOptions::from_environment()) else {
        return Ok(());
    };
    let text = std::fs::read_to_string(&suite.file).unwrap_or_default();
    let is_key = |line: &str| line.trim_start().starts_with("encoder") && line.contains(name.as_str());
    let line = text.lines().position(is_key).map_or(0, |at| at + 1);
    Err(Problem { place: Some(Place::line(&suite.file, line)), ..problem }.into())
}

/// Each mistake by its parts; a file the system refuses to read is one mistake.
fn problems(error: &Error) -> Vec<Value> {
    let part = |problem: &Problem| {
        let place = problem.place.as_ref();
        json!({
            "file": place.map(|place| place.file.display().to_string()),
            "line": place.map(|place| place.line).filter(|line| *line > 0),
            "what": problem.what,
            "try": problem.remedy,
        })
    };
    match error {
        Error::Invalid(problems) => problems.iter().map(part).collect(),
        other => vec![part(&Problem::new(other.to_string()))],
    }
}
