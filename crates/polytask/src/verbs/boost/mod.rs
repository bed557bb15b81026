//! `polytask boost`: boosted trees looked into, extended, and exchanged with XGBoost.

pub(crate) mod predict;
pub(crate) mod trees;

mod explain;

use anyhow::Result;

use polytask_terminal::output::Outcome;

/// Look into boosted trees, add a group to them, exchange them with XGBoost
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask boost explain runs/school

Trees are trained by `polytask train` with `trees` in [model], and answer by `polytask predict`.

Exit codes: 0 done, 2 could not run.")]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Show which columns trees read, and which group is unlike the others
    Explain(explain::Args),
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    match &args.verb {
        Verb::Explain(args) => explain::run(args),
    }
}
