//! `saliency`: of a run, of a suite, as a table, a page and numbers.

use serde_json::Value;

use crate::support::{Place, has, trained, with_suite};

#[test]
fn a_run_s_saliencies_are_shown_as_tables_and_numbers() {
    let place = trained();
    let table = place.polytask(&["saliency", "run"]).done();
    has(
        &table,
        &["topic", "names", "mean |S|", "Evenness by position", "exponent", "layer.0", "of several tasks"],
    );
    let report = place.polytask(&["saliency", "run", "--json"]).object();
    assert_eq!((&report["trained"], &report["split"]), (&Value::from(true), &Value::from("valid")));
    let tasks = report["tasks"].as_array().unwrap();
    assert!(tasks.len() == 7 && tasks.iter().all(|task| task["size"].as_f64().unwrap() > 0.0), "{tasks:?}");
    // topic and length read the same texts.
    let evenness = report["evenness"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&evenness) && report["shared"].as_u64().unwrap() > 0);
    let similarity = |i: usize, j: usize| report["similarity"][i][j].as_f64().unwrap();
    assert!((similarity(0, 0) - 1.0).abs() < 1e-6 && similarity(0, 3) == similarity(3, 0));
    assert!((0.0..0.9999).contains(&similarity(0, 3)), "{}", similarity(0, 3));
}

#[test]
fn a_suite_stands_for_its_encoder_with_fresh_heads_and_a_folder_gets_page_and_numbers() {
    let place = with_suite("");
    let args = ["saliency", "suite.toml", "--split", "train", "--rows", "16", "--out", "seen", "--json"];
    let report = place.polytask(&args).object();
    assert_eq!((&report["trained"], &report["split"]), (&Value::from(false), &Value::from("train")));
    assert_eq!(place.names("seen"), ["saliency.html", "saliency.json"]);
    assert_eq!(place.json("seen/saliency.json"), report);
    has(&place.read("seen/saliency.html"), &["<!doctype html>", "Spectra of the weights", "topic"]);
    assert_eq!(place.polytask(&args).object(), report, "the same again");
}

#[test]
fn what_is_no_run_and_no_suite_is_refused() {
    let place = Place::new();
    place.write("empty/notes.txt", "");
    has(&place.polytask(&["saliency", "empty"]).refused(), &["holds no finished run", "suite.toml"]);
    place.polytask(&["saliency", "nowhere.toml"]).refused();
}
