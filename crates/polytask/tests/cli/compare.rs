//! `compare`: two runs by what was kept of them, without models or a suite.

use serde_json::Value;

use crate::support::{Place, has, suite, trained, with_suite};

/// Two runs of one suite that differ in their rate.
fn two_runs() -> Place {
    let place = with_suite("baselines = false");
    place.polytask(&["train", "suite.toml", "--out", "runs/first"]).done();
    place.polytask(&["train", "suite.toml", "--out", "runs/second", "--set", "train.lr=1e-2"]).done();
    place
}

#[test]
fn two_runs_give_what_eval_says_of_their_models_without_models_or_suite() {
    let place = two_runs();
    let against = ["eval", "suite.toml", "--model", "runs/first", "--against", "runs/second", "--json"];
    let judged = place.polytask(&against).object();
    for folder in ["runs/first/model", "runs/second/model"] {
        std::fs::remove_dir_all(place.path(folder)).unwrap();
    }
    let found = place.polytask(&["compare", "runs/first", "runs/second", "--json"]).object();
    assert_eq!(found["sides"], serde_json::json!(["first", "second"]));
    let tasks = found["tasks"].as_array().unwrap();
    assert_eq!(tasks.len(), judged["tasks"].as_array().unwrap().len());
    for judged in judged["tasks"].as_array().unwrap() {
        let found = tasks.iter().find(|found| found["task"] == judged["task"]).unwrap();
        assert_eq!((&found["task"], &found["split"]), (&judged["task"], &judged["split"]));
        assert_eq!(found["metrics"][0]["delta"], judged["delta"], "{found}");
        for (metric, score) in
            found["metrics"].as_array().unwrap().iter().zip(judged["joint"].as_array().unwrap())
        {
            let value = |of: &Value| of["value"].as_f64().unwrap_or(f64::NAN);
            let (ours, theirs) = (value(&metric["first"]), value(score));
            assert!(ours == theirs || ours.is_nan() && theirs.is_nan(), "{metric} {score}");
        }
    }
    let text = place.polytask(&["compare", "runs/first", "runs/second", "--names", "old,new"]).done();
    has(&text, &["old", "new", "topic", "macro_f1", "accuracy", "Difference: old minus new"]);
    let one = ["compare", "runs/first", "runs/second", "--task", "topic", "--json"];
    assert_eq!(place.polytask(&one).object()["tasks"].as_array().unwrap().len(), 1);
    has(
        &place.polytask(&["compare", "runs/first", "runs/second", "--task", "topik"]).refused(),
        &["`topik`"],
    );
}

#[test]
fn the_order_of_labels_in_train_does_not_matter_but_other_rows_are_refused() {
    let place = two_runs();
    let train = place.read("data/topic/train.csv");
    let (head, rows) = train.split_once('\n').unwrap();
    let turned: Vec<&str> = rows.lines().rev().collect();
    place.write("data/topic/train.csv", format!("{head}\n{}\n", turned.join("\n")));
    place.polytask(&["train", "suite.toml", "--out", "runs/turned"]).done();
    place.polytask(&["compare", "runs/turned", "runs/first"]).done();
    let test = place.read("data/topic/test.csv");
    let shorter: Vec<&str> = test.lines().take(10).collect();
    place.write("data/topic/test.csv", shorter.join("\n") + "\n");
    place.polytask(&["train", "suite.toml", "--out", "runs/other"]).done();
    let error = place.polytask(&["compare", "runs/other", "runs/first"]).refused();
    has(&error, &["task `topic`", "test rows differ", "9 rows in other", "eval SUITE"]);
}

#[test]
fn eval_writes_what_a_run_writes_and_a_folder_without_it_is_told_so() {
    let place = trained();
    let eval = ["eval", "suite.toml", "--model", "run/model", "--predictions", "judged"];
    place.polytask(&eval).done();
    let found = place.polytask(&["compare", "run", "judged", "--json"]).object();
    for metric in
        found["tasks"].as_array().unwrap().iter().flat_map(|task| task["metrics"].as_array().unwrap())
    {
        let delta = metric["delta"]["value"].as_f64();
        assert!(delta.is_none_or(|delta| delta == 0.0), "{metric}");
    }
    let single = ["compare", "run/predictions/topic.json", "judged/topic.json"];
    has(&place.polytask(&single).done(), &["No task differs clearly"]);
    let none = Place::new();
    none.write("suite.toml", suite(&[], ""));
    none.write("empty/report.json", "{}");
    has(
        &none.polytask(&["compare", "empty", "empty"]).refused(),
        &["no predictions of a run", "--predictions DIR"],
    );
    has(&none.polytask(&["compare", "nowhere", "empty"]).refused(), &["nowhere"]);
}
