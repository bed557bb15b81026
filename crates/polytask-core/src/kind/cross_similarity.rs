//! `cross-similarity`: how close two texts are that the encoder reads as one.

use serde_json::{Value, json};

use super::{HeadForm, KindInfo, similarity};
use crate::input::text;
use crate::target::{
    CellMistake, Closeness, ColumnMistake, LabelTable, OutputMeaning, SeenColumn, TargetCell, TargetForm,
    TargetRow, TargetType,
};

/// A graded score of how close two texts are that the encoder reads as one sequence.
pub(super) static INFO: KindInfo = KindInfo {
    name: "cross-similarity",
    about: "A graded score of how close two texts are that the encoder reads as one (a cross-encoder): for ranking anew what `similarity` or `retrieval` found.",
    input: &text::TEXT,
    inputs: similarity::INFO.inputs,
    target: similarity::INFO.target,
    synonyms: similarity::INFO.synonyms,
    form: &Relevance,
    head: HeadForm::CrossLinear,
    losses: &["bce"],
    metrics: &["spearman", "pearson"],
    hub_task: "text-ranking",
    mteb: None,
};

/// How close two texts are; the head gives the log-odds of the largest value of train.
#[derive(Debug)]
struct Relevance;

impl TargetForm for Relevance {
    fn name(&self) -> &'static str {
        "relevance"
    }

    fn target_type(&self) -> TargetType {
        TargetType::Numbers
    }

    fn read(&self, row: &TargetRow<'_>, labels: &mut LabelTable) -> Result<TargetCell, CellMistake> {
        Closeness.read(row, labels)
    }

    fn width(&self) -> Option<usize> {
        Some(1)
    }

    fn has_range(&self) -> bool {
        true
    }

    fn scale(&self, known: &[f64]) -> (f64, f64) {
        Closeness.scale(known)
    }

    fn gives_log_odds(&self) -> bool {
        true
    }

    fn mistake_of_column(&self, seen: &SeenColumn) -> Option<ColumnMistake> {
        Closeness.mistake_of_column(seen)
    }

    fn reads_plain_numbers(&self) -> bool {
        true
    }

    fn answer(&self, outputs: &[f32], meaning: OutputMeaning<'_>) -> Value {
        let probability = self.link(outputs[0]);
        json!({ "probability": probability, "score": meaning.numbers(&[probability])[0] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_odds_are_answered_on_the_scale_of_the_targets() {
        let meaning = OutputMeaning { labels: &[], scale: &[(1.0, 4.0)], bounds: &[None] };
        let answer = Relevance.answer(&[0.0], meaning);
        assert_eq!(answer, json!({ "probability": 0.5, "score": 3.0 }));
    }
}
