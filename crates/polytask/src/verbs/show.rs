//! `polytask show`: the suite with every default filled in.

use std::path::PathBuf;

use anyhow::Result;
use polytask_core::Suite;
use polytask_train::defaults;

use polytask_terminal::output::{self, Outcome};
use polytask_terminal::suites;

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
    let mut suite = suites::load(&args.suite, &args.set)?;
    let chosen = chosen(&mut suite);
    if args.json {
        output::json(&suite)?;
    } else {
        chosen.iter().try_for_each(|line| output::line(format!("# {line}")))?;
        output::line(polytask_core::suite::to_toml(&suite).trim_end())?;
    }
    Ok(Outcome::Done)
}

/// Settings that the data decide, filled in, each with its reason; what to do where the data cannot be read.
fn chosen(suite: &mut Suite) -> Vec<String> {
    let open = suite.train.open.join(", ");
    match defaults::preview(suite) {
        Ok(chosen) => {
            chosen.iter().map(|one| format!("train.{} = {}: {}", one.key, one.value, one.why)).collect()
        }
        Err(_) => {
            vec![format!("chosen when the data can be read (`polytask check --data` says why not): {open}")]
        }
    }
}
