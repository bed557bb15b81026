//! Tables without texts: numbers and categories, of which some columns are what is to be learned.

use polytask_core::KindInfo;
use polytask_core::input::table::TABLE;
use polytask_core::suite::DraftTask;
use polytask_core::target::{Numbers, OneLabel};
use polytask_core::words::{plural, verb};

use super::column::Column;
use super::drafted::{quote, reason};
use super::form::{Form, LABELS, SCORES, is_in};
use super::looked::{Guess, Looked};

/// Usual names of what is to be learned from the rest of a row, beside those of labels and scores.
const TARGETS: [&str; 24] = [
    "outcome",
    "target",
    "response",
    "result",
    "income",
    "salary",
    "survived",
    "churn",
    "churned",
    "default",
    "defaulted",
    "subscribed",
    "fraud",
    "is_fraud",
    "click",
    "clicked",
    "converted",
    "diagnosis",
    "species",
    "approved",
    "admitted",
    "failure",
    "cost",
    "sales",
];
/// Names of targets that say nothing of what these are.
const NEUTRAL: [&str; 5] = ["target", "y", "outcome", "result", "response"];
/// Classes that numbers stand for at most.
const MOST_CLASSES: usize = 30;
/// Words of a text on average from which on a table is about its texts, whatever numbers stand beside them.
const WORDS_OF_TEXTS: f64 = 8.0;
/// Columns of numbers that are no targets from which on a table with short texts (names) is one of numbers.
const NUMBERS_OF_TABLES: usize = 3;
/// Different values up to which a column of short texts is one of categories.
const MOST_CATEGORIES: usize = 100;

/// Rows and columns beside the target from which on a table is taken for one to learn from.
const LEAST_ROWS: usize = 10;
const LEAST_FEATURES: usize = 2;
/// Why a column is taken for a target.
const NAMED: &str = "its name says that it is learned";
const LAST: &str = "the last column, as no name says what is learned; uncomment the lines, or name another";

impl<'a> Looked<'a> {
    /// Whether a table with a column of texts is one of numbers all the same, with names beside them.
    pub(super) fn has_names_alone(&self, text: &Column) -> bool {
        let is_feature = |column: &Column, form: Form| form == Form::Numbers && !is_target_name(&column.name);
        text.mean_words() < WORDS_OF_TEXTS && self.with(is_feature).count() >= NUMBERS_OF_TABLES
    }

    /// The tasks of a table of numbers and categories; none where nothing would be left to read.
    pub(super) fn of_rows(&self) -> Option<Guess> {
        let can_be_read = |column: &Column, form: Form| match form {
            Form::Numbers | Form::Label => true,
            Form::Names => column.distinct() <= MOST_CATEGORIES,
            _ => false,
        };
        let read: Vec<&Column> = self.with(can_be_read).collect();
        let named: Vec<&Column> =
            read.iter().copied().filter(|column| is_target_name(&column.name)).collect();
        let (targets, why) = if named.is_empty() {
            (read.last().copied().into_iter().collect(), LAST)
        } else {
            (named, NAMED)
        };
        if targets.is_empty() || targets.len() + LEAST_FEATURES > read.len() || self.sample.rows < LEAST_ROWS
        {
            return None;
        }
        let tasks = targets.iter().filter_map(|target| self.row_task(target, why)).collect();
        let left_out: Vec<&Column> = self.with(|column, form| !can_be_read(column, form)).collect();
        let ignore = left_out.iter().map(|column| column.name.clone()).collect();
        let n = read.len() - targets.len();
        let evidence = vec![
            format!(
                "no column of texts: {} of numbers or categories {} read for each task; `features` names others",
                plural(n, "column"),
                verb(n, "is", "are")
            ),
            "a column that is to be learned too is one more [[task]] with `from`, and is then not read"
                .to_owned(),
        ];
        let left_out = left_out.iter().map(|column| reason(column, self.unread(column)));
        Some(Guess { evidence, tasks, left_out: left_out.collect(), ignore, ..Guess::default() })
    }

    /// Why a column is not read.
    fn unread(&self, column: &Column) -> &'static str {
        match self.form_of(column) {
            Some(Form::Id) => "not read: looks like an id",
            Some(Form::Constant | Form::Empty) => "not read: it says nothing",
            _ => "not read: neither numbers nor categories",
        }
    }

    /// The task that a column of a table is.
    fn row_task(&self, column: &'a Column, why: &str) -> Option<DraftTask> {
        let class = KindInfo::of(&OneLabel, &TABLE, 1)?;
        let number = KindInfo::of(&Numbers, &TABLE, 1)?;
        let form = self.form_of(column)?;
        let mut task = if form == Form::Numbers && !counts_classes(column) {
            self.numbers(column, class, number)
        } else {
            self.label(column, class)
        };
        task.evidence.push(format!("column {}: {why}", quote(&column.name)));
        // The last column is a guess like any other.
        task.is_sure &= why == NAMED;
        Some(task)
    }
}

/// Whether whole numbers from 0 on, each given, stand for classes: so do those of `target` and `y` of most sets.
fn counts_classes(column: &Column) -> bool {
    let are_whole = column.wholes == column.numbers && column.low == 0.0;
    let n = column.distinct();
    are_whole && n <= MOST_CLASSES && column.high + 1.0 == n as f64 && NEUTRAL.contains(&column.name.as_str())
}

fn is_target_name(name: &str) -> bool {
    is_in(&LABELS, name) || is_in(&SCORES, name) || is_in(&TARGETS, name)
}
