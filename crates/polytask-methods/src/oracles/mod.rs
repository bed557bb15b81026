//! Worlds whose truth is known: small models trained by the losses of this program on data that are made for a question.

/// Most steps of an arm.
pub(crate) const MOST_STEPS: usize = 1_000_000;

pub(crate) mod adam;
pub(crate) mod bipartite;
pub(crate) mod described_labels;
mod mlp;
pub(crate) mod two_goals;
