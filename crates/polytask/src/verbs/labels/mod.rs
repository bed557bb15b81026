//! Labels matched by their descriptions: how such a suite runs, how its model answers, and rows that are written for them.

pub(crate) mod predict;
pub(crate) mod run;

mod generate;

use anyhow::Result;
use polytask_terminal::output::Outcome;

/// Have rows written for labels by a language model
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask labels generate labels.toml --endpoint http://host:8000 --llm-model NAME -o gen.jsonl
  polytask labels generate l.toml --endpoint https://host/v1 --llm-model M -o g.jsonl --key-env KEY
  polytask labels generate l.toml --endpoint http://host/v1 --llm-model M -o g.jsonl --dry-run

A suite of labels with descriptions is trained by `polytask train`, and answers by `polytask predict`.

Exit codes: 0 done, 2 could not run.")]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Ask an endpoint for rows of each label; what was paid for is kept and not paid again
    Generate(generate::Args),
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    match &args.verb {
        Verb::Generate(args) => generate::run(args),
    }
}
