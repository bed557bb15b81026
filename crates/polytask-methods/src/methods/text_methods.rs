//! # text-methods: Conflict methods on four text tasks
//!
//! ## What it does
//! Trains the demo's four tasks (intents, entailment, similarity, job search) together under a dozen weightings, and
//! compares each with single-task models and with constant weights chosen on valid.
//!
//! ## Paper
//! No single one: the question is that of Xin, Ghorbani, Gilmer, Garg, Firat: Do Current Multi-Task Optimization Methods
//! in Deep Learning Even Help? NeurIPS 2022, and of Kurin et al.: In Defense of the Unitary Scalarization for Deep
//! Multi-Task Learning. NeurIPS 2022.
//!
//! ## Idea in five lines
//! 1. A method that balances tasks is worth its cost only where constant weights, tuned as carefully, do worse.
//! 2. So constant weights are an arm: the best on valid of a few candidates.
//! 3. Single-task models see each task's examples as often as the joint run shows them.
//! 4. Scores are Δm: mean relative change against single-task, in percent, by each task's main metric.
//! 5. The time of a step stands beside the score.
//!
//! ## Objective
//! ```text
//! Δm = mean over tasks of (joint − single) / |single| · 100 %
//! ```
//!
//! ## Parts used
//! The suite of `polytask demo` on all-MiniLM-L6-v2 with its lower layers frozen; weightings by name.
//!
//! ## Departures
//! None from a paper; the suite's learning rate was chosen with constant weights, for all arms alike.
//!
//! ## Cost
//! About as many runs of the demo as there are arms and seeds.
//!
//! ## Limits
//! One suite, one encoder, one epoch. SICK may not be used commercially. Differences are not corrected for their number:
//! of six claims at 95 % one may hold by chance. What steps cost stands in
//! `docs/performance.md`, measured on a quiet machine.

use crate::data::demo;
use crate::paper::Paper;

/// The experiment.
pub static PAPER: Paper = Paper {
    id: "text-methods",
    name: "text-methods",
    title: "Conflict methods on four text tasks",
    paper: "Xin, Ghorbani, Gilmer, Garg, Firat, NeurIPS 2022; Kurin, De Palma, Kostrikov, Whiteson, Kumar, NeurIPS 2022",
    family: "comparison",
    about: "trains four text tasks together under many weightings, beside single-task models and tuned constants",
    claim: "Methods that look at gradients beat constant weights chosen on valid.",
    cost: "a run of the demo per arm and seed",
    parts: &[],
    recipe: include_str!("../../recipes/text_methods.toml"),
    data: demo::data,
    oracle: None,
};
