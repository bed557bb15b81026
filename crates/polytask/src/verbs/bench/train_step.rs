//! `polytask bench train-step`: a training step on sequences of one length.

use std::path::PathBuf;

use anyhow::Result;
use polytask_nn::trunk::BertConfig;
use serde::Serialize;
use serde_json::json;

use super::against::{self, Place};
use super::batch::Batch;
use super::measure::{Process, Times, measure};
use super::mixed_step::{compare_steps, compile};
use super::step::{Net, Step};
use crate::output::{self, Outcome};
use crate::suites;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask bench train-step --batch 32 --length 64 --json
  polytask bench train-step --length 128 --against torch

The loss is the mean of the states times a fixed target. With --against both sides train all-MiniLM-L6-v2; alone,
fresh weights of its shape are used. PyTorch gets its fused AdamW, and torch.compile is tried where there is a C++
compiler. Times are whole steps in milliseconds.")]
pub(super) struct Args {
    /// Sequences per step
    #[arg(long, default_value_t = 32, value_parser = crate::verbs::count)]
    batch: usize,
    /// Tokens per sequence
    #[arg(long, default_value_t = 64, value_parser = crate::verbs::count)]
    length: usize,
    /// Steps measured (in each round, with --against)
    #[arg(long, default_value_t = 7, value_parser = crate::verbs::count)]
    runs: usize,
    /// Folder of a model whose weights are trained; fresh ones of MiniLM's shape otherwise
    #[arg(long)]
    model: Option<PathBuf>,
    /// Worker threads; 0 means all cores
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Measure beside a peer
    #[arg(long, value_parser = ["torch"])]
    against: Option<String>,
    #[command(flatten)]
    options: against::Options,
}

#[derive(Serialize)]
struct Figures {
    bench: &'static str,
    batch: usize,
    length: usize,
    parameters: usize,
    #[serde(flatten)]
    times: Times,
    #[serde(flatten)]
    process: Process,
}

pub(super) fn run(args: &Args) -> Result<Outcome> {
    suites::set_threads(args.threads)?;
    let config = BertConfig::mini_lm();
    let most = config.max_position_embeddings;
    if args.length > most {
        let what = format!("--length is {}, expected at most {most}", args.length);
        return output::refuse(what, "a shorter length");
    }
    let batch = Batch::equal(args.batch, args.length, config.vocab_size);
    if args.against.is_some() { compare(args, &batch) } else { alone(args, &batch) }
}

fn alone(args: &Args, batch: &Batch) -> Result<Outcome> {
    let net = args.model.as_deref().map_or_else(Net::fresh, Net::load)?;
    let parameters = net.params.len();
    let mut step = Step::new(net, batch);
    let mut number = 0;
    let times = Times::of(measure(args.runs, 1, || {
        number += 1;
        step.run(number)
    })?);
    let Args { batch, length, .. } = *args;
    let figures = Figures { bench: "train-step", batch, length, parameters, times, process: Process::now() };
    if args.json {
        output::json(&figures)?;
        return Ok(Outcome::Done);
    }
    let (millions, times, process) = (parameters as f64 / 1e6, &figures.times, &figures.process);
    output::line(format!(
        "train step, {batch} x {length} tokens, {millions:.1} M weights: {times}, {process}"
    ))?;
    Ok(Outcome::Done)
}

fn compare(args: &Args, batch: &Batch) -> Result<Outcome> {
    let common = super::Common { model: args.model.clone(), threads: args.threads, json: args.json };
    let folder = common.folder()?;
    let place = Place::new(&args.options)?;
    let mut comparison = compare_steps("train-step", &place, &folder, batch, args.threads)?;
    comparison.what = format!("train step, {} x {} tokens, dropout 0.1", args.batch, args.length);
    comparison.ours = ["--batch", "--length", "--runs", "--threads"]
        .into_iter()
        .zip([args.batch, args.length, args.runs, args.threads])
        .flat_map(|(name, value)| [name.to_owned(), value.to_string()])
        .chain(["--model".to_owned(), super::argument(&folder)])
        .collect();
    comparison.job.insert("runs".into(), json!(args.runs));
    // One task: padding it apart is padding it together.
    comparison.axes.retain(|axis| axis.field != "layout");
    comparison.job.insert("layout".into(), json!("joint"));
    comparison.variant = compile();
    against::run(&comparison, &place, &args.options, args.json)
}
