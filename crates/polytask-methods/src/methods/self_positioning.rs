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
//! Adam at 0.05 from equal weights and length 1. In the world of quadratic losses the probe is the goal itself, so mu is 0.
//! Encoders: four tasks of different kinds in the place of sets of one kind, each with its own head beside the merged
//! trunk, whose two upper layers alone are trained; the probe is the valid rows, and every task counts alike.
//!
//! ## Cost
//! A search step costs a training step; nothing is added when the model is used.
//!
//! ## Limits
//! Every positive combination of the task vectors is reached by free positive coefficients too: the sphere matters where
//! weights are set by hand. A head that was trained on its own trunk does not bear that others move it, so tasks with a
//! head lose more by a merge than those that compare vectors. One suite of small tasks; fine-tuning is on as many rows of
//! train as the probe has, not on the probe itself.

use crate::data::demo;
use crate::oracles::quadratics;
use crate::paper::Paper;

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
    data: demo::data,
    oracle: Some(quadratics::run),
};
