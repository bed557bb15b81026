//! # 15: CoDiEmb
//!
//! ## What it does
//! One encoder for search (asymmetric, ranks documents) and for graded similarity (symmetric, orders pairs): the encoder is
//! shared, steps see one task at a time, and each task has a loss of its own kind.
//!
//! ## Paper
//! Zhang, Song, Chen, Zhang, Yin, Sun: CoDiEmb: A Collaborative yet Distinct Framework for Unified Representation Learning
//! in IR and STS. 2025 ([arXiv 2508.11442](https://arxiv.org/abs/2508.11442)); code of the training:
//! TencentCloudADP/youtu-embedding (MIT).
//!
//! ## Idea in five lines
//! 1. A contrastive loss looks at the nearest passages; a correlation looks at the order of all pairs.
//! 2. Trained on one loss for both, one of the two tasks pays.
//! 3. So search has InfoNCE, similarity has losses of order: 1 - Pearson, PRO (each pair against those below it), RankKL.
//! 4. Batches hold one task, so that negatives are of the task's own kind.
//! 5. What remains of the conflict is left to the shared weights.
//!
//! ## Objective
//! ```text
//! search:      mean over q of [ log sum exp s(q,·)/tau - s(q,y)/tau ]
//! similarity:  2 (1 - corr(s, y)) + 0.5 PRO(s, y) + 5 KL(softmax(rank(y)/0.05) || softmax(s/0.05)) / n
//! ```
//!
//! ## Parts used
//! The loss `order` for the kind `similarity`, `info-nce` for `ranking`, `mixing = "alternate"`; the untrained encoder as a
//! learner beside the trainings.
//!
//! ## Departures
//! The upper half of all-MiniLM-L6-v2 with 48 tokens at a rate of 1e-4; SICK and task statements of O*NET in place of fifteen
//! Chinese sets; 200 steps of 32 rows, one task each; temperature 0.05 (the paper's 0.02), one positive per query and
//! negatives of the batch alone; no instruction before texts; neither the contrastive loss of the middle layer nor the fusion
//! of checkpoints, whose code was never published. Scores are plain means of Spearman's correlation and nDCG@10. SICK's pairs
//! that stand in its own test part or in that of the STS benchmark, in either order, are not trained on. The arm with InfoNCE for both has SICK's pairs of at
//! least 0.8 as queries with answers, the one with CoSENT has statements with a right and a wrong occupation as pairs of 1 and 0.
//!
//! ## Cost
//! That of the losses: a table of pairs per batch. Inference is unchanged.
//!
//! ## Limits
//! SICK may not be used commercially. Two tasks, one small encoder. The oracle's world has a flag that tells the encoder which
//! task asks, in the place of an instruction; without it the same text is pulled two ways.

use crate::data::sentences;
use crate::oracles::two_goals;
use crate::paper::Paper;

/// The paper.
pub static PAPER: Paper = Paper {
    id: "15",
    name: "codiemb",
    title: "CoDiEmb",
    paper: "Zhang, Song, Chen, Zhang, Yin, Sun, 2025",
    family: "ranking",
    about: "trains search and graded similarity in one encoder, a task per step, each by a loss of its own kind",
    claim: "A loss of its own kind for each task beats one loss for both, InfoNCE or CoSENT.",
    cost: "a table of pairs per batch",
    parts: &["order", "info-nce"],
    recipe: include_str!("../../recipes/codiemb.toml"),
    data: sentences::data,
    oracle: Some(two_goals::run),
};
