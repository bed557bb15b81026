//! `pooled`: the cosine of one vector per text.

use std::sync::Arc;

use polytask_core::method::{Choice, Family, MethodInfo};

use super::{ScoreEntry, TokenScoring};

/// The id of the score without token states.
pub const POOLED: &str = "pooled";

static INFO: MethodInfo = MethodInfo {
    id: POOLED,
    title: "Cosine of pooled vectors",
    paper: "",
    family: Family::Score,
    about: "The cosine of one vector per text, as the encoder pools it.",
    cost: "",
    kinds: &[],
    params: &[],
};

/// The entry of the table.
pub(super) struct Pooled;

impl ScoreEntry for Pooled {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn make(&self, _: &Choice, _: f64) -> Option<Arc<dyn TokenScoring>> {
        None
    }
}
