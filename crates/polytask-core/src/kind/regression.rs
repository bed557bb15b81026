//! `regression`: one or several numbers for a text.

use super::{HeadForm, KindInfo};
use crate::input::text;
use crate::target::Numbers;

/// One or several numbers for a text; targets are standardised on train.
pub(super) static INFO: KindInfo = KindInfo {
    name: "regression",
    about: "One or several numbers for a text; targets are standardised on train.",
    input: &text::TEXT,
    inputs: &["text"],
    target: "value",
    synonyms: &[("text", &["sentence"]), ("value", &["values", "score", "target", "y"])],
    form: &Numbers,
    head: HeadForm::Linear,
    losses: &["huber", "mse"],
    metrics: &["r2", "rmse", "mae", "pearson", "spearman"],
    hub_task: "text-regression",
    mteb: None,
};
