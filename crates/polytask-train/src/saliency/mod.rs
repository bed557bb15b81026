//! A look at a model's saliencies, taken as the model predicts (no dropout, running statistics, routes as learned): how
//! much each task's loss hangs on the shared states, whether positions belong to tasks, whether tasks look at samples
//! alike, and what the spectra of the weights say.

mod gather;
mod spectrum;

use std::path::Path;

use polytask_core::saliency::{SALIENCY_VERSION, SaliencyReport};
use polytask_core::{Problem, Split, Suite};
use polytask_data::{Dataset, Rows};
use polytask_nn::encoder::Encoder;
use polytask_nn::{Block, Mode};

use crate::Result;
use crate::assemble::{Draw, StepBatch, assemble};
use crate::engine::{Engine, Weights};
use crate::heads::TaskHead;
use crate::judge;
use crate::model::Model;
use crate::observe::{Event, Observer};
use crate::prepare::prepare;
use gather::Gathered;

/// Rows of a source read together.
const BATCH: usize = 32;

/// Rows of sources that are read together: (source, rows).
type Draws = Vec<(usize, Vec<u32>)>;

/// What is read.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// The split.
    pub split: Split,
    /// Most rows per source, spread evenly over it.
    pub rows: usize,
}

/// A model and the data its saliencies are taken on.
struct Subject {
    suite: Suite,
    dataset: Dataset,
    encoder: Encoder,
    heads: Vec<TaskHead>,
    blocks: Vec<Block>,
    trained: bool,
}

/// The saliencies of a trained model on the suite's data.
pub fn of_model(
    mut suite: Suite,
    model: &Path,
    wanted: Wanted,
    observer: &mut dyn Observer,
) -> Result<SaliencyReport> {
    let model = Model::load(model)?;
    judge::adopt_labels(&mut suite, &model)?;
    observer.event(Event::Note("reading and tokenising the data"));
    let mut dataset = polytask_data::build(&suite, &model.symbols)?;
    judge::adopt_scales(&mut dataset, &model)?;
    let block = |name: &str| Ok(model.task(name)?.block.clone());
    let blocks = suite.tasks.iter().map(|task| block(&task.name)).collect::<Result<_>>()?;
    Subject::new(suite, dataset, model.encoder, Some(blocks))?.report(wanted, observer)
}

/// The saliencies of a suite's encoder as it is loaded, with fresh heads.
pub fn of_suite(suite: Suite, wanted: Wanted, observer: &mut dyn Observer) -> Result<SaliencyReport> {
    let prepared = prepare(suite, observer)?;
    Subject::new(prepared.suite, prepared.dataset, prepared.encoder, None)?.report(wanted, observer)
}

impl Subject {
    fn new(suite: Suite, dataset: Dataset, encoder: Encoder, blocks: Option<Vec<Block>>) -> Result<Self> {
        let d_hidden = encoder.trunk.d_hidden();
        let d_in = encoder.pooling.width(&*encoder.trunk);
        let mut heads = TaskHead::all(&suite, &dataset, &encoder.params, d_in, d_hidden)?;
        heads.iter_mut().for_each(|head| head.view = encoder.view_of(&head.name).unwrap_or(0));
        let trained = blocks.is_some();
        let fresh = || heads.iter().map(|head| head.block(suite.seed)).collect();
        let blocks = blocks.unwrap_or_else(fresh);
        Ok(Self { suite, dataset, encoder, heads, blocks, trained })
    }

    fn report(&self, wanted: Wanted, observer: &mut dyn Observer) -> Result<SaliencyReport> {
        let gathered = self.gather(wanted, observer)?;
        let names: Vec<&str> = self.heads.iter().map(|head| head.name.as_str()).collect();
        let blocks = self.encoder.params.blocks.iter().chain(&self.blocks);
        observer.event(Event::Note("spectra of the weights"));
        Ok(SaliencyReport {
            version: SALIENCY_VERSION,
            name: self.suite.name.clone(),
            trained: self.trained,
            split: wanted.split.name().into(),
            spectra: blocks.flat_map(spectrum::spectra).collect(),
            ..gathered.report(&names)
        })
    }

    /// Goes through the split, batch by batch.
    fn gather(&self, wanted: Wanted, observer: &mut dyn Observer) -> Result<Gathered> {
        let trainable = vec![true; self.encoder.params.blocks.len()];
        let engine = self.engine(&trainable);
        let mut gathered = Gathered::new(&self.suite.train.regularizer, self.heads.len());
        let draws = self.draws(wanted)?;
        observer.event(Event::Phase { name: "saliency", total: draws.len() as u64, done: 0 });
        for (i, draw) in draws.iter().enumerate() {
            let batch = self.batch(draw, wanted.split);
            let weights = Weights { trunk: &self.encoder.params, heads: &self.blocks };
            // The model as it predicts; the backward ends at the trunk's states, so nothing is saved.
            let evaluation = engine.evaluate_in(Mode::EVAL, weights, &batch)?;
            gathered.add(&engine, &batch, evaluation);
            let tokens = batch.packed.n_rows();
            observer.event(Event::Step { done: i as u64 + 1, losses: &[], lr: 0.0, tokens, observed: &[] });
        }
        observer.event(Event::Done);
        Ok(gathered)
    }

    fn engine<'a>(&'a self, trainable: &'a [bool]) -> Engine<'a> {
        Engine {
            dataset: &self.dataset,
            trunk: &*self.encoder.trunk,
            pooling: &self.encoder.pooling,
            heads: &self.heads,
            trainable,
            cache: None,
            dropout: 0.0,
            seed: self.suite.seed,
            recompute: false,
        }
    }

    /// The rows read, batch by batch: (source, rows) of every source, as a training's steps have them.
    fn draws(&self, wanted: Wanted) -> Result<Vec<Draws>> {
        let sources = &self.dataset.sources;
        let n_rows = |source: usize| sources[source].splits.get(&wanted.split).map_or(0, Rows::len);
        let rows: Vec<Vec<u32>> =
            (0..sources.len()).map(|source| spread(n_rows(source), wanted.rows).collect()).collect();
        let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
        if longest == 0 {
            let what = format!("suite `{}` has no rows in split {}", self.suite.name, wanted.split.name());
            return Err(Problem::new(what).try_this("`--split train`").into());
        }
        let batch = |k: usize| {
            let chunks = rows.iter().enumerate().map(|(source, rows)| (source, rows.chunks(BATCH).nth(k)));
            chunks.filter_map(|(source, chunk)| Some((source, chunk?.to_vec()))).collect()
        };
        Ok((0..longest.div_ceil(BATCH)).map(batch).collect())
    }

    fn batch(&self, draws: &[(usize, Vec<u32>)], split: Split) -> StepBatch {
        let views: Vec<_> =
            self.heads.iter().enumerate().map(|(i, head)| head.view(i, &self.dataset)).collect();
        let free = Draw { seed: self.suite.seed, step: 0 };
        assemble(&self.dataset, &views, split, draws, free, &*self.encoder.trunk)
    }
}

/// At most `most` of `n` rows, evenly spaced.
fn spread(n: usize, most: usize) -> impl Iterator<Item = u32> {
    let taken = n.min(most);
    (0..taken).map(move |i| (i * n / taken) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_spread_evenly_and_all_are_read_where_they_are_few() {
        assert_eq!(spread(10, 4).collect::<Vec<_>>(), [0, 2, 5, 7]);
        assert_eq!(spread(3, 4).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(spread(0, 4).count(), 0);
    }
}
