//! `similarity`: a graded score of how close two texts are.

use super::{HeadForm, KindInfo, Mteb};
use crate::input::text;
use crate::target::Closeness;

/// A graded score of how close two texts are; any scale, mapped to [0, 1] on train.
pub(super) static INFO: KindInfo = KindInfo {
    name: "similarity",
    about: "A graded score of how close two texts are; any scale, mapped to [0, 1] on train.",
    input: &text::TEXT,
    inputs: &["a", "b"],
    target: "score",
    synonyms: &[
        ("a", &["sentence1", "anchor", "sentence_A"]),
        ("b", &["sentence2", "positive", "sentence_B"]),
        ("score", &["scores", "label", "relatedness", "similarity"]),
    ],
    form: &Closeness,
    head: HeadForm::Cosine,
    losses: &["cosent", "cosine-mse", "order"],
    metrics: &["spearman", "pearson"],
    hub_task: "sentence-similarity",
    mteb: Some(Mteb { main: "cosine_spearman", prefix: "cosine_" }),
};
