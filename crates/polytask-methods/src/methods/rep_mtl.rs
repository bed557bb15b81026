//! # 13: Rep-MTL
//!
//! ## What it does
//! Adds two terms to the task losses that shape how strongly each task depends on each place of the shared features:
//! every place shall matter to one task (TSR), and all tasks shall agree on how a sample's channels work together (CSA).
//!
//! ## Paper
//! Wang, Li, Xu: Rep-MTL: Unleashing the Power of Representation-level Task Saliency for Multi-Task
//! Learning. ICCV 2025 ([arXiv 2507.21049](https://arxiv.org/abs/2507.21049)). No code has been published.
//!
//! ## Idea in five lines
//! 1. The saliency of a task is its loss's gradient by the shared feature map: what it would change there.
//! 2. The share of each task in the saliency of a place is a distribution over tasks; TSR lowers its entropy.
//! 3. So places specialise, and tasks stand in each other's way less.
//! 4. CSA pulls the channel affinities of a sample's tasks towards those of the sample, away from other samples.
//! 5. Both act through the saliencies, that is with second derivatives, on trunk and heads; the optimiser is unchanged.
//!
//! ## Objective
//! ```text
//! L = Σₜ log Lₜ + λ_tsr · mean over places of H(P) + λ_csa · contrastive loss of sample affinities
//! P(i, t) = |mean over channels of Sₜ| at place i, as a share over tasks;  Sₜ = dLₜ/dZ
//! ```
//!
//! ## Parts used
//! The regularizer `rep-mtl` on equal weights; image trunk `lenet-maps` with flattened maps and heads of one hidden
//! layer, so that second derivatives by the features are not those of the softmax alone.
//!
//! ## Departures
//! Temperature, averaging over tasks and the shape of the anchor are not given in the paper; ours stand in the
//! regularizer's header. Multi-MNIST with 3,000 training pairs and a two-layer convolutional trunk in place of dense
//! prediction with pre-trained ResNet-50. λ is chosen on valid pairs from 0.01, 0.1, 0.5 and 0.9; the paper holds 0.9.
//!
//! ## Cost
//! One pass of second order over every head per step; one backward of the trunk, as without. Inference is unchanged.
//!
//! ## Limits
//! The gains the paper reports (one to three points of Δm over equal weights) are on dense prediction with pre-trained
//! trunks; what a trunk of this size can show is the mechanism, and whether harm is done. It is at the paper's own λ: with
//! ink as a third task, TSR at 0.9 loses on all five seeds, and on two of them the third task is lost altogether (Δm
//! −198, −1463, −5.5, −3.9 and −14.1 % against −5.6, −2.1, −1.9, −2.9 and −5.8 % of equal weights). Chosen on valid, λ is
//! small; with two digits nothing is gained that five seeds could show, and with ink the interval of the gain holds zero.

use crate::data::multi_mnist;
use crate::paper::Paper;

/// The paper.
pub static PAPER: Paper = Paper {
    id: "13",
    name: "rep-mtl",
    title: "Rep-MTL",
    paper: "Wang, Li, Xu, ICCV 2025",
    family: "representation regularizer",
    about: "adds terms on the tasks' saliencies: entropy per place, agreement per sample",
    claim: "Shaping task saliencies raises the score of equal weights: +1 to +3 points in the paper.",
    cost: "one pass of second order over every head; one backward of the trunk",
    parts: &["rep-mtl"],
    recipe: include_str!("../../recipes/rep_mtl.toml"),
    data: multi_mnist::data,
    oracle: None,
};
