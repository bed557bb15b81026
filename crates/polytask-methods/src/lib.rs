//! Papers as polytask runs them: one file, one line in [`registry`] and one recipe each.
//!
//! A method itself lives in the crate of its kind (a weighting in training, a loss beside the network) and is reached
//! from any suite. What stands here is the paper's claim and the experiment that tries it: a recipe is a suite with
//! the arms that are compared, each a few settings apart from it ([`recipe`]); [`experiment`] trains every arm on
//! every seed through the same calls as `polytask train` and judges the differences.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod apart;
pub mod data;
pub mod experiment;
pub mod findings;
pub mod methods;
mod oracles;
pub mod paper;
pub mod recipe;
pub mod registry;
pub mod show;

pub use experiment::{Options, reproduce};
pub use findings::Findings;
pub use paper::Paper;
