//! `polytask distill`: a joint student of single-task teachers, and sentence models from pairs of texts without labels.

mod loops;
mod pairs;
mod students;
mod training;
mod written;

use std::path::PathBuf;

use anyhow::Result;

use self::loops::Loops;
use super::train;
use crate::columns::Columns;
use crate::models;
use polytask_terminal::output::{self, Outcome};

/// Cycles with a dev file, which says when to stop.
const CYCLES: usize = 3;

/// Teach one joint model by single-task models, or a sentence model by pairs without labels
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask distill suite.toml --out runs/taught
  polytask distill suite.toml --folds 5 --out runs/taught
  polytask distill pairs.tsv --start all-MiniLM-L6-v2 --out te
  polytask distill pairs.tsv --start runs/a --mutual runs/b --dev dev.tsv --cycles 3 --out te
  polytask search -m te/best-bi --targets labels.txt --query 'fixes cars'
  polytask search docs.index 'warranty' --rerank te/best-cross

Of a suite (.toml) every task that has labels or numbers is trained alone first, and these models teach one joint model what
they say of the rows of train (the suite's `teacher`, --alpha its weight): --out gets teachers/TASK and student/, a run.

With pairs, Trans-Encoder (Liu et al., ICLR 2022): the cosines of a sentence model label the pairs for a cross-encoder, which reads both
texts as one; its scores label the pairs for the next sentence model, which begins as the first one did. With --mutual two
models do so side by side and learn from the mean of their labels. Cross-encoders begin as --cross, else as --start, with
a new head.

A row of the file has two texts (a, b, or the usual names that training knows). Without --dev, which has scores, one cycle is
run, for nothing says when to stop, and the last models are the ones kept; by the published oracle later cycles add little.

--out gets cycle-N/ with the labels and the runs, best-bi/ (a sentence-transformers folder), best-cross/ and distill.json.
An interrupted run goes on with the same command and --resume.

Exit codes: 0 done, 2 could not run.")]
pub(crate) struct Args {
    /// Suite (.toml), or file of pairs of texts
    #[arg(value_name = "SUITE|PAIRS")]
    input: PathBuf,
    /// How models teach each other
    #[arg(long, value_enum, default_value_t = Method::TransEncoder)]
    method: Method,
    /// Model or encoder that pairs improve: a run, a folder, or a name as in a suite
    #[arg(long)]
    start: Option<PathBuf>,
    /// Weight of the teachers of a suite; labels have the rest [default: 0.5]
    #[arg(long)]
    alpha: Option<f64>,
    /// A second one beside it
    #[arg(long, value_name = "START")]
    mutual: Option<PathBuf>,
    /// Encoder that cross-encoders begin with [default: --start]
    #[arg(long, value_name = "ENCODER")]
    cross: Option<PathBuf>,
    /// How often each form teaches the other [default: 3 with --dev, else 1]
    #[arg(long, value_parser = polytask_terminal::count)]
    cycles: Option<usize>,
    /// File of pairs with scores, by which the best models are chosen
    #[arg(long)]
    dev: Option<PathBuf>,
    /// Folder of the result
    #[arg(long, short)]
    out: PathBuf,
    #[command(flatten)]
    columns: Columns,
    /// Change a setting of all trainings: train.epochs=3, train.lr=1e-5
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Teachers of each task of a suite: of several, each is trained without a part of the rows, and that part it answers
    /// [default: 1, which sees all rows]
    #[arg(long, value_name = "N", value_parser = polytask_terminal::count)]
    folds: Option<usize>,
    /// Seed of every random choice [default: the suite's, 13 for pairs]
    #[arg(long)]
    seed: Option<u64>,
    /// Go on with what an interrupted run left
    #[arg(long)]
    resume: bool,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
    /// Print what came out as one JSON object
    #[arg(long)]
    json: bool,
}

/// How models teach each other.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Method {
    TransEncoder,
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    if args.input.extension().is_some_and(|end| end == "toml") {
        check_of_suite(args)?;
        let report = students::run(args)?;
        return train::show(&report, &students::student(&args.out), args.json);
    }
    let Method::TransEncoder = args.method;
    refuse_given(
        [("--folds", args.folds.is_some()), ("--alpha", args.alpha.is_some())],
        ("a suite", "pairs"),
    )?;
    let Some(start) = &args.start else {
        return output::refuse(
            "no model to begin with",
            "`--start all-MiniLM-L6-v2`, or a suite in the place of pairs",
        );
    };
    args.columns.check(&pairs::ROLES)?;
    let pairs = pairs::read(&args.input, &args.columns)?;
    let starts = std::iter::once(start).chain(&args.mutual);
    let starts: Vec<PathBuf> = starts.map(|start| models::folder_or_encoder(start)).collect::<Result<_>>()?;
    let cross = args.cross.as_deref().map(models::folder_or_encoder).transpose()?;
    let cycles = args.cycles.unwrap_or(if args.dev.is_some() { CYCLES } else { 1 });
    let done = Loops::new(args, pairs, (starts, cross))?.run(cycles)?;
    if args.json {
        output::json(&done)?;
    } else {
        done.print(&args.out)?;
    }
    Ok(Outcome::Done)
}

/// Refuses what is for pairs only, and a weight that is none.
fn check_of_suite(args: &Args) -> Result<()> {
    let given = [
        ("--start", args.start.is_some()),
        ("--mutual", args.mutual.is_some()),
        ("--cross", args.cross.is_some()),
        ("--cycles", args.cycles.is_some()),
        ("--dev", args.dev.is_some()),
        ("--columns", !args.columns.pairs().is_empty()),
    ];
    refuse_given(given, ("pairs", "a suite"))?;
    match args.alpha {
        Some(alpha) if !(0.0..=1.0).contains(&alpha) => {
            output::refuse(format!("`--alpha {alpha}`, expected 0 to 1"), "`--alpha 0.5`")
        }
        _ => Ok(()),
    }
}

/// Refuses flags that are for the other sort of input.
fn refuse_given<const N: usize>(flags: [(&str, bool); N], (of, found): (&str, &str)) -> Result<()> {
    match flags.iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => {
            output::refuse(format!("`{flag}` is for {of}, found {found}"), format!("leave `{flag}` out"))
        }
        None => Ok(()),
    }
}
