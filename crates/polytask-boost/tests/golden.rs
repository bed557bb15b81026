//! Trees against an independent implementation (`xtask/parity/boosting.py`), which equals XGBoost to 3e-7.

#![allow(clippy::unwrap_used)]

use polytask_boost::tree::Rule;
use polytask_boost::{
    BoostParams, BoostTarget, ColumnSort, Growth, Leaves, LossSpec, NumericColumn, NumericTable, TrainingSet,
    TreeParams, fit,
};
use serde_json::Value;

const NEAR: f64 = 1e-6;

fn golden() -> Value {
    serde_json::from_str(include_str!("boosting.json")).unwrap()
}

fn reals(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect()
}

fn columns(rows: &Value) -> Vec<Vec<f64>> {
    let rows: Vec<Vec<f64>> = rows.as_array().unwrap().iter().map(reals).collect();
    (0..rows[0].len()).map(|c| rows.iter().map(|row| row[c]).collect()).collect()
}

fn table(golden: &Value) -> NumericTable {
    let column = |(c, values): (usize, Vec<f64>)| NumericColumn {
        name: format!("f{c}"),
        sort: ColumnSort::Number,
        values: values.iter().map(|&v| v as f32).collect(),
    };
    NumericTable::new(columns(&golden["x"]).into_iter().enumerate().map(column).collect()).unwrap()
}

fn targets(golden: &Value, name: &str) -> Vec<BoostTarget> {
    let mut y: Vec<Vec<f64>> =
        columns(&golden["y"]).iter().map(|y| y.iter().map(|&v| f64::from(v as f32)).collect()).collect();
    if name == "logistic" {
        let classes = y[0].iter().map(|&v| f64::from(u8::from(v > 0.5))).collect();
        return vec![BoostTarget::new("class", LossSpec::named("logistic"), classes)];
    }
    if name == "two_targets_vector_missing" {
        y[0].iter_mut().step_by(3).for_each(|v| *v = f64::NAN);
        y[1].iter_mut().skip(1).step_by(4).for_each(|v| *v = f64::NAN);
    }
    let n = if name.starts_with("two") { 2 } else { 1 };
    y.into_iter().take(n).map(|y| BoostTarget::new("y", LossSpec::named("squared"), y)).collect()
}

fn params(base: &Value, case: &Value) -> BoostParams {
    let get = |key: &str| case["over"].get(key).unwrap_or(&base[key]);
    let real = |key: &str| get(key).as_f64().unwrap();
    let count = |key: &str| get(key).as_u64().unwrap() as usize;
    let tree = TreeParams {
        learning_rate: real("eta"),
        lambda: real("lambda"),
        alpha: real("alpha"),
        min_gain: real("gamma"),
        min_child_weight: real("min_child_weight"),
        max_depth: count("max_depth"),
        num_leaves: count("max_leaves"),
        growth: if get("policy") == "lossguide" { Growth::Leaf } else { Growth::Depth },
        ..TreeParams::default()
    };
    let leaves = if case["vector_leaves"] == true { Leaves::Vector } else { Leaves::Apart };
    BoostParams { rounds: case["rounds"].as_u64().unwrap() as usize, tree, leaves, ..BoostParams::default() }
}

fn near(found: f64, expected: f64, what: &str) {
    assert!(
        (found - expected).abs() <= NEAR * expected.abs().max(1.0),
        "{what}: {found}, expected {expected}"
    );
}

#[test]
fn trees_and_margins_equal_those_of_an_independent_implementation() {
    let golden = golden();
    let table = table(&golden);
    for (name, case) in golden["cases"].as_object().unwrap() {
        let targets = targets(&golden, name);
        let set = TrainingSet { table: &table, targets: &targets, weights: &[] };
        let booster = fit(set, None, &params(&golden["base_params"], case), &mut |_| ()).unwrap();
        let starts: Vec<f64> = booster.outputs.iter().flat_map(|output| output.start.clone()).collect();
        for (found, expected) in starts.iter().zip(reals(&case["start"])) {
            near(*found, expected, name);
        }
        let margins = booster.margins(&table);
        for (found, expected) in margins.iter().zip(reals(&case["final_margin_first12"])) {
            near(*found, expected, name);
        }
        for (k, expected) in reals(&case["margin_sum"]).into_iter().enumerate() {
            near(margins.iter().skip(k).step_by(targets.len()).sum(), expected, name);
        }
        let tree = &booster.trees[0].tree;
        let nodes = case["tree0"].as_array().unwrap();
        assert_eq!(tree.nodes.len(), nodes.len(), "{name}");
        for (n, expected) in nodes.iter().enumerate() {
            reals(&expected[4]).into_iter().zip(tree.value(n)).for_each(|(e, f)| near(*f, e, name));
            let Some(split) = &tree.nodes[n].split else {
                assert!(expected[0].is_null(), "{name} node {n}");
                continue;
            };
            assert_eq!(
                (u64::from(split.column), split.default_left),
                (expected[0].as_u64().unwrap(), expected[2] == true)
            );
            near(split.gain, expected[3].as_f64().unwrap(), name);
            // Ours lies between two values, theirs is the upper one.
            let Rule::Below(cut) = split.rule else { panic!("a set of numbers") };
            let upper = expected[1].as_f64().map_or(f32::MAX, |cut| cut as f32);
            assert!(cut <= upper, "{name} node {n}: {cut} {upper}");
        }
    }
}
