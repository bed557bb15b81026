//! Numbers an experiment's data are made by: which there are, and what each may be.

use std::collections::BTreeSet;

use polytask_core::near::nearest;
use polytask_core::{Error, Problem};
use polytask_train::Result;
use serde_json::{Map, Value};

/// Most rows of a split.
const MOST_ROWS: f64 = 1e9;

/// A table of numbers: how its keys are called before and after their name, and what it holds.
type Table<'a> = (&'static str, String, Option<&'a Value>);

/// All tables of numbers in `[method]`.
fn tables(method: &Value) -> Vec<Table<'_>> {
    let mut tables = vec![
        ("method.data.", String::new(), method.pointer("/data")),
        ("method.quick.data.", String::new(), method.pointer("/quick/data")),
    ];
    for setting in method.get("setting").and_then(Value::as_array).into_iter().flatten() {
        let name = setting.get("name").and_then(Value::as_str).unwrap_or_default();
        tables.push(("data.", format!(" of setting `{name}`"), setting.get("data")));
    }
    tables
}

fn entries(table: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    table.and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

/// The numbers a recipe has, by name.
pub(super) fn known(method: &Value) -> BTreeSet<String> {
    tables(method)
        .into_iter()
        .flat_map(|(_, _, table)| entries(table).map(|(name, _)| name.clone()))
        .collect()
}

/// Refuses a number asked for all data that only single settings have, or all of them: theirs would win, and nothing would
/// change.
pub(super) fn check_asked(method: &Value, name: &str) -> Result<()> {
    let settings = || method.get("setting").and_then(Value::as_array).into_iter().flatten();
    let is_own = |setting: &&Value| setting.pointer("/data").and_then(|data| data.get(name)).is_some();
    let named: Vec<&str> =
        settings().filter(is_own).filter_map(|setting| setting.get("name").and_then(Value::as_str)).collect();
    let is_of_all = method.pointer("/data").and_then(|data| data.get(name)).is_some();
    if named.is_empty() || is_of_all && named.len() < settings().count() {
        return Ok(());
    }
    let what = format!("method.data.{name} is a number of single settings ({})", named.join(", "));
    Err(Problem::new(what).try_this("leave it to the recipe: these settings differ by it").into())
}

/// Refuses numbers that the recipe does not have or that cannot be, all of them at once.
pub(super) fn check(method: &Value, known: &BTreeSet<String>) -> Result<()> {
    let mut wrong = Vec::new();
    for (path, of, table) in tables(method) {
        for (name, value) in entries(table) {
            let key = format!("`{path}{name}`{of}");
            wrong.extend(if known.contains(name) {
                out_of_range(&key, name, value)
            } else {
                Some(unknown(&key, name, known))
            });
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Error::Invalid(wrong).into()) }
}

/// What is wrong with a number's value; sizes of splits and shares mean the same in all recipes.
fn out_of_range(key: &str, name: &str, value: &Value) -> Option<Problem> {
    let number = value.as_f64();
    let is_rows = |n: f64| (1.0..=MOST_ROWS).contains(&n) && n.fract() == 0.0;
    let (fits, expected, example) = match name {
        "train" | "valid" | "test" => {
            (number.is_some_and(is_rows), format!("rows, a whole number from 1 to {MOST_ROWS}"), "1000")
        }
        "noise" => (number.is_some_and(|n| (0.0..=1.0).contains(&n)), "a share from 0 to 1".into(), "0.2"),
        _ => (number.is_some(), "a finite number".into(), "1"),
    };
    let found = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let problem = Problem::new(format!("{key} is {found}, expected {expected}"));
    (!fits).then(|| problem.try_this(format!("--set method.data.{name}={example}")))
}

fn unknown(key: &str, name: &str, known: &BTreeSet<String>) -> Problem {
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    if names.is_empty() {
        return Problem::new(format!("{key} is unknown: the data of this recipe take no numbers"));
    }
    let problem = Problem::new(format!("{key} is unknown, expected one of {}", names.join(", ")));
    match nearest(name, &names) {
        Some(near) => problem.try_this(format!("`{near}`")),
        None => problem,
    }
}
