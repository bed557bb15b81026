//! The verbs: one file each, one line each in [`Verb`].

mod bench;
mod check;
mod data;
mod demo;
mod embed;
mod eval;
mod init;
mod predict;
mod pull;
mod search;
mod show;
mod train;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::output::Outcome;

/// One model for all your related tasks, and evidence of which task hurts which.
#[derive(Debug, Parser)]
#[command(name = "polytask", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  polytask demo                                  the whole way on four real tasks
  polytask init > suite.toml                     start a suite of your own
  polytask check suite.toml                      all mistakes at once, with line and remedy
  polytask train suite.toml --out runs/first     train, compare with single-task models, report
  polytask embed --model runs/first/model --input texts.jsonl --output vectors.npy

Exit codes: 0 done, 1 ran but a task regressed, 2 could not run.";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Train and judge one model on four real tasks, in minutes
    Demo(demo::Args),
    /// Write a commented suite file to start from
    Init(init::Args),
    /// Check a suite file: every mistake with its line, what was expected, what to try
    Check(check::Args),
    /// Print a suite with every default filled in
    Show(show::Args),
    /// Fetch an encoder into the cache
    Pull(pull::Args),
    /// Describe a suite's data: counts, labels, lengths, duplicates, leakage
    Data(data::Args),
    /// Train the tasks of a suite together and compare with single-task models
    Train(train::Args),
    /// Score a trained model on a suite's data
    Eval(eval::Args),
    /// Turn texts into vectors
    Embed(embed::Args),
    /// Predict a task's labels, tags or numbers
    Predict(predict::Args),
    /// Find the nearest passages of a corpus, exactly
    Search(search::Args),
    /// Measure training and embedding speed on this machine
    Bench(bench::Args),
}

impl Cli {
    /// Runs the verb.
    pub(crate) fn run(self) -> Result<Outcome> {
        match self.verb {
            Verb::Demo(args) => demo::run(&args),
            Verb::Init(args) => init::run(&args),
            Verb::Check(args) => check::run(&args),
            Verb::Show(args) => show::run(&args),
            Verb::Pull(args) => pull::run(&args),
            Verb::Data(args) => data::run(&args),
            Verb::Train(args) => train::run(&args),
            Verb::Eval(args) => eval::run(&args),
            Verb::Embed(args) => embed::run(&args),
            Verb::Predict(args) => predict::run(&args),
            Verb::Search(args) => search::run(&args),
            Verb::Bench(args) => bench::run(&args),
        }
    }
}

/// Reads a number of at least 1.
fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err("expected a whole number of at least 1".into()),
    }
}
