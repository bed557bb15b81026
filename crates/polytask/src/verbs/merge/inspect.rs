//! `polytask merge inspect`: what models are to each other before they are merged.

use anyhow::Result;
use polytask_merge::inspection_text;

use super::{folder_of, with_progress};
use polytask_terminal::output::{self, Outcome};

/// Say what models are to each other before they are merged
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask merge inspect runs/a runs/b runs/c --base all-MiniLM-L6-v2
  polytask merge inspect runs/a runs/b --base all-MiniLM-L6-v2 --json

  |added|           length of what a model adds to the base, over all tensors
  in the top fifth  share of its squared length in the largest fifth of entries
  cosine            of what two models add: 0 they do not meet, below 0 they pull apart
  signs apart       share of the entries both move that they move in opposite directions
  left of each      what a merge leaves of a model along its own task vector, and how far it is moved by
                    what the others add, in lengths of its own

Exit codes: 0 done, 1 the models cannot be merged as they are, 2 could not run.")]
pub(crate) struct Args {
    /// Folders of runs or models, or encoders by name
    #[arg(required = true)]
    models: Vec<String>,
    /// What the models were trained from: a folder, or an encoder's name
    #[arg(long)]
    base: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<Outcome> {
    let base = args.base.as_deref();
    let inspection = with_progress(args.json, |progress| {
        polytask_merge::inspect(&args.models, base, &folder_of, progress)
    })?;
    if args.json {
        output::json(&inspection)?;
    } else {
        output::line(inspection_text(&inspection, output::width()).trim_end())?;
    }
    Ok(if inspection.problems.is_empty() { Outcome::Done } else { Outcome::Missed })
}
