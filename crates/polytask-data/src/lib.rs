//! Data of polytask: readers, encoder download, tokenizer, samplers, batches, data card.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod build;
pub mod card;
mod cells;
pub mod dataset;
pub mod documents;
pub mod images;
mod limits;
pub mod plan;
pub mod propose;
pub mod pull;
pub mod readers;
pub mod symbols;
#[cfg(test)]
mod testing;
pub mod tokenize;
pub mod tokenizer;
mod tokens;
pub mod views;

pub use build::{NO_TEST, Progress, build, build_with};
pub use card::card;
pub use dataset::{Dataset, Relevance, Rows, SourceData, Targets, TaskData, TeacherOutputs};
pub use plan::Plan;
pub use polytask_core::image::ImageSpec;
pub use propose::{Proposal, propose};
pub use pull::{PullOptions, Pulled, pull};
pub use symbols::{EncodedTable, NoTexts, Symbols, TextTable};
pub use tokenize::Tokenize;
pub use tokenizer::{NO_TOKEN, SpecialIds, TINY_VOCAB, Tokenizer};
pub use tokens::{TextId, TokenStore};
