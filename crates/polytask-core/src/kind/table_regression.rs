//! `table-regression`: numbers for a row of a table.

use super::{HeadForm, KindInfo};
use crate::input::table;
use crate::target::Numbers;

/// One or several numbers for a row of a table, from its columns of numbers and categories; targets are standardised on train.
pub(super) static INFO: KindInfo = KindInfo {
    name: "table-regression",
    about: "One or several numbers for a row of a table, from its columns of numbers and categories; targets are standardised on train. `features`, `ignore` and `categories` say which columns are read, all by default.",
    input: &table::TABLE,
    inputs: &["row"],
    target: "value",
    synonyms: &[("value", &["values", "score", "target", "y"])],
    form: &Numbers,
    head: HeadForm::Linear,
    losses: &["huber", "mse"],
    metrics: &["r2", "rmse", "mae", "pearson", "spearman"],
    hub_task: "tabular-regression",
    mteb: None,
};
