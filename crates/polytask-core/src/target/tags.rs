//! One tag per word of the text.

use serde_json::{Value, json};

use super::{CellMistake, LabelTable, OutputMeaning, TargetCell, TargetForm, TargetRow, TargetType};
use crate::cell::Cell;
use crate::outputs::largest;
use crate::plural;

/// One tag per word of the text.
#[derive(Debug)]
pub struct Tags;

impl TargetForm for Tags {
    fn name(&self) -> &'static str {
        "tags"
    }

    fn target_type(&self) -> TargetType {
        TargetType::Tags
    }

    fn read(&self, row: &TargetRow<'_>, labels: &mut LabelTable) -> Result<TargetCell, CellMistake> {
        let Some(cell) = row.of_labels(labels)? else { return Ok(TargetCell::Unknown) };
        tags(cell, labels, row.n_words).map(TargetCell::Tags)
    }

    fn least_labels(&self) -> Option<usize> {
        Some(1)
    }

    fn answer(&self, outputs: &[f32], meaning: OutputMeaning<'_>) -> Value {
        json!(meaning.labels[largest(outputs) as usize])
    }
}

fn tags(cell: &Cell, labels: &mut LabelTable, n_words: Option<usize>) -> Result<Vec<u32>, CellMistake> {
    let names: Vec<String> = match cell.to_items() {
        Some(items) => items.iter().map(|item| item.to_text().unwrap_or_default()).collect(),
        None => cell.to_text().unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
    };
    if let Some(n_words) = n_words.filter(|n| *n != names.len()) {
        let what = format!("row has {}, expected {n_words}, one per word", plural(names.len(), "tag"));
        return Err(CellMistake::new(
            what,
            "separate words by single spaces, or give words and tags as JSON lists",
        ));
    }
    names.iter().map(|name| labels.known(name)).collect()
}
