//! The numeric view of a table: columns of numbers and of category codes, NaN where nothing is known.

use polytask_core::{Problem, Result};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnSort {
    /// Numbers, split by `x < cut`.
    Number,
    /// Codes of categories from 0, split by sets.
    Category,
}

/// A column of the view.
#[derive(Debug, Clone, PartialEq)]
pub struct NumericColumn {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub sort: ColumnSort,
    /// Its values, `[rows]`; NaN = missing.
    pub values: Vec<f32>,
}

/// Columns of equal length.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NumericTable {
    columns: Vec<NumericColumn>,
    n_rows: usize,
}

/// Largest code of a category, so that a column's bins fit 16 bits.
const MOST_CATEGORIES: f32 = 65_000.0;

impl NumericTable {
    /// Checks the columns.
    ///
    /// # Errors
    /// Without rows or columns, where lengths differ or names repeat, and where a value is infinite or a code is none.
    pub fn new(columns: Vec<NumericColumn>) -> Result<Self> {
        let n_rows = columns.first().map_or(0, |column| column.values.len());
        if n_rows == 0 {
            let what =
                format!("the table has {} columns and 0 rows, expected at least one of both", columns.len());
            return Err(Problem::new(what)
                .try_this("a file with rows and a column that is no target")
                .into());
        }
        for (c, column) in columns.iter().enumerate() {
            check_column(column, n_rows)?;
            if columns[..c].iter().any(|earlier| earlier.name == column.name) {
                let what = format!("two columns are called `{}`, expected distinct names", column.name);
                return Err(Problem::new(what).try_this("rename one").into());
            }
        }
        Ok(Self { columns, n_rows })
    }

    /// The columns.
    pub fn columns(&self) -> &[NumericColumn] {
        &self.columns
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Names of the columns.
    pub fn names(&self) -> Vec<String> {
        self.columns.iter().map(|column| column.name.clone()).collect()
    }

    /// The value of a row in a column.
    #[inline]
    pub fn at(&self, row: usize, column: usize) -> f32 {
        self.columns[column].values[row]
    }

    /// The rows of these numbers, in their order.
    #[must_use]
    pub fn take(&self, rows: &[u32]) -> Self {
        let column = |column: &NumericColumn| NumericColumn {
            values: rows.iter().map(|&row| column.values[row as usize]).collect(),
            ..column.clone()
        };
        Self { columns: self.columns.iter().map(column).collect(), n_rows: rows.len() }
    }
}

fn check_column(column: &NumericColumn, n_rows: usize) -> Result<()> {
    let NumericColumn { name, sort, values } = column;
    if values.len() != n_rows {
        let what = format!("column `{name}` has {} rows, expected {n_rows}", values.len());
        return Err(Problem::new(what).try_this("as many cells in every column").into());
    }
    if let Some(row) = values.iter().position(|value| value.is_infinite()) {
        let what = format!("column `{name}`, row {}: {}, expected a finite number", row + 1, values[row]);
        return Err(Problem::new(what).try_this("leave the cell empty where the value is unknown").into());
    }
    let is_code =
        |value: &f32| value.is_nan() || (0.0..=MOST_CATEGORIES).contains(value) && value.fract() == 0.0;
    match values.iter().position(|value| *sort == ColumnSort::Category && !is_code(value)) {
        None => Ok(()),
        Some(row) => {
            let what = format!(
                "column `{name}`, row {}: category {}, expected a whole number from 0 to {MOST_CATEGORIES}",
                row + 1,
                values[row]
            );
            Err(Problem::new(what).try_this("codes counted from 0").into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, sort: ColumnSort, values: &[f32]) -> NumericColumn {
        NumericColumn { name: name.into(), sort, values: values.to_vec() }
    }

    #[test]
    fn what_is_no_table_is_told_with_its_place() {
        let of = |columns: Vec<NumericColumn>| NumericTable::new(columns).unwrap_err().to_string();
        let number = |values: &[f32]| column("a", ColumnSort::Number, values);
        assert!(of(vec![]).contains("0 rows"));
        assert!(of(vec![number(&[])]).contains("1 columns and 0 rows"));
        assert!(of(vec![number(&[1.0, f32::INFINITY])]).contains("column `a`, row 2: inf"));
        assert!(of(vec![number(&[1.0]), number(&[2.0])]).contains("two columns are called `a`"));
        assert!(of(vec![number(&[1.0]), column("b", ColumnSort::Number, &[])]).contains("`b` has 0 rows"));
        assert!(of(vec![column("c", ColumnSort::Category, &[0.5])]).contains("category 0.5"));
    }

    #[test]
    fn rows_are_taken_in_the_order_asked() {
        let table = NumericTable::new(vec![column("a", ColumnSort::Number, &[1.0, 2.0, f32::NAN])]).unwrap();
        let taken = table.take(&[1, 0, 1]);
        assert_eq!((taken.n_rows(), taken.columns()[0].values.clone()), (3, vec![2.0, 1.0, 2.0]));
    }
}
