//! # 25: Distilled Sentence Embedding
//!
//! ## What it does
//! A cross-encoder reads two texts as one: accurate, and slow, since it must run on every pair. A student that embeds each
//! text alone, so that vectors can be kept, learns the cross-encoder's logits beside the labels.
//!
//! ## Paper
//! Barkan, Razin, Malkiel, Katz, Caciularu, Koenigstein: Scalable Attentive Sentence-Pair Modeling via Distilled Sentence
//! Embedding. AAAI 2020 ([arXiv 1908.05161](https://arxiv.org/abs/1908.05161)); code:
//! microsoft/Distilled-Sentence-Embedding (MIT).
//!
//! ## Idea in five lines
//! 1. The teacher reads both texts as one sequence; its logits on the pairs of train are kept.
//! 2. The student embeds each text alone; its head reads [u, v, |u - v|, u * v].
//! 3. The student's loss is half that of the labels, half the squared distance from the teacher's logits.
//! 4. Logits say more than labels where the teacher knows more than the labels: most with few of them.
//! 5. A teacher that is no more than a function of the same labels adds nothing.
//!
//! ## Objective
//! ```text
//! L = (1 - a) L_task(o, y) + a mean over rows of sum_c (o_c - g_c)^2,    a = 0.5
//! ```
//!
//! ## Parts used
//! Kinds `pair-class` and `similarity` with `form = "pair"` for the teacher; `teacher` of a task with the loss `logit-mse`.
//!
//! ## Departures
//! all-MiniLM-L6-v2 as teacher and student in the place of BERT-large; mean pooling of the last layer in the place of the
//! last four concatenated; a linear head on [u, v, |u - v|, u * v] in the place of one with a hidden layer of 512; heads
//! start as linear probes; AdamW with bias correction, the gradient clipped as a whole, and a schedule that counts optimiser
//! steps. Of the five GLUE tasks two sets stand here, SICK and the Microsoft paraphrases. With 500 labels the teacher was
//! trained on all.
//!
//! ## Cost
//! One pass of the teacher over train, kept for all students.
//!
//! ## Limits
//! Teacher and student are the same small encoder, and the teacher answers rows it was trained on, where it is surer than
//! elsewhere. SICK may not be used commercially. Labels of pairs of train are hidden by hash, the same ones for each seed.

use crate::data::pairs;
use crate::oracles::pair_logits;
use crate::paper::Paper;

/// The paper.
pub static PAPER: Paper = Paper {
    id: "25",
    name: "distilled-sentence-embedding",
    title: "Distilled Sentence Embedding",
    paper: "Barkan, Razin, Malkiel, Katz, Caciularu, Koenigstein, AAAI 2020",
    family: "distillation",
    about: "a student that embeds texts alone learns the logits of a teacher that reads pairs as one",
    claim: "A student that learns the teacher's logits beside the labels beats one that learns labels alone.",
    cost: "one pass of the teacher over train",
    parts: &["logit-mse"],
    recipe: include_str!("../../recipes/dse.toml"),
    data: pairs::data,
    oracle: Some(pair_logits::run),
};
