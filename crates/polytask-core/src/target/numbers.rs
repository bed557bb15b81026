//! Numbers: one real, or several in a list, in which `null` means unknown.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    Bounds, CellMistake, ColumnMistake, ColumnRemedy, LabelTable, MistakeSort, OneLabel, OutputMeaning,
    SeenColumn, TargetCell, TargetForm, TargetRow, TargetType,
};
use crate::cell::Cell;

/// How far the largest grade may lie above the smallest, and the smallest from 0.
const GRADES: f64 = 10.0;

/// One real, or several.
#[derive(Debug)]
pub struct Numbers;

impl TargetForm for Numbers {
    fn name(&self) -> &'static str {
        "numbers"
    }

    fn target_type(&self) -> TargetType {
        TargetType::Numbers
    }

    fn read(&self, row: &TargetRow<'_>, labels: &mut LabelTable) -> Result<TargetCell, CellMistake> {
        let Some(cell) = row.known(labels)? else { return Ok(TargetCell::Unknown) };
        numbers(cell).map(TargetCell::Numbers)
    }

    fn bounds(&self, known: &[f64]) -> Bounds {
        grades(known)
    }

    fn mistake_of_column(&self, seen: &SeenColumn) -> Option<ColumnMistake> {
        with_commas(seen).or_else(|| of_texts(seen))
    }

    fn reads_plain_numbers(&self) -> bool {
        true
    }

    fn answer(&self, outputs: &[f32], meaning: OutputMeaning<'_>) -> Value {
        match meaning.numbers(outputs)[..] {
            [value] => json!({ "value": value }),
            ref values => json!({ "values": values }),
        }
    }
}

/// The mistake of a column of numbers with commas.
fn with_commas(seen: &SeenColumn) -> Option<ColumnMistake> {
    let (n, texts) = (seen.nearly_all(MistakeSort::Commas)?, seen.examples(MistakeSort::Commas));
    let what = format!("{n} are numbers with commas, such as {texts}, expected none");
    Some(ColumnMistake { what, remedy: ColumnRemedy::Words(seen.remedy_of_commas()?.to_owned()) })
}

/// The mistake of a column of texts, which may be labels.
fn of_texts(seen: &SeenColumn) -> Option<ColumnMistake> {
    let (n, texts) = (seen.nearly_all(MistakeSort::Text)?, seen.examples(MistakeSort::Text));
    let what = format!("{n} are texts, such as {texts}, expected numbers");
    Some(ColumnMistake { what, remedy: ColumnRemedy::OtherForm(&OneLabel) })
}

/// Mean and standard deviation; the value and 1 where all are equal, 0 and 1 of nothing.
pub(super) fn standard(known: &[f64]) -> (f64, f64) {
    let Some((low, high)) = range(known.iter().copied()) else { return (0.0, 1.0) };
    if low >= high {
        return (low, 1.0);
    }
    let n = known.len() as f64;
    let mean = known.iter().sum::<f64>() / n;
    let variance = known.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    (mean, span(variance.sqrt()))
}

/// A span that can be divided by.
pub(super) fn span(span: f64) -> f64 {
    if span > 0.0 { span } else { 1.0 }
}

/// Smallest and largest value; `None` without any.
pub fn range(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values.into_iter().fold(None, |range, v| match range {
        None => Some((v, v)),
        Some((low, high)) => Some((v.min(low), v.max(high))),
    })
}

/// Where numbers end that are grades: whole numbers from one to another that are at most [`GRADES`] apart, half of them
/// given at least.
fn grades(known: &[f64]) -> Bounds {
    let (low, high) = range(known.iter().copied())?;
    let span = high - low;
    if low.abs() > GRADES || !(1.0..=GRADES).contains(&span) || known.iter().any(|value| value.fract() != 0.0)
    {
        return None;
    }
    let given: BTreeSet<i64> = known.iter().map(|&value| value as i64).collect();
    (2.0 * given.len() as f64 > span).then_some((low, high))
}

fn numbers(cell: &Cell) -> Result<Vec<f64>, CellMistake> {
    match cell.to_items() {
        Some(items) if items.is_empty() => Err(CellMistake::new(
            "value is an empty list, expected numbers",
            "write null for an unknown number",
        )),
        Some(items) => {
            items.iter().map(|item| number(item).map_err(|wrong| wrong.of(MistakeSort::Other))).collect()
        }
        None => Ok(vec![number(cell)?]),
    }
}

/// A number that f32 can hold too, in full precision; NaN where it is missing.
///
/// # Errors
/// When the cell is none.
pub fn number(cell: &Cell) -> Result<f64, CellMistake> {
    if cell.is_missing() {
        return Ok(f64::NAN);
    }
    let value = match cell {
        Cell::Number(real) => Some(*real),
        Cell::Text(text) => real(text.trim()),
        _ => None,
    };
    value.filter(|real| (*real as f32).is_finite()).ok_or_else(|| {
        let what = format!("value is {}, expected a finite number", cell.describe());
        match cell {
            Cell::Text(text) => match with_point(text.trim()) {
                Some(remedy) => CellMistake::new(what, remedy).of(MistakeSort::Commas),
                None if text.trim().parse::<f64>().is_ok() => CellMistake::new(what, UNKNOWN),
                None => CellMistake::new(what, UNKNOWN).of(MistakeSort::Text),
            },
            _ => CellMistake::new(what, UNKNOWN),
        }
    })
}

/// The number that a text is; one with a per cent sign is the number before it.
pub fn real(text: &str) -> Option<f64> {
    text.parse().ok().or_else(|| text.strip_suffix('%')?.trim_end().parse().ok())
}

/// Whether a text is a number whose decimal point is a comma.
pub fn has_decimal_comma(text: &str) -> bool {
    text.parse::<f64>().is_err() && with_point(text).is_some_and(|remedy| remedy.starts_with("write a point"))
}

pub(super) const UNKNOWN: &str = "leave the cell empty (or write null) when the value is unknown";

/// How a number with commas is to be written; `None` for a text that is none.
fn with_point(text: &str) -> Option<String> {
    let (whole, rest) = text.rsplit_once(',')?;
    let is_number = |text: &str| text.parse::<f64>().is_ok_and(f64::is_finite);
    let without = text.replace(',', "");
    let point = format!("{}.{rest}", whole.replace('.', ""));
    if whole.contains(',') || rest.contains('.') {
        return Some(if has_thousands(text) && is_number(&without) {
            format!("write `{without}`, without commas")
        } else if text.split(',').all(|part| is_number(part.trim())) {
            format!("write several numbers as a list: [{text}]")
        } else {
            return None;
        });
    }
    if !is_number(&point) {
        return None;
    }
    let is_either = rest.len() == 3 && !whole.contains('.');
    Some(if is_either {
        format!("write `{point}` or `{without}`, without a comma")
    } else {
        format!("write a point: `{point}`")
    })
}

/// Whether commas stand before groups of three digits alone: `1,234,567.8`.
fn has_thousands(text: &str) -> bool {
    let whole = text.split('.').next().unwrap_or_default();
    let mut groups = whole.trim_start_matches(['-', '+']).split(',');
    let is_first = groups.next().is_some_and(|first| (1..=3).contains(&first.len()));
    is_first && groups.all(|group| group.len() == 3)
}
