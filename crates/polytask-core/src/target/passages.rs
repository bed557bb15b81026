//! Which passages of a corpus answer a query: judgements, or the passages that a row names.

use super::{CellMistake, LabelTable, Qrel, TargetCell, TargetForm, TargetRow, TargetType};
use crate::cell::Cell;

/// Which passages answer a query.
#[derive(Debug)]
pub struct Passages;

impl TargetForm for Passages {
    fn name(&self) -> &'static str {
        "passages"
    }

    fn target_type(&self) -> TargetType {
        TargetType::Passages
    }

    /// What answers a query: judgements where there are any, else the row's own columns.
    fn read(&self, row: &TargetRow<'_>, _: &mut LabelTable) -> Result<TargetCell, CellMistake> {
        Ok(row.judged.map_or_else(|| named(row), judged))
    }
}

/// The passages that a row names.
fn named(row: &TargetRow<'_>) -> TargetCell {
    let positives = passages(row.cell, row.are_ids).into_iter().map(|passage| (passage, 1.0)).collect();
    TargetCell::Passages { positives, negatives: passages(row.negatives, row.are_ids), query: None }
}

/// The passages that were judged.
fn judged(judged: &[Qrel]) -> TargetCell {
    let relevant = judged.iter().filter(|qrel| qrel.grade > 0.0);
    let wrong = judged.iter().filter(|qrel| qrel.grade <= 0.0);
    TargetCell::Passages {
        positives: relevant.map(|qrel| (qrel.passage.clone(), qrel.grade)).collect(),
        negatives: wrong.map(|qrel| qrel.passage.clone()).collect(),
        query: judged.first().map(|qrel| qrel.query.clone()),
    }
}

/// The passages a cell names: a list, or one text; ids may also be joined by `|`.
fn passages(cell: Option<&Cell>, are_ids: bool) -> Vec<String> {
    let Some(cell) = cell.filter(|cell| !cell.is_missing()) else { return Vec::new() };
    // A passage may be `(3, 4)`.
    let items = cell.to_items().filter(|_| match cell {
        Cell::Text(text) => are_ids || text.trim_start().starts_with('['),
        _ => true,
    });
    let texts: Vec<String> = match (items, cell) {
        (Some(items), _) => items.iter().filter(|i| !i.is_missing()).filter_map(Cell::to_text).collect(),
        (None, Cell::Text(ids)) if are_ids => ids.split('|').map(|id| id.trim().to_owned()).collect(),
        (None, cell) => cell.to_text().into_iter().collect(),
    };
    texts.into_iter().filter(|text| !text.is_empty()).collect()
}
