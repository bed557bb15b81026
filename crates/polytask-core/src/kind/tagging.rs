//! `tagging`: one tag per word (BIO entities, slots).

use super::{HeadForm, KindInfo};
use crate::input::text;
use crate::target::Tags;

/// One tag per word: entities, slots; the first token of a word carries its tag.
pub(super) static INFO: KindInfo = KindInfo {
    name: "tagging",
    about: "One tag per word: entities, slots; the first token of a word carries its tag.",
    input: &text::TEXT,
    inputs: &["tokens"],
    target: "tags",
    synonyms: &[("tokens", &["text", "words"]), ("tags", &["labels", "slots", "ner_tags"])],
    form: &Tags,
    head: HeadForm::TokenLinear,
    losses: &["cross-entropy"],
    metrics: &["entity_f1", "accuracy"],
    hub_task: "token-classification",
    mteb: None,
};
