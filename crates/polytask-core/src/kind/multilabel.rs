//! `multilabel`: any number of labels for a text.

use super::{HeadForm, KindInfo};
use crate::input::text;
use crate::target::ManyLabels;

/// Any number of labels for a text.
pub(super) static INFO: KindInfo = KindInfo {
    name: "multilabel",
    about: "Any number of labels for a text.",
    input: &text::TEXT,
    inputs: &["text"],
    target: "labels",
    synonyms: &[("text", &["sentence", "query"]), ("labels", &["label", "classes", "tags"])],
    form: &ManyLabels,
    head: HeadForm::Linear,
    losses: &["bce"],
    metrics: &["map_macro", "micro_f1", "macro_f1"],
    hub_task: "text-classification",
    mteb: None,
};
