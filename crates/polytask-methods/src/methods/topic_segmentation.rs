//! # 29: Topic Segmentation Model Focusing on Local Context
//!
//! ## What it does
//! A document is a sequence of sentences; the model says where the topic changes, and what each part is about, from two
//! neighbouring sentences alone.
//!
//! ## Paper
//! Lee, Han, Baek, Song: Topic Segmentation Model Focusing on Local Context.
//! 2023 ([arXiv 2301.01935](https://arxiv.org/abs/2301.01935)). No code is public, and the full text was not at hand.
//!
//! ## Idea in five lines
//! 1. Each sentence is encoded on its own by one encoder (siamese): more context would blur where two neighbours part.
//! 2. A head says whether two sentences are of one topic (STP), from [u; v; |u - v|; u * v].
//! 3. A head says which class a sentence is of (TC), and one whether a sentence follows another (NSP).
//! 4. All three are trained together on the same encoder, so that each makes up for what the others miss.
//! 5. A segment ends where two neighbours are said to be of two topics; its class is the likeliest of its sentences.
//!
//! ## Objective
//! ```text
//! L = CE_stp(u, v) + CE_tc(u) + CE_nsp(u, v)          pairs: all neighbours, and as many apart, half of one section
//! segment ends after i  if  1 - p(same | i, i + 1) > threshold, the best F1 on valid
//! ```
//!
//! ## Parts used
//! The kind `segmentation`, which writes itself out as two tasks of the kind `pair-class` and one of `class` on rows made
//! of documents; any weighting sees these as tasks. `polytask segment` and `index build --by segments` use what was learnt.
//!
//! ## Departures
//! What the abstract leaves open is a reconstruction: features of the pair, heads, pairs, weights, threshold. Classes are
//! learnt from sentences as often as these stand in the documents, not from both sides of pairs; topics are not balanced by
//! weights, since pairs apart make changes as frequent as they are; the first sentence of a section counts as the next one.
//! The top two layers of all-MiniLM-L6-v2 (64 tokens) in place of BERT-base. CSAbstruct, joined openings of Wikipedia
//! articles and QMSum in place of WikiSection.
//!
//! ## Cost
//! A sentence is encoded once and read by all heads; a place between two sentences costs a product of one row.
//!
//! ## Limits
//! A head of next sentences is weak by design where both are read apart. No model of whole sequences (LSTM) is here, which
//! the dossier found ahead on abstracts. Pk rewards silence where boundaries are rare and noise where they are dense: it
//! stands beside boundary F1 and trivial rows in every report, and scores of two conventions say nothing of each other.

use crate::data::segments;
use crate::oracles::local_context;
use crate::paper::Paper;

/// The paper.
pub static PAPER: Paper = Paper {
    id: "29",
    name: "topic-segmentation",
    title: "Topic Segmentation by Local Context",
    paper: "Lee, Han, Baek, Song, 2023",
    family: "segmentation",
    about: "says where topics change from two neighbours, by heads of topics, classes and next sentences that share an encoder",
    claim: "Heads of classes and next sentences, trained together with that of topics, find boundaries it misses alone; more context does not help.",
    cost: "three small heads on sentences that are encoded once",
    parts: &["pairs", "sentences"],
    recipe: include_str!("../../recipes/topic_segmentation.toml"),
    data: segments::data,
    oracle: Some(local_context::run),
};
