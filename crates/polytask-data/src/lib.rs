//! Data of polytask: readers, encoder download, tokenizer, samplers, batches, data card.

pub mod dataset;

pub use dataset::{Dataset, Relevance, Rows, SourceData, Targets, TaskData, TextId, TokenStore};
