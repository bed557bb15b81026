//! From our trees to XGBoost's JSON.

use std::path::Path;

use polytask_core::{Problem, Result, atomic};
use serde_json::{Value, json};

use super::categories::write_categories;
use super::theirs;
use super::trees::write_tree;
use crate::booster::{Booster, Output};
use crate::loss::TreeLoss;
use crate::table::ColumnSort;

/// Writes a model; `sorts` and `categories` say what its columns hold.
///
/// # Errors
/// When the format cannot say it, and when the file cannot be written.
pub fn write(booster: &Booster, sorts: &[ColumnSort], categories: &[Vec<String>], path: &Path) -> Result<()> {
    let value = model(booster, sorts, categories)?;
    atomic::write_with(path, |out| Ok(serde_json::to_writer(out, &value)?))
}

fn refuse<T>(what: impl Into<String>) -> Result<T> {
    Err(Problem::new(what)
        .try_this("a model of one objective, as `trees = \"boost\"` with tasks of one kind")
        .into())
}

fn model(booster: &Booster, sorts: &[ColumnSort], categories: &[Vec<String>]) -> Result<Value> {
    let Some(first) = booster.outputs.first() else {
        return refuse("the model has no target, expected at least one");
    };
    let Some(objective) = theirs(&first.loss) else {
        return refuse(format!("loss `{}` is none of XGBoost's", first.loss.name));
    };
    let levels_may_differ = first.loss.name == "quantile";
    let is_same = |output: &Output| {
        output.loss == first.loss || levels_may_differ && output.loss.name == first.loss.name
    };
    if let Some(other) = booster.outputs.iter().find(|output| !is_same(output)) {
        return refuse(format!(
            "targets of different objectives: `{}` is {}, `{}` is {}; XGBoost has one for all",
            first.name, first.loss.name, other.name, other.loss.name
        ));
    }
    if first.loss.name == "softmax" && booster.outputs.len() > 1 {
        return refuse(format!("{} targets of several classes; XGBoost has one", booster.outputs.len()));
    }
    let n_margins = booster.n_margins();
    let wide = booster.trees.iter().find(|tree| tree.tree.width > 1 && tree.tree.width != n_margins);
    if let Some(tree) = wide {
        return refuse(format!("leaves of {} numbers, expected one or {n_margins}", tree.tree.width));
    }
    let n_columns = booster.columns.len();
    let trees: Vec<Value> =
        booster.trees.iter().enumerate().map(|(id, tree)| write_tree(&tree.tree, id, n_columns)).collect();
    let types = sorts.iter().map(|sort| if *sort == ColumnSort::Category { "c" } else { "float" });
    Ok(json!({
        "learner": {
            "attributes": {},
            "feature_names": booster.columns,
            "feature_types": types.collect::<Vec<_>>(),
            "gradient_booster": { "name": "gbtree", "model": {
                "cats": write_categories(categories),
                "gbtree_model_param": { "num_parallel_tree": "1", "num_trees": trees.len().to_string() },
                "iteration_indptr": rounds(booster),
                "tree_info": booster.trees.iter().map(|tree| tree.first).collect::<Vec<_>>(),
                "trees": trees,
            } },
            "learner_model_param": {
                "base_score": base_score(booster)?,
                "boost_from_average": "1",
                "num_class": if first.loss.name == "softmax" { first.loss.classes.to_string() } else { "0".into() },
                "num_feature": n_columns.to_string(),
                "num_target": if first.loss.name == "softmax" { "1".into() } else { n_targets(booster) },
            },
            "objective": objective_of(booster, objective),
        },
        "version": [3, 2, 0],
    }))
}

/// Quantiles of one target are no targets.
fn n_targets(booster: &Booster) -> String {
    if booster.outputs[0].loss.name == "quantile" { "1".into() } else { booster.outputs.len().to_string() }
}

/// Where the trees of each round begin, and where the last one's end.
fn rounds(booster: &Booster) -> Vec<usize> {
    let starts = booster.trees.chunk_by(|a, b| a.round == b.round).scan(0, |next, trees| {
        *next += trees.len();
        Some(*next)
    });
    std::iter::once(0).chain(starts).collect()
}

/// Starts in the space of responses, where XGBoost wants them there.
fn base_score(booster: &Booster) -> Result<String> {
    let mut scores = Vec::new();
    for output in &booster.outputs {
        let loss: Box<dyn TreeLoss> = output.loss.make()?;
        let mut start = output.start.clone();
        if output.loss.name != "softmax" {
            loss.respond(&mut start);
        }
        scores.extend(start.iter().map(|score| format!("{score:E}")));
    }
    Ok(format!("[{}]", scores.join(",")))
}

fn objective_of(booster: &Booster, name: &str) -> Value {
    let levels: Vec<String> =
        booster.outputs.iter().map(|output| format!("{:E}", output.loss.level)).collect();
    match name {
        "multi:softprob" => {
            let classes = booster.outputs[0].loss.classes.to_string();
            json!({ "name": name, "softmax_multiclass_param": { "num_class": classes } })
        }
        "count:poisson" => json!({ "name": name, "poisson_regression_param": { "max_delta_step": "7E-1" } }),
        "reg:quantileerror" => {
            json!({ "name": name, "quantile_loss_param": { "quantile_alpha": format!("[{}]", levels.join(",")) } })
        }
        _ => json!({ "name": name, "reg_loss_param": { "scale_pos_weight": "1" } }),
    }
}
