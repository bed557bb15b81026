//! Rows of a table: columns of numbers and categories, one symbol each.
//!
//! A number is its bits as an f32, NaN where it is missing. A category is a hash of its text, so that equal rows are
//! equal symbols whatever was read before them; which hash has which place is the network's to know.
//!
//! Columns of texts and images come after these: each is a symbol with the number of its own symbols (0 where the cell
//! is missing), and these.

use serde::{Deserialize, Serialize};

use super::image::ImageSize;
use super::{FreshTraining, InputInfo};
use crate::cell::{Cell, without_zeros};
use crate::hash::text64;

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
    model_keys: &["trees", "widths", "image_encoder", "image_size", "channels", "pixel_mean", "pixel_std"],
    row_keys: &["features", "group", "ignore", "categories", "texts", "images"],
    even_states: true,
    whole_row: true,
    flag: "--input FILE",
    example: r#"{"age": 39, "job": "clerk"}"#,
    hub_pipeline: "tabular-classification",
    hub_tag: "tabular",
};

/// Names of the encoders that read columns of texts and images: their blocks have them before their own names.
pub const TOWERS: [&str; 2] = ["image", "text"];

/// The symbol of a missing value.
pub const MISSING: u32 = 0x7fc0_0000;

/// Standard deviations from the mean beyond which a number is taken as if it were there.
const FARTHEST: f64 = 10.0;

/// The text of a category: `1`, `1.0` and the number 1 are one, and so are `True` and true.
pub fn category_text(cell: &Cell) -> Option<String> {
    let text = cell.to_text()?;
    let text = text.trim();
    let is_switch = ["true", "false"].iter().any(|switch| text.eq_ignore_ascii_case(switch));
    Some(if is_switch { text.to_ascii_lowercase() } else { without_zeros(text).to_owned() })
}

/// The symbol of a category.
pub fn category_symbol(text: &str) -> u32 {
    let hash = text64(text);
    let symbol = (hash ^ (hash >> 32)) as u32;
    if symbol == MISSING { symbol ^ 1 } else { symbol }
}

/// The columns a network reads, in order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TableSpec {
    /// The columns.
    pub columns: Vec<TableColumn>,
    /// Cells that mean unknown, beside empty ones, null and NaN.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// The size of images in columns, where there are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageSize>,
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
        /// Those of train.
        names: Vec<String>,
    },
    /// A text, which an encoder of texts reads.
    Text,
    /// An image, which an encoder of images reads.
    Image,
    /// Nothing: train has one value, or none.
    Silent,
}

impl ColumnForm {
    /// Whether an encoder of its own reads its cells.
    pub fn is_encoded(&self) -> bool {
        matches!(self, Self::Text | Self::Image)
    }

    /// Values a network reads of a cell: a number and, where some were missing, whether this one is; a place for each
    /// category.
    pub fn n_values(&self) -> usize {
        match self {
            Self::Number { has_missing, .. } => 1 + usize::from(*has_missing),
            Self::Category { names } => names.len(),
            Self::Text | Self::Image | Self::Silent => 0,
        }
    }
}

impl TableSpec {
    /// Columns of one symbol each, which stand before those that encoders read.
    pub fn n_plain(&self) -> usize {
        self.columns.iter().take_while(|column| !column.form.is_encoded()).count()
    }

    /// The columns that encoders read.
    pub fn encoded(&self) -> &[TableColumn] {
        &self.columns[self.n_plain()..]
    }

    /// The symbols of a row cut by its columns that encoders read; `None` where they are no row of this table.
    pub fn cut<'s>(&self, symbols: &'s [u32]) -> Option<Vec<&'s [u32]>> {
        let (mut rest, mut parts) = (symbols.get(self.n_plain()..)?, Vec::new());
        for _ in self.encoded() {
            let (&n, after) = rest.split_first()?;
            let (part, later) = after.split_at_checked(n as usize)?;
            parts.push(part);
            rest = later;
        }
        rest.is_empty().then_some(parts)
    }

    /// Tokens of the texts in a row.
    pub fn n_tokens(&self, symbols: &[u32]) -> usize {
        let parts = self.cut(symbols).unwrap_or_default();
        let texts = self.encoded().iter().zip(parts).filter(|(column, _)| column.form == ColumnForm::Text);
        texts.map(|(_, part)| part.len()).sum()
    }

    /// Values a network reads of a row.
    pub fn n_values(&self) -> usize {
        self.columns.iter().map(|column| column.form.n_values()).sum()
    }

    /// What a column says that no row could be read by; `None` where all is well.
    pub fn mistake(&self) -> Option<String> {
        let mistake = |TableColumn { name, form }: &TableColumn| match form {
            ColumnForm::Number { mean, std, .. } => {
                let is_sane = mean.is_finite() && std.is_finite() && *std > 0.0;
                (!is_sane).then(|| {
                    format!("column `{name}`: mean {mean} and std {std}, expected finite ones, std above 0")
                })
            }
            ColumnForm::Category { names } => {
                let mut places: Vec<u32> = names.iter().map(|name| category_symbol(name)).collect();
                places.sort_unstable();
                let is_twice = places.windows(2).any(|pair| pair[0] == pair[1]);
                is_twice.then(|| format!("column `{name}` has a category twice"))
            }
            ColumnForm::Text | ColumnForm::Image | ColumnForm::Silent => None,
        };
        let stands_before = |pair: &&[TableColumn]| pair[0].form.is_encoded() && !pair[1].form.is_encoded();
        if let Some(pair) = self.columns.windows(2).find(stands_before) {
            return Some(format!("column `{}` stands after one that an encoder reads", pair[1].name));
        }
        self.columns.iter().find_map(mistake)
    }
}

/// Makes the values of rows from their symbols.
#[derive(Debug, Clone, PartialEq)]
pub struct TableValues {
    columns: Vec<ColumnValues>,
}

/// Makes the values of a column's cells.
#[derive(Debug, Clone, PartialEq)]
enum ColumnValues {
    Number {
        mean: f64,
        std: f64,
        has_missing: bool,
    },
    /// The place of each symbol, by symbol.
    Category(Vec<(u32, usize)>),
    Silent,
}

impl TableValues {
    /// Those of a network that reads these columns.
    pub fn new(spec: &TableSpec) -> Self {
        let column = |column: &TableColumn| match &column.form {
            ColumnForm::Number { mean, std, has_missing } => {
                ColumnValues::Number { mean: *mean, std: *std, has_missing: *has_missing }
            }
            ColumnForm::Category { names } => {
                let symbols = names.iter().map(|name| category_symbol(name));
                let mut places: Vec<(u32, usize)> =
                    symbols.enumerate().map(|(i, symbol)| (symbol, i)).collect();
                places.sort_unstable();
                ColumnValues::Category(places)
            }
            ColumnForm::Text | ColumnForm::Image | ColumnForm::Silent => ColumnValues::Silent,
        };
        Self { columns: spec.columns.iter().map(column).collect() }
    }

    /// The values of a row of symbols; of columns that encoders read there are none.
    ///
    /// # Shapes
    /// `symbols`: `[columns]` and those of encoders, `values`: `[n_values]`.
    pub fn write(&self, symbols: &[u32], values: &mut [f32]) {
        let mut rest = values;
        for (column, &symbol) in self.columns.iter().zip(symbols) {
            let (own, later) = rest.split_at_mut(column.n_values());
            column.write(symbol, own);
            rest = later;
        }
    }
}

impl ColumnValues {
    fn n_values(&self) -> usize {
        match self {
            Self::Number { has_missing, .. } => 1 + usize::from(*has_missing),
            Self::Category(places) => places.len(),
            Self::Silent => 0,
        }
    }

    /// A missing number is the mean; a missing category and one that train does not have are none of the known ones.
    fn write(&self, symbol: u32, values: &mut [f32]) {
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
            Self::Category(places) => {
                if let Ok(found) = places.binary_search_by_key(&symbol, |(symbol, _)| *symbol) {
                    values[places[found].1] = 1.0;
                }
            }
            Self::Silent => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(forms: Vec<ColumnForm>) -> TableSpec {
        let columns = forms.into_iter().map(|form| TableColumn { name: "c".into(), form }).collect();
        TableSpec { columns, missing: vec!["?".into()], image: None }
    }

    #[test]
    fn numbers_are_standardised_and_categories_have_a_place_each() {
        let number = |has_missing| ColumnForm::Number { mean: 2.0, std: 4.0, has_missing };
        let category = ColumnForm::Category { names: vec!["a".into(), "b".into()] };
        let spec = spec(vec![number(true), category, number(false), ColumnForm::Silent]);
        assert_eq!((spec.n_values(), spec.mistake()), (5, None));
        let written = |symbols: &[u32]| {
            let mut values = vec![7.0; 5];
            TableValues::new(&spec).write(symbols, &mut values);
            values
        };
        let of = category_symbol;
        assert_eq!(written(&[4.0_f32.to_bits(), of("b"), 0.0_f32.to_bits(), 9]), [0.5, 0.0, 0.0, 1.0, -0.5]);
        assert_eq!(written(&[MISSING, of("c"), MISSING, MISSING]), [0.0, 1.0, 0.0, 0.0, 0.0]);
        // What lies far beyond all that train showed does not throw the rest away.
        assert_eq!(written(&[1e30_f32.to_bits(), MISSING, MISSING, 0])[..4], [10.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn columns_that_encoders_read_are_cut_from_a_row() {
        let number = ColumnForm::Number { mean: 0.0, std: 1.0, has_missing: false };
        let spec = spec(vec![number, ColumnForm::Text, ColumnForm::Image]);
        assert_eq!((spec.n_plain(), spec.n_values(), spec.mistake()), (1, 1, None));
        let row = [5, 2, 7, 8, 0];
        assert_eq!(spec.cut(&row).unwrap(), [&[7, 8][..], &[]]);
        assert_eq!(spec.n_tokens(&row), 2);
        for broken in [&[5, 2, 7][..], &[5, 9, 7, 8, 0], &[5, 2, 7, 8, 0, 1], &[]] {
            assert_eq!(spec.cut(broken), None, "{broken:?}");
        }
        let mut turned = spec;
        turned.columns.reverse();
        assert!(turned.mistake().unwrap().contains("stands after"));
    }

    #[test]
    fn a_category_is_one_however_a_program_writes_it() {
        let text = |cell: Cell| category_text(&cell).unwrap();
        for one in [Cell::Number(1.0), Cell::Text("1.0".into()), Cell::Text(" 1 ".into())] {
            assert_eq!(text(one), "1");
        }
        assert_eq!((text(Cell::Bool(true)), text(Cell::Text("True".into()))), ("true".into(), "true".into()));
        assert_eq!(
            (text(Cell::Text("01".into())), text(Cell::Text("1.5".into()))),
            ("01".into(), "1.5".into())
        );
        assert_ne!(category_symbol("a"), category_symbol("b"));
    }

    #[test]
    fn a_specification_survives_as_json_and_a_broken_one_is_told() {
        let form = ColumnForm::Number { mean: 0.1, std: 0.3, has_missing: false };
        let whole = spec(vec![form, ColumnForm::Silent]);
        let json = serde_json::to_string(&whole).unwrap();
        assert!(json.contains(r#""name":"c","form":"number","mean":0.1"#), "{json}");
        assert_eq!(serde_json::from_str::<TableSpec>(&json).unwrap(), whole);
        let broken = ColumnForm::Number { mean: f64::NAN, std: 0.3, has_missing: false };
        assert!(spec(vec![broken]).mistake().unwrap().contains("mean NaN"));
        let twice = ColumnForm::Category { names: vec!["a".into(), "a".into()] };
        assert!(spec(vec![twice]).mistake().unwrap().contains("twice"));
    }
}
