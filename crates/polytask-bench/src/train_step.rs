//! `polytask bench train-step`: a training step on sequences of one length.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use super::against::{self, Place};
use super::batch::Batch;
use super::measure::{Process, Times, measure};
use super::mixed_step::{Work, compare_steps, compile, prove_step};
use super::step::{Net, Step};
use polytask_terminal::output::{self, Outcome};
use polytask_terminal::suites;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask bench train-step --batch 32 --length 64 --json
  polytask bench train-step --length 128 --against torch
  polytask bench train-step --model encoders/mpnet-base --batch 8 --against torch
  polytask bench train-step --model encoders/mpnet-base --batch 8 --lora 8 --against torch

The loss is the mean of the states times a fixed target. With --against both sides train all-MiniLM-L6-v2 or the
encoder that --model names; alone, fresh weights of MiniLM's shape are used. PyTorch gets its fused AdamW, and torch.compile is tried where there is a C++
compiler. Times are whole steps in milliseconds.")]
pub(super) struct Args {
    /// Sequences per step
    #[arg(long, default_value_t = 32, value_parser = polytask_terminal::count)]
    batch: usize,
    /// Tokens per sequence
    #[arg(long, default_value_t = 64, value_parser = polytask_terminal::count)]
    length: usize,
    /// Steps measured (in each round, with --against)
    #[arg(long, default_value_t = 7, value_parser = polytask_terminal::count)]
    runs: usize,
    /// Folder of a model whose weights are trained; fresh ones of MiniLM's shape otherwise
    #[arg(long)]
    model: Option<PathBuf>,
    /// Train LoRA of this rank beside every matrix, and nothing else; the peer is PEFT on PyTorch
    #[arg(long)]
    lora: Option<usize>,
    /// Compute activations again in the backward instead of keeping them
    #[arg(long)]
    recompute: bool,
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
    recompute: bool,
    parameters: usize,
    #[serde(flatten)]
    times: Times,
    #[serde(flatten)]
    process: Process,
}

pub(super) fn run(args: &Args) -> Result<Outcome> {
    suites::set_threads(args.threads)?;
    if args.against.is_some() { compare(args) } else { alone(args) }
}

impl Args {
    /// The net; where it has adapters, they are also written to `written`.
    fn net(&self, folder: Option<&Path>, written: Option<&Path>) -> Result<Net> {
        let net = match (folder, self.lora) {
            (Some(folder), Some(rank)) => Net::adapted(folder, rank, written)?,
            (Some(folder), None) => Net::load(folder)?,
            (None, None) => Net::fresh(),
            (None, Some(_)) => {
                return output::refuse("--lora without --model", "`--model` with an encoder's folder");
            }
        };
        Ok(Net { recompute: self.recompute, ..net })
    }

    /// A batch of ids and of a length that the net can read.
    fn batch(&self, net: &Net) -> Result<Batch> {
        let most = net.trunk.max_positions();
        if self.length > most {
            let what = format!("--length is {}, the model reads at most {most}", self.length);
            return output::refuse(what, "a shorter length");
        }
        Ok(Batch::equal(self.batch, self.length, net.trunk.vocab_size()))
    }

    /// The work in words.
    fn size(&self) -> String {
        let Self { batch, length, .. } = self;
        let recompute = if self.recompute { ", activations computed again" } else { "" };
        let lora = self.lora.map(|rank| format!(", LoRA of rank {rank}")).unwrap_or_default();
        format!("train step, {batch} x {length} tokens{lora}{recompute}")
    }
}

fn alone(args: &Args) -> Result<Outcome> {
    let net = args.net(args.model.as_deref(), None)?;
    let batch = args.batch(&net)?;
    let parameters = net.params.len();
    let mut step = Step::new(net, &batch);
    let mut number = 0;
    let times = Times::of(measure(args.runs, 1, || {
        number += 1;
        step.run(number)
    })?);
    let Args { batch, length, .. } = *args;
    let (recompute, process) = (args.recompute, Process::now());
    let figures = Figures { bench: "train-step", batch, length, recompute, parameters, times, process };
    if args.json {
        output::json(&figures)?;
        return Ok(Outcome::Done);
    }
    let (millions, times, process) = (parameters as f64 / 1e6, &figures.times, &figures.process);
    output::line(format!("{}, {millions:.1} M weights: {times}, {process}", args.size()))?;
    Ok(Outcome::Done)
}

fn compare(args: &Args) -> Result<Outcome> {
    let common = super::Common { model: args.model.clone(), threads: args.threads, json: args.json };
    let folder = common.folder()?;
    let place = Place::new(&args.options)?;
    let written = place.work().join("adapted");
    let net = args.net(Some(&folder), Some(&written))?;
    let (batch, width) = (args.batch(&net)?, net.trunk.d_hidden());
    let work = Work { folder: &folder, batch: &batch, width, threads: args.threads };
    let mut comparison = compare_steps("train-step", &place, &work, prove_step(net, &batch)?)?;
    comparison.what = format!("{}, dropout 0.1", args.size());
    comparison.ours = ["--batch", "--length", "--runs", "--threads"]
        .into_iter()
        .zip([args.batch, args.length, args.runs, args.threads])
        .flat_map(|(name, value)| [name.to_owned(), value.to_string()])
        .chain(["--model".to_owned(), super::argument(&folder)])
        .chain(args.recompute.then(|| "--recompute".to_owned()))
        .chain(args.lora.iter().flat_map(|rank| ["--lora".to_owned(), rank.to_string()]))
        .collect();
    comparison.job.insert("runs".into(), json!(args.runs));
    if args.lora.is_some() {
        comparison.job.insert("adapter".into(), json!(super::argument(&written.join("adapter"))));
    }
    // One task: padding it apart is padding it together.
    comparison.axes.retain(|axis| axis.field != "layout");
    comparison.job.insert("layout".into(), json!("joint"));
    comparison.variant = compile();
    against::run(&comparison, &place, &args.options, args.json)
}
