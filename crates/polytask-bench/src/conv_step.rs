//! `polytask bench conv-step`: a training step of an image network.

use anyhow::Result;
use polytask_core::image::ImageSize;
use polytask_core::{PackedBatch, Purpose, Rng, atomic};
use polytask_nn::trunk::{ImageConfig, NetConfig, NetTrunk};
use polytask_nn::{Cotangent, Params, Trunk};
use serde::Serialize;
use serde_json::json;

use super::against::{self, Axis, Comparison, Place, fields, proof};
use super::measure::{Process, Times, measure};
use super::mixed_step::compile;
use super::step::{Net, Step};
use polytask_terminal::output::{self, Outcome};
use polytask_terminal::suites;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask bench conv-step --net lenet --json
  polytask bench conv-step --net resnet18 --runs 3 --against torch

Random grey images, fresh weights, batch norms in training mode; the loss is the mean of the states times a fixed
target. PyTorch gets its fused AdamW and the faster of its two memory layouts. Times are whole steps in milliseconds.")]
pub(super) struct Args {
    /// The network
    #[arg(long, default_value = "lenet", value_parser = ["convnet", "lenet", "lenet-maps", "resnet18"])]
    net: String,
    /// Images per step
    #[arg(long, default_value_t = 128, value_parser = polytask_terminal::count)]
    batch: usize,
    /// Rows and columns of an image
    #[arg(long, default_value_t = 36, value_parser = polytask_terminal::count)]
    side: usize,
    /// Steps measured (in each round, with --against)
    #[arg(long, default_value_t = 7, value_parser = polytask_terminal::count)]
    runs: usize,
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
struct Figures<'a> {
    bench: &'static str,
    net: &'a str,
    batch: usize,
    side: usize,
    parameters: usize,
    #[serde(flatten)]
    times: Times,
    #[serde(flatten)]
    process: Process,
}

/// A network, images, and the target of its states.
struct Work {
    trunk: NetTrunk,
    params: Params,
    images: PackedBatch,
    /// Values of the states that the mean is taken over, `[rows, width]`.
    target: Vec<f32>,
}

impl Work {
    fn new(args: &Args) -> Result<Self> {
        let size = ImageSize { channels: 1, height: args.side, width: args.side };
        let trunk = NetTrunk::new(NetConfig::Image(ImageConfig::new(&args.net, size)).checked()?)?;
        let mut rng = Rng::new(1, Purpose::Bench, &[]);
        let mut image = || (0..size.len()).map(|_| rng.below(256) as u32).collect::<Vec<_>>();
        let images = PackedBatch::pack((0..args.batch).map(|_| image()));
        let n = trunk.layout(&images).n_rows() * trunk.d_hidden();
        let mut rng = Rng::new(2, Purpose::Bench, &[]);
        let target = (0..n).map(|_| (2.0 * rng.uniform() - 1.0) as f32).collect();
        Ok(Self { params: trunk.init(1), trunk, images, target })
    }

    fn step(self) -> Step {
        let n = self.target.len() as f32;
        let cotangent = Cotangent {
            task: 0,
            sequences: (0..self.images.n_sequences() as u32).collect(),
            values: self.target.into_iter().map(|v| v / n).collect::<Vec<_>>().into(),
            lowest: 0,
        };
        let net =
            Net { trunk: std::sync::Arc::new(self.trunk), params: self.params, recompute: false, lowest: 0 };
        Step::on(net, self.images, cotangent)
    }
}

pub(super) fn run(args: &Args) -> Result<Outcome> {
    suites::set_threads(args.threads)?;
    if args.against.is_some() { compare(args) } else { alone(args) }
}

fn alone(args: &Args) -> Result<Outcome> {
    let work = Work::new(args)?;
    let parameters = work.params.len();
    let mut step = work.step();
    let mut number = 0;
    let times = Times::of(measure(args.runs, 1, || {
        number += 1;
        step.run(number)
    })?);
    let (net, process) = (args.net.as_str(), Process::now());
    let Args { batch, side, .. } = *args;
    let figures = Figures { bench: "conv-step", net, batch, side, parameters, times, process };
    if args.json {
        output::json(&figures)?;
        return Ok(Outcome::Done);
    }
    let (millions, times, process) = (parameters as f64 / 1e6, &figures.times, &figures.process);
    output::line(format!("{}, {millions:.2} M weights: {times}, {process}", args.size()))?;
    Ok(Outcome::Done)
}

impl Args {
    /// The work in words.
    fn size(&self) -> String {
        format!("conv step, {}, {} images of {2} x {2}", self.net, self.batch, self.side)
    }
}

fn compare(args: &Args) -> Result<Outcome> {
    let place = Place::new(&args.options)?;
    let work = Work::new(args)?;
    let file = |name: &str, values: Vec<f32>| -> Result<String> {
        let path = place.work().join(name);
        atomic::write(&path, &values.into_iter().flat_map(f32::to_le_bytes).collect::<Vec<u8>>())?;
        Ok(super::argument(&path))
    };
    let weights = work.params.blocks.iter().flat_map(|block| block.values.iter().copied()).collect();
    let images = work.images.ids.iter().map(|&pixel| pixel as f32 / 255.0).collect();
    let job = fields([
        ("net", json!(args.net)),
        ("batch", json!(args.batch)),
        ("side", json!(args.side)),
        ("weights", json!(file("weights.f32", weights)?)),
        ("images", json!(file("images.f32", images)?)),
        ("target", json!(file("target.f32", work.target.clone())?)),
        ("runs", json!(args.runs)),
        ("warmup", json!(2)),
    ]);
    let (states, norms) = work.step().answers()?;
    let comparison = Comparison {
        bench: "conv-step",
        peer: "torch",
        what: args.size(),
        script: "torch_images.py",
        ours: ["--net".to_owned(), args.net.clone()]
            .into_iter()
            .chain(
                ["--batch", "--side", "--runs", "--threads"]
                    .into_iter()
                    .zip([args.batch, args.side, args.runs, args.threads])
                    .flat_map(|(name, value)| [name.to_owned(), value.to_string()]),
            )
            .collect(),
        job,
        axes: vec![Axis::names("memory", &["contiguous", "channels-last"]), against::threads(args.threads)],
        trial: fields([("runs", json!(2)), ("warmup", json!(1))]),
        variant: compile(),
        prove: Box::new(move |theirs| {
            let cosine = proof::cosines(&states, theirs)?;
            let norm = proof::norms(&norms, theirs)?;
            Ok(vec![("lowest cosine of a state", cosine), ("largest difference of a gradient norm", norm)])
        }),
    };
    against::run(&comparison, &place, &args.options, args.json)
}
