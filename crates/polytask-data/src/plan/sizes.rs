//! How much of each source a step draws.

use polytask_core::suite::{Sampling, SourceSpec};
use polytask_core::{Split, Suite};

use crate::{Dataset, Targets};

/// How much a step draws of a source.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Budget {
    /// As many rows; the part beyond the point is carried to later steps.
    Rows(f64),
    /// As many rows as fit into so many tokens, at least one.
    Tokens(f64),
}

/// Rates and budgets of a suite's sources.
#[derive(Debug)]
pub(super) struct Sizes<'a> {
    suite: &'a Suite,
    n_rows: Vec<usize>,
}

impl<'a> Sizes<'a> {
    /// `n_rows`: rows of a pass over each source.
    pub(super) fn new(suite: &'a Suite, n_rows: Vec<usize>) -> Self {
        Self { suite, n_rows }
    }

    /// How often each source is drawn, at a part of training in [0, 1]; not normalised, 0 without rows.
    pub(super) fn rates(&self, progress: f64) -> Vec<f64> {
        let power = match self.suite.train.sampling {
            Sampling::Proportional => 1.0,
            Sampling::Uniform | Sampling::RoundRobin => 0.0,
            Sampling::Sqrt => 0.5,
            Sampling::Temperature { t } => 1.0 / t,
            Sampling::Annealed => 1.0 - 0.8 * progress.clamp(0.0, 1.0),
        };
        let rate = |(source, &n): (&SourceSpec, &usize)| match n {
            0 => 0.0,
            n => (n as f64).powf(power) * source.sampling_weight,
        };
        self.suite.sources.iter().zip(&self.n_rows).map(rate).collect()
    }

    /// What a joint step draws of each source: its own size, else its share of the suite's.
    ///
    /// `train.batch_rows` is the mean over the sources without a size of their own.
    pub(super) fn joint(&self, progress: f64) -> Vec<Budget> {
        let rates = self.rates(progress);
        let free = || self.suite.sources.iter().zip(&rates).filter(|(source, _)| own(source).is_none());
        let (n_free, total) = (free().count() as f64, free().map(|(_, rate)| rate).sum::<f64>());
        let train = &self.suite.train;
        let shared = |share: f64| match train.batch_rows {
            Some(rows) => Budget::Rows(rows as f64 * n_free * share),
            None => Budget::Tokens(train.batch_tokens as f64 * share),
        };
        let budget = |(source, rate): (&SourceSpec, &f64)| {
            own(source).unwrap_or_else(|| shared(if total > 0.0 { rate / total } else { 0.0 }))
        };
        self.suite.sources.iter().zip(&rates).map(budget).collect()
    }

    /// What a step that draws only this source draws.
    pub(super) fn alternate(&self, source: usize) -> Budget {
        let train = &self.suite.train;
        own(&self.suite.sources[source]).unwrap_or(match train.batch_rows {
            Some(rows) => Budget::Rows(rows as f64),
            None => Budget::Tokens(train.batch_tokens as f64),
        })
    }
}

/// The size a source sets itself.
fn own(source: &SourceSpec) -> Option<Budget> {
    let rows = source.batch_rows.map(|rows| Budget::Rows(rows as f64));
    rows.or(source.batch_tokens.map(|tokens| Budget::Tokens(tokens as f64)))
}

/// Tokens that a row of a source's train split costs: its inputs, and for retrieval its longest positive
/// and its longest negative passage.
pub(super) fn row_costs(dataset: &Dataset, source: usize) -> Vec<u32> {
    let Some(rows) = dataset.sources[source].splits.get(&Split::Train) else { return Vec::new() };
    let length = |text: u32| dataset.n_tokens(text) as u32;
    let mut costs: Vec<u32> =
        (0..rows.len()).map(|i| rows.inputs(i).iter().map(|&text| length(text)).sum()).collect();
    for task in dataset.tasks.iter().filter(|task| task.source == source) {
        let Some(Targets::Passages(relevance)) = task.targets.get(&Split::Train) else { continue };
        for (cost, row) in costs.iter_mut().zip(relevance) {
            let passage = |index: u32| length(task.corpus[index as usize]);
            *cost += row.positives.iter().map(|(index, _)| passage(*index)).max().unwrap_or(0);
            *cost += row.negatives.iter().map(|index| passage(*index)).max().unwrap_or(0);
        }
    }
    costs
}
