//! `ordinal`: one of several labels that have an order.

use serde_json::{Value, json};

use super::{HeadForm, KindInfo};
use crate::input::text;
use crate::target::{
    Bounds, CellMistake, LabelTable, OutputMeaning, TargetCell, TargetForm, TargetRow, TargetType, range,
};

/// One of several labels in an order, learnt as its place: a neighbour is less wrong than what lies far away.
pub(super) static INFO: KindInfo = KindInfo {
    name: "ordinal",
    about: "One of several labels in an order (low, medium, high), learnt as its place, so that a neighbour is less wrong; `labels` names them in their order.",
    input: &text::TEXT,
    inputs: &["text"],
    target: "level",
    synonyms: &[("text", &["sentence"]), ("level", &["label", "grade", "rating", "priority", "severity"])],
    form: &OrderedLabel,
    head: HeadForm::Linear,
    losses: &["huber", "mse"],
    metrics: &["spearman", "mae", "rmse", "r2"],
    hub_task: "text-classification",
    mteb: None,
};

/// A label of an order as its place in it, counted from 0.
#[derive(Debug)]
pub(super) struct OrderedLabel;

impl TargetForm for OrderedLabel {
    fn name(&self) -> &'static str {
        "ordered label"
    }

    fn target_type(&self) -> TargetType {
        TargetType::Numbers
    }

    fn read(&self, row: &TargetRow<'_>, labels: &mut LabelTable) -> Result<TargetCell, CellMistake> {
        let Some(cell) = row.known(labels)? else { return Ok(TargetCell::Unknown) };
        if labels.n_declared().is_none() {
            let what =
                "labels have an order, and the task does not say which, expected `labels` from low to high";
            return Err(CellMistake::new(what, "labels = [\"low\", \"medium\", \"high\"] in the task"));
        }
        let place = labels.known(&cell.to_text().unwrap_or_default())?;
        Ok(TargetCell::Numbers(vec![f64::from(place)]))
    }

    fn least_labels(&self) -> Option<usize> {
        Some(2)
    }

    fn orders_labels(&self) -> bool {
        true
    }

    fn width(&self) -> Option<usize> {
        Some(1)
    }

    fn bounds(&self, known: &[f64]) -> Bounds {
        range(known.iter().copied())
    }

    /// The label nearest to the number, and the number: 1.5 lies between the second and the third.
    fn answer(&self, outputs: &[f32], meaning: OutputMeaning<'_>) -> Value {
        let place = meaning.numbers(outputs)[0];
        let last = meaning.labels.len().saturating_sub(1);
        let nearest = (place.round().max(0.0) as usize).min(last);
        json!({ "label": meaning.labels[nearest], "place": place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Cell;

    #[test]
    fn labels_are_read_as_their_places_and_answered_by_the_nearest() {
        let labels = ["low", "medium", "high"].map(str::to_owned);
        let mut table = LabelTable::declared(&labels);
        let mut read = |text: &str| {
            let cell = Cell::Text(text.into());
            OrderedLabel.read(&TargetRow { cell: Some(&cell), ..TargetRow::default() }, &mut table)
        };
        assert_eq!(read("high"), Ok(TargetCell::Numbers(vec![2.0])));
        assert_eq!(read(""), Ok(TargetCell::Unknown));
        assert!(read("huge").unwrap_err().what.contains("`huge` is unknown"));
        let meaning = OutputMeaning { labels: &labels, scale: &[(1.0, 0.5)], bounds: &[Some((0.0, 2.0))] };
        assert_eq!(
            OrderedLabel.answer(&[1.2], meaning),
            json!({ "label": "high", "place": f64::from(1.2_f32) * 0.5 + 1.0 })
        );
        assert_eq!(OrderedLabel.answer(&[-9.0], meaning), json!({ "label": "low", "place": 0.0 }));
    }

    #[test]
    fn an_order_that_nobody_named_is_asked_for() {
        let cell = Cell::Text("low".into());
        let row = TargetRow { cell: Some(&cell), ..TargetRow::default() };
        let error = OrderedLabel.read(&row, &mut LabelTable::open()).unwrap_err();
        assert!(error.remedy.contains("labels = ["), "{error:?}");
    }
}
