//! `polytask bench`: our figures on this machine, and those of peers beside them.
//!
//! Each bench is one file; a peer of a bench is one script under `peers/` and one `against::Comparison` in the
//! bench's file.
//!
//! | bench | measures | peers |
//! | --- | --- | --- |
//! | `train_step` | forward, backward, AdamW on equal lengths | torch |
//! | `mixed_step` | the same on the lengths of the demo's four tasks | torch |
//! | `gramian` | four task gradients kept apart, their inner products | torch |
//! | `conflict` | steps of conflict methods on eight tasks | torchjd |
//! | `conv_step` | forward, backward, AdamW of an image network | torch |
//! | `layers` | every layer of a training step, and its bare product | |
//! | `embed` | texts to vectors, three mixes of lengths | sentence-transformers, onnxruntime |
//! | `latency` | one short text, warm | onnxruntime |
//! | `search` | rows of vectors or words, built and asked | faiss, hnswlib, bm25s |
//! | `passages` | documents cut by topics and by windows: what is found | |
//! | `boost` | trees for four targets of a table | lightgbm, xgboost |
//! | `merge` | three checkpoints become one | mergekit |
//! | `start` | process start to first vector | |
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod against;
mod batch;
mod boost;
mod conflict;
mod conv_step;
mod embed;
mod gramian;
mod latency;
mod layers;
mod leftovers;
mod measure;
mod merge;
mod mixed_step;
mod passages;
mod search;
mod start;
mod step;
mod texts;
mod train_step;

use std::path::{Path, PathBuf};

use anyhow::Result;
use polytask_data::pull::{self, PullOptions};

use polytask_terminal::output::Outcome;

/// Measure training and embedding speed on this machine, alone or beside a peer
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask bench train-step --batch 32 --length 64 --json
  polytask bench train-step --length 128 --against torch
  polytask bench mixed-step --against torch
  polytask bench gramian --against torch
  polytask bench conflict --against torchjd
  polytask bench conv-step --net resnet18 --against torch
  polytask bench layers --model encoders/mpnet-base
  polytask bench embed --against sentence-transformers
  polytask bench embed --against onnxruntime --python venv/bin/python
  polytask bench latency --against onnxruntime
  polytask bench search --against faiss
  polytask bench passages --data data/
  polytask bench boost --against lightgbm
  polytask bench merge --against mergekit
  polytask bench start

Times are in milliseconds, memory is the largest resident set of the process in MiB. Alone, a bench prints the
median, smallest and largest of its runs after a warm-up.

With --against, a virtual environment with pinned versions is made once in polytask's cache (several GB; or --python
names one), both sides prove that they compute the same, the peer gets the faster of its settings, and both run in
turn, each in a process of its own. The table's figures are the median, smallest and largest of the rounds' medians;
ratio is peer / polytask: above 1 polytask is faster, or needs less memory.

Exit codes: 0 done, 2 could not run.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Forward, backward and AdamW of an encoder of MiniLM's shape, all weights trained, dropout 0.1
    TrainStep(train_step::Args),
    /// A training step on real lengths: 32 examples of each of the demo's four tasks
    MixedStep(mixed_step::Args),
    /// Inner products of the four tasks' gradients on the batch of mixed-step, no optimiser
    Gramian(gramian::Args),
    /// Steps of conflict methods beside the plain step: what it costs to keep task gradients apart
    Conflict(conflict::Args),
    /// A training step of an image network
    ConvStep(conv_step::Args),
    /// Where the time of a training step goes, layer by layer
    Layers(layers::Args),
    /// Texts to vectors, tokenisation included, on three mixes of lengths
    Embed(embed::Args),
    /// One short text to its vector, warm, tokenisation included
    Latency(latency::Args),
    /// Rows of vectors or words: an index built, and asked
    Search(search::Args),
    /// Documents cut where topics change, beside windows of a fixed size: what is found of the answers
    Passages(passages::Args),
    /// Boosted trees for several targets of a table
    Boost(boost::Args),
    /// Three checkpoints of one base merged, from files to files
    Merge(merge::Args),
    /// Process start to the first vector on disk
    Start(start::Args),
}

/// Runs a bench.
///
/// # Errors
/// What failed, and what to try.
pub fn run(args: &Args) -> Result<Outcome> {
    match &args.what {
        What::TrainStep(args) => train_step::run(args),
        What::MixedStep(args) => mixed_step::run(args),
        What::Gramian(args) => gramian::run(args),
        What::Conflict(args) => conflict::run(args),
        What::ConvStep(args) => conv_step::run(args),
        What::Layers(args) => layers::run(args),
        What::Embed(args) => embed::run(args),
        What::Latency(args) => latency::run(args),
        What::Search(args) => search::run(args),
        What::Passages(args) => passages::run(args),
        What::Boost(args) => boost::run(args),
        What::Merge(args) => merge::run(args),
        What::Start(args) => start::run(args),
    }
}

/// What every bench takes.
#[derive(Debug, Clone, clap::Args)]
struct Common {
    /// Folder of a model; all-MiniLM-L6-v2 from the cache otherwise
    #[arg(long)]
    model: Option<PathBuf>,
    /// Worker threads; 0 means all cores
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Common {
    /// The folder of the model, fetched when it is nowhere here.
    fn folder(&self) -> Result<PathBuf> {
        match &self.model {
            Some(folder) => Ok(folder.clone()),
            None => Ok(pull::pull("all-MiniLM-L6-v2", &PullOptions::from_environment())?.folder),
        }
    }
}

/// A path as an argument of a process.
fn argument(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
