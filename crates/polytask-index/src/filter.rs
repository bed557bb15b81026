//! Conditions on what is stored with a document: `year>=2020`, `lang=de`, `source~manual`.

use std::cmp::Ordering;

use polytask_core::{Problem, Result};
use serde_json::Value;

use crate::store::StoredDocument;

/// How a stored value is compared with the given one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Is,
    IsNot,
    Holds,
    Less,
    AtMost,
    More,
    AtLeast,
}

/// Marks of relations, longer ones first.
const MARKS: [(&str, Relation); 7] = [
    ("!=", Relation::IsNot),
    ("<=", Relation::AtMost),
    (">=", Relation::AtLeast),
    ("=", Relation::Is),
    ("~", Relation::Holds),
    ("<", Relation::Less),
    (">", Relation::More),
];

/// A condition on a stored field; a document without the field meets none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    field: String,
    relation: Relation,
    value: String,
}

impl Condition {
    /// Reads `FIELD=VALUE` and its kin.
    ///
    /// # Errors
    /// When there is no such mark in it.
    pub fn parse(text: &str) -> Result<Self> {
        let at = text.find(['!', '<', '>', '=', '~']).filter(|at| *at > 0);
        let read = at.and_then(|at| {
            let (mark, relation) = MARKS.iter().find(|(mark, _)| text[at..].starts_with(mark))?;
            let value = text[at + mark.len()..].trim().to_owned();
            Some(Self { field: text[..at].trim().to_owned(), relation: *relation, value })
        });
        let is_whole = |condition: &Self| {
            let needs_value = !matches!(condition.relation, Relation::Is | Relation::IsNot);
            let is_doubled = condition.value.starts_with(['<', '>', '=', '!', '~']);
            !(condition.field.is_empty() || is_doubled || needs_value && condition.value.is_empty())
        };
        read.filter(is_whole).ok_or_else(|| {
            let what =
                format!("condition `{text}`, expected FIELD and VALUE with one of = != < <= > >= ~ between");
            Problem::new(what).try_this("`--where 'year>=2020'`").into()
        })
    }

    /// The field it is about.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// Whether a document meets it.
    pub fn meets(&self, document: &StoredDocument) -> bool {
        match self.field.as_str() {
            "id" => self.holds(&document.id),
            "source" => self.holds(&document.source),
            field => match document.fields.get(field) {
                None => false,
                Some(Value::Array(items)) if self.relation == Relation::IsNot => {
                    items.iter().all(|v| self.of_value(v))
                }
                Some(Value::Array(items)) => items.iter().any(|value| self.of_value(value)),
                Some(value) => self.of_value(value),
            },
        }
    }

    fn of_value(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.holds(text),
            other => self.holds(&other.to_string()),
        }
    }

    fn holds(&self, found: &str) -> bool {
        let is_name = ["id", "source"].contains(&self.field.as_str());
        let order = match (found.trim().parse::<f64>(), self.value.parse::<f64>()) {
            _ if is_name => Some(found.cmp(&self.value)),
            (Ok(found), Ok(wanted)) => found.partial_cmp(&wanted),
            // What is no number is neither below nor above one.
            (Err(_), Ok(_)) => (found == self.value).then_some(Ordering::Equal),
            _ => Some(found.cmp(&self.value)),
        };
        match self.relation {
            Relation::Is => order == Some(Ordering::Equal),
            Relation::IsNot => order != Some(Ordering::Equal),
            Relation::Holds => found.to_lowercase().contains(&self.value.to_lowercase()),
            Relation::Less => order == Some(Ordering::Less),
            Relation::AtMost => order.is_some_and(Ordering::is_le),
            Relation::More => order == Some(Ordering::Greater),
            Relation::AtLeast => order.is_some_and(Ordering::is_ge),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_compared_as_numbers_and_texts_as_texts() {
        let fields = json!({ "year": 2019, "lang": "de", "tags": ["a", "b"], "price": "9.50", "sold": "" });
        let Value::Object(fields) = fields else { panic!() };
        let document = StoredDocument {
            id: "007".into(),
            source: "docs/Manual.txt".into(),
            hash: String::new(),
            first: 0,
            rows: 1,
            fields,
        };
        let holds = |text: &str| Condition::parse(text).unwrap().meets(&document);
        for text in [
            "year>=2019",
            "year < 2020",
            "year!=20190",
            "lang=de",
            "lang!=en",
            "tags=b",
            "tags!=c",
            "price<10",
            "source~manual",
            "id=007",
            "sold!=1",
            "year=2019.0",
        ] {
            assert!(holds(text), "{text}");
        }
        for text in [
            "year>2019",
            "lang=d",
            "tags=c",
            "tags!=a",
            "none=1",
            "none!=1",
            "none<1",
            "id=7",
            "price>10",
            "sold<2015",
            "sold>0",
            "lang>3",
        ] {
            assert!(!holds(text), "{text}");
        }
        for text in ["year", "=3", "", " =3", "id~", "year<", "year=>2010"] {
            assert!(Condition::parse(text).unwrap_err().to_string().contains("try:"), "{text}");
        }
    }
}
