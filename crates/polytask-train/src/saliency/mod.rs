//! A look at a model's saliencies, taken as the model predicts (no dropout, running statistics, routes as learned): how
//! much each task's loss hangs on the shared states, whether positions belong to tasks, whether tasks look at samples
//! alike, and what the spectra of the weights say.

mod gather;
mod spectrum;

use std::path::Path;

use polytask_core::saliency::{SALIENCY_VERSION, SaliencyReport};
use polytask_core::{Split, Suite};
use polytask_nn::Mode;

use crate::Result;
use crate::observe::{Event, Observer};
use crate::subject::{Draws, Subject};
use gather::Gathered;

/// Rows of a source read together.
const BATCH: usize = 32;

/// What is read.
#[derive(Debug, Clone, Copy)]
pub struct SaliencyOptions {
    /// The split.
    pub split: Split,
    /// Most rows per source, spread evenly over it.
    pub rows: usize,
}

/// The saliencies of a trained model on the suite's data.
pub fn of_model(
    suite: Suite,
    model: &Path,
    wanted: SaliencyOptions,
    observer: &mut dyn Observer,
) -> Result<SaliencyReport> {
    report(&Subject::of_model(suite, model, observer)?, wanted, observer)
}

/// The saliencies of a suite's encoder as it is loaded, with fresh heads.
pub fn of_suite(
    suite: Suite,
    wanted: SaliencyOptions,
    observer: &mut dyn Observer,
) -> Result<SaliencyReport> {
    report(&Subject::of_suite(suite, observer)?, wanted, observer)
}

fn report(subject: &Subject, wanted: SaliencyOptions, observer: &mut dyn Observer) -> Result<SaliencyReport> {
    let gathered = gather(subject, wanted, observer)?;
    let blocks = subject.encoder.params.blocks.iter().chain(&subject.blocks);
    observer.event(Event::Note("spectra of the weights"));
    Ok(SaliencyReport {
        version: SALIENCY_VERSION,
        name: subject.suite.name.clone(),
        trained: subject.trained,
        split: wanted.split.name().into(),
        spectra: blocks.flat_map(spectrum::spectra).collect(),
        ..gathered.report(&subject.names())
    })
}

/// Goes through the split, batch by batch.
fn gather(subject: &Subject, wanted: SaliencyOptions, observer: &mut dyn Observer) -> Result<Gathered> {
    let trainable = vec![true; subject.encoder.params.blocks.len()];
    let engine = subject.engine(&trainable);
    let mut gathered = Gathered::new(&subject.suite.train.regularizer, subject.heads.len());
    let draws = draws(&subject.rows(wanted.split, wanted.rows)?);
    observer.event(Event::Phase { name: "saliency", total: draws.len() as u64, done: 0 });
    for (i, draw) in draws.iter().enumerate() {
        let batch = subject.batch(draw, wanted.split);
        // The model as it predicts; the backward ends at the trunk's states, so nothing is saved.
        let evaluation = engine.evaluate_in(Mode::EVAL, subject.weights(), &batch)?;
        gathered.add(&engine, &batch, evaluation);
        let tokens = batch.packed.n_rows();
        observer.event(Event::Step { done: i as u64 + 1, losses: &[], lr: 0.0, tokens, observed: &[] });
    }
    observer.event(Event::Done);
    Ok(gathered)
}

/// The rows read, batch by batch: (source, rows) of every source, as a training's steps have them.
fn draws(rows: &[Vec<u32>]) -> Vec<Draws> {
    let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
    let batch = |k: usize| {
        let chunks = rows.iter().enumerate().map(|(source, rows)| (source, rows.chunks(BATCH).nth(k)));
        chunks.filter_map(|(source, chunk)| Some((source, chunk?.to_vec()))).collect()
    };
    (0..longest.div_ceil(BATCH)).map(batch).collect()
}
