//! `pair-class`: one label for two texts.

use super::{HeadForm, KindInfo, Mteb};
use crate::input::text;
use crate::target::OneLabel;

/// One label for two texts: entailment, paraphrase.
pub(super) static INFO: KindInfo = KindInfo {
    name: "pair-class",
    about: "One label for two texts: entailment, paraphrase.",
    input: &text::TEXT,
    inputs: &["a", "b"],
    target: "label",
    synonyms: &[
        ("a", &["sentence1", "premise", "anchor", "sentence_A", "question"]),
        ("b", &["sentence2", "hypothesis", "positive", "sentence_B", "passage"]),
        ("label", &["entailment", "gold_label", "class"]),
    ],
    form: &OneLabel,
    head: HeadForm::PairLinear,
    losses: &["cross-entropy"],
    metrics: &["accuracy", "macro_f1", "mcc"],
    hub_task: "text-classification",
    mteb: Some(Mteb { main: "accuracy", prefix: "" }),
};
