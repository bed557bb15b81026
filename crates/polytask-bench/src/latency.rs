//! `polytask bench latency`: one short text to its vector, warm.

use std::path::Path;

use anyhow::Result;
use polytask_model::Model;
use serde::Serialize;
use serde_json::json;

use super::Common;
use super::against::{self, Place, fields};
use super::embed::{compare_texts, onnx_runtime};
use super::measure::{Process, Times, measure, percentile};
use super::texts;
use polytask_terminal::output::{self, Outcome};
use polytask_terminal::suites;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask bench latency
  polytask bench latency --against onnxruntime --json

One text of eight words, tokenisation included, after a warm-up. Times are milliseconds per call: the median (p50) and
what 95 in 100 calls stay within (p95).")]
pub(super) struct Args {
    #[command(flatten)]
    common: Common,
    /// Calls measured (in each round, with --against)
    #[arg(long, default_value_t = 200, value_parser = polytask_terminal::count)]
    runs: usize,
    /// Measure beside a peer
    #[arg(long, value_parser = ["onnxruntime"])]
    against: Option<String>,
    #[command(flatten)]
    options: against::Options,
}

/// Calls before the first that is measured.
const WARMUP: usize = 20;

#[derive(Serialize)]
struct Figures {
    bench: &'static str,
    #[serde(flatten)]
    times: Times,
    p50_ms: f64,
    p95_ms: f64,
    #[serde(flatten)]
    process: Process,
}

pub(super) fn run(args: &Args) -> Result<Outcome> {
    suites::set_threads(args.common.threads)?;
    let folder = args.common.folder()?;
    if args.against.is_some() { compare(args, &folder) } else { alone(args, &folder) }
}

fn alone(args: &Args, folder: &Path) -> Result<Outcome> {
    let model = Model::load(folder)?;
    let texts = texts::short().texts;
    let times = measure(args.runs, WARMUP, || {
        let _: () = drop(model.embed(&texts, None, None)?);
        Ok(())
    })?;
    let [p50_ms, p95_ms] = [0.5, 0.95].map(|share| percentile(&times, share));
    let (times, process) = (Times::of(times), Process::now());
    let figures = Figures { bench: "latency", times, p50_ms, p95_ms, process };
    if args.common.json {
        output::json(&figures)?;
    } else {
        let Times { min_ms, runs, .. } = figures.times;
        output::line(format!(
            "one text: p50 {p50_ms:.2} ms, p95 {p95_ms:.2} ms (fastest {min_ms:.2}, {runs} calls), {}",
            figures.process
        ))?;
    }
    Ok(Outcome::Done)
}

fn compare(args: &Args, folder: &Path) -> Result<Outcome> {
    let place = Place::new(&args.options)?;
    let mut comparison = compare_texts("latency", &place, folder, &[texts::short()], &args.common)?;
    comparison.what = "one text of eight words, warm".into();
    comparison.ours.extend(["--runs".to_owned(), args.runs.to_string()]);
    comparison.job.extend(fields([
        ("runs", json!(args.runs)),
        ("warmup", json!(WARMUP)),
        ("batch", json!(1)),
    ]));
    comparison.trial = fields([("runs", json!(100))]);
    onnx_runtime(&mut comparison, &place, folder)?;
    against::run(&comparison, &place, &args.options, args.common.json)
}
