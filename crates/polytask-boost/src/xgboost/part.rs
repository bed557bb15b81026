//! Parts of a file on the way to a model, and what is said where they are wrong.

use polytask_core::{Error, Problem, Result};
use serde_json::Value;

/// Most columns and outputs that are believed.
const MOST: u64 = 1_000_000;

/// A part of the file with the way to it, for errors.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) value: &'a Value,
    pub(super) at: &'a str,
}

/// An error in a file, without its name.
pub(super) fn wrong(what: impl Into<String>) -> Error {
    Problem::new(what).try_this("a JSON file that `save_model` of XGBoost 1.0 to 3 wrote").into()
}

/// A whole number that the file writes as a text.
pub(super) fn count(value: &Value, key: &str) -> Result<usize> {
    let found = &value[key];
    let number = found.as_u64().or_else(|| found.as_str()?.parse().ok()).filter(|n| *n <= MOST);
    number
        .map(|n| n as usize)
        .ok_or_else(|| wrong(format!("`{key}` is {found}, expected a whole number up to {MOST}")))
}
