//! Any number of labels of a set: a list, a vector of zeros and ones over declared labels, or words with a sign between
//! them.

use serde_json::{Value, json};

use super::label::by_label;
use super::{CellMistake, LabelTable, OutputMeaning, TargetCell, TargetForm, TargetRow, TargetType};
use crate::cell::Cell;
use crate::outputs::sigmoid;

/// Probability from which on a label is said to hold.
const HOLDS: f32 = 0.5;

/// Any number of labels of a set.
#[derive(Debug)]
pub struct ManyLabels;

impl TargetForm for ManyLabels {
    fn name(&self) -> &'static str {
        "labels"
    }

    fn target_type(&self) -> TargetType {
        TargetType::Labels
    }

    fn read(&self, row: &TargetRow<'_>, labels: &mut LabelTable) -> Result<TargetCell, CellMistake> {
        let Some(cell) = row.of_labels(labels)? else { return Ok(TargetCell::Unknown) };
        many_labels(cell, labels).map(TargetCell::Labels)
    }

    fn least_labels(&self) -> Option<usize> {
        Some(1)
    }

    fn answer(&self, outputs: &[f32], meaning: OutputMeaning<'_>) -> Value {
        let shares: Vec<f32> = outputs.iter().map(|&output| sigmoid(output)).collect();
        let holds = meaning.labels.iter().zip(&shares).filter(|(_, share)| **share >= HOLDS);
        let chosen: Vec<&String> = holds.map(|(label, _)| label).collect();
        json!({ "labels": chosen, "scores": by_label(meaning.labels, &shares) })
    }
}

fn many_labels(cell: &Cell, labels: &mut LabelTable) -> Result<Vec<u32>, CellMistake> {
    let items = cell.to_items();
    if items.as_deref().is_some_and(Flags::has_gaps) {
        let what = format!("{} is a vector with gaps, expected 0 or 1 for every label", cell.describe());
        return Err(CellMistake::new(
            what,
            "write the names of the labels that hold, or leave the cell empty",
        ));
    }
    if let Some(flags) = items.as_deref().and_then(Flags::of) {
        match flags.chosen(labels) {
            Some(Ok(places)) => return Ok(places),
            Some(Err(wrong)) => return Err(wrong),
            // Labels that are called 0 and 1.
            None => {}
        }
    }
    let names: Vec<String> = match items {
        Some(items) => items.iter().filter_map(Cell::to_text).collect(),
        None => labels.split(&cell.to_text().unwrap_or_default()),
    };
    let given = names.iter().filter(|name| !name.trim().is_empty());
    given.map(|name| labels.known(name)).collect()
}

/// A list that says of every label whether it holds.
struct Flags {
    holds: Vec<bool>,
    /// Whether it can be nothing else: true and false, or one of two numbers twice.
    is_certain: bool,
}

impl Flags {
    /// The list as flags, where all its items are true, false, 0 or 1.
    fn of(items: &[Cell]) -> Option<Self> {
        let flag = |item: &Cell| match item {
            Cell::Bool(holds) => Some(*holds),
            Cell::Number(real) if *real == 0.0 || *real == 1.0 => Some(*real == 1.0),
            Cell::Text(text) => match text.trim() {
                "0" | "0.0" => Some(false),
                "1" | "1.0" => Some(true),
                _ => None,
            },
            _ => None,
        };
        let holds: Vec<bool> = items.iter().map(flag).collect::<Option<_>>()?;
        let is_certain =
            holds.len() > 2 || matches!(items, [Cell::Bool(_), ..]) || matches!(holds[..], [a, b] if a == b);
        (holds.len() > 1).then_some(Self { holds, is_certain })
    }

    /// Whether some items are flags and the others missing: which labels hold is half known, which no target can be.
    fn has_gaps(items: &[Cell]) -> bool {
        let known: Vec<Cell> = items.iter().filter(|item| !item.is_missing()).cloned().collect();
        known.len() < items.len() && Self::of(&known).is_some()
    }

    /// The places of the declared labels that hold; none where the list names labels instead.
    fn chosen(&self, labels: &LabelTable) -> Option<Result<Vec<u32>, CellMistake>> {
        let n = self.holds.len();
        if labels.n_declared() == Some(n) && !labels.declares("1") {
            let places = (0..n).filter(|&i| self.holds[i]).map(|i| i as u32);
            return Some(Ok(places.collect()));
        }
        let is_named = labels.declares("0") || labels.declares("1") || labels.declares("true");
        if is_named || !self.is_certain {
            return None;
        }
        let expected = labels
            .n_declared()
            .map_or_else(|| "names of labels".to_owned(), |k| format!("{k} of them, one per label"));
        let what = format!("a list of {n} zeros and ones (or true and false), expected {expected}");
        let remedy = format!("labels = [\"...\"] with the {n} names in the order of the list");
        Some(Err(CellMistake::new(what, remedy)))
    }
}
