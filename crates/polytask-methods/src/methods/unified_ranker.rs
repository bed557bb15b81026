//! # 4: Unified Work Embeddings
//!
//! ## What it does
//! One encoder ranks a few thousand labels for short texts of several kinds (titles, task statements, occupations) without
//! being told the task: every data set is a graph between texts and labels that share their nodes.
//!
//! ## Paper
//! De Lange, Decorte, Van Hautte: Unified Work Embeddings: Contrastive Learning of a Bidirectional Multi-task Ranker.
//! 2025 ([arXiv 2511.07969](https://arxiv.org/abs/2511.07969)). Neither training code nor a model is public.
//!
//! ## Idea in five lines
//! 1. A batch holds edges of one graph; every edge between its nodes is a positive, not only the drawn one.
//! 2. Each text finds its labels among those of the batch, and each label its texts (many-to-many, two ways).
//! 3. Texts are scored by the states of all their tokens: each token looks at the label's by a softmax (soft-li).
//! 4. Graphs share their labels, so one graph's edges teach another's.
//! 5. Label spaces that were never seen are ranked by the same score.
//!
//! ## Objective
//! ```text
//! L = sum over graphs of  mean over q of mean over answers y of [ log sum exp s(q,·)/tau - s(q,y)/tau ]  + the same from y to q
//! s(q,y) = mean over tokens i of q of  sum over tokens j of y of  softmax_j(<q_i, y_j> / tau_a) cos(q_i, y_j)
//! ```
//!
//! ## Parts used
//! The kind `ranking` over node sets, the loss `many-to-many`, the scores `soft-li`, `maxsim` and `pooled`; BM25, the
//! order by frequency and the untrained encoder as learners beside the trainings.
//!
//! ## Departures
//! The upper half of all-MiniLM-L6-v2 (32 tokens) in place of all-mpnet-base-v2; O*NET in place of the paper's 3.3 M synthetic
//! pairs; 100 steps of 32 edges a graph, drawn by their left side, at a rate of 1e-4; weight 1 and temperature 0.05 for every
//! graph (the paper's are 1, 0.5, 0.5 and 0.05, 0.02; an arm has its weights); scores are means over tokens and temperatures in units of squared token lengths, as
//! the pages of the parts say. Occupations name at most 20 products each, so recall of technology is capped. From
//! categories to occupations only those held out are ranked.
//!
//! ## Cost
//! Token scores: an inner product per pair of tokens in a batch, and in search one per token of the query and the corpus.
//!
//! ## Limits
//! What 109 M parameters and enriched data give is not tried here. Ranking categories of technology by their frequency alone
//! is three times as good as the untrained encoder: a trained model is only interesting above that row. Nothing lost on unseen
//! labels means at most one point, for the pooled arm; the floors are not asked about these. The control of the oracle, 4 edges
//! a node, excludes harm alone. Here, in a hundred steps, the oracle shows the mechanism and the real graphs do not show the
//! claim: one answer one way is ahead on technology by 3.9 points, MaxSim of soft-li by 0.8, models of one graph of the joint one
//! by 5.9, and skills that nobody trained lose 2 to 4 points. The arm of constant weights was not run.

use crate::data::work;
use crate::oracles::bipartite;
use crate::paper::Paper;

/// The paper.
pub static PAPER: Paper = Paper {
    id: "4",
    name: "unified-ranker",
    title: "Unified Work Embeddings",
    paper: "De Lange, Decorte, Van Hautte, 2025",
    family: "ranking",
    about: "ranks labels of several graphs by one encoder: all answers of a batch, both ways, by token states",
    claim: "All answers of a batch both ways beat one answer one way; soft late interaction beats MaxSim; unseen labels lose nothing.",
    cost: "an inner product per pair of tokens where token states are scored",
    parts: &["many-to-many", "soft-li"],
    recipe: include_str!("../../recipes/unified_ranker.toml"),
    data: work::data,
    oracle: Some(bipartite::run),
};
