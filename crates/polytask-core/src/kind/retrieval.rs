//! `retrieval`: find the passages that answer a query.

use super::{HeadForm, KindInfo, Mteb};
use crate::input::text;
use crate::target::Passages;

/// Find the passages of a corpus that answer a query.
pub(super) static INFO: KindInfo = KindInfo {
    name: "retrieval",
    about: "Find the passages of a corpus that answer a query.",
    input: &text::TEXT,
    inputs: &["query"],
    target: "positives",
    synonyms: &[
        ("query", &["query_text", "anchor", "question"]),
        ("positives", &["pos", "positive", "positive_document_ids", "passage"]),
        ("negatives", &["neg", "negative", "negative_document_ids"]),
    ],
    form: &Passages,
    head: HeadForm::Cosine,
    losses: &["info-nce", "many-to-many"],
    metrics: &[
        "ndcg@10",
        "map@100",
        "mrr@10",
        "recall@10",
        "recall@100",
        "map",
        "r-precision",
        "rp@10",
        "hit@10",
        "precision@10",
    ],
    hub_task: "text-retrieval",
    mteb: Some(Mteb { main: "ndcg_at_10", prefix: "" }),
};
