//! One label of a set.

use serde_json::{Map, Value, json};

use super::{
    CellMistake, ColumnMistake, ColumnRemedy, LabelTable, MistakeSort, OutputMeaning, SeenColumn, Tags,
    TargetCell, TargetForm, TargetRow, TargetType,
};
use crate::cell::Cell;
use crate::outputs::{largest, softmax};

/// One label of a set.
#[derive(Debug)]
pub struct OneLabel;

impl TargetForm for OneLabel {
    fn name(&self) -> &'static str {
        "label"
    }

    fn target_type(&self) -> TargetType {
        TargetType::Label
    }

    fn read(&self, row: &TargetRow<'_>, labels: &mut LabelTable) -> Result<TargetCell, CellMistake> {
        let Some(cell) = row.of_labels(labels)? else { return Ok(TargetCell::Unknown) };
        if let Cell::List(_) = cell {
            let what = format!("label is {}, expected one label", cell.describe());
            return Err(CellMistake::new(what, "use kind `multilabel` for several labels per row")
                .of(MistakeSort::Tags));
        }
        labels.known(&cell.to_text().unwrap_or_default()).map(TargetCell::Label)
    }

    fn least_labels(&self) -> Option<usize> {
        Some(2)
    }

    fn mistake_of_column(&self, seen: &SeenColumn) -> Option<ColumnMistake> {
        let n = seen.nearly_all(MistakeSort::Tags)?;
        let what = format!("{n} are lists as long as the words of their text, expected one label");
        Some(ColumnMistake { what, remedy: ColumnRemedy::OtherForm(&Tags) })
    }

    fn answer(&self, outputs: &[f32], meaning: OutputMeaning<'_>) -> Value {
        let shares = softmax(outputs);
        let best = largest(outputs) as usize;
        json!({ "label": meaning.labels[best], "score": shares[best], "scores": by_label(meaning.labels, &shares) })
    }
}

/// Label → score.
pub(super) fn by_label(labels: &[String], shares: &[f32]) -> Value {
    labels
        .iter()
        .zip(shares)
        .map(|(label, share)| (label.clone(), json!(share)))
        .collect::<Map<_, _>>()
        .into()
}
