//! A cell of a data file before its column has a meaning.

mod printed;

use serde_json::Value;

pub use printed::is_shortened;

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// A real or a whole number that a double holds exactly.
    Number(f64),
    /// A text; also whole numbers beyond 2⁵³ (ids), and objects as JSON.
    Text(String),
    /// Several values.
    List(Vec<Cell>),
}

impl Cell {
    /// A JSON value as a cell.
    pub fn from_json(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(b) => Self::Bool(b),
            Value::Number(number) => Self::from_number(&number),
            Value::String(text) => Self::Text(text),
            Value::Array(items) => Self::List(items.into_iter().map(Self::from_json).collect()),
            Value::Object(_) => Self::Text(value.to_string()),
        }
    }

    fn from_number(number: &serde_json::Number) -> Self {
        const EXACT: u64 = 1 << 53;
        let exact = |magnitude: u64| magnitude <= EXACT;
        let fits = number.as_i64().map_or_else(|| number.as_u64().is_none(), |i| exact(i.unsigned_abs()));
        match number.as_f64() {
            Some(real) if fits => Self::Number(real),
            _ => Self::Text(number.to_string()),
        }
    }

    /// Whether the cell says nothing: null, NaN, or an empty or `NaN`/`null` text (the mask rule for targets).
    pub fn is_missing(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Number(real) => real.is_nan(),
            Self::Text(text) => matches!(text.trim(), "" | "NaN" | "nan" | "null" | "NULL" | "Null"),
            Self::Bool(_) | Self::List(_) => false,
        }
    }

    /// The cell as a text: numbers as written in decimal, list items joined by spaces; `None` for null.
    pub fn to_text(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Bool(b) => Some(b.to_string()),
            Self::Number(real) => Some(real.to_string()),
            Self::Text(text) => Some(text.clone()),
            Self::List(items) => {
                let texts: Vec<String> = items.iter().filter_map(Self::to_text).collect();
                Some(texts.join(" "))
            }
        }
    }

    /// The items of a list, given as such or as a text that is a JSON list or one that Python printed; `None` for
    /// anything else.
    pub fn to_items(&self) -> Option<Vec<Cell>> {
        match self {
            Self::List(items) => Some(items.clone()),
            Self::Text(text) if text.trim_start().starts_with(['[', '(', '{', 's']) => {
                match serde_json::from_str(text).map(Self::from_json) {
                    Ok(Self::List(items)) => Some(items),
                    _ => printed::items(text),
                }
            }
            _ => None,
        }
    }

    /// The words of a text: the items of a list of texts, whatever stands in them; a text cut at blanks. `None` for
    /// null.
    pub fn to_words(&self) -> Option<Vec<String>> {
        let listed = self.to_items().filter(|items| items.iter().all(|item| matches!(item, Self::Text(_))));
        match listed {
            Some(items) => Some(items.iter().filter_map(Self::to_text).collect()),
            None => Some(self.to_text()?.split_whitespace().map(str::to_owned).collect()),
        }
    }

    /// The cell in a message: shortened, never a whole text.
    pub fn describe(&self) -> String {
        match self {
            Self::Null => "null".into(),
            Self::Bool(b) => b.to_string(),
            Self::Number(real) => real.to_string(),
            Self::Text(text) => format!("`{}`", shorten(text)),
            Self::List(items) => format!("a list of {}", items.len()),
        }
    }
}

/// A whole number without the zeros that some programs write after its point; any other text as it is.
pub fn without_zeros(label: &str) -> &str {
    let Some((whole, zeros)) = label.split_once('.') else { return label };
    let digits = whole.trim_start_matches(['-', '+']);
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if is_number && zeros.bytes().all(|b| b == b'0') { whole } else { label }
}

/// The first 40 characters of a text.
pub fn shorten(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_means_null_nan_or_empty_and_never_zero_or_an_empty_list() {
        for missing in [Cell::Null, Cell::Number(f64::NAN), Cell::Text(" ".into()), Cell::Text("NaN".into())]
        {
            assert!(missing.is_missing(), "{missing:?}");
        }
        for known in [Cell::Number(0.0), Cell::Bool(false), Cell::List(vec![]), Cell::Text("0".into())] {
            assert!(!known.is_missing(), "{known:?}");
        }
    }

    #[test]
    fn long_ids_keep_all_their_digits() {
        let cell = |json: &str| Cell::from_json(serde_json::from_str(json).unwrap());
        assert_eq!(cell("12345678901234567").to_text().unwrap(), "12345678901234567");
        assert_eq!(cell("31715818").to_text().unwrap(), "31715818");
        assert_eq!(cell("18446744073709551615").to_text().unwrap(), "18446744073709551615");
        assert_eq!(cell("2.5"), Cell::Number(2.5));
    }

    #[test]
    fn a_json_list_in_a_text_cell_is_a_list() {
        let cell = Cell::Text("[\"a\", \"b\"]".into());
        assert_eq!(cell.to_items().unwrap(), [Cell::Text("a".into()), Cell::Text("b".into())]);
        assert_eq!(Cell::Text("[a, b".into()).to_items(), None);
    }
}
