//! Settings that the data decide: shown with reasons, planned to a time, written like any other, left alone when given.

use crate::support::{Place, has, with_suite};

/// A suite on an encoder that is trained already, whose `[train]` says only this.
fn on_trained_encoder(train: &str) -> Place {
    let place = with_suite("baselines = false");
    place.polytask(&["train", "suite.toml", "--out", "first", "-q"]).done();
    let text = place.read("suite.toml");
    let (head, tasks) = text.split_once("[train]").unwrap();
    let tasks = &tasks[tasks.find("[[").unwrap()..];
    let head = head.replace("\"tiny\"", "\"first/model\"");
    place.write("open.toml", format!("{head}[train]\ncache_mb = 0\n{train}\n{tasks}"));
    place
}

#[test]
fn show_says_what_is_chosen_and_why_and_leaves_what_is_given() {
    let place = on_trained_encoder("lr = 2e-3");
    let shown = place.polytask(&["show", "open.toml"]).done();
    has(
        &shown,
        &[
            "# train.steps = ",
            "passes over the",
            "# train.weighting = constant",
            "start = \"probe\"",
            "lr = 0.002",
        ],
    );
    assert!(!shown.contains("# train.lr"), "{shown}");
    place.write("missing.toml", place.read("open.toml").replace("data/topic", "data/nowhere"));
    has(&place.polytask(&["show", "missing.toml"]).refused(), &["data/nowhere"]);
}

#[test]
fn a_run_writes_what_it_chose_and_resumes_with_it() {
    let place = on_trained_encoder("");
    let report = place.polytask(&["train", "open.toml", "--out", "run", "-q", "--json"]).object();
    let suite = place.read("run/suite.toml");
    has(&suite, &["batch_rows = 32", "lr = 0.0002", "name = \"constant\""]);
    assert!(suite.contains(&format!("steps = {}", report["steps"])), "{suite}");
    has(&place.polytask(&["train", "open.toml", "--out", "run", "--resume"]).done(), &["joint"]);
    let others = report["tasks"][0]["others"].as_array().unwrap();
    let learners: Vec<&str> = others.iter().map(|other| other["learner"].as_str().unwrap()).collect();
    assert_eq!(learners, ["probe", "prior"]);
    assert!(others.iter().all(|other| !other["scores"].as_array().unwrap().is_empty()), "{others:?}");
}

#[test]
fn a_time_plans_the_steps_and_contradicts_given_ones() {
    let place = on_trained_encoder("baselines = false");
    place.polytask(&["train", "open.toml", "--out", "run", "-q", "--time", "2s"]).done();
    has(&place.read("run/suite.toml"), &["schedule = \"cosine\"", "steps = "]);
    let refused = place.polytask(&["train", "suite.toml", "--out", "other", "--time", "2s"]).refused();
    has(&refused, &["--time", "train.steps"]);
}
