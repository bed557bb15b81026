//! Parts of a recipe as JSON, from which its table is read.

use serde_json::Value;
use toml_edit::{ArrayOfTables, Item, TableLike};

/// An item.
pub(super) fn json(item: &Item) -> Value {
    match item {
        Item::None => Value::Null,
        Item::Value(value) => of_value(value),
        Item::Table(table) => of_table(table),
        Item::ArrayOfTables(tables) => of_tables(tables),
    }
}

fn of_tables(tables: &ArrayOfTables) -> Value {
    tables.iter().map(|table| of_table(table)).collect()
}

fn of_table(table: &dyn TableLike) -> Value {
    Value::Object(table.iter().map(|(name, item)| (name.to_owned(), json(item))).collect())
}

/// A value.
pub(super) fn of_value(value: &toml_edit::Value) -> Value {
    use toml_edit::Value as V;
    match value {
        V::String(text) => text.value().clone().into(),
        V::Integer(n) => (*n.value()).into(),
        // JSON has no other numbers; what is none is refused by its name.
        V::Float(x) if !x.value().is_finite() => x.value().to_string().into(),
        V::Float(x) => (*x.value()).into(),
        V::Boolean(flag) => (*flag.value()).into(),
        V::Datetime(date) => date.value().to_string().into(),
        V::Array(items) => items.iter().map(of_value).collect(),
        V::InlineTable(table) => of_table(table),
    }
}
