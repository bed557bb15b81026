//! Data of polytask: readers, encoder download, tokenizer, samplers, batches, data card.

pub mod dataset;
pub mod plan;
pub mod readers;
#[cfg(test)]
mod testing;
pub mod tokenizer;

pub use dataset::{Dataset, Relevance, Rows, SourceData, Targets, TaskData, TextId, TokenStore};
pub use plan::Plan;
pub use tokenizer::{SpecialIds, TINY_VOCAB, Tokenizer};
