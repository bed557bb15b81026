//! Numbers as targets: their scale, and what is lost between the file and the head.
//!
//! Targets are kept and standardised in f64 and become f32 last, so that large numbers close to each other (times in
//! seconds) keep their differences. What even that merges is said.

use std::collections::HashMap;

use polytask_core::target::{Bounds, TargetForm, range};
use polytask_core::{Problem, Split, plural};

use crate::readers::Cell;
use crate::{Targets, TaskData};

/// Whole numbers up to here are exact in f64.
const EXACT: u128 = 1 << 53;
/// Merged values per distinct value from which on they are no accident of rounding: of a million random numbers a
/// few per cent meet another one in f32.
const SHARE: f64 = 1e-3;

/// Whole numbers of the file that f64 cannot tell apart.
#[derive(Debug, Default)]
pub(super) struct Merged {
    seen: HashMap<u64, i128>,
    /// Two of them.
    example: Option<(i128, i128)>,
    /// Numbers with a per cent sign, and the first of them.
    percents: usize,
    percent: Option<String>,
    /// Numbers without one, and the first of them.
    plains: usize,
    plain: Option<String>,
}

impl Merged {
    /// Notes the numbers of a target cell.
    pub(super) fn note(&mut self, cell: Option<&Cell>) {
        match cell {
            Some(Cell::Text(text)) if text.trim_end().ends_with('%') => {
                self.percents += 1;
                self.percent.get_or_insert_with(|| text.trim().to_owned());
            }
            Some(cell @ Cell::Number(_)) if !cell.is_missing() => self.note_plain(cell),
            Some(cell @ Cell::Text(text)) if text.trim().parse::<f64>().is_ok_and(f64::is_finite) => {
                self.note_plain(cell);
                if text.len() > 15 && self.example.is_none() {
                    self.note_text(text);
                }
            }
            Some(Cell::Text(text)) if text.len() > 15 && self.example.is_none() => self.note_text(text),
            Some(Cell::List(items)) => items.iter().for_each(|item| self.note(Some(item))),
            _ => {}
        }
    }

    fn note_plain(&mut self, cell: &Cell) {
        self.plains += 1;
        self.plain.get_or_insert_with(|| cell.describe());
    }

    fn note_text(&mut self, text: &str) {
        if let Ok(whole) = text.trim().parse::<i128>() {
            if whole.unsigned_abs() > EXACT {
                let first = *self.seen.entry((whole as f64).to_bits()).or_insert(whole);
                self.example = (first != whole).then_some((first, whole));
            }
        } else if let Some(items) = Cell::Text(text.to_owned()).to_items() {
            items.iter().for_each(|item| self.note(Some(item)));
        }
    }

    /// Numbers with and without a per cent sign in one column: 70% and 0.7 may be meant to be the same.
    pub(super) fn mixed(&self, task: &str) -> Option<Problem> {
        let (percent, plain) = (self.percent.as_ref()?, self.plain.as_ref()?);
        let what = format!(
            "task `{task}`: {} with a per cent sign, such as {percent}, and {} without, such as {plain}, expected one way of writing",
            plural(self.percents, "value"),
            self.plains
        );
        Some(Problem::new(what).try_this("write all of them with the sign, or none"))
    }

    /// How numbers with a per cent sign are read.
    pub(super) fn percents(&self, task: &str) -> Option<String> {
        let example = self.percent.as_ref()?;
        let (values, number) = (plural(self.percents, "value"), example.trim_end_matches('%').trim_end());
        Some(format!("task `{task}`: {values} with a per cent sign: {example} is read as {number}"))
    }

    /// What is lost, in words.
    pub(super) fn warning(&self, task: &str) -> Option<String> {
        let (first, second) = self.example?;
        Some(format!(
            "task `{task}`: different values of the file become one number, such as {first} and {second} (whole \
             numbers are exact up to 2^53); subtract a constant from the column, or use a coarser unit"
        ))
    }
}

/// What maps a task's numbers to the head's scale: their `stated` smallest and largest value, else those of train.
pub(super) fn scale(form: &dyn TargetForm, stated: Option<(f64, f64)>, data: &TaskData) -> Vec<(f64, f64)> {
    let scale = |known: Vec<f64>| match stated {
        Some((low, high)) => (low, high - low),
        None => form.scale(&known),
    };
    columns(data).map(scale).collect()
}

/// Between which values each number lies, where the form says so.
pub(super) fn bounds(form: &dyn TargetForm, data: &TaskData) -> Vec<Bounds> {
    columns(data).map(|known| form.bounds(&known)).collect()
}

/// The known values of each number of a row in train.
fn columns(data: &TaskData) -> impl Iterator<Item = Vec<f64>> {
    let numbers = match data.targets.get(&Split::Train) {
        Some(Targets::Numbers { width, values }) => Some((*width, &values[..])),
        _ => None,
    };
    numbers.into_iter().flat_map(|(width, values)| (0..width).map(move |c| known(width, values, c).collect()))
}

/// The known values of one number of every row.
fn known(width: usize, values: &[f64], column: usize) -> impl Iterator<Item = f64> {
    values.iter().copied().skip(column).step_by(width.max(1)).filter(|v| !v.is_nan())
}

/// Numbers of train that teach nothing, or less than the file says; `is_merged` when the reading itself lost some.
pub(super) fn warnings(data: &TaskData, is_merged: bool) -> Vec<String> {
    let Some(Targets::Numbers { width, values }) = data.targets.get(&Split::Train) else { return Vec::new() };
    let mut warnings = Vec::new();
    for (column, &scale) in data.scale.iter().enumerate() {
        let Some((low, high)) = range(known(*width, values, column)) else {
            let what = format!("task `{}`: number {column} is unknown in all rows of train", data.name);
            warnings.push(what);
            continue;
        };
        if low >= high && !is_merged {
            warnings.push(format!("task `{}`: number {column} is {low} in all rows of train", data.name));
        }
        warnings.extend(lost(&data.name, column, known(*width, values, column), scale));
    }
    warnings
}

/// Says when distinct numbers are one after standardising, as happens beside a far outlier.
fn lost(task: &str, column: usize, known: impl Iterator<Item = f64>, scale: (f64, f64)) -> Option<String> {
    let mut values: Vec<f64> = known.collect();
    values.sort_unstable_by(f64::total_cmp);
    // Neighbours within a few roundings of f64 are one number written twice.
    values.dedup_by(|b, a| *b - *a <= 4.0 * f64::EPSILON * a.abs().max(b.abs()));
    let standard = |v: f64| ((v - scale.0) / scale.1) as f32;
    let mut merged = values.windows(2).filter(|pair| standard(pair[0]) == standard(pair[1]));
    let example = merged.next()?;
    let n_merged = merged.count() + 1;
    (n_merged as f64 >= SHARE * values.len() as f64).then(|| {
        format!(
            "task `{task}`: number {column} has {} different values in train, but {} after standardising to 32 bits \
             ({} and {} become one): their spread is {}; look for outliers, or take the logarithm",
            values.len(),
            values.len() - n_merged,
            example[0],
            example[1],
            scale.1
        )
    })
}

#[cfg(test)]
mod tests {
    use polytask_core::target::Numbers;
    use proptest::prelude::*;

    use super::*;

    fn data(values: Vec<f64>) -> TaskData {
        let targets = Targets::Numbers { width: 1, values };
        let mut data =
            TaskData { name: "t".into(), targets: [(Split::Train, targets)].into(), ..TaskData::default() };
        data.scale = scale(&Numbers, None, &data);
        data
    }

    #[test]
    fn equal_values_have_spread_one_whatever_their_sum_rounds_to() {
        for value in [0.1, 1e9 + 0.1, -7.3] {
            let data = data(vec![value; 1001]);
            assert_eq!(data.scale, [(value, 1.0)]);
            let said = warnings(&data, false);
            assert!(said.len() == 1 && said[0].contains(&format!("{value} in all rows")), "{said:?}");
        }
    }

    #[test]
    fn numbers_that_an_outlier_merges_are_told_with_two_of_them() {
        let mut values: Vec<f64> = (0..50).map(f64::from).collect();
        assert!(warnings(&data(values.clone()), false).is_empty());
        values.push(1e12);
        let said = warnings(&data(values), false);
        assert!(said.len() == 1 && said[0].contains("51 different values"), "{said:?}");
        assert!(said[0].contains("(0 and 1 become one)"), "{said:?}");
    }

    #[test]
    fn whole_numbers_beyond_doubles_are_told_wherever_they_stand() {
        let text = |i: i64| Cell::Text((1_700_000_000_000_000_000 + i).to_string());
        let alike = [text(0), text(1)];
        for cells in [
            &alike[..],
            &[Cell::List(alike.to_vec())],
            &[Cell::Text(format!("[{}, {}]", 1_i64 << 60, (1_i64 << 60) + 1))],
        ] {
            let mut merged = Merged::default();
            cells.iter().for_each(|cell| merged.note(Some(cell)));
            assert!(merged.warning("t").unwrap().contains("become one number"), "{cells:?}");
        }
        let mut merged = Merged::default();
        [text(0), text(512), text(512)].iter().for_each(|cell| merged.note(Some(cell)));
        assert_eq!(merged.warning("t"), None);
    }

    proptest! {
        #[test]
        fn a_constant_added_to_all_values_changes_no_standardised_difference(
            base in prop::sample::select(vec![0.0, 1e6, 1.7e9, -3e12]),
            steps in prop::collection::vec(0_u16..1000, 3..60),
        ) {
            let values: Vec<f64> = steps.iter().map(|&s| base + f64::from(s)).collect();
            let data = data(values.clone());
            let standard = |v: f64| ((v - data.scale[0].0) / data.scale[0].1) as f32;
            let distinct = |mut v: Vec<f64>| { v.sort_unstable_by(f64::total_cmp); v.dedup(); v };
            let before = distinct(values.clone());
            let after = distinct(values.iter().map(|&v| standard(v).into()).collect());
            prop_assert_eq!(before.len(), after.len());
            prop_assert_eq!(warnings(&data, false).is_empty(), before.len() > 1);
        }
    }
}
