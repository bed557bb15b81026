//! `polytask bench mixed-step`: a training step on the real lengths of the demo's four tasks.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use super::Common;
use super::against::{self, Axis, Comparison, Place, Prove, Variant, fields, proof};
use super::batch::Batch;
use super::measure::{Process, Times, measure};
use super::step::{Net, Step};
use polytask_terminal::demo;
use polytask_terminal::output::{self, Outcome};
use polytask_terminal::suites;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask bench mixed-step
  polytask bench mixed-step --against torch
  polytask bench mixed-step --data demo --threads 1 --json

The batch is what training makes of 32 train rows of each task: texts once each, a pair is two sequences, a query
stands beside its passage. Texts are cut into tokens as the model does it. PyTorch pads: it gets the fastest of one
padded batch for everything, one per task, and two per task (its shorter and its longer sequences apart).
Times are whole steps in milliseconds, all weights trained, dropout 0.1.")]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) common: Common,
    #[command(flatten)]
    pub(super) input: Input,
    /// Steps measured (in each round, with --against)
    #[arg(long, default_value_t = 5, value_parser = polytask_terminal::count)]
    pub(super) runs: usize,
    /// Measure beside a peer
    #[arg(long, value_parser = ["torch"])]
    pub(super) against: Option<String>,
    #[command(flatten)]
    pub(super) options: against::Options,
}

/// Where the batch comes from.
#[derive(Debug, clap::Args)]
pub(super) struct Input {
    /// Folder of the demo's data (suite.toml and four folders); the source tree's otherwise
    #[arg(long)]
    data: Option<PathBuf>,
    /// File of a batch that was assembled before, so that only the step is in this process
    #[arg(long, hide = true)]
    batch_file: Option<PathBuf>,
}

impl Input {
    /// The batch for the model of a folder.
    pub(super) fn batch(&self, model: &Path) -> Result<Batch> {
        match &self.batch_file {
            Some(path) => Batch::read(path),
            None => Batch::of_suite(&demo::find_data(self.data.as_deref())?, model),
        }
    }
}

/// Figures of the benches on mixed batches.
#[derive(Serialize)]
pub(super) struct Figures {
    pub(super) bench: &'static str,
    pub(super) tasks: usize,
    pub(super) sequences: usize,
    pub(super) tokens: usize,
    pub(super) longest: usize,
    #[serde(flatten)]
    pub(super) times: Times,
    #[serde(flatten)]
    pub(super) process: Process,
}

impl Figures {
    pub(super) fn new(bench: &'static str, batch: &Batch, times: Vec<f64>) -> Self {
        Self {
            bench,
            tasks: batch.tasks.len(),
            sequences: batch.sequences.len(),
            tokens: batch.n_tokens(),
            longest: batch.sequences.iter().map(Vec::len).max().unwrap_or(0),
            times: Times::of(times),
            process: Process::now(),
        }
    }

    pub(super) fn print(&self, is_json: bool) -> Result<Outcome> {
        if is_json {
            output::json(self)?;
        } else {
            let Self { bench, times, process, .. } = self;
            output::line(format!("{bench}, {}: {times}, {process}", self.size()))?;
        }
        Ok(Outcome::Done)
    }

    fn size(&self) -> String {
        let Self { tasks, sequences, tokens, longest, .. } = self;
        format!("{tasks} tasks, {sequences} sequences, {tokens} tokens, the longest of {longest}")
    }
}

pub(super) fn run(args: &Args) -> Result<Outcome> {
    suites::set_threads(args.common.threads)?;
    let folder = args.common.folder()?;
    let batch = args.input.batch(&folder)?;
    if args.against.is_some() {
        let place = Place::new(&args.options)?;
        let net = Net::load(&folder)?;
        let width = net.trunk.d_hidden();
        let prove = prove_step(net, &batch)?;
        let work = Work { folder: &folder, batch: &batch, width, threads: args.common.threads };
        let mut comparison = compare_steps("mixed-step", &place, &work, prove)?;
        describe(&mut comparison, args, &batch, &folder);
        return against::run(&comparison, &place, &args.options, args.common.json);
    }
    let mut step = Step::new(Net::load(&folder)?, &batch);
    let mut number = 0;
    let times = measure(args.runs, 1, || {
        number += 1;
        step.run(number)
    })?;
    Figures::new("mixed-step", &batch, times).print(args.common.json)
}

/// The words and arguments of a comparison on a mixed batch.
pub(super) fn describe(comparison: &mut Comparison, args: &Args, batch: &Batch, folder: &Path) {
    let size = Figures::new(comparison.bench, batch, vec![0.0]).size();
    comparison.what = format!("{}, {size}, dropout 0.1", comparison.bench);
    let file = comparison.job["sequences"].as_str().unwrap_or_default().to_owned();
    comparison.ours = [
        ("--batch-file", file),
        ("--model", super::argument(folder)),
        ("--runs", args.runs.to_string()),
        ("--threads", args.common.threads.to_string()),
    ]
    .into_iter()
    .flat_map(|(name, value)| [name.to_owned(), value])
    .collect();
    comparison.job.insert("runs".into(), json!(args.runs));
}

/// What both sides of a comparison of steps work on.
pub(super) struct Work<'a> {
    pub(super) folder: &'a Path,
    pub(super) batch: &'a Batch,
    /// Values per state of the model.
    pub(super) width: usize,
    pub(super) threads: usize,
}

/// Holds a peer's states and gradients against those of one step of ours.
pub(super) fn prove_step(net: Net, batch: &Batch) -> Result<Prove<'static>> {
    let (states, norms) = Step::new(net, batch).answers()?;
    Ok(Box::new(move |theirs| {
        let cosine = proof::cosines(&states, theirs)?;
        let norm = proof::norms(&norms, theirs)?;
        Ok(vec![("lowest cosine of a state", cosine), ("largest difference of a gradient norm", norm)])
    }))
}

/// What all comparisons of steps with PyTorch share.
pub(super) fn compare_steps<'a>(
    bench: &'static str,
    place: &Place,
    work: &Work,
    prove: Prove<'a>,
) -> Result<Comparison<'a>> {
    let files = work.batch.write(place.work(), work.width)?;
    let [sequences, targets] = [files.0, files.1].map(|path| super::argument(&path));
    Ok(Comparison {
        bench,
        peer: "torch",
        what: String::new(),
        script: "torch_step.py",
        ours: Vec::new(),
        job: fields([
            ("model", json!(super::argument(work.folder))),
            ("sequences", json!(sequences)),
            ("targets", json!(targets)),
            ("warmup", json!(3)),
        ]),
        axes: vec![
            Axis::names("layout", &["by-length", "per-task", "joint"]),
            Axis::names("attention", &["sdpa", "eager"]),
            against::threads(work.threads),
        ],
        trial: fields([("runs", json!(2)), ("warmup", json!(1))]),
        variant: None,
        prove,
    })
}

/// `torch.compile`, where its code can be compiled.
pub(super) fn compile() -> Option<Variant> {
    let compilers = std::env::var("CXX").into_iter().chain(["g++", "clang++", "c++"].map(String::from));
    let is_there =
        |name: String| Command::new(name).arg("--version").output().is_ok_and(|o| o.status.success());
    let job = fields([("compile", json!(true)), ("warmup", json!(5))]);
    let limit = Duration::from_secs(10 * 60);
    compilers.into_iter().any(is_there).then_some(Variant { name: "torch.compile", job, limit })
}
