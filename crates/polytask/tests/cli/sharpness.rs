//! `sharpness`: of a run and of its model, as a table and as numbers.

use serde_json::Value;

use crate::support::{Place, has, trained};

#[test]
fn a_run_s_sharpness_is_shown_as_a_table_and_as_numbers() {
    let place = trained();
    let table = place.polytask(&["sharpness", "run", "--batches", "2", "--rows", "8"]).done();
    has(
        &table,
        &["topic", "names", "sharpness (95 %)", "|flat|", "cosine", "±", "2 batches of train", "rho = 0.05"],
    );
    let few = ["sharpness", "run", "--batches", "2", "--rows", "8", "--json"];
    let report = place.polytask(&few).object();
    assert_eq!((&report["split"], &report["rho"]), (&Value::from("train"), &Value::from(0.05)));
    let tasks = report["tasks"].as_array().unwrap();
    assert_eq!(tasks.len(), 7);
    for task in tasks {
        let real = |name: &str| task[name].as_f64().unwrap();
        let rise = task["sharpness"]["value"].as_f64().unwrap();
        assert!(rise > 0.0 && (real("worst") - real("loss") - rise).abs() < 1e-9, "{task}");
        assert!(real("gradient") > 0.0 && real("flat") > 0.0 && real("cosine").abs() <= 1.0, "{task}");
        assert_eq!(task["batches"], 2);
    }
    assert_eq!(place.polytask(&few).object(), report, "the same again");
    let model = ["sharpness", "run/model", "--batches", "2", "--rows", "8", "--json"];
    assert_eq!(place.polytask(&model).object(), report, "the suite lies beside the model");
}

#[test]
fn radius_form_and_split_are_a_user_s() {
    let place = trained();
    let rise = |args: &[&str]| {
        let few = ["sharpness", "run", "--batches", "1", "--rows", "8", "--json"];
        let report = place.polytask(&[&few[..], args].concat()).object();
        report["tasks"][0]["sharpness"]["value"].as_f64().unwrap()
    };
    let usual = rise(&[]);
    assert!(rise(&["--rho", "0.01"]) < usual && rise(&["--split", "valid"]) != usual);
    assert!(rise(&["--rho", "0.05", "--adaptive"]) != usual);
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let place = Place::new();
    place.write("empty/notes.txt", "");
    has(&place.polytask(&["sharpness", "nowhere"]).refused(), &["there is no folder nowhere", "--out"]);
    has(&place.polytask(&["sharpness", "empty"]).refused(), &["holds no finished run", "suite.toml"]);
    has(&place.polytask(&["sharpness", "empty/notes.txt"]).refused(), &["is a file"]);
    let place = trained();
    for rho in ["0", "-0.05", "NaN", "inf"] {
        has(&place.polytask(&["sharpness", "run", "--rho", rho]).refused(), &["--rho", "above 0"]);
    }
    let frozen = ["sharpness", "run", "--set", "model.freeze=[\"embeddings\", \"layer.0-1\"]"];
    has(&place.polytask(&frozen).refused(), &["frozen"]);
    let alone = crate::support::copied_model();
    has(&alone.polytask(&["sharpness", "model"]).refused(), &["there is no suite", "--suite FILE"]);
    alone.write("lost.toml", crate::support::suite(crate::support::ALL, ""));
    alone.polytask(&["sharpness", "model", "--suite", "lost.toml"]).refused();
}
