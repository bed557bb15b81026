//! A table with what its columns are, and what it can be used for.

use polytask_core::suite::DraftTask;

use super::column::{Column, Sample};
use super::form::Form;

/// A table with what its columns are.
pub(super) struct Looked<'a> {
    pub(super) sample: &'a Sample,
    pub(super) forms: Vec<(&'a Column, Form)>,
}

impl<'a> Looked<'a> {
    pub(super) fn form_of(&self, column: &Column) -> Option<Form> {
        self.forms.iter().find(|(of, _)| of.name == column.name).map(|(_, form)| *form)
    }

    pub(super) fn with(&self, wanted: impl Fn(&Column, Form) -> bool) -> impl Iterator<Item = &'a Column> {
        self.forms.iter().filter(move |(column, form)| wanted(column, *form)).map(|(column, _)| *column)
    }

    pub(super) fn named(&self, name: &str) -> Option<(&'a Column, Form)> {
        self.forms.iter().find(|(column, _)| column.name.eq_ignore_ascii_case(name)).copied()
    }
}

/// What a table can be used for.
#[derive(Debug, Default)]
pub(super) struct Guess {
    /// Role and column of the inputs; only those that must be named.
    pub(super) columns: Vec<(String, String)>,
    pub(super) evidence: Vec<String>,
    pub(super) tasks: Vec<DraftTask>,
    pub(super) left_out: Vec<String>,
    /// Columns of a table that are not read.
    pub(super) ignore: Vec<String>,
}
