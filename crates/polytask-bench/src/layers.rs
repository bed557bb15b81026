//! `polytask bench layers`: where the time of a training step goes, layer by layer, beside the bare products.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use polytask_eval::table::aligned;
use polytask_nn::encoder::Encoder;
use polytask_nn::trunk::{LayerTime, Packed, bare_product};
use serde::Serialize;

use super::batch::Batch;
use super::measure::{Process, Times, measure};
use super::step::{Net, Step};
use polytask_terminal::output::{self, Outcome};
use polytask_terminal::suites;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask bench layers
  polytask bench layers --model encoders/mpnet-base --batch 16 --length 64
  polytask bench layers --model encoders/modernbert-base --json

A training step runs with a clock around every layer; layers of the same form are added up over all blocks. `product` is
the time of the layer's matrix product by itself, measured alone: once in the forward, twice in the backward. What a layer
takes beyond it is its bias, activation, dropout, norm, and the memory it moves. Without --model, fresh weights of MiniLM's
shape are used.")]
pub(super) struct Args {
    /// Sequences per step
    #[arg(long, default_value_t = 32, value_parser = polytask_terminal::count)]
    batch: usize,
    /// Tokens per sequence; images have as many rows as their encoder makes
    #[arg(long, default_value_t = 64, value_parser = polytask_terminal::count)]
    length: usize,
    /// Steps measured
    #[arg(long, default_value_t = 5, value_parser = polytask_terminal::count)]
    runs: usize,
    /// Folder of a model
    #[arg(long)]
    model: Option<PathBuf>,
    /// Worker threads; 0 means all cores
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Layers of one form.
#[derive(Debug, Serialize)]
struct Row {
    layer: String,
    count: usize,
    forward_ms: f64,
    backward_ms: f64,
    /// Its bare product, forward and backward; none for layers without a matrix, and for the patches of images.
    #[serde(skip_serializing_if = "Option::is_none")]
    product_forward_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    product_backward_ms: Option<f64>,
}

#[derive(Serialize)]
struct Figures {
    bench: &'static str,
    batch: usize,
    rows: usize,
    layers: Vec<Row>,
    /// Of a step: what the layers' times, which are means too, are parts of.
    mean_ms: f64,
    #[serde(flatten)]
    times: Times,
    #[serde(flatten)]
    process: Process,
}

pub(super) fn run(args: &Args) -> Result<Outcome> {
    suites::set_threads(args.threads)?;
    let (net, clock) = net(args)?;
    let batch = batch(args, &net)?;
    let rows = net.trunk.layout(&batch.packed()).n_rows();
    let mut step = Step::new(net, &batch);
    step.run(1)?;
    clock.take_times();
    let mut number = 1;
    let all = measure(args.runs, 0, || {
        number += 1;
        step.run(number)
    })?;
    let (mean_ms, times) = (all.iter().sum::<f64>() / all.len() as f64, Times::of(all));
    let layers = rows_of(&clock.take_times(), args.runs, rows);
    let (bench, batch, process) = ("layers", args.batch, Process::now());
    let figures = Figures { bench, batch, rows, layers, mean_ms, times, process };
    if args.json {
        output::json(&figures)?;
    } else {
        print(&figures)?;
    }
    Ok(Outcome::Done)
}

/// The net, and its trunk again as the one that keeps the times.
fn net(args: &Args) -> Result<(Net, Arc<Packed>)> {
    let Some(folder) = &args.model else {
        let fresh = Net::fresh();
        let clock = Arc::new(Packed::new(polytask_nn::trunk::BertConfig::mini_lm().graph()).timed());
        return Ok((Net { trunk: clock.clone(), ..fresh }, clock));
    };
    let encoder = Encoder::load(folder)?;
    let clock = encoder.timed()?;
    let lowest = encoder.frozen(&[])?.iter().take_while(|frozen| **frozen).count();
    Ok((Net { trunk: clock.clone(), params: encoder.params, recompute: false, lowest }, clock))
}

/// Random inputs; images are as large as their encoder reads them.
fn batch(args: &Args, net: &Net) -> Result<Batch> {
    let most = net.trunk.max_positions();
    let length = if net.trunk.rows_per_sequence().is_some() { most } else { args.length };
    if length > most {
        let what = format!("--length is {length}, the model reads at most {most}");
        return output::refuse(what, "a shorter length");
    }
    Ok(Batch::equal(args.batch, length, net.trunk.vocab_size()))
}

/// Layers of the same form added up over blocks, in the order they first run; times of one step.
fn rows_of(times: &[LayerTime], runs: usize, rows: usize) -> Vec<Row> {
    let mut found: Vec<(&LayerTime, usize, Duration, Duration)> = Vec::new();
    for time in times {
        match found.iter_mut().find(|(other, ..)| other.layer == time.layer && other.product == time.product)
        {
            Some((_, count, forward, backward)) => {
                *count += 1;
                *forward += time.forward;
                *backward += time.backward;
            }
            None => found.push((time, 1, time.forward, time.backward)),
        }
    }
    let ms = |time: Duration| time.as_secs_f64() * 1e3 / runs as f64;
    let row = |(time, count, forward, backward): (&LayerTime, usize, Duration, Duration)| {
        let product = time.product.map(|sizes| fastest(rows, sizes).as_secs_f64() * 1e3 * count as f64);
        Row {
            layer: time.layer.clone(),
            count,
            forward_ms: ms(forward),
            backward_ms: ms(backward),
            product_forward_ms: product,
            product_backward_ms: product.map(|ms| 2.0 * ms),
        }
    };
    found.into_iter().map(row).collect()
}

/// The shortest of some products of these sizes.
fn fastest(rows: usize, sizes: (usize, usize)) -> Duration {
    const TRIES: usize = 5;
    (0..TRIES).map(|_| bare_product(rows, sizes)).min().unwrap_or_default()
}

fn print(figures: &Figures) -> Result<()> {
    let number = |ms: f64| format!("{ms:.2}");
    let floor = |ms: Option<f64>| ms.map_or_else(|| "–".to_owned(), number);
    let head = ["layer", "times", "forward ms", "1 product", "backward ms", "2 products", "share %"];
    let mut table = vec![head.map(String::from).to_vec()];
    let all: f64 = figures.layers.iter().map(|row| row.forward_ms + row.backward_ms).sum();
    for row in &figures.layers {
        table.push(vec![
            row.layer.clone(),
            row.count.to_string(),
            number(row.forward_ms),
            floor(row.product_forward_ms),
            number(row.backward_ms),
            floor(row.product_backward_ms),
            format!("{:.1}", 100.0 * (row.forward_ms + row.backward_ms) / all.max(f64::MIN_POSITIVE)),
        ]);
    }
    output::line(aligned(&table).join("\n"))?;
    let Figures { batch, rows, mean_ms, times, process, .. } = figures;
    let rest = mean_ms - all;
    output::line(format!(
        "train step, {batch} inputs of {rows} rows in all: {times}, of which {rest:.1} ms outside the layers, {process}"
    ))?;
    Ok(())
}
