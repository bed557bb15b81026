//! How close two texts are: one number on any scale, mapped to [0, 1] from the smallest to the largest value of train.

use serde_json::{Value, json};

use super::numbers::{Numbers, range, span};
use super::{
    CellMistake, ColumnMistake, LabelTable, OutputMeaning, SeenColumn, TargetCell, TargetForm, TargetRow,
    TargetType,
};

/// How close two texts are; the head gives the cosine of their vectors.
#[derive(Debug)]
pub struct Closeness;

impl TargetForm for Closeness {
    fn name(&self) -> &'static str {
        "closeness"
    }

    fn target_type(&self) -> TargetType {
        TargetType::Numbers
    }

    fn read(&self, row: &TargetRow<'_>, labels: &mut LabelTable) -> Result<TargetCell, CellMistake> {
        Numbers.read(row, labels)
    }

    fn width(&self) -> Option<usize> {
        Some(1)
    }

    fn has_range(&self) -> bool {
        true
    }

    fn scale(&self, known: &[f64]) -> (f64, f64) {
        range(known.iter().copied()).map_or((0.0, 1.0), |(low, high)| (low, span(high - low)))
    }

    fn mistake_of_column(&self, seen: &SeenColumn) -> Option<ColumnMistake> {
        Numbers.mistake_of_column(seen)
    }

    fn reads_plain_numbers(&self) -> bool {
        true
    }

    fn answer(&self, outputs: &[f32], meaning: OutputMeaning<'_>) -> Value {
        json!({ "cosine": outputs[0], "score": meaning.numbers(outputs)[0] })
    }
}
