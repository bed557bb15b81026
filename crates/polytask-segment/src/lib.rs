//! Where topics change, without a model: sentences of a text ([`mod@sentences`]), documents whose segments are known
//! ([`SegmentedDocument`]), depths of similarity ([`tiling`]), pairs of sentences to learn from ([`pairs`]) and to decide by
//! ([`crossing`]), and how well segments were found ([`SegmentScores`]).
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod boundaries;
pub mod crossing;
pub mod document;
pub mod metric;
pub mod pairs;
pub mod read;
pub mod sentences;
pub mod tiling;
pub mod trivial;
pub mod tune;

pub use boundaries::Boundaries;
pub use crossing::{Crossing, PairBand};
pub use document::SegmentedDocument;
pub use metric::{Convention, SegmentScores, WindowStyle};
pub use pairs::{PairSampling, SentencePair};
pub use sentences::sentences;
pub use tiling::TilingThreshold;
pub use trivial::Trivial;
pub use tune::best_threshold;
