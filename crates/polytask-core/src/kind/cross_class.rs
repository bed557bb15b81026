//! `cross-class`: one label for two texts that the encoder reads as one.

use super::{HeadForm, KindInfo, Mteb, pair_class};
use crate::input::text;
use crate::target::OneLabel;

/// One label for two texts that the encoder reads as one sequence.
pub(super) static INFO: KindInfo = KindInfo {
    name: "cross-class",
    about: "One label for two texts that the encoder reads as one (a cross-encoder): more accurate than `pair-class`, and slower where texts come again, since no vector of a text can be kept.",
    input: &text::TEXT,
    inputs: pair_class::INFO.inputs,
    target: pair_class::INFO.target,
    synonyms: pair_class::INFO.synonyms,
    form: &OneLabel,
    head: HeadForm::CrossLinear,
    losses: &["cross-entropy"],
    metrics: &["accuracy", "macro_f1", "mcc"],
    hub_task: "text-classification",
    mteb: Some(Mteb { main: "accuracy", prefix: "" }),
};
