//! Paper 16 against an independent implementation (`xtask/parity/robust_boosting.py`), which equals the authors' code.

#![allow(clippy::unwrap_used)]

use polytask_boost::robust::{GateStep, gate_rows};
use polytask_boost::tree::{Rule, Tree};
use polytask_boost::{
    ColumnSort, LossSpec, NumericColumn, NumericTable, Robust, RobustParams, RobustSet, fit_robust,
};
use serde_json::Value;

const NEAR: f64 = 1e-6;

fn reals(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

struct Data {
    golden: Value,
    table: NumericTable,
    groups: Vec<Option<usize>>,
    names: Vec<String>,
}

impl Data {
    fn new() -> Self {
        let golden: Value = serde_json::from_str(include_str!("robust.json")).unwrap();
        let rows: Vec<Vec<f64>> = golden["x"].as_array().unwrap().iter().map(reals).collect();
        let column = |c: usize| NumericColumn {
            name: format!("f{c}"),
            sort: ColumnSort::Number,
            values: rows.iter().map(|row| row[c] as f32).collect(),
        };
        let table = NumericTable::new((0..3).map(column).collect()).unwrap();
        let groups = reals(&golden["task"]).into_iter().map(|t| Some(t as usize)).collect();
        Self { golden, table, groups, names: (0..4).map(|t| format!("t{t}")).collect() }
    }

    fn fit(&self, loss: &LossSpec, params: &RobustParams) -> Robust {
        let key = if loss.name == "squared" { "y" } else { "class" };
        let values = reals(&self.golden[key]);
        let set = RobustSet {
            table: &self.table,
            names: &self.names,
            groups: &self.groups,
            loss,
            values: &values,
            weights: &[],
        };
        fit_robust(set, params, Some(&reals(&self.golden["theta0"])), &mut |_, _| ()).unwrap()
    }
}

fn rounds(shared: usize, gated: usize, own: usize, gate: GateStep) -> RobustParams {
    RobustParams { shared, gated, own, gate, ..RobustParams::default() }
}

fn near(found: f64, expected: f64, what: &str) {
    assert!(
        (found - expected).abs() <= NEAR * expected.abs().max(1.0),
        "{what}: {found}, expected {expected}"
    );
}

/// A stump as the golden file has it: column, cut and the two means before the learning rate.
fn is_stump(tree: &Tree, expected: &Value, name: &str) {
    let split = tree.nodes[0].split.as_ref().unwrap();
    assert_eq!(u64::from(split.column), expected[1].as_u64().unwrap(), "{name}");
    let Rule::Below(cut) = split.rule else { panic!("a set of numbers") };
    near(f64::from(cut), expected[2].as_f64().unwrap(), name);
    for (child, expected) in [(split.left, &expected[3]), (split.right, &expected[4])] {
        let values = tree.value(child as usize);
        values.iter().zip(reals(expected)).for_each(|(found, expected)| near(found / 0.1, expected, name));
    }
}

#[test]
fn blocks_gates_and_margins_equal_those_of_the_authors() {
    let data = Data::new();
    for (loss, kind) in [(LossSpec::named("squared"), "regression"), (LossSpec::softmax(2), "classification")]
    {
        for (gate, step) in [(GateStep::Paper, "paper"), (GateStep::Safe, "safe")] {
            let name = format!("{kind}_{step}");
            let expected = &data.golden[&name];
            let model = data.fit(&loss, &rounds(3, 4, 2, gate));
            let margins = model.margins(&data.table, &data.groups);
            let shown = margins.chunks(model.width).step_by(3).flatten();
            shown
                .zip(reals(&expected["margins"]))
                .for_each(|(found, expected)| near(*found, expected, &name));
            for (g, (theta, gate)) in
                reals(&expected["theta"]).into_iter().zip(reals(&expected["gate"])).enumerate()
            {
                near(model.groups[g].theta, theta, &name);
                near(model.gate(Some(g)), gate, &name);
            }
            let (mut shared, mut normal, mut outlier) =
                (model.shared.iter(), model.normal.iter(), model.outlier.iter());
            for stump in expected["stumps"].as_array().unwrap() {
                let tree = match stump[0].as_str().unwrap() {
                    "shared" => shared.next(),
                    "outlier" => outlier.next(),
                    _ => normal.next(),
                };
                is_stump(tree.unwrap(), stump, &name);
            }
        }
    }
}

#[test]
fn single_task_models_pooling_and_mtgb_are_settings() {
    let data = Data::new();
    let y = reals(&data.golden["y"]);
    for (name, (shared, gated, own)) in [("STL", (0, 0, 5)), ("pooling", (5, 0, 0)), ("MTGB", (3, 0, 2))] {
        let model = data.fit(&LossSpec::named("squared"), &rounds(shared, gated, own, GateStep::Safe));
        let margins = model.margins(&data.table, &data.groups);
        let square: f64 = margins.iter().zip(&y).map(|(f, y)| (f - y).powi(2)).sum();
        let expected = &data.golden[format!("ablation_{name}")]["rmse_train"];
        near((square / y.len() as f64).sqrt(), reals(&Value::Array(vec![expected.clone()]))[0], name);
    }
}

#[test]
fn a_batch_without_some_tasks_is_predicted_as_within_the_whole() {
    let data = Data::new();
    let model = data.fit(&LossSpec::named("squared"), &rounds(3, 4, 2, GateStep::Safe));
    let whole = model.margins(&data.table, &data.groups);
    let rows: Vec<u32> = (18..36).collect();
    let batch = model.margins(&data.table.take(&rows), &data.groups[18..]);
    assert_eq!(batch, whole[18..]);
    // A row of a task that training did not have reads the shared blocks at the median gate.
    let unseen = model.margins(&data.table, &vec![None; 36]);
    let mean = model.effective("y", None).margins(&data.table);
    unseen.iter().zip(&mean).for_each(|(a, b)| near(*a, *b, "unseen"));
}

#[test]
fn a_new_task_changes_no_prediction_of_the_others() {
    let data = Data::new();
    for loss in [LossSpec::named("squared"), LossSpec::softmax(2)] {
        let model = data.fit(&loss, &rounds(10, 10, 5, GateStep::Safe));
        let before = model.margins(&data.table, &data.groups);
        // Rows of the mirrored task, as if it came later.
        let rows: Vec<u32> = (27..36).collect();
        let values = &reals(&data.golden[if loss.name == "squared" { "y" } else { "class" }])[27..];
        let params = rounds(0, 0, 5, GateStep::Safe);
        let extended = model.extended("late", &data.table.take(&rows), values, &params).unwrap();
        let bits = |margins: Vec<f64>| margins.into_iter().map(f64::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(before), bits(extended.margins(&data.table, &data.groups)));
        assert_eq!(
            model.margins(&data.table, &vec![None; 36]),
            extended.margins(&data.table, &vec![None; 36])
        );
        assert_eq!(extended.groups[4].own.len(), 5);
        // The gate it learns lies on the side of the task it is like.
        let side = |group: usize| extended.gate(Some(group)) > extended.fallback;
        assert_eq!(side(4), side(3), "{}", loss.name);
        let again =
            extended.extended("late", &data.table.take(&rows), values, &params).unwrap_err().to_string();
        assert!(again.contains("task `late` already"), "{again}");
    }
}

#[test]
fn what_cannot_be_fitted_is_told() {
    let data = Data::new();
    let values = reals(&data.golden["y"]);
    let none = vec![None; 36];
    let loss = LossSpec::named("squared");
    let set = |groups, values, loss| RobustSet {
        table: &data.table,
        names: &data.names,
        groups,
        loss,
        values,
        weights: &[],
    };
    let wrong = |set: RobustSet<'_>, params: RobustParams| {
        fit_robust(set, &params, None, &mut |_, _| ()).unwrap_err().to_string()
    };
    let of = |set| wrong(set, RobustParams::default());
    assert!(of(set(&none, &values, &loss)).contains("no row names its task"));
    assert!(of(set(&data.groups, &[f64::NAN; 36], &loss)).contains("unknown in all 36 rows"));
    assert!(of(set(&data.groups, &values[1..], &loss)).contains("35 targets"));
    let counts = LossSpec::named("poisson");
    assert!(of(set(&data.groups, &values, &counts)).contains("expected one of squared"));
    let nothing = wrong(set(&data.groups, &values, &loss), rounds(0, 0, 0, GateStep::Safe));
    assert!(nothing.contains("0 rounds"), "{nothing}");
}

#[test]
fn a_task_of_one_row_is_kept_without_trees_of_its_own() {
    let mut data = Data::new();
    data.names.push("alone".into());
    data.groups[35] = Some(4);
    data.golden["theta0"] = serde_json::json!([0.05, -0.08, 0.02, -0.12, 0.01]);
    let model = data.fit(&LossSpec::named("squared"), &rounds(3, 4, 2, GateStep::Safe));
    assert_eq!((model.groups[4].own.len(), model.groups[3].own.len(), model.groups[4].rows), (0, 2, 1));
    assert!(model.margins(&data.table, &data.groups).iter().all(|margin| margin.is_finite()));
    assert_eq!(gate_rows(&model).len(), 5);
}
