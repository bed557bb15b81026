//! Finding passages: BM25 over terms, and hard negatives for training.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod bm25;
pub mod mine;
pub mod terms;

pub use bm25::{Bm25, Bm25Params};
pub use mine::{Guard, MinedQuery, Miner};
pub use terms::Vocabulary;
