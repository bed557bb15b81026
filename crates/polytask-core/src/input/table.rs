//! Rows of a table: columns of numbers and of categories, one symbol each.
//!
//! A number is its bits as an f32, NaN where it is missing. A category is its place in the list of its column, counted
//! from 1; 0 is one that train does not have.

use serde::{Deserialize, Serialize};

use super::{FreshTraining, InputInfo};

/// Columns of a table.
pub static TABLE: InputInfo = InputInfo {
    name: "table",
    plural: "columns of a table",
    unlike: "rows of another kind",
    nets: &["table-mlp"],
    fresh: Some(FreshTraining {
        encoder: "table-mlp",
        batch_rows: 128,
        lr: 1e-3,
        visits: 4e5,
        most_epochs: 30.0,
    }),
    model_keys: &["widths"],
    row_keys: &["features", "ignore", "categories"],
    even_states: true,
    flag: "--input FILE",
    example: r#"{"age": 39, "job": "clerk"}"#,
    hub_pipeline: "tabular-classification",
    hub_tag: "tabular",
};

/// The symbol of a missing value.
pub const MISSING: u32 = 0x7fc0_0000;
/// The symbol of a category that train does not have.
pub const OTHER: u32 = 0;

/// Standard deviations from the mean beyond which a number is taken as if it were there.
const FARTHEST: f64 = 10.0;

/// The columns a network reads, in order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TableSpec {
    /// The columns.
    pub columns: Vec<TableColumn>,
    /// Cells that mean unknown, beside empty ones, null and NaN.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableColumn {
    /// Its name in files.
    pub name: String,
    /// What its cells are.
    #[serde(flatten)]
    pub form: ColumnForm,
}

/// What the cells of a column are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "form", rename_all = "lowercase")]
pub enum ColumnForm {
    /// Numbers.
    Number {
        /// Their mean in train.
        mean: f64,
        /// Their standard deviation in train, above 0.
        std: f64,
        /// Whether any was missing in train.
        has_missing: bool,
    },
    /// One of several texts.
    Category {
        /// The texts, by symbol from 1 on.
        names: Vec<String>,
    },
}

impl TableSpec {
    /// Values a network reads of a row.
    pub fn n_values(&self) -> usize {
        self.columns.iter().map(|column| column.form.n_values()).sum()
    }

    /// Mean and standard deviation of each column of numbers.
    pub fn moments(&self) -> impl Iterator<Item = (f64, f64)> {
        self.columns.iter().filter_map(|column| match column.form {
            ColumnForm::Number { mean, std, .. } => Some((mean, std)),
            ColumnForm::Category { .. } => None,
        })
    }

    /// The values of a row of symbols.
    ///
    /// # Shapes
    /// `symbols`: `[columns]`, `values`: `[n_values]`.
    pub fn write_values(&self, symbols: &[u32], values: &mut [f32]) {
        let mut rest = values;
        for (column, &symbol) in self.columns.iter().zip(symbols) {
            let (own, later) = rest.split_at_mut(column.form.n_values());
            column.form.write_values(symbol, own);
            rest = later;
        }
    }
}

impl ColumnForm {
    /// Values a network reads of a cell: a number and, where some were missing, whether this one is; a place for each
    /// category.
    pub fn n_values(&self) -> usize {
        match self {
            Self::Number { has_missing, .. } => 1 + usize::from(*has_missing),
            Self::Category { names } => names.len(),
        }
    }

    /// A missing number is the mean; a missing category and one that train does not have are none of the known ones.
    fn write_values(&self, symbol: u32, values: &mut [f32]) {
        values.fill(0.0);
        match self {
            Self::Number { mean, std, has_missing } => {
                let number = f64::from(f32::from_bits(symbol));
                if !number.is_nan() {
                    values[0] = ((number - mean) / std).clamp(-FARTHEST, FARTHEST) as f32;
                } else if *has_missing {
                    values[1] = 1.0;
                }
            }
            Self::Category { .. } => {
                let place = (symbol as usize).checked_sub(1);
                if let Some(value) = place.and_then(|place| values.get_mut(place)) {
                    *value = 1.0;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_standardised_and_categories_have_a_place_each() {
        let number = |has_missing| ColumnForm::Number { mean: 2.0, std: 4.0, has_missing };
        let category = ColumnForm::Category { names: vec!["a".into(), "b".into()] };
        let forms = [number(true), category.clone(), number(false)];
        let columns = forms.into_iter().map(|form| TableColumn { name: "c".into(), form }).collect();
        let spec = TableSpec { columns, missing: vec![] };
        assert_eq!(spec.n_values(), 5);
        let values = |symbols: &[u32]| {
            let mut values = vec![7.0; 5];
            spec.write_values(symbols, &mut values);
            values
        };
        assert_eq!(values(&[4.0_f32.to_bits(), 2, 0.0_f32.to_bits()]), [0.5, 0.0, 0.0, 1.0, -0.5]);
        assert_eq!(values(&[MISSING, OTHER, MISSING]), [0.0, 1.0, 0.0, 0.0, 0.0]);
        // What lies far beyond all that train showed does not throw the rest away.
        assert_eq!(values(&[1e30_f32.to_bits(), MISSING, MISSING])[..4], [10.0, 0.0, 0.0, 0.0]);
        assert_eq!(ColumnForm::n_values(&category), 2);
    }

    #[test]
    fn a_specification_survives_as_json() {
        let form = ColumnForm::Number { mean: 0.1, std: 0.3, has_missing: false };
        let columns = vec![TableColumn { name: "age".into(), form }];
        let spec = TableSpec { columns, missing: vec!["?".into()] };
        let json = serde_json::to_string(&spec).unwrap();
        assert!(json.contains(r#""name":"age","form":"number","mean":0.1"#), "{json}");
        assert_eq!(serde_json::from_str::<TableSpec>(&json).unwrap(), spec);
    }
}
