//! Worlds whose truth is known: small models trained by the losses of this program on data that are made for a question.

/// Most steps of an arm.
pub(crate) const MOST_STEPS: usize = 1_000_000;

pub(crate) mod adam;
pub(crate) mod bipartite;
pub(crate) mod blocks;
pub(crate) mod described_labels;
pub(crate) mod local_context;
pub(crate) mod mirrored;
mod mlp;
pub(crate) mod pair_logits;
pub(crate) mod quadratics;
pub(crate) mod two_goals;
pub(crate) mod two_views;
