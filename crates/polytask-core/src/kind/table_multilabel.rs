//! `table-multilabel`: any number of labels for a row of a table.

use super::{HeadForm, KindInfo};
use crate::input::table;
use crate::target::ManyLabels;

/// Any number of labels for a row of a table.
pub(super) static INFO: KindInfo = KindInfo {
    name: "table-multilabel",
    about: "Any number of labels for a row of a table, from its columns of numbers and categories. `features`, `ignore` and `categories` say which columns are read, all by default.",
    input: &table::TABLE,
    inputs: &["row"],
    target: "labels",
    synonyms: &[("labels", &["label", "tags", "categories"])],
    form: &ManyLabels,
    head: HeadForm::Linear,
    losses: &["bce"],
    metrics: &["map_macro", "micro_f1", "macro_f1"],
    hub_task: "tabular-classification",
    mteb: None,
};
