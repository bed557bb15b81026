//! A model and a suite's data: what is looked at when nothing is trained.

use std::path::Path;

use polytask_core::{Problem, Purpose, Rng, Split, Suite};
use polytask_data::{Dataset, Rows, SourceData};
use polytask_nn::Block;
use polytask_nn::encoder::Encoder;

use crate::Result;
use crate::assemble::{Draw, StepBatch, assemble};
use crate::engine::{Engine, Weights};
use crate::heads::TaskHead;
use crate::judge::Asked;
use crate::observe::{Event, Observer};
use crate::prepare::prepare;

/// Rows of sources that are read together: (source, rows).
pub(crate) type Draws = Vec<(usize, Vec<u32>)>;

/// A model and the data it is looked at on.
pub(crate) struct Subject {
    /// The suite.
    pub(crate) suite: Suite,
    /// Its data.
    pub(crate) dataset: Dataset,
    /// The encoder as the tasks share it.
    pub(crate) encoder: Encoder,
    /// Heads of all tasks.
    pub(crate) heads: Vec<TaskHead>,
    /// Their parameters.
    pub(crate) blocks: Vec<Block>,
    /// Whether the weights are trained.
    pub(crate) trained: bool,
}

impl Subject {
    /// A trained model on the suite's data.
    pub(crate) fn of_model(suite: Suite, model: &Path, observer: &mut dyn Observer) -> Result<Self> {
        observer.event(Event::Note("reading and tokenising the data"));
        let Asked { suite, dataset, model } = Asked::read(suite, model)?;
        let block = |name: &str| Ok(model.task(name)?.block.clone());
        let blocks = suite.tasks.iter().map(|task| block(&task.name)).collect::<Result<_>>()?;
        Self::new(suite, dataset, model.encoder, Some(blocks))
    }

    /// A suite's encoder as it is loaded, with fresh heads.
    pub(crate) fn of_suite(suite: Suite, observer: &mut dyn Observer) -> Result<Self> {
        let prepared = prepare(suite, observer)?;
        Self::new(prepared.suite, prepared.dataset, prepared.encoder, None)
    }

    fn new(suite: Suite, dataset: Dataset, encoder: Encoder, blocks: Option<Vec<Block>>) -> Result<Self> {
        let mut heads = TaskHead::all(&suite, &dataset, &encoder)?;
        heads.iter_mut().for_each(|head| head.view = encoder.view_of(&head.name).unwrap_or(0));
        let trained = blocks.is_some();
        let fresh = || heads.iter().map(|head| head.block(suite.seed)).collect();
        let blocks = blocks.unwrap_or_else(fresh);
        Ok(Self { suite, dataset, encoder, heads, blocks, trained })
    }

    /// Names of the tasks.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.heads.iter().map(|head| head.name.as_str()).collect()
    }

    /// Its weights.
    pub(crate) fn weights(&self) -> Weights<'_> {
        Weights { trunk: &self.encoder.params, heads: &self.blocks }
    }

    /// An engine over it, without dropout.
    pub(crate) fn engine<'a>(&'a self, trainable: &'a [bool]) -> Engine<'a> {
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

    /// At most `most` rows of each source, evenly spaced; an error when there are none at all.
    pub(crate) fn rows(&self, split: Split, most: usize) -> Result<Vec<Vec<u32>>> {
        let n_rows = |source: &SourceData| source.splits.get(&split).map_or(0, Rows::len);
        let sources = self.dataset.sources.iter();
        let rows: Vec<Vec<u32>> = sources.map(|source| spread(n_rows(source), most).collect()).collect();
        if rows.iter().all(Vec::is_empty) {
            let what = format!("suite `{}` has no rows in split {}", self.suite.name, split.name());
            let other = if split == Split::Train { Split::Valid } else { Split::Train };
            return Err(Problem::new(what).try_this(format!("`--split {}`", other.name())).into());
        }
        Ok(rows)
    }

    /// The batch of some rows for all tasks.
    pub(crate) fn batch(&self, draws: &[(usize, Vec<u32>)], split: Split) -> StepBatch {
        let views: Vec<_> =
            self.heads.iter().enumerate().map(|(i, head)| head.view(i, &self.dataset)).collect();
        let free = Draw { seed: self.suite.seed, step: 0 };
        assemble(&self.dataset, &views, split, draws, free, &*self.encoder.trunk)
    }
}

/// Batches of at most `size` rows of each source, drawn without order: the rows of a source may be sorted, or repeat in
/// turns that rows at even distances would meet.
pub(crate) fn draws(rows: Vec<Vec<u32>>, (batches, size): (usize, usize), seed: u64) -> Vec<Draws> {
    let shuffled = |(source, mut rows): (usize, Vec<u32>)| {
        Rng::new(seed, Purpose::Shuffle, &[source as u64]).shuffle(&mut rows);
        rows
    };
    let rows: Vec<Vec<u32>> = rows.into_iter().enumerate().map(shuffled).collect();
    let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
    let batch = |k: usize| {
        let chunks = rows.iter().enumerate().map(|(source, rows)| (source, rows.chunks(size).nth(k)));
        chunks.filter_map(|(source, chunk)| Some((source, chunk?.to_vec()))).collect()
    };
    (0..longest.div_ceil(size).min(batches)).map(batch).collect()
}

/// As [`draws`], where every batch has rows of every source: one with few of them begins anew.
pub(crate) fn even_draws(rows: Vec<Vec<u32>>, (batches, size): (usize, usize), seed: u64) -> Vec<Draws> {
    let longest = rows.iter().map(Vec::len).max().unwrap_or(0).div_ceil(size).min(batches);
    let own = |(source, rows): (usize, Vec<u32>)| {
        let alone = (0..source).map(|_| Vec::new()).chain([rows]).collect();
        draws(alone, (batches, size), seed)
    };
    let of_sources: Vec<Vec<Draws>> = rows.into_iter().enumerate().map(own).collect();
    let with_rows = || of_sources.iter().filter(|draws| !draws.is_empty());
    (0..longest).map(|k| with_rows().flat_map(|draws| draws[k % draws.len()].clone()).collect()).collect()
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
    fn every_even_batch_has_rows_of_every_source() {
        let rows = || vec![(0..160).collect(), Vec::new(), (0..1000).collect::<Vec<u32>>()];
        let all = even_draws(rows(), (100, 16), 3);
        assert_eq!(all.len(), 63);
        for (k, batch) in all.iter().enumerate() {
            assert_eq!(batch.iter().map(|(source, _)| *source).collect::<Vec<_>>(), [0, 2], "batch {k}");
        }
        assert_eq!(all[0][0], all[10][0], "the small one begins anew");
        assert_eq!(all[7][1], draws(rows(), (100, 16), 3)[7][1], "the longest is drawn as ever");
    }

    #[test]
    fn rows_are_spread_evenly_and_all_are_read_where_they_are_few() {
        assert_eq!(spread(10, 4).collect::<Vec<_>>(), [0, 2, 5, 7]);
        assert_eq!(spread(3, 4).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(spread(0, 4).count(), 0);
    }
}
