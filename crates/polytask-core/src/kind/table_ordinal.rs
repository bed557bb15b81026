//! `table-ordinal`: one of several labels that have an order, for a row of a table.

use super::ordinal::OrderedLabel;
use super::{HeadForm, KindInfo};
use crate::input::table;

/// One of several labels in an order, learnt as its place, for a row of a table.
pub(super) static INFO: KindInfo = KindInfo {
    name: "table-ordinal",
    about: "One of several labels in an order (low, medium, high), learnt as its place, for a row of a table; `labels` names them in their order. `features`, `ignore` and `categories` say which columns are read, all by default.",
    input: &table::TABLE,
    inputs: &["row"],
    target: "level",
    synonyms: &[("level", &["label", "grade", "rating", "priority", "severity", "target", "y"])],
    form: &OrderedLabel,
    head: HeadForm::Linear,
    losses: &["huber", "mse"],
    metrics: &["spearman", "mae", "rmse", "r2"],
    hub_task: "tabular-classification",
    mteb: None,
};
