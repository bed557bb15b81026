//! `polytask bench`: our figures on this machine, as medians of several runs.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use polytask_core::{PackedBatch, Purpose, Rng};
use polytask_nn::optim::{AdamW, Moments};
use polytask_nn::trunk::{BertConfig, Packed, bert, sinks};
use polytask_nn::{Cotangent, Mode, Params, Trunk};
use polytask_train::model::Model;
use serde::Serialize;

use crate::output::{self, Outcome};
use crate::suites;

/// Measure training and embedding speed on this machine
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask bench train-step --batch 32 --length 64 --json
  polytask bench embed --json

Times are whole steps or whole embedding passes in milliseconds: median, smallest and largest of the runs after
one warm-up. Compare only runs made in turn on a quiet machine.

Exit codes: 0 done, 2 could not run.")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Forward, backward and AdamW of an encoder of MiniLM's shape, all weights trained, dropout 0.1
    TrainStep(StepArgs),
    /// Texts to vectors, tokenisation included, on three mixes of lengths
    Embed(EmbedArgs),
}

#[derive(Debug, clap::Args)]
struct StepArgs {
    /// Sequences per step
    #[arg(long, default_value_t = 32, value_parser = super::count)]
    batch: usize,
    /// Tokens per sequence
    #[arg(long, default_value_t = 64, value_parser = super::count)]
    length: usize,
    /// Steps measured
    #[arg(long, default_value_t = 7, value_parser = super::count)]
    runs: usize,
    /// Worker threads; 0 means all cores
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct EmbedArgs {
    /// Folder of a model; all-MiniLM-L6-v2 from the cache otherwise
    #[arg(long)]
    model: Option<PathBuf>,
    /// Texts per mix
    #[arg(long, default_value_t = 512, value_parser = super::count)]
    texts: usize,
    /// Passes measured
    #[arg(long, default_value_t = 5, value_parser = super::count)]
    runs: usize,
    /// Worker threads; 0 means all cores
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Times of repeated runs.
#[derive(Debug, Serialize)]
struct Times {
    median_ms: f64,
    min_ms: f64,
    max_ms: f64,
    runs: usize,
}

#[derive(Debug, Serialize)]
struct StepFigures {
    bench: &'static str,
    batch: usize,
    length: usize,
    parameters: usize,
    #[serde(flatten)]
    times: Times,
    threads: usize,
    precision: &'static str,
    peak_rss_mb: f64,
}

#[derive(Debug, Serialize)]
struct MixFigures {
    mix: &'static str,
    texts: usize,
    tokens: usize,
    texts_per_s: f64,
    tokens_per_s: f64,
    #[serde(flatten)]
    times: Times,
}

#[derive(Debug, Serialize)]
struct EmbedFigures {
    bench: &'static str,
    /// Of all mixes, one after the other.
    #[serde(flatten)]
    times: Times,
    mixes: Vec<MixFigures>,
    threads: usize,
    precision: &'static str,
    peak_rss_mb: f64,
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    match &args.what {
        What::TrainStep(args) => train_step(args),
        What::Embed(args) => embed(args),
    }
}

fn train_step(args: &StepArgs) -> Result<Outcome> {
    suites::set_threads(args.threads)?;
    let config = BertConfig::mini_lm();
    let most = config.max_position_embeddings;
    if args.length > most {
        return output::refuse(
            format!("--length is {}, expected at most {most}", args.length),
            "a shorter length",
        );
    }
    let mut step = TrainStep::new(&config, args.batch, args.length)?;
    let mut number = 0;
    let times = Times::of(measure(args.runs, || {
        number += 1;
        step.run(number)
    })?);
    let figures = StepFigures {
        bench: "train-step",
        batch: args.batch,
        length: args.length,
        parameters: step.params.len(),
        times,
        threads: rayon::current_num_threads(),
        precision: "f32",
        peak_rss_mb: peak_rss_mb(),
    };
    if args.json {
        output::json(&figures)?;
    } else {
        let t = &figures.times;
        output::line(format!(
            "train step, {} x {} tokens, {:.1} M weights, {} threads: {:.1} ms (from {:.1} to {:.1}, {} runs), peak memory {:.0} MiB",
            args.batch,
            args.length,
            figures.parameters as f64 / 1e6,
            figures.threads,
            t.median_ms,
            t.min_ms,
            t.max_ms,
            t.runs,
            figures.peak_rss_mb
        ))?;
    }
    Ok(Outcome::Done)
}

/// A training step of the bare encoder; the loss is the mean square of its states.
struct TrainStep {
    trunk: Packed,
    params: Params,
    moments: Vec<Moments>,
    batch: PackedBatch,
    sum: sinks::Sum,
}

impl TrainStep {
    fn new(config: &BertConfig, batch: usize, length: usize) -> Result<Self> {
        let mut rng = Rng::new(1, Purpose::Bench, &[]);
        let mut sequence =
            || -> Vec<u32> { (0..length).map(|_| rng.below(config.vocab_size) as u32).collect() };
        let batch = PackedBatch::pack((0..batch).map(|_| sequence()));
        let params: Params = bert::init(config, 1);
        let moments = params.blocks.iter().map(|block| Moments::zeros(block.values.len())).collect();
        let sum = sinks::Sum::new(&params, &[1.0]);
        Ok(Self { trunk: Packed::new(config.clone())?, params, moments, batch, sum })
    }

    fn run(&mut self, step: u64) -> Result<()> {
        let mode = Mode { dropout: 0.1, seed: 1, step, save: true, lowest: 0 };
        let (states, saved) = self.trunk.forward(&self.params, &self.batch, mode)?;
        let scale = 2.0 / states.values.len() as f32;
        let values = states.values.iter().map(|v| v * scale).collect();
        let sequences = (0..self.batch.n_sequences() as u32).collect();
        self.sum.reset(&[1.0]);
        let cotangent = Cotangent { task: 0, sequences, values, lowest: 0 };
        self.trunk.vjp(&self.params, &saved, &[cotangent], &mut self.sum)?;
        let adamw = AdamW { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.01 };
        for (i, (block, moments)) in self.params.blocks.iter_mut().zip(&mut self.moments).enumerate() {
            let gradient = self.sum.gradient(i).expect("the one cotangent reaches every block");
            adamw.step(block, gradient, moments, step, 1e-5);
        }
        Ok(())
    }
}

/// Words per text: shortest and longest of each mix.
const MIXES: [(&str, usize, usize); 3] = [("short", 3, 12), ("long", 60, 100), ("mixed", 3, 100)];

fn embed(args: &EmbedArgs) -> Result<Outcome> {
    suites::set_threads(args.threads)?;
    let folder = match &args.model {
        Some(folder) => folder.clone(),
        None => {
            polytask_data::pull::pull(
                "all-MiniLM-L6-v2",
                &polytask_data::pull::PullOptions::from_environment(),
            )?
            .folder
        }
    };
    let model = Model::load(&folder)?;
    let (mixes, passes): (Vec<MixFigures>, Vec<Vec<f64>>) =
        MIXES.iter().map(|mix| embed_mix(&model, args, mix)).collect::<Result<_>>()?;
    let times = Times::of((0..args.runs).map(|run| passes.iter().map(|pass| pass[run]).sum()).collect());
    let threads = rayon::current_num_threads();
    let figures =
        EmbedFigures { bench: "embed", times, mixes, threads, precision: "f32", peak_rss_mb: peak_rss_mb() };
    if args.json {
        output::json(&figures)?;
        return Ok(Outcome::Done);
    }
    for mix in &figures.mixes {
        let t = &mix.times;
        output::line(format!(
            "embed {:<6} {:>8.1} texts/s {:>9.0} tokens/s: {:.1} ms (from {:.1} to {:.1}, {} runs)",
            mix.mix, mix.texts_per_s, mix.tokens_per_s, t.median_ms, t.min_ms, t.max_ms, t.runs
        ))?;
    }
    output::line(format!("{} threads, peak memory {:.0} MiB", figures.threads, figures.peak_rss_mb))?;
    Ok(Outcome::Done)
}

fn embed_mix(
    model: &Model,
    args: &EmbedArgs,
    &(mix, shortest, longest): &(&'static str, usize, usize),
) -> Result<(MixFigures, Vec<f64>)> {
    let texts = texts(args.texts, shortest, longest);
    let tokens = model.tokenizer.encode_batch(&texts)?.iter().map(Vec::len).sum();
    let passes = measure(args.runs, || {
        let _: () = drop(model.embed(&texts)?);
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

/// Common words, so that a word is about a token.
const WORDS: &[&str] = &[
    "the", "card", "has", "not", "arrived", "yet", "please", "tell", "me", "how", "to", "find", "a", "good",
    "engineer", "for", "water", "systems", "in", "city", "people", "play", "music", "near", "river", "while",
    "children", "run", "across", "green", "field", "under", "bright", "sun", "and", "watch", "small",
    "boats", "move", "slowly",
];

fn texts(n: usize, shortest: usize, longest: usize) -> Vec<String> {
    let mut rng = Rng::new(2, Purpose::Bench, &[shortest as u64, longest as u64]);
    let mut text = || {
        let words = shortest + rng.below(longest - shortest + 1);
        (0..words).map(|_| WORDS[rng.below(WORDS.len())]).collect::<Vec<_>>().join(" ")
    };
    (0..n).map(|_| text()).collect()
}

/// Milliseconds of each of `runs` calls after one that is not counted.
fn measure(runs: usize, mut work: impl FnMut() -> Result<()>) -> Result<Vec<f64>> {
    work()?;
    let mut timed = || {
        let start = Instant::now();
        work()?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    (0..runs).map(|_| timed()).collect()
}

impl Times {
    /// Of at least one run.
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        let middle = times.len() / 2;
        let median = if times.len() % 2 == 1 {
            times[middle]
        } else {
            f64::midpoint(times[middle - 1], times[middle])
        };
        Self { median_ms: median, min_ms: times[0], max_ms: times[times.len() - 1], runs: times.len() }
    }
}

/// Largest resident memory of this process so far, in MiB; 0 where the system does not say.
#[allow(unsafe_code)]
fn peak_rss_mb() -> f64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` is a writable rusage, which is all getrusage asks for; zeroed is a valid value of it.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let unit = if cfg!(target_os = "macos") { 1.0 } else { 1024.0 };
    usage.ru_maxrss as f64 * unit / (1 << 20) as f64
}
