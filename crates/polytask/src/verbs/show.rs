//! `polytask show`: the suite with every default filled in.

use std::path::PathBuf;

use anyhow::Result;

use crate::output::{self, Outcome};
use crate::suites;

/// Print a suite with every default filled in
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  polytask show suite.toml --set train.lr=3e-4\n\nExit codes: 0 done, 2 the suite is wrong."
)]
pub(crate) struct Args {
    /// The suite file
    suite: PathBuf,
    /// Change a setting first: train.lr=3e-4
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print JSON in place of TOML
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    let suite = suites::load(&args.suite, &args.set)?;
    if args.json {
        output::json(&suite)?;
    } else {
        output::line(polytask_core::suite::to_toml(&suite).trim_end())?;
    }
    Ok(Outcome::Done)
}
