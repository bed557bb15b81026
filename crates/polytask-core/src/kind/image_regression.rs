//! `image-regression`: one or several numbers for an image.

use super::{HeadForm, KindInfo};
use crate::input::image;
use crate::target::Numbers;

/// One or several numbers for an image; targets are standardised on train.
pub(super) static INFO: KindInfo = KindInfo {
    name: "image-regression",
    about: "One or several numbers for an image; targets are standardised on train.",
    input: &image::IMAGE,
    inputs: &["image"],
    target: "value",
    synonyms: &[("image", &["file", "path", "filename"]), ("value", &["values", "score", "target", "y"])],
    form: &Numbers,
    head: HeadForm::Linear,
    losses: &["huber", "mse"],
    metrics: &["r2", "rmse", "mae", "pearson", "spearman"],
    hub_task: "image-regression",
    mteb: None,
};
