//! `image-class`: one label for an image.

use super::{HeadForm, KindInfo};
use crate::input::image;
use crate::target::OneLabel;

/// One label for an image: digits, things.
pub(super) static INFO: KindInfo = KindInfo {
    name: "image-class",
    about: "One label for an image: digits, things.",
    input: &image::IMAGE,
    inputs: &["image"],
    target: "label",
    synonyms: &[("image", &["file", "path", "filename"]), ("label", &["class", "category"])],
    form: &OneLabel,
    head: HeadForm::Linear,
    losses: &["cross-entropy"],
    metrics: &["accuracy", "macro_f1", "micro_f1", "mcc"],
    hub_task: "image-classification",
    mteb: None,
};
