//! `table-class`: one label for a row of a table.

use super::{HeadForm, KindInfo};
use crate::input::table;
use crate::target::OneLabel;

/// One label for a row of a table, from its columns of numbers and categories.
pub(super) static INFO: KindInfo = KindInfo {
    name: "table-class",
    about: "One label for a row of a table, from its columns of numbers and categories. `features`, `ignore` and `categories` say which columns are read, all by default.",
    input: &table::TABLE,
    inputs: &["row"],
    target: "label",
    synonyms: &[("label", &["class", "category", "target", "y"])],
    form: &OneLabel,
    head: HeadForm::Linear,
    losses: &["cross-entropy"],
    metrics: &["accuracy", "macro_f1", "micro_f1", "mcc"],
    hub_task: "tabular-classification",
    mteb: None,
};
