//! # 5: CrossTune
//!
//! ## What it does
//! Few-shot classification on an encoder that is only called: a small head matches a text's token states with descriptions
//! of the labels, so that it starts with what labels mean.
//!
//! ## Paper
//! Luo, Zhang, Zhang, Li: CrossTune: Black-Box Few-Shot Classification with Label Enhancement. LREC-COLING 2024
//! ([arXiv 2403.12468](https://arxiv.org/abs/2403.12468)). No code is public, and the full text was not at hand.
//!
//! ## Idea in five lines
//! 1. The encoder is frozen: texts and descriptions are encoded once.
//! 2. Descriptions attend to the tokens of a text; what they find is matched with what they say.
//! 3. The weights are shared by all labels, so labels can be added by words alone.
//! 4. Scores start from a matrix between text and description that rows draw away from the identity: without rows it is the
//!    zero-shot classifier, and what is learnt beyond it has to be better on valid by more than chance.
//! 5. Made-up rows pass a filter by a teacher, and are used only where valid is better with them.
//!
//! ## Objective
//! ```text
//! score_c = w2 . tanh(W1 [U_c ; L_c ; U_c * L_c ; |U_c - L_c|]) + kappa x^T W l_c,   cross-entropy over labels
//! U = Z + GELU(LN(Z) W3) W4,   Z = L + MHA(query L, key X, value X) Wo
//! ```
//!
//! ## Parts used
//! Suites whose `labels` is a file, the heads `label-cross`, `bilinear`, `nearest-mean` and `zero-shot`, `generated` rows with
//! `filter` and `gate`; the logistic probe and random label vectors as learners beside them.
//!
//! ## Departures
//! all-MiniLM-L6-v2 in place of RoBERTa-large, and no calls of a language model: real texts that nobody trains on stand for
//! made-up ones, and with 40 % of their labels exchanged for bad ones, which says nothing of how good a generator is. The
//! head's formulas from Z on are a reconstruction, and its prior is new (`prior = "cosine"` is the one reconstructed).
//! Sentences that describe labels of news and of the ontology are ours; intents have their names as words. Control and baselines are a matrix, not a second head.
//!
//! ## Cost
//! One encode of every text; a head of less than a million weights, seconds for few labels, minutes for a hundred.
//!
//! ## Limits
//! The paper's figures are of another encoder and another generator, and are not shown. Which seven sets it used is not
//! known here.

use crate::data::few_labels;
use crate::oracles::described_labels;
use crate::paper::Paper;

/// The paper.
pub static PAPER: Paper = Paper {
    id: "5",
    name: "crosstune",
    title: "CrossTune",
    paper: "Luo, Zhang, Zhang, Li, LREC-COLING 2024",
    family: "few labels",
    about: "matches texts with descriptions of labels on a frozen encoder, from one row per label or none",
    claim: "Descriptions beat label vectors that mean nothing at few rows, and never fall below the zero-shot classifier by more than a point.",
    cost: "one encode of every text, then a small head",
    parts: &["label-cross", "bilinear"],
    recipe: include_str!("../../recipes/crosstune.toml"),
    data: few_labels::data,
    oracle: Some(described_labels::run),
};
