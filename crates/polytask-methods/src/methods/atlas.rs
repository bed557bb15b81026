//! # 18: aTLAS
//!
//! ## What it does
//! Models of one base become one by a coefficient for every task vector and block of parameters, which are learned on a few
//! rows: some hundred numbers in the place of one that is tried by hand.
//!
//! ## Paper
//! Zhang, Albert, Rodriguez-Opazo, van den Hengel, Abbasnejad: Knowledge Composition using Task Vectors with Learned
//! Anisotropic Scaling. NeurIPS 2024 ([arXiv 2407.02880](https://arxiv.org/abs/2407.02880)); code: fredzzhang/atlas.
//!
//! ## Idea in five lines
//! 1. A task vector is what fine-tuning on a task added to the weights of the base.
//! 2. A merge adds all task vectors, scaled by a number that is chosen on held-out rows.
//! 3. Here every tensor of every task vector has a number of its own, 0 at first.
//! 4. Its slope is the inner product of the loss's gradient with that tensor of the task vector.
//! 5. So few numbers do not overfit few rows, and the result is one model of the usual size.
//!
//! ## Objective
//! ```text
//! min over lambda of  sum over tasks of loss(theta_0 + sum_i lambda_ij tau_ij for every block j)
//! dL/dlambda_ij = <dL/dtheta_j, tau_ij>
//! ```
//!
//! ## Parts used
//! `polytask merge search` in its form `atlas`, with a number per tensor or layer; `merge` and `train` as steps of an arm.
//!
//! ## Departures
//! Text encoders with a head per task beside the merged trunk, in the place of an image encoder whose heads are embedded
//! class names; no weight decay; learned on ten rows of each label. Its other uses (unlearning, transfer to a task that has
//! no vector, rows without labels, random partitions of blocks) are not here. The penalty is offered and off.
//!
//! ## Cost
//! A search step costs a training step and an inner product per task vector; nothing is added when the model is used.
//!
//! ## Limits
//! The rows that coefficients are learned on could train the network itself: that arm stands beside it. The numbers minimise
//! the loss, one number for all is chosen by accuracy. Four sets of short texts whose models differ in the upper half of a
//! small encoder.

use crate::data::label_sets;
use crate::oracles::blocks;
use crate::paper::Paper;

/// The paper.
pub static PAPER: Paper = Paper {
    id: "18",
    name: "atlas",
    title: "aTLAS",
    paper: "Zhang et al., NeurIPS 2024",
    family: "merging",
    about: "learns a coefficient for each task vector and block of parameters on a few rows",
    claim: "Coefficients by block, learned on a few rows, beat the best single coefficient of a merge.",
    cost: "a training step for each step of the search",
    parts: &[],
    recipe: include_str!("../../recipes/atlas.toml"),
    data: label_sets::data,
    oracle: Some(blocks::run),
};
