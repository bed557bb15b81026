//! `conflict`: planted structure named, a suggestion verified, findings resumed, wrong requests refused.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Place, THREE, has, suite, with_suite, write_data};

/// The planted suite of the source tree on a small random encoder.
fn planted() -> Place {
    let place = Place::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo/planted");
    for file in ["suite.toml", "train.tsv", "valid.tsv", "test.tsv"] {
        place.write(&format!("planted/{file}"), fs::read(source.join(file)).unwrap());
    }
    place
}

const TINY: &[&str] = &["--set", "model.encoder=tiny", "--set", "model.freeze=[]", "--set", "train.lr=1e-3"];

/// How many of the advices of a kind are about this task.
fn advised(found: &Value, kind: &str, task: &str) -> usize {
    let advice = found["advice"].as_array().unwrap().iter();
    advice.filter(|a| a["kind"] == kind && a["tasks"].as_array().unwrap().iter().any(|t| t == task)).count()
}

#[test]
fn planted_structure_is_named_and_the_suggestion_verified() {
    let place = planted();
    let args =
        [&["conflict", "planted/suite.toml", "--out", "found", "--verify", "--json", "--steps", "60"], TINY];
    let found = place.polytask(&args.concat()).object();
    assert_eq!(found, place.json("found/conflict.json"));
    let names: Vec<&str> =
        found["tasks"].as_array().unwrap().iter().map(|task| task["task"].as_str().unwrap()).collect();
    assert_eq!(names, ["sts", "twin", "permuted", "opposite"]);
    // The twins want the same, the reversed task the opposite.
    assert!(found["cosine"][0][1]["low"].as_f64().unwrap() > 0.99);
    assert!(found["cosine"][0][3]["high"].as_f64().unwrap() < -0.5);
    assert!(found["relative_affinity"][0][1]["low"].as_f64().unwrap() > 0.9);
    assert!(found["relative_affinity"][0][3]["high"].as_f64().unwrap() < -0.3);
    // Plain affinities fall with the losses: neighbours are alike, and the interval is wide.
    assert!(found["affinity"][0][1]["value"].as_f64().unwrap() > 0.0);
    assert_eq!(
        (found["conflicting"][0][1].as_f64(), found["conflicting"][0][3].as_f64()),
        (Some(0.0), Some(1.0))
    );
    // Shuffled and reversed labels are said first and left out, the twins share a model.
    let first: Vec<&Value> = (0..2).map(|i| &found["advice"][i]["tasks"][0]).collect();
    assert_eq!(first, ["permuted", "opposite"], "{}", found["advice"]);
    assert_eq!(
        (advised(&found, "check-labels", "permuted"), &found["left_out"]),
        (1, &serde_json::json!(first))
    );
    assert_eq!(found["tasks"][3]["is_below_chance"], true);
    let suggestion = &found["budgets"][found["suggested"].as_u64().unwrap() as usize];
    assert_eq!(suggestion["groups"], serde_json::json!([["sts", "twin"]]), "{suggestion}");
    let harms = found["harms"].as_array().unwrap();
    assert!(harms.iter().all(|harm| harm["task"] == "sts" || harm["task"] == "twin"), "{harms:?}");
    let verdict = found["verdict"].as_str().unwrap();
    assert!(verdict.starts_with("check the labels of permuted and opposite first; "), "{verdict}");
    assert!(verdict.contains("train {sts, twin} together"), "{verdict}");
    assert!(found["verified"]["measured"]["value"].is_number(), "{}", found["verified"]);
    assert!(place.path("found/verify/sts+twin/model/polytask.json").exists());
    let page = place.read("found/conflict.html");
    has(&page, &["train {sts, twin} together", "Gradient cosine", "The suggestion, trained", "viewBox"]);

    // A finished joint run is not trained again; the tables say the same.
    let before = place.read("found/joint/report.json");
    let args = [
        &["conflict", "planted/suite.toml", "--out", "found", "--resume", "--verify", "--steps", "60"],
        TINY,
    ];
    let ran = place.polytask(&args.concat());
    has(&ran.err, &["nothing to resume", "trained before"]);
    has(
        &ran.done(),
        &[
            "train {sts, twin} together",
            "check the labels of permuted first",
            "verified by training the groups",
            "found/conflict.html",
        ],
    );
    assert_eq!(place.read("found/joint/report.json"), before);
}

#[test]
fn tasks_of_other_kinds_and_sources_are_compared_too_within_the_budget() {
    let place = with_suite("baselines = false\nmixing = \"alternate\"");
    let args = ["conflict", "suite.toml", "--models", "2", "--every", "2"];
    let found = place.polytask(&[&args[..], &["--json"]].concat()).object();
    assert_eq!(found["budgets"].as_array().unwrap().len(), 2);
    assert!(found["affinity"][0][2]["value"].is_number() && found["affinity"][0][0]["value"].is_number());
    assert!(found["together"]["value"].is_number(), "single-task models are trained whatever the suite says");
    assert_eq!(place.names("runs/small-conflict"), ["conflict.html", "conflict.json", "joint"]);
    has(&place.polytask(&args).refused(), &["not empty", "--resume"]);
}

#[test]
fn what_cannot_be_compared_or_divided_is_refused_before_anything_is_trained() {
    let place = with_suite("");
    has(&place.polytask(&["conflict", "suite.toml", "--models", "4"]).refused(), &["--models 4", "1 to 3"]);
    let none = place.polytask(&["conflict", "suite.toml", "--models", "0"]);
    assert_eq!(none.code, 2);
    has(&none.err, &["--models", "at least 1"]);
    let error = place.polytask(&["conflict", "suite.toml", "--set", "task.stz.margin=2"]).refused();
    has(&error, &["stz"]);
    let frozen = "model.freeze=[\"embeddings\", \"layer.0-1\"]";
    let error = place.polytask(&["conflict", "suite.toml", "--set", frozen]).refused();
    has(&error, &["frozen", "model.freeze"]);
    let one = Place::new();
    write_data(&one);
    one.write("suite.toml", suite(&THREE[..1], ""));
    has(&one.polytask(&["conflict", "suite.toml"]).refused(), &["has 1 task", "at least 2"]);
    assert!(!place.path("runs").exists() && !one.path("runs").exists());
}

#[test]
fn a_plain_run_has_no_measurements_to_go_on_with() {
    let place = with_suite("");
    place.polytask(&["train", "suite.toml", "--out", "runs/small-conflict/joint"]).done();
    let error = place.polytask(&["conflict", "suite.toml", "--resume"]).refused();
    has(&error, &["holds no measurements", "polytask conflict"]);
}

#[test]
fn advice_begins_with_few_measurements_then_labels_then_groupings() {
    let place = planted();
    let args = ["conflict", "planted/suite.toml", "--steps", "60", "--json"];
    let kinds = |found: &Value| -> Vec<String> {
        let advice = found["advice"].as_array().unwrap().iter();
        advice.map(|advice| advice["kind"].as_str().unwrap().to_owned()).collect()
    };
    let enough = place.polytask(&[&args[..], TINY].concat()).object();
    let order = kinds(&enough);
    assert_eq!(order[0], "check-labels", "{order:?}");
    assert!(order.iter().skip_while(|kind| *kind == "check-labels").all(|kind| kind != "check-labels"));
    let few = place.polytask(&[&args[..], TINY, &["--every", "25", "--out", "few"]].concat()).object();
    let order = kinds(&few);
    assert_eq!((&*order[0], &*order[1]), ("measure", "check-labels"), "{order:?}");
    assert!(order.iter().all(|kind| ["measure", "check-labels"].contains(&kind.as_str())), "{order:?}");
    assert!(few["verdict"].as_str().unwrap().starts_with("rests on few measurements"), "{few}");
    assert_eq!(few["budgets"].as_array().unwrap().len(), 1);
}
