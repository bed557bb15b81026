//! `polytask bench embed`: texts to vectors on three mixes of lengths.

use std::path::Path;

use anyhow::Result;
use polytask_model::Model;
use serde::Serialize;
use serde_json::json;

use super::Common;
use super::against::{self, Axis, Comparison, Place, fields, proof};
use super::measure::{Process, Times, measure};
use super::texts::{self, Mix};
use polytask_terminal::output::{self, Outcome};
use polytask_terminal::suites;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask bench embed --json
  polytask bench embed --against sentence-transformers
  polytask bench embed --against onnxruntime --texts 512

Tokenisation is included. Mixes are texts of 3 to 12 words (short), 60 to 100 (long) and 3 to 100 (mixed). Peers sort
texts by length and pad batches of 32 or 64, whichever is faster; ONNX Runtime gets the faster of the graph as
exported and as fused by its own optimiser. Times are whole passes over a mix in milliseconds.")]
pub(super) struct Args {
    #[command(flatten)]
    common: Common,
    /// Texts per mix
    #[arg(long, default_value_t = 512, value_parser = polytask_terminal::count)]
    texts: usize,
    /// Passes measured (in each round, with --against)
    #[arg(long, default_value_t = 5, value_parser = polytask_terminal::count)]
    runs: usize,
    /// Measure beside a peer
    #[arg(long, value_parser = ["sentence-transformers", "onnxruntime"])]
    against: Option<String>,
    #[command(flatten)]
    options: against::Options,
}

#[derive(Serialize)]
struct MixFigures {
    mix: &'static str,
    texts: usize,
    tokens: usize,
    texts_per_s: f64,
    tokens_per_s: f64,
    #[serde(flatten)]
    times: Times,
}

#[derive(Serialize)]
struct Figures {
    bench: &'static str,
    /// Of all mixes, one after the other.
    #[serde(flatten)]
    times: Times,
    mixes: Vec<MixFigures>,
    #[serde(flatten)]
    process: Process,
}

pub(super) fn run(args: &Args) -> Result<Outcome> {
    suites::set_threads(args.common.threads)?;
    let folder = args.common.folder()?;
    let mixes = texts::mixes(args.texts);
    match args.against.as_deref() {
        Some(peer) => compare(args, &folder, &mixes, peer),
        None => alone(args, &folder, &mixes),
    }
}

fn alone(args: &Args, folder: &Path, mixes: &[Mix]) -> Result<Outcome> {
    let model = Model::load(folder)?;
    let measured: Result<Vec<_>> = mixes.iter().map(|mix| measure_mix(&model, args.runs, mix)).collect();
    let (mixes, passes): (Vec<MixFigures>, Vec<Vec<f64>>) = measured?.into_iter().unzip();
    let times = Times::of((0..args.runs).map(|run| passes.iter().map(|pass| pass[run]).sum()).collect());
    let figures = Figures { bench: "embed", times, mixes, process: Process::now() };
    if args.common.json {
        output::json(&figures)?;
        return Ok(Outcome::Done);
    }
    for MixFigures { mix, texts_per_s, tokens_per_s, times, .. } in &figures.mixes {
        output::line(format!(
            "embed {mix:<6} {texts_per_s:>8.1} texts/s {tokens_per_s:>9.0} tokens/s: {times}"
        ))?;
    }
    output::line(figures.process.to_string())?;
    Ok(Outcome::Done)
}

fn measure_mix(model: &Model, runs: usize, Mix { mix, texts }: &Mix) -> Result<(MixFigures, Vec<f64>)> {
    let tokens = model.symbols.text()?.encode_batch(texts)?.iter().map(Vec::len).sum();
    let passes = measure(runs, 1, || {
        let _: () = drop(model.embed(texts, None, None)?);
        Ok(())
    })?;
    let times = Times::of(passes.clone());
    let seconds = times.median_ms / 1e3;
    let figures = MixFigures {
        mix,
        texts: texts.len(),
        tokens,
        texts_per_s: texts.len() as f64 / seconds,
        tokens_per_s: tokens as f64 / seconds,
        times,
    };
    Ok((figures, passes))
}

fn compare(args: &Args, folder: &Path, mixes: &[Mix], peer: &str) -> Result<Outcome> {
    let place = Place::new(&args.options)?;
    let mut comparison = compare_texts("embed", &place, folder, mixes, &args.common)?;
    comparison.what = format!("embed, {} texts per mix", args.texts);
    let numbers = [("--texts", args.texts), ("--runs", args.runs)];
    comparison.ours.extend(numbers.iter().flat_map(|(name, n)| [(*name).to_owned(), n.to_string()]));
    comparison.job.extend(fields([("runs", json!(args.runs)), ("warmup", json!(1))]));
    comparison.trial = fields([("most", json!(192)), ("runs", json!(2)), ("warmup", json!(1))]);
    comparison.axes.push(Axis::counts("batch", &[32, 64]));
    if peer == "sentence-transformers" {
        comparison.peer = "sentence-transformers";
        comparison.script = "sentence_transformers_texts.py";
    } else {
        onnx_runtime(&mut comparison, &place, folder)?;
    }
    against::run(&comparison, &place, &args.options, args.common.json)
}

/// What all comparisons of texts share; the peer is to be named.
pub(super) fn compare_texts<'a>(
    bench: &'static str,
    place: &Place,
    folder: &Path,
    mixes: &[Mix],
    common: &Common,
) -> Result<Comparison<'a>> {
    let model = Model::load(folder)?;
    let path = place.work().join("texts.json");
    texts::write(&path, mixes)?;
    let all: Vec<&String> = mixes.iter().flat_map(|mix| &mix.texts).collect();
    let vectors = model.embed(&all, None, None)?;
    let prove =
        move |theirs: &against::Answers| Ok(vec![("lowest cosine", proof::cosines(&vectors, theirs)?)]);
    let threads = ["--threads".to_owned(), common.threads.to_string()];
    Ok(Comparison {
        bench,
        peer: "",
        what: String::new(),
        script: "",
        ours: [&["--model".to_owned(), super::argument(folder)][..], &threads].concat(),
        job: fields([
            ("model", json!(super::argument(folder))),
            ("texts", json!(super::argument(&path))),
            ("max_length", json!(model.encoder.max_length)),
        ]),
        axes: vec![against::threads(common.threads)],
        trial: against::Fields::new(),
        variant: None,
        prove: Box::new(prove),
    })
}

/// Exports the model and makes ONNX Runtime the peer.
pub(super) fn onnx_runtime(comparison: &mut Comparison, place: &Place, folder: &Path) -> Result<()> {
    let exported = place.prepare("onnxruntime_export.py", &[folder, place.work()])?;
    let graphs = exported["graphs"].as_array().cloned().unwrap_or_default();
    comparison.peer = "onnxruntime";
    comparison.script = "onnxruntime_texts.py";
    comparison.job.insert("graphs".into(), json!(super::argument(place.work())));
    // The optimised graph first: it is usually the faster.
    let values = graphs.into_iter().rev().collect();
    comparison.axes.push(Axis { field: "graph", values });
    Ok(())
}
