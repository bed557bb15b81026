//! Drafts of tasks and the words about columns that every guess uses.

use polytask_core::KindInfo;
use polytask_core::suite::DraftTask;

use super::column::Column;

/// The task that a column is, at its plainest.
pub(super) fn task(column: &Column, kind: &'static KindInfo, evidence: String, is_sure: bool) -> DraftTask {
    DraftTask {
        name: column.name.clone(),
        kind,
        columns: vec![(kind.target.to_owned(), column.name.clone())],
        metric: None,
        labels: Vec::new(),
        separator: None,
        missing: Vec::new(),
        evidence: vec![evidence],
        choices: Vec::new(),
        is_sure,
    }
}

/// Why a column is no task.
pub(super) fn reason(column: &Column, why: &str) -> String {
    format!("left out: column {}: {why}", quote(&column.name))
}

/// A name from a file, in quotes, so that no control character of it can end a comment.
pub(super) fn quote(name: &str) -> String {
    format!("{name:?}")
}
