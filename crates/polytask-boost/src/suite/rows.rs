//! Rows of a dataset as columns of numbers.

use std::collections::HashMap;

use polytask_core::input::InputSpec;
use polytask_core::input::table::{ColumnForm, MISSING, TableSpec, category_symbol};
use polytask_core::{Problem, Result, Split};
use polytask_data::{Dataset, TextId};

use crate::table::{ColumnSort, NumericColumn, NumericTable};

/// Rows as trees see them: the columns they read, and the group of each row.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewedRows {
    /// The columns, without the one that names groups.
    pub table: NumericTable,
    /// Number of each row's group; `None` where it is unknown or new.
    pub groups: Vec<Option<usize>>,
}

/// How symbols of rows become numbers.
#[derive(Debug)]
pub struct RowView<'a> {
    columns: Vec<ViewedColumn<'a>>,
    /// Index of the column that names groups, and the number of each by its symbol.
    group: Option<(usize, HashMap<u32, usize>)>,
}

#[derive(Debug)]
struct ViewedColumn<'a> {
    at: usize,
    name: &'a str,
    /// Code of each category by its symbol; `None` for numbers.
    codes: Option<HashMap<u32, usize>>,
    /// What a category is that has no code: unknown, or one that no split names.
    unseen: f32,
}

/// The columns of a dataset.
pub(crate) fn spec_of(dataset: &Dataset) -> Result<&TableSpec> {
    if let InputSpec::Table(spec) = &dataset.input {
        return Ok(spec);
    }
    let what = "boosted trees read the columns of a table, but the tasks read something else";
    Err(Problem::new(what).try_this("kind = \"table-class\" or \"table-regression\"").into())
}

/// Names of the groups that train has.
///
/// # Errors
/// When the column is not read, or names one group only.
pub(crate) fn group_names(spec: &TableSpec, group: &str) -> Result<Vec<String>> {
    let names: Vec<&str> = spec.columns.iter().map(|column| column.name.as_str()).collect();
    let Some(column) = spec.columns.iter().find(|column| column.name == group) else {
        let what = format!("no column `{group}`, which `group` names: found {}", names.join(", "));
        return Err(Problem::new(what).try_this(polytask_core::near::advice(group, &names)).into());
    };
    if let ColumnForm::Category { names } = &column.form {
        return Ok(names.clone());
    }
    let what = format!("column `{group}`, which `group` names, has fewer than two groups in train");
    Err(Problem::new(what).try_this("`trees = \"boost\"`, which needs no groups").into())
}

fn codes(names: &[String]) -> HashMap<u32, usize> {
    names.iter().enumerate().map(|(code, name)| (category_symbol(name), code)).collect()
}

impl<'a> RowView<'a> {
    /// Of these columns, of which one may name groups.
    pub fn new(spec: &'a TableSpec, group: Option<&str>) -> Self {
        let viewed = spec.columns.iter().enumerate().filter(|(_, column)| column.form != ColumnForm::Silent);
        let column = |(at, column): (usize, &'a polytask_core::input::table::TableColumn)| ViewedColumn {
            at,
            name: &column.name,
            codes: match &column.form {
                ColumnForm::Category { names } => Some(codes(names)),
                _ => None,
            },
            unseen: f32::NAN,
        };
        let (groups, columns): (Vec<_>, Vec<_>) =
            viewed.map(column).partition(|column| group == Some(column.name));
        let group = groups.into_iter().next().and_then(|column| Some((column.at, column.codes?)));
        Self { columns, group }
    }

    /// The same where the categories of some columns are codes by themselves, as in files that name none: another code is
    /// not unknown, it stands in no split.
    #[must_use]
    pub(crate) fn coded(mut self, columns: &[String]) -> Self {
        for column in self.columns.iter_mut().filter(|column| columns.iter().any(|name| name == column.name))
        {
            column.unseen = column.codes.as_ref().map_or(f32::NAN, |codes| codes.len() as f32);
        }
        self
    }

    /// Columns that trees read.
    pub fn n_columns(&self) -> usize {
        self.columns.len()
    }

    /// The numbers of rows, each a symbol per column.
    ///
    /// # Errors
    /// Without rows, and for infinite numbers.
    pub fn rows<'r>(&self, rows: impl Iterator<Item = &'r [u32]> + Clone) -> Result<ViewedRows> {
        let value = |column: &ViewedColumn<'_>, symbol: u32| match &column.codes {
            _ if symbol == MISSING => f32::NAN,
            // A category that train did not have is unknown.
            Some(codes) => codes.get(&symbol).map_or(column.unseen, |code| *code as f32),
            None => f32::from_bits(symbol),
        };
        let column = |column: &ViewedColumn<'_>| NumericColumn {
            name: column.name.to_owned(),
            sort: if column.codes.is_some() { ColumnSort::Category } else { ColumnSort::Number },
            values: rows.clone().map(|row| value(column, row[column.at])).collect(),
        };
        let table = NumericTable::new(self.columns.iter().map(column).collect())?;
        let group = |row: &[u32]| self.group.as_ref().and_then(|(at, codes)| codes.get(&row[*at]).copied());
        Ok(ViewedRows { table, groups: rows.map(group).collect() })
    }

    /// The numbers of texts of a dataset.
    pub(crate) fn texts(&self, dataset: &Dataset, texts: &[TextId]) -> Result<ViewedRows> {
        self.rows(texts.iter().map(|&text| dataset.texts.tokens(text)))
    }
}

/// Where the rows of each source stand when the rows of a split are laid end to end.
pub(crate) struct Laid {
    pub(crate) texts: Vec<TextId>,
    pub(crate) weights: Vec<f32>,
    /// First row of each source.
    pub(crate) first: Vec<usize>,
}

impl Laid {
    /// The rows of all sources in a split.
    pub(crate) fn of(dataset: &Dataset, split: Split) -> Self {
        let mut laid = Self { texts: vec![], weights: vec![], first: vec![] };
        for source in &dataset.sources {
            laid.first.push(laid.texts.len());
            if let Some(rows) = source.splits.get(&split) {
                laid.texts.extend(&rows.texts);
                laid.weights.extend(&rows.weights);
            }
        }
        laid
    }
}
