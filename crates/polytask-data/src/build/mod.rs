//! From a suite to its [`Dataset`]: files read, checked and tokenised, every text once.
//!
//! Mistakes in the data are gathered (up to a bound) and reported together. A missing target (empty cell,
//! null, NaN, absent key) is unknown, never zero and never a dropped row; an empty text is a text.

mod columns;
mod corpus;
mod finish;
mod found;
mod intern;
mod marks;
mod nodes;
mod numbers;
mod problems;
mod source;
mod sums;
mod table;
mod wanted;
mod weights;
mod whole;

use std::sync::Arc;

use polytask_core::{Result, Split, Suite};

use crate::readers::TextVectors;
use crate::views::{self, View};
use crate::{Dataset, Tokenize};
pub use finish::NO_TEST;
pub(crate) use finish::is_of_entity;
pub(crate) use finish::n_known;
use intern::Interner;
pub(crate) use marks::marks;
use numbers::Merged;
use problems::Problems;

/// How far reading is.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Name of the source being read.
    pub source: &'a str,
    /// Its split; `None` for its corpus.
    pub split: Option<Split>,
    /// Rows of it read so far.
    pub rows: usize,
    /// Distinct texts so far, over all sources.
    pub texts: usize,
}

/// Reads all data of a suite.
///
/// # Errors
/// All mistakes in the data files of all sources, up to twenty.
pub fn build(suite: &Suite, tokenizer: &dyn Tokenize) -> Result<Dataset> {
    build_with(suite, tokenizer, &mut |_| ())
}

/// As [`build`], telling how far it is every few thousand rows.
pub fn build_with(
    suite: &Suite,
    tokenizer: &dyn Tokenize,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Dataset> {
    let mut builder = Builder {
        suite,
        interner: Interner::new(tokenizer, suite.train.threads, suite.train.data_mb),
        view: views::open(suite, tokenizer),
        vectors: tokenizer.text_vectors(),
        problems: Problems::default(),
        merged: suite.tasks.iter().map(|_| Merged::default()).collect(),
        dataset: Dataset::default(),
        progress,
    };
    builder.dataset.tasks = suite.tasks.iter().map(|task| finish::empty_task(suite, task)).collect();
    builder.read()?;
    builder.finish()
}

/// Everything that grows while sources are read.
struct Builder<'a> {
    suite: &'a Suite,
    interner: Interner<'a>,
    view: Box<dyn View>,
    /// What gives the vectors of texts in columns of tables.
    vectors: Option<Arc<dyn TextVectors>>,
    problems: Problems,
    /// Numbers that reading made one, by task.
    merged: Vec<Merged>,
    dataset: Dataset,
    progress: &'a mut dyn FnMut(Progress<'_>),
}

impl Builder<'_> {
    /// Reads all sources; one with mistakes keeps no other from being read.
    fn read(&mut self) -> Result<()> {
        for index in 0..self.suite.sources.len() {
            self.problems.begin(index);
            if let Err(error) = self.read_source(index) {
                self.problems.end(error)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
