//! `polytask check`: is this suite right?

use std::path::PathBuf;

use anyhow::Result;
use polytask_core::image::Resize;
use polytask_core::{Error, Place, Problem, Suite, input, plural};
use polytask_data::views::CellSymbols;
use polytask_data::{EncodedTable, ImageSpec, PullOptions};
use serde_json::{Value, json};

use polytask_terminal::output::{self, Outcome};
use polytask_terminal::suites;

/// Side of images that are read to see whether they can be.
const SIDE: usize = 8;

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
    let loaded = suites::load(&args.suite, &args.set)
        .and_then(|suite| polytask_boost::suite::check(&suite).map(|()| suite));
    let reads = args.data && loaded.is_ok();
    let checked = loaded.and_then(|suite| {
        // Both are looked at, whatever the other one says.
        let (encoder, read) = (check_encoder(&suite), args.data.then(|| warnings(&suite)).transpose());
        Ok((suite, both(encoder, read)?))
    });
    match checked {
        Ok((suite, warnings)) => right(args, &suite, &warnings.unwrap_or_default())?,
        Err(error) if args.json => {
            output::json(&json!({ "ok": false, "data_read": reads, "problems": problems(&error) }))?;
            return Ok(Outcome::Refused);
        }
        Err(error) if args.data && !reads => {
            output::print_error(&error.into());
            output::note("the data were not read: correct the suite first, then check again");
            return Ok(Outcome::Refused);
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Outcome::Done)
}

/// Says that a suite is right, and how far that was looked at.
fn right(args: &Args, suite: &Suite, warnings: &[String]) -> Result<()> {
    let tasks: Vec<&str> = suite.tasks.iter().map(|task| task.name.as_str()).collect();
    if args.json {
        let (ok, n, read) = (true, tasks.len(), args.data);
        return output::json(
            &json!({ "ok": ok, "tasks": n, "data_read": read, "problems": [], "warnings": warnings }),
        );
    }
    let how_far = if args.data { "" } else { " (the data were not read: `--data` reads them)" };
    let (file, n) = (args.suite.display(), plural(tasks.len(), "task"));
    output::line(format!("{file}: right{how_far}; {n}: {}", tasks.join(", ")))?;
    warnings.iter().try_for_each(|warning| output::line(format!("warning: {warning}")))
}

/// What is odd in the data of a suite.
fn warnings(suite: &Suite) -> Result<Vec<String>, Error> {
    // The tokenizer does not matter here, and the small one needs no download.
    let tokenizer = polytask_data::Tokenizer::tiny();
    let has_cells = suite.sources.iter().any(|source| !source.texts.is_empty() || !source.images.is_empty());
    if suite.model.trees.is_some() || !has_cells {
        return Ok(polytask_data::build(suite, &tokenizer)?.warnings);
    }
    let mut images = ImageSpec::of(suite);
    if suite.model.image_encoder.as_ref().is_some_and(|name| !input::is_net(name)) {
        // An encoder that is there already makes images of any size its own.
        images.resize = Some(Resize::to(SIDE, SIDE));
    }
    let cells = CellSymbols { tokenizer: Some(tokenizer.into()), images };
    Ok(polytask_data::build(suite, &EncodedTable(cells))?.warnings)
}

/// The second value where both are right, else the mistakes of both; the first error that is none of the suite's.
fn both<T>(first: Result<(), Error>, second: Result<T, Error>) -> Result<T, Error> {
    match (first, second) {
        (Ok(()), second) => second,
        (Err(Error::Invalid(mut all)), Err(Error::Invalid(more))) => {
            all.extend(more);
            Err(Error::Invalid(all))
        }
        (Err(Error::Invalid(_)), Err(error)) | (Err(error), _) => Err(error),
    }
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
