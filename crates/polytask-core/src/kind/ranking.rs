//! `ranking`: rank a set of texts for a short one; many may be right.

use super::{HeadForm, KindInfo, Mteb};
use crate::input::text;
use crate::target::Passages;

/// Rank the texts of a node set by how well they fit a text, of which many may be right.
pub(super) static INFO: KindInfo = KindInfo {
    name: "ranking",
    about: "Rank the texts of a node set by how well they fit a text; many may be right.",
    input: &text::TEXT,
    inputs: &["left"],
    target: "right",
    synonyms: &[("right", &["right_ids", "ids", "codes", "positives", "targets"])],
    form: &Passages,
    head: HeadForm::Cosine,
    losses: &["many-to-many", "info-nce"],
    metrics: &["map", "rp@5", "mrr@10", "ndcg@10", "recall@10", "r-precision", "hit@10", "precision@10"],
    hub_task: "text-ranking",
    mteb: Some(Mteb { main: "map", prefix: "" }),
};
