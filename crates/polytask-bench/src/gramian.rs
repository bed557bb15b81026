//! `polytask bench gramian`: the gradients of four tasks kept apart, and their inner products.

use anyhow::Result;
use polytask_nn::trunk::sinks;
use polytask_nn::{Cotangent, States};

use super::against::{self, Place, proof};
use super::batch::Batch;
use super::measure::measure;
use super::mixed_step::{self, Figures, compare_steps, describe};
use super::step::Net;
use polytask_terminal::output::Outcome;
use polytask_terminal::suites;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  polytask bench gramian
  polytask bench gramian --against torch

The batch is that of mixed-step. One forward, one backward sweep with a cotangent per task, and the 4 x 4 inner
products of the tasks' gradients over all weights; no optimiser. PyTorch keeps gradients apart by a backward per task:
it gets the fastest of one padded forward for everything, one per task, and two per task. Times are milliseconds,
dropout 0.1.")]
pub(super) struct Args {
    #[command(flatten)]
    step: mixed_step::Args,
}

pub(super) fn run(Args { step: args }: &Args) -> Result<Outcome> {
    suites::set_threads(args.common.threads)?;
    let folder = args.common.folder()?;
    let batch = args.input.batch(&folder)?;
    if args.against.is_some() {
        return compare(args, &batch, &folder);
    }
    let mut work = Work::new(Net::load(&folder)?, &batch);
    let mut number = 0;
    let times = measure(args.runs, 1, || {
        number += 1;
        work.products(0.1, number).map(|_| ())
    })?;
    Figures::new("gramian", &batch, times).print(args.common.json)
}

struct Work {
    net: Net,
    batch: polytask_core::PackedBatch,
    cotangents: Vec<Cotangent>,
    sink: sinks::GramianSink,
}

impl Work {
    fn new(net: Net, batch: &Batch) -> Self {
        let sink = sinks::GramianSink::new(batch.tasks.len(), net.params.blocks.len());
        let cotangents = batch.cotangents(net.trunk.d_hidden());
        Self { batch: batch.packed(), cotangents, sink, net }
    }

    /// The states, and the inner products of all tasks' gradients, `[tasks, tasks]`.
    fn products(&mut self, dropout: f64, step: u64) -> Result<(States, Vec<f64>)> {
        let (states, saved) = self.net.forward(&self.batch, dropout, step)?;
        self.sink.reset();
        self.net.trunk.vjp(&self.net.params, &saved, &self.cotangents, &mut self.sink)?;
        Ok((states, self.sink.total()))
    }
}

fn compare(args: &mixed_step::Args, batch: &Batch, folder: &std::path::Path) -> Result<Outcome> {
    let place = Place::new(&args.options)?;
    let (states, products) = Work::new(Net::load(folder)?, batch).products(0.0, 1)?;
    let width = states.width;
    let prove: against::Prove = Box::new(move |theirs| {
        let cosine = proof::cosines(&states, theirs)?;
        let product = proof::products(&products, theirs)?;
        Ok(vec![("lowest cosine of a state", cosine), ("largest difference of an inner product", product)])
    });
    let work = mixed_step::Work { folder, batch, width, threads: args.common.threads };
    let mut comparison = compare_steps("gramian", &place, &work, prove)?;
    describe(&mut comparison, args, batch, folder);
    comparison.script = "torch_gramian.py";
    against::run(&comparison, &place, &args.options, args.common.json)
}
