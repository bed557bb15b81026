//! From XGBoost's JSON to our trees; nothing in the file is believed before it is checked.

use std::path::Path;

use polytask_core::{Error, Place, Problem, Result, files};
use serde_json::Value;

use super::categories::read_categories;
use super::part::{Part, count, wrong};
use super::trees::read_tree;
use super::{OBJECTIVES, Objective};
use crate::booster::{BoostedTree, Booster, Output};
use crate::loss::LossSpec;
use crate::table::ColumnSort;

/// Versions that are read, by their first number.
const VERSIONS: std::ops::RangeInclusive<u64> = 1..=3;
/// What a file holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The trees.
    pub booster: Booster,
    /// What each column holds.
    pub sorts: Vec<ColumnSort>,
    /// Names of the categories of each column, by code; empty for numbers and where the file does not say.
    pub categories: Vec<Vec<String>>,
}

/// Reads a model.
///
/// # Errors
/// When the file is none of XGBoost's, damaged, of another version, or says what our trees cannot.
pub fn read(path: &Path) -> Result<Imported> {
    let bytes = files::read(path, files::LARGE).map_err(Error::io("read", path))?;
    let place = |error: Error| match error {
        Error::Invalid(problems) => Error::Invalid(
            problems
                .into_iter()
                .map(|problem| Problem { place: Some(Place::file(path)), ..problem })
                .collect(),
        ),
        other => other,
    };
    if bytes.first() != Some(&b'{')
        || bytes.get(1).is_some_and(|byte| [b'L', b'i', b'U', b'l'].contains(byte))
    {
        return Err(place(wrong("no JSON; binary JSON (.ubj) is not read")));
    }
    let value: Value =
        serde_json::from_slice(&bytes).map_err(|error| place(wrong(format!("not JSON: {error}"))))?;
    model(&value).map_err(place)
}

fn model(value: &Value) -> Result<Imported> {
    let version = value["version"].as_array().and_then(|numbers| numbers.first()?.as_u64());
    match version {
        Some(version) if VERSIONS.contains(&version) => {}
        Some(version) => return Err(wrong(format!("version {version} of XGBoost, expected 1 to 3"))),
        None => return Err(wrong("no `version`, expected a list of three numbers")),
    }
    let learner = &value["learner"];
    let gradient_booster = &learner["gradient_booster"];
    match gradient_booster["name"].as_str() {
        Some("gbtree") => {}
        Some(other) => return Err(wrong(format!("booster `{other}`, expected `gbtree`"))),
        None => return Err(wrong("no `learner.gradient_booster.name`")),
    }
    let params = &learner["learner_model_param"];
    let n_columns = count(params, "num_feature")?;
    let outputs = outputs(learner, params)?;
    let n_margins: usize = outputs.iter().map(|output| output.start.len()).sum();
    let (sorts, columns) = columns(learner, n_columns)?;
    let model = &gradient_booster["model"];
    let trees = trees(model, n_columns, n_margins)?;
    let booster = Booster { columns, outputs, trees };
    booster.check()?;
    Ok(Imported { booster, sorts, categories: read_categories(&model["cats"], n_columns)? })
}

/// The factor of p(1 − p) in the curvature of its classes.
const XGBOOST_CURVATURE: f64 = 2.0;

fn outputs(learner: &Value, params: &Value) -> Result<Vec<Output>> {
    let name = learner["objective"]["name"].as_str().unwrap_or_default();
    let Some(Objective { ours, .. }) = OBJECTIVES.iter().find(|objective| objective.theirs == name) else {
        let known: Vec<&str> = OBJECTIVES.iter().map(|objective| objective.theirs).collect();
        return Err(wrong(format!("objective `{name}`, expected one of {}", known.join(", "))));
    };
    let classes = count(params, "num_class")?;
    let levels = quantiles(learner)?;
    let n_targets = if params["num_target"].is_null() { 1 } else { count(params, "num_target")?.max(1) };
    let losses: Vec<LossSpec> = match *ours {
        "softmax" => vec![LossSpec { curvature: XGBOOST_CURVATURE, ..LossSpec::softmax(classes) }],
        "quantile" => levels.iter().map(|level| LossSpec::quantile(*level)).collect(),
        name => vec![LossSpec::named(name); n_targets],
    };
    let base = base_score(params)?;
    let (mut first, mut outputs) = (0, Vec::new());
    for (at, loss) in losses.iter().enumerate() {
        let made = loss.make()?;
        let score = |margin: usize| base.get(margin).or_else(|| base.first()).copied().unwrap_or(0.5);
        let start = (first..first + made.width()).map(|margin| made.margin_of(score(margin))).collect();
        let name = if losses.len() == 1 { "target".into() } else { format!("target{at}") };
        outputs.push(Output { name, loss: loss.clone(), first, start });
        first += made.width();
    }
    Ok(outputs)
}

/// The levels of `reg:quantileerror`, `"[1E-1,9E-1]"`; none of other objectives.
fn quantiles(learner: &Value) -> Result<Vec<f64>> {
    let written = &learner["objective"]["quantile_loss_param"]["quantile_alpha"];
    if written.is_null() { Ok(Vec::new()) } else { reals(written, "quantile_alpha") }
}

/// Base scores: a text, `"5E-1"` or, since 3.1, `"[5E-1]"` with one for each output.
fn base_score(params: &Value) -> Result<Vec<f64>> {
    reals(&params["base_score"], "base_score")
}

fn reals(value: &Value, key: &str) -> Result<Vec<f64>> {
    let bad = || wrong(format!("`{key}` is {value}, expected numbers as a text"));
    let text = value.as_str().ok_or_else(bad)?;
    let number =
        |part: &str| part.trim().parse::<f64>().ok().filter(|number| number.is_finite()).ok_or_else(bad);
    text.trim_matches(['[', ']', ' ']).split([',', ' ']).filter(|part| !part.is_empty()).map(number).collect()
}

fn columns(learner: &Value, n: usize) -> Result<(Vec<ColumnSort>, Vec<String>)> {
    let list = |key: &str| learner[key].as_array().map_or(&[][..], Vec::as_slice);
    let (names, types) = (list("feature_names"), list("feature_types"));
    for (key, found) in [("feature_names", names), ("feature_types", types)] {
        if !found.is_empty() && found.len() != n {
            return Err(wrong(format!("`{key}` has {} entries, expected {n}", found.len())));
        }
    }
    let name =
        |at: usize| names.get(at).and_then(Value::as_str).map_or_else(|| format!("f{at}"), str::to_owned);
    let sort = |at: usize| {
        let is_category = types.get(at).and_then(Value::as_str) == Some("c");
        if is_category { ColumnSort::Category } else { ColumnSort::Number }
    };
    Ok(((0..n).map(sort).collect(), (0..n).map(name).collect()))
}

fn trees(model: &Value, n_columns: usize, n_margins: usize) -> Result<Vec<BoostedTree>> {
    let (Some(trees), Some(groups)) = (model["trees"].as_array(), model["tree_info"].as_array()) else {
        return Err(wrong("no `trees` or no `tree_info` in `gradient_booster.model`"));
    };
    if trees.len() != groups.len() {
        return Err(wrong(format!("{} trees and {} entries of `tree_info`", trees.len(), groups.len())));
    }
    let tree = |(at, (tree, group)): (usize, (&Value, &Value))| {
        let name = format!("tree {at}");
        let tree = read_tree(Part { value: tree, at: &name }, n_columns)?;
        let first = group.as_u64().filter(|group| (*group as usize) < n_margins);
        let first =
            first.ok_or_else(|| wrong(format!("{name}: output {group}, expected one of {n_margins}")))?;
        let first = if tree.width > 1 { 0 } else { first as usize };
        Ok(BoostedTree { round: at, first, tree })
    };
    trees.iter().zip(groups).enumerate().map(tree).collect()
}
