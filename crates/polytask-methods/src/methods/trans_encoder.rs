//! # 6: Trans-Encoder
//!
//! ## What it does
//! From pairs of sentences without labels, a sentence model and a cross-encoder teach each other in turns: cosines label the
//! pairs for the cross-encoder, whose scores label them for the next sentence model.
//!
//! ## Paper
//! Liu, Jiao, Massiah, Yilmaz, Havrylov: Trans-Encoder: Unsupervised Sentence-Pair Modelling through Self- and
//! Mutual-Distillations. ICLR 2022 ([arXiv 2109.13059](https://arxiv.org/abs/2109.13059)); code: amzn/trans-encoder
//! (Apache-2.0).
//!
//! ## Idea in five lines
//! 1. The two forms of a model look at a pair in different ways, so they err in different places.
//! 2. A student that begins with another view than its teacher's takes over what is right more easily than what is noise.
//! 3. The cross-encoder learns the sentence model's cosines by binary cross-entropy, one epoch, both orders of a pair.
//! 4. The sentence model begins anew and learns the cross-encoder's scores by squared error, ten epochs.
//! 5. Two models side by side may learn from the mean of their labels.
//!
//! ## Objective
//! ```text
//! cross-encoder:    BCE(C(a, b), cos(B(a), B(b)))
//! sentence model:   (cos(B'(a), B'(b)) - sigmoid(C(a, b)))^2
//! ```
//!
//! ## Parts used
//! `polytask distill`; the kinds `similarity` and `cross-similarity`, the losses `bce` and `cosine-mse`.
//!
//! ## Departures
//! Labels are clamped to 0 to 1 and counted; the published code lets negative cosines through, where binary cross-entropy has
//! no lower end. The cross-encoder reads 64 tokens in training, labelling and use. Weights follow AdamW's own correction.
//!
//! ## Cost
//! A cycle is two trainings and two passes over the pairs.
//!
//! ## Limits
//! What stands here is the oracle: a world in which the likeness of sentences is known. The published figures start from
//! unsupervised encoders of BERT's size; the one encoder at hand has been trained on a thousand million labelled pairs, so a
//! run on real sentences would say little about the method.

use crate::data::pairs;
use crate::oracles::two_views;
use crate::paper::Paper;

/// The paper.
pub static PAPER: Paper = Paper {
    id: "6",
    name: "trans-encoder",
    title: "Trans-Encoder",
    paper: "Liu, Jiao, Massiah, Yilmaz, Havrylov, ICLR 2022",
    family: "distillation",
    about: "a sentence model and a cross-encoder label pairs for each other",
    claim: "Both forms gain from labelling pairs for each other, where they have different views.",
    cost: "two trainings and two passes over the pairs in each cycle",
    parts: &["cosine-mse"],
    recipe: include_str!("../../recipes/trans_encoder.toml"),
    data: pairs::data,
    oracle: Some(two_views::run),
};
