//! `polytask compare`: two runs on the same rows, by what was kept of them.

mod trec;

use std::path::PathBuf;

use anyhow::Result;
use polytask_eval::JudgedRows;

use crate::models;
use polytask_terminal::output::{self, Outcome};

/// Compare two runs: every metric's difference with its paired interval
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask compare runs/second runs/first
  polytask compare runs/second runs/first --task intent --names new,old
  polytask compare runs/second runs/first --json
  polytask compare ours.run bm25.run --qrels qrels.tsv --metric ndcg@10,recall@100

A and B are folders of finished runs, folders that `polytask eval --predictions DIR` wrote, or single files of
these. Each row of test (of valid, for a task without test rows) is paired with itself: the tasks are compared whose
rows and targets are the same in both, and rows that differ are an error. No model is loaded and no suite is needed.
With --qrels, A and B are runs of TREC (query Q0 passage rank score tag), of polytask or of any other tool; a judged
query that a run lacks has found nothing.
In the JSON object `delta` is A minus B in points, positive = A is better.

Exit codes: 0 done, 1 a task of A is beyond its margin below B, 2 could not run.")]
pub(crate) struct Args {
    /// The run that is judged
    #[arg(value_name = "A")]
    first: PathBuf,
    /// The run it is held against
    #[arg(value_name = "B")]
    second: PathBuf,
    /// Only these tasks, by commas or repeated
    #[arg(long, short, value_delimiter = ',')]
    task: Vec<String>,
    /// What to call the two [default: their folders]
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    names: Vec<String>,
    /// Judgements (BEIR or TREC) that A and B, runs of TREC, are scored by
    #[arg(long, value_name = "FILE")]
    qrels: Option<PathBuf>,
    /// Metrics of such runs, the main one first [default: those of a retrieval]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "qrels")]
    metric: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    let (first, second) = match &args.qrels {
        Some(qrels) => trec::read(&args.first, &args.second, qrels, &args.metric)?,
        None => (JudgedRows::read_all(&args.first)?, JudgedRows::read_all(&args.second)?),
    };
    let names = models::side_names(&args.names, (&args.first, &args.first), (&args.second, &args.second))?;
    let contrast = polytask_eval::contrast(&first, &second, names, &args.task)?;
    if args.json {
        output::json(&contrast)?;
    } else {
        output::line(contrast.table(output::width()).trim_end())?;
    }
    let has_regressed = contrast.tasks.iter().any(|task| task.regressed);
    Ok(if has_regressed { Outcome::Missed } else { Outcome::Done })
}
