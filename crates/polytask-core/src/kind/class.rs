//! `class`: one label for a text.

use super::{HeadForm, KindInfo, Mteb};
use crate::input::text;
use crate::target::OneLabel;

/// One label for a text: intents, topics.
pub(super) static INFO: KindInfo = KindInfo {
    name: "class",
    about: "One label for a text: intents, topics.",
    input: &text::TEXT,
    inputs: &["text"],
    target: "label",
    synonyms: &[("text", &["sentence", "query", "utterance"]), ("label", &["class", "category", "intent"])],
    form: &OneLabel,
    head: HeadForm::Linear,
    losses: &["cross-entropy"],
    metrics: &["macro_f1", "accuracy", "micro_f1", "mcc"],
    hub_task: "text-classification",
    mteb: Some(Mteb { main: "accuracy", prefix: "" }),
};
