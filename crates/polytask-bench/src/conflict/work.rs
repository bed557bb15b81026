//! The work of a conflict bench: trainings whose steps are timed, one backward by itself, answers to be compared.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result};
use polytask_core::method::Choice;
use polytask_core::suite::GradientSpace;
use polytask_core::{Split, atomic};
use polytask_methods::experiment::Clock;
use polytask_nn::objective::Target;
use polytask_nn::trunk::sinks;
use polytask_nn::{Params, States, optim};
use polytask_train::assemble::{Draw, StepBatch, assemble};
use polytask_train::engine::{Engine, Evaluation, Weights, empty_sum};
use polytask_train::observe::Silent;
use polytask_train::prepare::prepare;
use polytask_train::probe::{Seen, StepProbe};
use polytask_train::run::{Finished, Prepared, train_alone};
use polytask_train::swept::Keeper;
use polytask_weighting::table::{self, Setup};
use serde_json::json;
use tempfile::TempDir;

use super::super::against::{Fields, fields};
use super::super::leftovers;
use super::super::measure::{Times, measure};
use super::figures::{Mix, Round};
use super::{Args, suite};
use polytask_terminal::suites;

/// Steps before the measured ones.
const WARMUP: usize = 2;

/// A suite in a folder that vanishes with it.
pub(super) struct Work {
    folder: TempDir,
    suite: PathBuf,
    n_tasks: usize,
    rows_mb: usize,
    encoder: Option<PathBuf>,
    parameters: usize,
}

/// What our side computes on the weights training starts from.
pub(super) struct Answers {
    /// Where the peer finds weights, inputs and labels.
    pub(super) job: Fields,
    /// The vectors the heads read, `[rows, d]`.
    pub(super) pooled: States,
    /// Inner products of the tasks' gradients of the trunk, `[tasks, tasks]`.
    pub(super) gramian: Vec<f64>,
    /// Norm of each block of `UPGrad`'s update.
    pub(super) norms: Vec<(String, f64)>,
}

impl Work {
    pub(super) fn new(args: &Args) -> Result<Self> {
        let encoder = (args.trunk != "mlp").then(|| args.common.folder()).transpose()?;
        let encoder = encoder.map(std::path::absolute).transpose()?;
        let folder = tempfile::Builder::new().prefix(leftovers::PREFIX).tempdir()?;
        let suite = suite::write(folder.path(), args.tasks, args.batch(), encoder.as_deref())?;
        let mut work =
            Self { folder, suite, n_tasks: args.tasks, rows_mb: args.rows_mb, encoder, parameters: 0 };
        work.parameters = work.prepared(&[])?.encoder.params.len();
        Ok(work)
    }

    /// Parameters of the trunk.
    pub(super) fn parameters(&self) -> usize {
        self.parameters
    }

    /// Whether the gradients of all tasks fit what may be kept.
    pub(super) fn keeps_rows(&self, rows_mb: usize) -> bool {
        self.n_tasks * self.parameters * size_of::<f32>() <= rows_mb.saturating_mul(1 << 20)
    }

    fn prepared(&self, set: &[String]) -> Result<Prepared> {
        Ok(prepare(suites::load(&self.suite, set)?, &mut Silent)?)
    }

    fn tasks(&self) -> Vec<usize> {
        (0..self.n_tasks).collect()
    }

    /// Times some steps of every mix in turn.
    pub(super) fn round(&self, mixes: &[Mix], runs: usize) -> Result<Round> {
        let mut round = Round::default();
        for mix in mixes {
            let (times, backward) = self.time(mix, runs)?;
            round.times.push(times);
            round.backward = backward.or(round.backward);
        }
        Ok(round)
    }

    /// Trains a few steps, each on all rows, and times all but the first; with the plain step also the backward of all
    /// tasks together. Milliseconds.
    fn time(&self, mix: &Mix, runs: usize) -> Result<(Vec<f64>, Option<f64>)> {
        // The time of a step is that between two events, so one more is taken.
        let steps = format!("train.epochs={}", runs + WARMUP + 1);
        let set = [&[steps, format!("train.rows_mb={}", self.rows_mb)], &mix.settings()[..]].concat();
        let (prepared, mut silent) = (self.prepared(&set)?, Silent);
        let mut clock = Clock::new(&mut silent);
        let place = self.folder.path().join("run");
        let look = |finished: &Finished| Ok(mix.is_plain().then(|| one_backward(finished, runs)).transpose());
        let backward = train_alone(&prepared, ("bench", &self.tasks()), &place, &mut clock, look)??;
        Ok((clock.steps().iter().skip(WARMUP).map(|seconds| 1e3 * seconds).collect(), backward))
    }

    /// Writes weights, inputs and labels to `place` and computes what the peer must find too.
    pub(super) fn answers(&self, place: &Path) -> Result<Answers> {
        // So small a rate leaves the weights as they are.
        let prepared = self.prepared(&["train.lr=1e-30".to_owned(), "train.weight_decay=0.0".to_owned()])?;
        let run = self.folder.path().join("run");
        let look = |finished: &Finished| Ok(self.answer(finished, place));
        train_alone(&prepared, ("bench", &self.tasks()), &run, &mut Silent, look)?
    }

    fn answer(&self, finished: &Finished, place: &Path) -> Result<Answers> {
        let (engine, weights) = (&finished.engine, finished.weights);
        let batch = whole(engine);
        let evaluation = Rc::new(engine.evaluate(weights, &batch, 1)?);
        let gramian = engine.gramian(weights.trunk, &evaluation, finished.tasks)?;
        let shares = upgrad(finished, &batch, &evaluation)?;
        let mut sum = empty_sum(weights.trunk, &evaluation);
        let pair = (finished.tasks, &shares[..]);
        engine.weighted_sum(weights.trunk, &batch, &evaluation, pair, &mut sum)?;
        Ok(Answers {
            job: self.job(&batch, weights, place)?,
            pooled: engine.pooling.forward(&evaluation.forward.states, &batch.layout),
            gramian: gramian.values,
            norms: norms(weights.trunk, &sum)?,
        })
    }

    fn job(&self, batch: &StepBatch, weights: Weights, place: &Path) -> Result<Fields> {
        let floats = |name: &str, values: &mut dyn Iterator<Item = f32>| -> Result<String> {
            let path = place.join(name);
            atomic::write(&path, &values.flat_map(f32::to_le_bytes).collect::<Vec<u8>>())?;
            Ok(super::super::argument(&path))
        };
        let values = |block: &polytask_nn::Block| block.values.clone();
        let heads = floats("heads.f32", &mut weights.heads.iter().flat_map(values))?;
        let labels: Vec<Vec<u32>> = batch.parts.iter().map(labels).collect::<Result<_>>()?;
        let mut job = fields([("heads", json!(heads)), ("labels", json!(labels))]);
        if let Some(folder) = &self.encoder {
            let packed = &batch.packed;
            let sequence = |s| packed.ids[packed.rows(s)].to_vec();
            let sequences: Vec<Vec<u32>> = (0..packed.n_sequences()).map(sequence).collect();
            job.extend(fields([
                ("model", json!(super::super::argument(folder))),
                ("sequences", json!(sequences)),
            ]));
        } else {
            let trunk = floats("trunk.f32", &mut weights.trunk.blocks.iter().flat_map(values))?;
            let pixels = &mut batch.packed.ids.iter().map(|&pixel| pixel as f32 / 255.0);
            job.extend(fields([("weights", json!(trunk)), ("images", json!(floats("images.f32", pixels)?))]));
        }
        Ok(job)
    }
}

/// `UPGrad`'s weights.
fn upgrad(finished: &Finished, batch: &StepBatch, evaluation: &Rc<Evaluation>) -> Result<Vec<f64>> {
    let names: Vec<&str> = finished.engine.heads.iter().map(|head| head.name.as_str()).collect();
    let mut method = table::make(&Choice::named("upgrad"), &Setup::of(&names))?;
    let mut probe = StepProbe {
        engine: &finished.engine,
        weights: finished.weights,
        batches: std::slice::from_ref(batch),
        evaluation: Some(evaluation.clone()),
        tasks: finished.tasks,
        step: 1,
        epoch: 0,
        lr: 1e-5,
        space: GradientSpace::Full,
        seen: Seen::default(),
        keeper: Keeper::default(),
    };
    let update = method.update(&mut probe)?;
    Ok(update.trunk.weights().context("UPGrad gave no weights")?.to_vec())
}

/// All train rows as one batch.
fn whole(engine: &Engine) -> StepBatch {
    let views: Vec<_> = engine.heads.iter().enumerate().map(|(i, h)| h.view(i, engine.dataset)).collect();
    let n = engine.dataset.sources[0].splits[&Split::Train].len();
    let draws = [(0, (0..n as u32).collect())];
    assemble(engine.dataset, &views, Split::Train, &draws, Draw { seed: 1, step: 0 }, engine.trunk)
}

/// The label of each sequence.
fn labels(part: &polytask_train::assemble::TaskBatch) -> Result<Vec<u32>> {
    let Target::Label(of_rows) = &part.target else { anyhow::bail!("a task of the bench has no labels") };
    let mut labels = vec![0; part.sequences.len()];
    for (&row, &label) in part.inputs[0].iter().zip(of_rows) {
        *labels.get_mut(row as usize).context("a row of the bench lies outside of its batch")? = label;
    }
    Ok(labels)
}

/// Norm of each block of a gradient.
fn norms(trunk: &Params, sum: &sinks::Sum) -> Result<Vec<(String, f64)>> {
    let norm = |(i, block): (usize, &polytask_nn::Block)| {
        let gradient = sum.gradient(i).with_context(|| format!("block `{}` got no gradient", block.name))?;
        Ok((block.name.clone(), optim::norm(&[gradient])))
    };
    trunk.blocks.iter().enumerate().map(norm).collect()
}

/// Milliseconds of one backward of all tasks together.
fn one_backward(finished: &Finished, runs: usize) -> Result<f64> {
    let (engine, weights) = (&finished.engine, finished.weights);
    let batch = whole(engine);
    let evaluation: Evaluation = engine.evaluate(weights, &batch, 1)?;
    let ones = vec![1.0; finished.tasks.len()];
    let times = measure(runs, WARMUP, || {
        let mut sum = empty_sum(weights.trunk, &evaluation);
        let pair = (finished.tasks, &ones[..]);
        Ok(engine.weighted_sum(weights.trunk, &batch, &evaluation, pair, &mut sum)?)
    })?;
    Ok(Times::of(times).median_ms)
}
