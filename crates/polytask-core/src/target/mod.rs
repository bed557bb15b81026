//! Forms of targets: how a cell is read, what a head's outputs mean, and how an answer is written.
//!
//! A form is one file here, or stands in the file of the one kind that has it. Once read, every target is of one of a few
//! types ([`TargetType`]), and what follows (batches, losses, metrics, baselines) goes by these: a form of its own that
//! reads into a type that is there needs no change anywhere else.

mod closeness;
mod column;
mod label;
mod label_table;
mod labels;
mod numbers;
mod passages;
mod row;
mod tags;
#[cfg(test)]
mod tests;

use std::fmt::Debug;

use serde::Serialize;
use serde_json::Value;

use crate::outputs::sigmoid;

pub use closeness::Closeness;
pub use column::SeenColumn;
pub use label::OneLabel;
pub use label_table::{JoinedLabels, LabelTable};
pub use labels::ManyLabels;
pub use numbers::{Numbers, has_decimal_comma, number, range, real};
pub use passages::Passages;
pub use row::{Qrel, TargetRow};
pub use tags::Tags;

/// What a target is once it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetType {
    /// One label of a set.
    Label,
    /// Any number of labels of a set.
    Labels,
    /// One real, or several.
    Numbers,
    /// One tag per input word.
    Tags,
    /// Which passages answer a query.
    Passages,
}

/// A form of targets.
pub trait TargetForm: Debug + Sync {
    /// Its name, unique among forms.
    fn name(&self) -> &'static str;

    /// What its targets are once they are read.
    fn target_type(&self) -> TargetType;

    /// Reads the target of a row; `labels` is the task's set of labels.
    ///
    /// # Errors
    /// Why the cell is no such target.
    fn read(&self, row: &TargetRow<'_>, labels: &mut LabelTable) -> Result<TargetCell, CellMistake>;

    /// The fewest labels that a suite may declare; `None` where targets are no labels.
    fn least_labels(&self) -> Option<usize> {
        None
    }

    /// Whether its labels have an order.
    fn orders_labels(&self) -> bool {
        false
    }

    /// Numbers of a row, where they are always as many.
    fn width(&self) -> Option<usize> {
        None
    }

    /// What maps a number to the head's scale, (shift, span), from its known values in train: mean and standard deviation;
    /// span 1 where all are equal.
    fn scale(&self, known: &[f64]) -> (f64, f64) {
        numbers::standard(known)
    }

    /// Whether its numbers are scores between two ends, which become 0 and 1.
    fn has_range(&self) -> bool {
        false
    }

    /// Whether outputs are log-odds of shares: of numbers from 0 to 1.
    fn gives_log_odds(&self) -> bool {
        false
    }

    /// An output on the head's scale of targets.
    fn link(&self, output: f32) -> f32 {
        if self.gives_log_odds() { sigmoid(output) } else { output }
    }

    /// Between which values an answer lies, from the known values in train.
    fn bounds(&self, _known: &[f64]) -> Bounds {
        None
    }

    /// The mistake that nearly all cells of a column of train share; none where they are mistakes of their own.
    fn mistake_of_column(&self, _seen: &SeenColumn) -> Option<ColumnMistake> {
        None
    }

    /// Whether cells are numbers as they are written, so that what becomes of them in a double can be told.
    fn reads_plain_numbers(&self) -> bool {
        false
    }

    /// The outputs of a row (of a word, where words are tagged) in words and in the units of the targets; null where rows
    /// have no answer of their own.
    fn answer(&self, _outputs: &[f32], _meaning: OutputMeaning<'_>) -> Value {
        Value::Null
    }
}

/// What nearly all cells of a column have in common that no target of the form has.
#[derive(Debug)]
pub struct ColumnMistake {
    /// What was found, and what was expected.
    pub what: String,
    /// What to try.
    pub remedy: ColumnRemedy,
}

/// What to do about a column.
#[derive(Debug)]
pub enum ColumnRemedy {
    /// This.
    Words(String),
    /// Read it as targets of this form.
    OtherForm(&'static dyn TargetForm),
}

/// Smallest and largest value of a grade; `None` for other numbers.
pub type Bounds = Option<(f64, f64)>;

/// What the outputs of a task's head mean.
#[derive(Debug, Clone, Copy)]
pub struct OutputMeaning<'a> {
    /// Labels or tags in the order of outputs.
    pub labels: &'a [String],
    /// (shift, span) of each number.
    pub scale: &'a [(f64, f64)],
    /// Smallest and largest value of each number that is a grade.
    pub bounds: &'a [Bounds],
}

impl OutputMeaning<'_> {
    /// Outputs in the units of the targets.
    pub fn numbers(&self, outputs: &[f32]) -> Vec<f64> {
        let unit = |(i, &output): (usize, &f32)| {
            let scale = self.scale.get(i).copied().unwrap_or((0.0, 1.0));
            in_units(output, scale, self.bounds.get(i).copied().flatten())
        };
        outputs.iter().enumerate().map(unit).collect()
    }
}

/// A head's output in the unit of its number, of which `scale` is the shift and the span.
pub fn in_units(output: f32, (shift, span): (f64, f64), bounds: Bounds) -> f64 {
    let value = f64::from(output) * span + shift;
    match bounds {
        Some((low, high)) if value.is_finite() => value.clamp(low, high),
        _ => value,
    }
}

/// A target as read: labels as indices of the task's set, passages still as ids or texts.
#[derive(Debug, Clone, PartialEq)]
pub enum TargetCell {
    /// Nothing is known.
    Unknown,
    /// One label.
    Label(u32),
    /// Labels, in any order.
    Labels(Vec<u32>),
    /// Numbers, NaN where unknown.
    Numbers(Vec<f64>),
    /// A tag per word.
    Tags(Vec<u32>),
    /// What answers a query.
    Passages {
        /// Ids or texts with grades.
        positives: Vec<(String, f32)>,
        /// Ids or texts.
        negatives: Vec<String>,
        /// Id of the query, where judgements name it.
        query: Option<String>,
    },
}

/// What is the matter with a cell; many of one sort may be a mistake of the column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MistakeSort {
    /// A text in the place of a number.
    Text,
    /// A number with commas.
    Commas,
    /// A list in the place of a label; it is this sort where it is as long as the words of its row.
    Tags,
    /// A label that is not in the set.
    Unknown,
    /// Anything else.
    Other,
}

/// Why a cell is no target.
#[derive(Debug, PartialEq)]
pub struct CellMistake {
    /// What was found, and what was expected.
    pub what: String,
    /// What to try.
    pub remedy: String,
    /// Of what sort it is.
    pub sort: MistakeSort,
}

impl TargetCell {
    /// Whether it is of a type, or unknown.
    pub fn is_of(&self, target_type: TargetType) -> bool {
        match self {
            Self::Unknown => true,
            Self::Label(_) => target_type == TargetType::Label,
            Self::Labels(_) => target_type == TargetType::Labels,
            Self::Numbers(values) => target_type == TargetType::Numbers && !values.is_empty(),
            Self::Tags(_) => target_type == TargetType::Tags,
            Self::Passages { .. } => target_type == TargetType::Passages,
        }
    }
}

impl CellMistake {
    /// A mistake of no particular sort.
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into(), sort: MistakeSort::Other }
    }

    /// The same of a sort.
    #[must_use]
    pub fn of(self, sort: MistakeSort) -> Self {
        Self { sort, ..self }
    }
}
