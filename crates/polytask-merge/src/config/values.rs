//! What a configuration says for a parameter: a value, values along the layers, or either by tensor name.

use polytask_core::method::ParamInfo;
use serde_json::{Value, json};

use super::yaml::{Content, Node};

/// What was written for a parameter.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Written {
    /// One value.
    Value(Value),
    /// Values along the layers: numbers are interpolated, words and switches are steps.
    Gradient(Vec<Value>),
    /// Values by what a tensor's name contains; the first that matches counts.
    ByName(Vec<(Option<String>, Written)>),
}

impl Written {
    /// Reads a node; the error says what is wrong.
    pub(crate) fn read(node: &Node, param: &ParamInfo) -> Result<Self, String> {
        match &node.content {
            Content::Scalar(value) => checked(value, param).map(Self::Value),
            Content::Map(_) => Ok(Self::ByName(vec![conditional(node, param)?])),
            Content::List(items) if items.iter().any(|item| !item.entries().is_empty()) => {
                items.iter().map(|item| conditional(item, param)).collect::<Result<_, _>>().map(Self::ByName)
            }
            Content::List(items) if items.is_empty() => Err("an empty list, expected values".into()),
            Content::List(items) => {
                let value = |item: &Node| match item.scalar() {
                    Some(value) => checked(value, param),
                    None => Err(format!("{} within a list, expected a value", item.describe())),
                };
                items.iter().map(value).collect::<Result<_, _>>().map(Self::Gradient)
            }
        }
    }

    /// The value for a tensor at a place `t` along the layers, from 0 to 1; `None` where no filter matches.
    pub(crate) fn at(&self, tensor: &str, t: f64) -> Option<Value> {
        match self {
            Self::Value(value) => Some(value.clone()),
            Self::Gradient(values) => Some(along(values, t)),
            Self::ByName(cases) => {
                let matches = |filter: &Option<String>| {
                    filter.as_deref().is_none_or(|part| part == "*" || tensor.contains(part))
                };
                cases
                    .iter()
                    .find(|(filter, _)| matches(filter))
                    .and_then(|(_, written)| written.at(tensor, t))
            }
        }
    }
}

impl Written {
    /// Filters by name that fit none of some tensors.
    pub(crate) fn idle_filters<'a>(&'a self, tensors: &[&str]) -> Vec<&'a str> {
        let Self::ByName(cases) = self else { return Vec::new() };
        let filters = cases.iter().filter_map(|(filter, _)| filter.as_deref()).filter(|part| *part != "*");
        filters.filter(|part| !tensors.iter().any(|tensor| tensor.contains(part))).collect()
    }

    /// As it was written.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Value(value) => value.clone(),
            Self::Gradient(values) => json!(values),
            Self::ByName(cases) => {
                let case = |(filter, written): &(Option<String>, Self)| json!({"filter": filter, "value": written.to_json()});
                cases.iter().map(case).collect()
            }
        }
    }
}

fn checked(value: &Value, param: &ParamInfo) -> Result<Value, String> {
    if param.range.contains(value) {
        return Ok(value.clone());
    }
    Err(format!("{value}, expected {}", param.range.describe()))
}

/// An entry `{filter, value}`.
fn conditional(node: &Node, param: &ParamInfo) -> Result<(Option<String>, Written), String> {
    if let Some((key, line, _)) = node.entries().iter().find(|(key, ..)| key != "filter" && key != "value") {
        return Err(format!("key `{key}` in line {line}, expected `filter` and `value`"));
    }
    let value = node.get("value").ok_or("an entry without `value`")?;
    let filter = match node.get("filter") {
        None => None,
        Some(filter) if filter.is_null() => None,
        Some(filter) => Some(
            filter.text().ok_or_else(|| format!("filter {}, expected a text", filter.describe()))?.to_owned(),
        ),
    };
    match Written::read(value, param)? {
        Written::ByName(_) => Err("filters inside filters".into()),
        written => Ok((filter, written)),
    }
}

fn along(values: &[Value], t: f64) -> Value {
    let place = t * (values.len() - 1) as f64;
    let (low, share) = (place as usize, place.fract());
    let high = (low + 1).min(values.len() - 1);
    match (values[low].as_f64(), values[high].as_f64()) {
        (Some(a), Some(b)) => json!((1.0 - share) * a + share * b),
        _ => values[low].clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use polytask_core::method::Range;

    use super::super::yaml::parse;
    use super::*;

    const PARAM: ParamInfo =
        ParamInfo { name: "t", about: "", default: "0", range: Range::Real { min: 0.0, max: 1.0 } };

    fn read(text: &str) -> Result<Written, String> {
        Written::read(parse(&format!("v: {text}"), Path::new("c")).unwrap().get("v").unwrap(), &PARAM)
    }

    #[test]
    fn gradients_and_filters_equal_the_independent_implementation() {
        let golden: Value = serde_json::from_str(include_str!("../golden.json")).unwrap();
        for case in golden["config_cases"].as_array().unwrap() {
            let written = read(&case["setting"].to_string()).unwrap();
            let values = case["values"].as_array().unwrap();
            for (i, expected) in values.iter().enumerate() {
                let tensor = case["tensor"].as_str().unwrap().replace('N', &i.to_string());
                let t = if values.len() == 1 { 0.0 } else { i as f64 / (values.len() - 1) as f64 };
                let found = written.at(&tensor, t).unwrap().as_f64().unwrap();
                assert!((found - expected.as_f64().unwrap()).abs() < 1e-6, "{case} {i} {found}");
            }
        }
    }

    #[test]
    fn steps_and_unmatched_names() {
        let steps = Written::Gradient(vec!["a".into(), "b".into(), "c".into()]);
        assert_eq!(steps.at("x", 0.4), Some("a".into()));
        assert_eq!(steps.at("x", 1.0), Some("c".into()));
        assert_eq!(read("[{filter: attention, value: 1}]").unwrap().at("dense", 0.0), None);
        for (text, part) in [
            ("2", "from 0 to 1"),
            ("[]", "empty"),
            ("[{filter: a, valeu: 1}]", "`valeu`"),
            ("[{filter: a}]", "without `value`"),
            ("[{filter: a, value: {value: 1}}]", "inside"),
            ("nan", "from 0 to 1"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
