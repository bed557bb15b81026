//! Files of XGBoost against its own margins (`xtask/parity/xgboost_files.py`), and hostile ones.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use polytask_boost::ColumnSort;
use polytask_boost::suite::BoostModel;
use polytask_boost::xgboost::{Imported, read, write};
use polytask_boost::{BoostParams, BoostTarget, LossSpec, NumericColumn, NumericTable, TrainingSet, fit};
use polytask_core::input::table::{MISSING, category_symbol};
use serde_json::{Value, json};

const NEAR: f64 = 1e-6;

fn cases() -> Vec<Value> {
    serde_json::from_str(include_str!("xgboost.json")).unwrap()
}

fn case(name: &str) -> Value {
    cases().into_iter().find(|case| case["name"] == name).unwrap()
}

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(&self, value: &Value) -> PathBuf {
        let path = self.0.path().join("model.json");
        std::fs::write(&path, value.to_string()).unwrap();
        path
    }

    fn refused(&self, value: &Value) -> String {
        read(&self.with(value)).unwrap_err().to_string()
    }
}

fn table(case: &Value, imported: &Imported) -> NumericTable {
    let rows = case["rows"].as_array().unwrap();
    let column = |(c, name): (usize, &String)| NumericColumn {
        name: name.clone(),
        sort: imported.sorts[c],
        values: rows.iter().map(|row| row[c].as_f64().unwrap_or(f64::NAN) as f32).collect(),
    };
    NumericTable::new(imported.booster.columns.iter().enumerate().map(column).collect()).unwrap()
}

#[test]
fn margins_of_a_file_are_those_of_xgboost_and_survive_being_written_again() {
    let files = Files::new();
    for case in cases() {
        let imported = read(&files.with(&case["model"])).unwrap();
        let table = table(&case, &imported);
        let margins = imported.booster.margins(&table);
        let expected: Vec<f64> = case["margins"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|row| row.as_array().unwrap())
            .map(|v| v.as_f64().unwrap())
            .collect();
        assert_eq!(margins.len(), expected.len(), "{}", case["name"]);
        for (found, expected) in margins.iter().zip(&expected) {
            assert!(
                (found - expected).abs() <= NEAR * expected.abs().max(1.0),
                "{}: {found} {expected}",
                case["name"]
            );
        }
        let path = files.0.path().join("again.json");
        write(&imported.booster, &imported.sorts, &imported.categories, &path).unwrap();
        let again = read(&path).unwrap();
        assert_eq!((&again.sorts, &again.categories), (&imported.sorts, &imported.categories));
        for (found, before) in again.booster.margins(&table).iter().zip(&margins) {
            assert!((found - before).abs() <= NEAR * before.abs().max(1.0), "{}", case["name"]);
        }
    }
}

#[test]
fn names_of_categories_are_read() {
    let files = Files::new();
    let named = read(&files.with(&case("named categories")["model"])).unwrap();
    assert_eq!(named.categories[2][..3], ["k0", "k1", "k2"]);
    assert!(named.categories[0].is_empty());
    assert_eq!(read(&files.with(&case("categories")["model"])).unwrap().categories[2][..2], ["0", "1"]);
}

#[test]
fn base_scores_of_older_files_are_one_number() {
    let files = Files::new();
    let mut old = case("logistic")["model"].clone();
    old["version"] = json!([1, 7, 6]);
    old["learner"]["learner_model_param"]["base_score"] = json!("5E-1");
    assert!(read(&files.with(&old)).unwrap().booster.outputs[0].start[0].abs() < 1e-12);
}

#[test]
fn what_is_no_model_of_a_known_version_is_refused_by_name() {
    let files = Files::new();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut model = case("squared")["model"].clone();
        change(&mut model);
        files.refused(&model)
    };
    let has = |message: String, word: &str| {
        assert!(message.contains(word) && message.contains("model.json"), "{message}");
    };
    has(with(&|m| m["version"] = json!([9, 0, 0])), "version 9");
    has(with(&|m| m["version"] = Value::Null), "no `version`");
    has(with(&|m| m["learner"]["gradient_booster"]["name"] = json!("gblinear")), "`gblinear`");
    has(with(&|m| m["learner"]["gradient_booster"]["name"] = json!("dart")), "`dart`");
    has(with(&|m| m["learner"]["objective"]["name"] = json!("survival:cox")), "`survival:cox`");
    has(with(&|m| m["learner"]["learner_model_param"]["num_feature"] = json!("1E9")), "`num_feature`");
    has(with(&|m| m["learner"]["feature_names"] = json!(["a"])), "`feature_names` has 1 entries");
    has(files.refused(&json!([1])), "no JSON");
    std::fs::write(files.0.path().join("model.ubj"), b"{L\x00\x00").unwrap();
    let binary = read(&files.0.path().join("model.ubj")).unwrap_err().to_string();
    assert!(binary.contains("binary JSON"), "{binary}");
}

#[test]
fn hostile_trees_are_refused_before_anything_is_made_of_them() {
    let files = Files::new();
    let with = |key: &str, value: Value| {
        let mut model = case("squared")["model"].clone();
        model["learner"]["gradient_booster"]["model"]["trees"][0][key] = value;
        files.refused(&model)
    };
    let entry = |key: &str, at: usize, value: Value| {
        let mut model = case("squared")["model"].clone();
        model["learner"]["gradient_booster"]["model"]["trees"][0][key][at] = value;
        files.refused(&model)
    };
    assert!(entry("left_children", 0, json!(99)).contains("child"));
    assert!(entry("left_children", 0, json!(0)).contains("reached twice"));
    assert!(entry("left_children", 0, json!(2)).contains("reached twice"));
    assert!(entry("split_indices", 0, json!(3)).contains("column beyond 3"));
    assert!(entry("split_conditions", 0, Value::Null).contains("cut is no number"));
    assert!(entry("split_conditions", 3, Value::Null).contains("a leaf without"));
    assert!(entry("split_type", 0, json!(1)).contains("no set of categories"));
    assert!(with("left_children", json!([1])).contains("1 entries, expected 7"));
    let claimed = json!({ "num_nodes": "1000000", "num_feature": "3", "size_leaf_vector": "1" });
    assert!(with("tree_param", claimed).contains("expected 1000000"));
}

#[test]
fn what_xgboost_cannot_say_is_refused_by_name() {
    let column = NumericColumn {
        name: "a".into(),
        sort: polytask_boost::ColumnSort::Number,
        values: (0..20).map(|i| i as f32).collect(),
    };
    let table = NumericTable::new(vec![column]).unwrap();
    let values: Vec<f64> = (0..20).map(|i| f64::from(i % 2)).collect();
    let targets = [
        BoostTarget::new("n", LossSpec::named("squared"), values.clone()),
        BoostTarget::new("c", LossSpec::named("logistic"), values),
    ];
    let set = TrainingSet { table: &table, targets: &targets, weights: &[] };
    let booster = fit(set, None, &BoostParams { rounds: 2, ..BoostParams::default() }, &mut |_| ()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mixed.json");
    let error =
        write(&booster, &[polytask_boost::ColumnSort::Number], &[vec![]], &path).unwrap_err().to_string();
    assert!(error.contains("`n` is squared, `c` is logistic"), "{error}");
    assert!(!path.exists());
}

#[test]
fn a_code_beyond_those_of_a_file_without_names_is_not_unknown() {
    let files = Files::new();
    let is_unnamed = |imported: &Imported| {
        let sorts = imported.sorts.iter().enumerate();
        sorts
            .filter(|(_, sort)| **sort == ColumnSort::Category)
            .map(|(at, _)| at)
            .find(|at| imported.categories.get(*at).is_none_or(Vec::is_empty))
    };
    let mut n = 0;
    for mut case in cases() {
        // As files of before 3.1 have them.
        case["model"]["learner"]["gradient_booster"]["model"]["cats"]["enc"] = json!([]);
        let path = files.with(&case["model"]);
        let Some(at) = is_unnamed(&read(&path).unwrap()) else { continue };
        let model = BoostModel::import(&path).unwrap();
        let row = |text: &str| -> Vec<u32> {
            (0..model.table.columns.len())
                .map(|column| if column == at { category_symbol(text) } else { MISSING })
                .collect()
        };
        let (far, known) = (row("999999"), row("0"));
        let rows = [far.as_slice(), known.as_slice()];
        let viewed = model.view().rows(rows.into_iter()).unwrap();
        let values = &viewed.table.columns()[at].values;
        assert!(values[0] > values[1] && values[1] == 0.0, "{values:?}");
        n += 1;
    }
    assert!(n > 0, "some files name no categories");
}
