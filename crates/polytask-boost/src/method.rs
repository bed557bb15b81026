//! What suites may choose of boosted trees, with the names other programs give to the same settings.

use std::collections::BTreeMap;

use polytask_core::method::{Choice, Range};
use polytask_core::{Family, MethodInfo, ParamInfo, Problem, Result};
use serde_json::{Map, Value};

use crate::loss::LossSpec;
use crate::params::BoostParams;
use crate::robust::RobustParams;

const SHARE: Range = Range::Real { min: 1e-6, max: 1.0 };
const AT_LEAST_0: Range = Range::Real { min: 0.0, max: f64::INFINITY };
const COUNT: Range = Range::Integer { min: 0 };
const FROM_1: Range = Range::Integer { min: 1 };

const fn param(name: &'static str, default: &'static str, range: Range, about: &'static str) -> ParamInfo {
    ParamInfo { name, about, default, range }
}

/// Another name of a setting, which has no default of its own.
const fn alias(name: &'static str, range: Range, about: &'static str) -> ParamInfo {
    ParamInfo { name, about, default: "null", range }
}

/// Boosting of all targets.
pub static BOOST: MethodInfo = MethodInfo {
    id: "boost",
    title: "Boosted trees",
    paper: "Chen & Guestrin 2016; Ke et al. 2017",
    family: Family::Trees,
    about: "histogram trees for all targets of a table at once; one whose target is unknown in a row has no part in it",
    cost: "seconds for 100,000 rows",
    kinds: &[],
    params: &[
        param("rounds", "100", FROM_1, "Rounds."),
        param("learning_rate", "0.1", AT_LEAST_0, "What leaves are multiplied by."),
        param(
            "leaves",
            "\"vector\"",
            Range::OneOf(&["vector", "apart"]),
            "One tree a round with a leaf for all targets, or a tree for each: `apart` is one model per target.",
        ),
        param(
            "growth",
            "\"leaf\"",
            Range::OneOf(&["leaf", "depth"]),
            "Whether the leaf that gains most is split next, or level by level.",
        ),
        param("max_depth", "6", COUNT, "Most splits on the way to a leaf; 0 = no limit."),
        param("num_leaves", "31", COUNT, "Most leaves of a tree; 0 = no limit."),
        param("lambda", "1.0", AT_LEAST_0, "L2 penalty of leaves."),
        param("alpha", "0.0", AT_LEAST_0, "L1 penalty of leaves."),
        param("min_gain", "0.0", AT_LEAST_0, "Least gain of a split."),
        param("min_child_weight", "1.0", AT_LEAST_0, "Least curvature in a child, as a mean over margins."),
        param("min_data_in_leaf", "1", FROM_1, "Least rows in a child."),
        param("max_delta_step", "0.0", AT_LEAST_0, "Largest leaf before the learning rate; 0 = no limit."),
        param(
            "max_cat_to_onehot",
            "4",
            COUNT,
            "Categories in a node up to which each is tried alone; beyond, sets of them.",
        ),
        param(
            "cat_smooth",
            "10.0",
            AT_LEAST_0,
            "What keeps rare categories in the middle of the order sets are taken from.",
        ),
        param(
            "max_bin",
            "255",
            Range::Integer { min: 2 },
            "Bins of a column, beside the one of what is missing.",
        ),
        param("subsample", "1.0", SHARE, "Share of rows drawn for a tree."),
        param("feature_fraction", "1.0", SHARE, "Share of columns drawn for a tree."),
        param("feature_fraction_bylevel", "1.0", SHARE, "Share of these drawn for a level."),
        param("feature_fraction_bynode", "1.0", SHARE, "Share of these drawn for a node."),
        param(
            "early_stopping",
            "0",
            COUNT,
            "Rounds without a better loss on valid before boosting stops and the best round is kept; 0 = never.",
        ),
        param("min_delta", "0.0", AT_LEAST_0, "What counts as better."),
        alias("num_boost_round", FROM_1, "`rounds`."),
        alias("num_round", FROM_1, "`rounds`."),
        alias("num_rounds", FROM_1, "`rounds`."),
        alias("nrounds", FROM_1, "`rounds`."),
        alias("num_iteration", FROM_1, "`rounds`."),
        alias("num_iterations", FROM_1, "`rounds`."),
        alias("n_iter", FROM_1, "`rounds`."),
        alias("num_tree", FROM_1, "`rounds`."),
        alias("num_trees", FROM_1, "`rounds`."),
        alias("n_estimators", FROM_1, "`rounds`."),
        alias("max_iter", FROM_1, "`rounds`."),
        alias("iterations", FROM_1, "`rounds`."),
        alias("eta", AT_LEAST_0, "`learning_rate`."),
        alias("shrinkage_rate", AT_LEAST_0, "`learning_rate`."),
        alias("max_leaves", COUNT, "`num_leaves`."),
        alias("max_leaf", COUNT, "`num_leaves`."),
        alias("num_leaf", COUNT, "`num_leaves`."),
        alias("max_leaf_nodes", COUNT, "`num_leaves`."),
        alias("grow_policy", Range::OneOf(&["depthwise", "lossguide"]), "`growth`: `depth` and `leaf`."),
        alias(
            "multi_strategy",
            Range::OneOf(&["multi_output_tree", "one_output_per_tree"]),
            "`leaves`: `vector` and `apart`.",
        ),
        alias("reg_lambda", AT_LEAST_0, "`lambda`."),
        alias("lambda_l2", AT_LEAST_0, "`lambda`."),
        alias("l2_regularization", AT_LEAST_0, "`lambda`."),
        alias("l2_leaf_reg", AT_LEAST_0, "`lambda`."),
        alias("reg_alpha", AT_LEAST_0, "`alpha`."),
        alias("lambda_l1", AT_LEAST_0, "`alpha`."),
        alias("l1_regularization", AT_LEAST_0, "`alpha`."),
        alias("gamma", AT_LEAST_0, "`min_gain`."),
        alias("min_split_loss", AT_LEAST_0, "`min_gain`."),
        alias("min_gain_to_split", AT_LEAST_0, "`min_gain`."),
        alias("min_split_gain", AT_LEAST_0, "`min_gain`."),
        alias("min_sum_hessian_in_leaf", AT_LEAST_0, "`min_child_weight`."),
        alias("min_sum_hessian_per_leaf", AT_LEAST_0, "`min_child_weight`."),
        alias("min_sum_hessian", AT_LEAST_0, "`min_child_weight`."),
        alias("min_hessian", AT_LEAST_0, "`min_child_weight`."),
        alias("min_child_samples", FROM_1, "`min_data_in_leaf`."),
        alias("min_data_per_leaf", FROM_1, "`min_data_in_leaf`."),
        alias("min_data", FROM_1, "`min_data_in_leaf`."),
        alias("min_samples_leaf", FROM_1, "`min_data_in_leaf`."),
        alias("max_tree_output", AT_LEAST_0, "`max_delta_step`."),
        alias("max_leaf_output", AT_LEAST_0, "`max_delta_step`."),
        alias("max_bins", Range::Integer { min: 2 }, "`max_bin`."),
        alias("border_count", Range::Integer { min: 2 }, "`max_bin`."),
        alias("bagging_fraction", SHARE, "`subsample`."),
        alias("bagging", SHARE, "`subsample`."),
        alias("sub_row", SHARE, "`subsample`."),
        alias("colsample_bytree", SHARE, "`feature_fraction`."),
        alias("sub_feature", SHARE, "`feature_fraction`."),
        alias("colsample_bylevel", SHARE, "`feature_fraction_bylevel`."),
        alias("colsample_bynode", SHARE, "`feature_fraction_bynode`."),
        alias("sub_feature_bynode", SHARE, "`feature_fraction_bynode`."),
        alias("early_stopping_rounds", COUNT, "`early_stopping`."),
        alias("early_stopping_round", COUNT, "`early_stopping`."),
        alias("n_iter_no_change", COUNT, "`early_stopping`."),
    ],
};

/// Robust multi-task boosting.
pub static RMTGB: MethodInfo = MethodInfo {
    id: "rmtgb",
    title: "Robust multi-task gradient boosting",
    paper: "Emami et al. 2025, arXiv 2507.11411",
    family: Family::Trees,
    about: "trees shared by all groups of rows, a gate per group between two further functions, and trees of its own; says which group is unlike the others",
    cost: "seconds for 100 groups of 100 rows",
    kinds: &[],
    params: &[
        param("shared", "50", COUNT, "Rounds of the ensemble all groups share; this alone pools the groups."),
        param(
            "gated",
            "50",
            COUNT,
            "Rounds of the two ensembles between which each group has a gate; 0 = multi-task boosting without gates.",
        ),
        param("own", "20", COUNT, "Rounds of each group's own ensemble; this alone is a model per group."),
        param("depth", "1", FROM_1, "Most splits on the way to a leaf."),
        param("learning_rate", "0.1", AT_LEAST_0, "What leaves are multiplied by."),
        param(
            "gate",
            "\"safe\"",
            Range::OneOf(&["safe", "paper"]),
            "How gates move: by the mean over a group's rows, or by the published sum, which depends on row counts and saturates.",
        ),
        param(
            "starts",
            "10",
            FROM_1,
            "Starts of the gated block, of which the one that leaves least on train is kept: where gates end hangs on where they start.",
        ),
        param("subsample", "1.0", SHARE, "Share of rows drawn for a tree."),
        param(
            "max_bin",
            "255",
            Range::Integer { min: 2 },
            "Bins of a column, beside the one of what is missing.",
        ),
        alias("max_depth", FROM_1, "`depth`."),
        alias("eta", AT_LEAST_0, "`learning_rate`."),
    ],
};

static SQUARED: MethodInfo = objective("squared", "numbers by their mean", &[]);
static LOGISTIC: MethodInfo = objective("logistic", "two classes by the probability of the second", &[]);
static SOFTMAX: MethodInfo = objective(
    "softmax",
    "classes by their probabilities",
    &[param(
        "curvature",
        "0",
        Range::Real { min: 0.0, max: 10.0 },
        "Factor of p(1 − p) in the curvature; 0: K / (K − 1) of K classes, as LightGBM has it. XGBoost takes 2, which \
         halves the steps.",
    )],
);
static POISSON: MethodInfo = objective("poisson", "counts, numbers of at least 0, by their mean", &[]);
static QUANTILE: MethodInfo = objective(
    "quantile",
    "numbers by one of their quantiles",
    &[param("level", "0.5", Range::Real { min: 1e-6, max: 0.999_999 }, "Share of values that lie below.")],
);

const fn objective(id: &'static str, about: &'static str, params: &'static [ParamInfo]) -> MethodInfo {
    MethodInfo { id, title: id, paper: "", family: Family::Objective, about, cost: "", kinds: &[], params }
}

/// Boosted trees that a suite may choose.
pub fn trees() -> Vec<&'static MethodInfo> {
    vec![&BOOST, &RMTGB]
}

/// What they may learn of a target.
pub fn objectives() -> Vec<&'static MethodInfo> {
    vec![&SQUARED, &LOGISTIC, &SOFTMAX, &POISSON, &QUANTILE]
}

/// Other names of settings, with what other values mean; an empty list where values are the same.
type Names = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)]);

const NAMES: &[Names] = &[
    (
        "rounds",
        &[
            "num_boost_round",
            "num_round",
            "num_rounds",
            "nrounds",
            "num_iteration",
            "num_iterations",
            "n_iter",
            "num_tree",
            "num_trees",
            "n_estimators",
            "max_iter",
            "iterations",
        ],
        &[],
    ),
    ("learning_rate", &["eta", "shrinkage_rate"], &[]),
    ("num_leaves", &["max_leaves", "max_leaf", "num_leaf", "max_leaf_nodes"], &[]),
    ("lambda", &["reg_lambda", "lambda_l2", "l2_regularization", "l2_leaf_reg"], &[]),
    ("alpha", &["reg_alpha", "lambda_l1", "l1_regularization"], &[]),
    ("min_gain", &["gamma", "min_split_loss", "min_gain_to_split", "min_split_gain"], &[]),
    (
        "min_child_weight",
        &["min_sum_hessian_in_leaf", "min_sum_hessian_per_leaf", "min_sum_hessian", "min_hessian"],
        &[],
    ),
    ("min_data_in_leaf", &["min_child_samples", "min_data_per_leaf", "min_data", "min_samples_leaf"], &[]),
    ("max_delta_step", &["max_tree_output", "max_leaf_output"], &[]),
    ("max_bin", &["max_bins", "border_count"], &[]),
    ("subsample", &["bagging_fraction", "bagging", "sub_row"], &[]),
    ("feature_fraction", &["colsample_bytree", "sub_feature"], &[]),
    ("feature_fraction_bylevel", &["colsample_bylevel"], &[]),
    ("feature_fraction_bynode", &["colsample_bynode", "sub_feature_bynode"], &[]),
    ("early_stopping", &["early_stopping_rounds", "early_stopping_round", "n_iter_no_change"], &[]),
    ("growth", &["grow_policy"], &[("depthwise", "depth"), ("lossguide", "leaf")]),
    ("leaves", &["multi_strategy"], &[("multi_output_tree", "vector"), ("one_output_per_tree", "apart")]),
    ("depth", &["max_depth"], &[]),
];

/// The settings of [`BoostParams`] that belong to all rounds; the others are about trees.
const OF_ROUNDS: [&str; 7] =
    ["rounds", "leaves", "max_bin", "subsample", "early_stopping", "min_delta", "seed"];

/// Settings of boosting from a suite.
///
/// # Errors
/// When one is given twice with two values, or out of range.
pub fn boost_params(choice: &Choice, seed: u64) -> Result<BoostParams> {
    let (mut all, mut tree) = (Map::new(), Map::new());
    for (name, value) in settings(choice, &BOOST)? {
        if OF_ROUNDS.contains(&name.as_str()) {
            all.insert(name, value)
        } else {
            tree.insert(name, value)
        };
    }
    all.insert("tree".into(), Value::Object(tree));
    all.insert("seed".into(), seed.into());
    let params: BoostParams = read(all)?;
    params.check()?;
    Ok(params)
}

/// Settings of robust multi-task boosting from a suite.
///
/// # Errors
/// When one is given twice with two values, or out of range.
pub fn robust_params(choice: &Choice, seed: u64) -> Result<RobustParams> {
    let mut all = settings(choice, &RMTGB)?;
    all.insert("seed".into(), seed.into());
    let params: RobustParams = read(all)?;
    params.check()?;
    Ok(params)
}

/// What a task of a suite asks its target to be learnt as.
pub fn loss_of(choice: &Choice) -> LossSpec {
    LossSpec {
        level: if choice.name == "quantile" { choice.real(&QUANTILE, "level") } else { 0.0 },
        curvature: if choice.name == "softmax" { choice.real(&SOFTMAX, "curvature") } else { 0.0 },
        ..LossSpec::named(&choice.name)
    }
}

fn read<T: serde::de::DeserializeOwned>(settings: Map<String, Value>) -> Result<T> {
    serde_json::from_value(Value::Object(settings)).map_err(|error| {
        Problem::new(format!("settings of trees: {error}")).try_this("`polytask methods boost`").into()
    })
}

/// Every setting under our own name, defaults filled in.
fn settings(choice: &Choice, info: &MethodInfo) -> Result<Map<String, Value>> {
    let mut settings = Map::new();
    let own = |name: &str| info.params.iter().any(|param| param.name == name && param.default != "null");
    for param in info.params.iter().filter(|param| own(param.name)) {
        settings.insert(param.name.into(), choice.param(info, param.name));
    }
    let mut given: BTreeMap<String, (&String, Value)> = BTreeMap::new();
    for (written, value) in &choice.params {
        let (name, value) = translated(written, value, &own);
        let before = given.insert(name.clone(), (written, value.clone()));
        if let Some((other, before)) = before.filter(|(_, before)| *before != value) {
            let what = format!(
                "`{name}` of trees is given twice: `{other}` = {before} and `{written}` = {value}, expected one value"
            );
            return Err(Problem::new(what).try_this(format!("`{name}` alone")).into());
        }
    }
    settings.extend(given.into_iter().map(|(name, (_, value))| (name, value)));
    Ok(settings)
}

fn translated(written: &str, value: &Value, own: &dyn Fn(&str) -> bool) -> (String, Value) {
    if own(written) {
        return (written.into(), value.clone());
    }
    let Some((name, _, values)) = NAMES.iter().find(|(_, others, _)| others.contains(&written)) else {
        return (written.into(), value.clone());
    };
    let word = value.as_str().and_then(|word| values.iter().find(|(theirs, _)| *theirs == word));
    ((*name).into(), word.map_or_else(|| value.clone(), |(_, ours)| (*ours).into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::{Growth, Leaves, TreeParams};

    fn choice(json: &str) -> Choice {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn defaults_of_the_tables_are_those_of_the_settings() {
        let params = boost_params(&Choice::named("boost"), 13).unwrap();
        assert_eq!(params, BoostParams { leaves: Leaves::Vector, ..BoostParams::default() });
        assert_eq!(robust_params(&Choice::named("rmtgb"), 13).unwrap(), RobustParams::default());
    }

    #[test]
    fn names_of_other_programs_mean_the_same() {
        let theirs = choice(
            r#"{"name": "boost", "eta": 0.3, "num_boost_round": 7, "grow_policy": "depthwise", "reg_lambda": 2,
                "multi_strategy": "one_output_per_tree", "colsample_bytree": 0.5, "max_leaves": 9, "gamma": 0.1}"#,
        );
        let params = boost_params(&theirs, 1).unwrap();
        let tree = TreeParams {
            learning_rate: 0.3,
            growth: Growth::Depth,
            lambda: 2.0,
            feature_fraction: 0.5,
            num_leaves: 9,
            min_gain: 0.1,
            ..TreeParams::default()
        };
        assert_eq!(
            params,
            BoostParams { rounds: 7, leaves: Leaves::Apart, tree, seed: 1, ..BoostParams::default() }
        );
        let robust = robust_params(&choice(r#"{"name": "rmtgb", "max_depth": 3}"#), 1).unwrap();
        assert_eq!(robust.depth, 3);
    }

    #[test]
    fn a_setting_given_twice_must_be_one() {
        let twice = boost_params(&choice(r#"{"name": "boost", "eta": 0.3, "learning_rate": 0.1}"#), 1);
        let message = twice.unwrap_err().to_string();
        assert!(message.contains("`learning_rate` of trees is given twice: `eta` = 0.3 and"), "{message}");
        assert!(boost_params(&choice(r#"{"name": "boost", "eta": 0.1, "learning_rate": 0.1}"#), 1).is_ok());
    }

    #[test]
    fn every_other_name_is_of_a_setting() {
        for info in trees() {
            for param in info.params.iter().filter(|param| param.default == "null") {
                let of = NAMES.iter().find(|(_, others, _)| others.contains(&param.name));
                assert!(
                    of.is_some_and(|(name, ..)| param.about.starts_with(&format!("`{name}`"))),
                    "{}",
                    param.name
                );
            }
        }
    }
}
