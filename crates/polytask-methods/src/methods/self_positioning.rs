//! # 26: Self Positioning
//!
//! ## What it does
//! Models of one base, each trained on data of its own, become one: their relative weights and one length are searched by
//! gradient descent on a small set of examples, balanced as the goal is.
//!
//! ## Paper
//! Li et al.: Improving General Text Embedding Model: Tackling Task Conflict and Data Imbalance through Model Merging. 2024
//! ([arXiv 2410.15035](https://arxiv.org/abs/2410.15035)). No code was published.
//!
//! ## Idea in five lines
//! 1. Joint training on data sets of unlike sizes follows the largest: length and direction of the change are its own.
//! 2. So each set has a model of its own, and the merge decides how much of each there is.
//! 3. The direction is an iterated spherical interpolation of the task vectors, by a weight for each.
//! 4. One more number is the length.
//! 5. These N + 1 numbers are found on a probe set, with a small price on the length.
//!
//! ## Objective
//! ```text
//! min over a, lambda of  mean over the probe of loss(theta_0 + lambda SLERP(tau_1 … tau_N; a)) + mu lambda
//! ```
//!
//! ## Parts used
//! `polytask merge search`, which learns the same numbers for model folders.
//!
//! ## Departures
//! Adam at 0.05 for 400 steps from equal weights and length 1. The probe is the goal itself, not a sample of it, so mu is 0.
//!
//! ## Cost
//! A search step costs a training step; nothing is added when the model is used.
//!
//! ## Limits
//! What is tried here is the small world of quadratic losses alone, whose optima are known; it shows the mechanism and says
//! nothing of encoders, so the claim about these stays open. Every positive combination of the task vectors is reached by
//! free positive coefficients too: the sphere matters where weights are set by hand.

use crate::oracles::quadratics;
use crate::paper::{Data, Paper};

/// The paper.
pub static PAPER: Paper = Paper {
    id: "26",
    name: "self-positioning",
    title: "Self Positioning",
    paper: "Li et al., 2024",
    family: "merging",
    about: "searches relative weights and a length of a merge on a small set of examples",
    claim: "A merge whose weights and length are searched beats joint training on data of unlike sizes.",
    cost: "a training step for each step of the search",
    parts: &[],
    recipe: include_str!("../../recipes/self_positioning.toml"),
    data: |request| Ok(Data { folder: request.folder.to_path_buf(), key: String::new() }),
    oracle: Some(quadratics::run),
};
