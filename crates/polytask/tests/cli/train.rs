//! `train`, `show`, `init`: a run end to end, twice, refused, replaced.

use serde_json::Value;

use crate::support::{Place, trained};
use crate::support::{THREE, files, has, suite, with_suite, write_data};

#[test]
fn a_run_of_three_kinds_leaves_table_model_and_report() {
    let place = with_suite("");
    let out = place.polytask(&["train", "suite.toml", "--out", "runs/a"]).done();
    has(&out, &["topic", "sts", "names", "single", "runs/a/model", "runs/a/report.html"]);
    let names = place.names("runs/a");
    assert_eq!(
        names,
        ["CARD.md", "log.jsonl", "model", "mteb", "predictions", "report.html", "report.json", "suite.toml"]
    );
    let report = place.json("runs/a/report.json");
    assert_eq!(report["tasks"].as_array().unwrap().len(), 3);
    assert!(report["delta_m"].is_object() || report["delta_m"].is_number(), "{report}");
    for task in report["tasks"].as_array().unwrap() {
        assert!(!task["single"].as_array().unwrap().is_empty(), "{task}");
    }
    place.polytask(&["check", "runs/a/suite.toml", "--data"]).done();
    let model = place.names("runs/a/model");
    for file in
        ["config.json", "model.safetensors", "modules.json", "polytask.json", "tokenizer.json", "heads"]
    {
        assert!(model.iter().any(|name| name == file), "{file} is not in {model:?}");
    }
}

#[test]
fn a_second_run_into_the_folder_is_refused_and_forced() {
    let place = with_suite("baselines = false");
    let train = ["train", "suite.toml", "--out", "run"];
    place.polytask(&train).done();
    place.write("run/mine.txt", "keep");
    let before = files(&place.path("run"));
    let refused = place.polytask(&train).refused();
    has(&refused, &["run", "not empty", "--force", "--resume"]);
    assert_eq!(files(&place.path("run")), before);
    place.polytask(&["train", "suite.toml", "--out", "run", "--force", "--seed", "14"]).done();
    assert_eq!(place.json("run/report.json")["lineage"]["seed"], 14);
    assert_eq!(place.read("run/mine.txt"), "keep", "files that are no part of a run stay");
}

#[test]
fn a_run_that_cannot_start_leaves_no_folder_and_spoils_none() {
    let place = with_suite("baselines = false");
    place.polytask(&["train", "suite.toml", "--out", "run"]).done();
    let before = files(&place.path("run"));
    place.write("data/topic/valid.csv", "text,label\nthe cat,stone\n");
    for args in [&["--out", "run", "--force"][..], &["--out", "other"]] {
        let error = place.polytask(&[&["train", "suite.toml"], args].concat()).refused();
        has(&error, &["data/topic/valid.csv:2", "stone"]);
    }
    assert_eq!(
        files(&place.path("run")),
        before,
        "--force removes the old run only when the new one can start"
    );
    assert!(!place.path("other").exists(), "nothing is left that the corrected run would be refused for");
}

#[test]
fn json_prints_the_report_as_one_object_and_settings_reach_it() {
    let place = with_suite("baselines = false");
    let args = [
        "train",
        "suite.toml",
        "--json",
        "--set",
        "train.steps=5",
        "--set",
        "task.sts.margin=7",
        "--seed",
        "3",
    ];
    let report = place.polytask(&args).object();
    assert_eq!((&report["steps"], &report["lineage"]["seed"]), (&Value::from(5), &Value::from(3)));
    assert_eq!(report["tasks"][1]["margin"], 7.0);
    assert_eq!(place.json("runs/small/report.json"), report, "the default folder is runs/NAME");
}

#[test]
fn a_wrong_setting_is_refused_with_the_nearest_key() {
    let place = with_suite("");
    let error = place.polytask(&["train", "suite.toml", "--set", "train.stepz=5"]).refused();
    has(&error, &["stepz", "`steps`"]);
    let error = place.polytask(&["train", "suite.toml", "--set", "train.lr"]).refused();
    has(&error, &["train.lr"]);
    assert!(!place.path("runs").exists());
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let place = with_suite("weighting = \"pcgrad\"");
    for (out, seed) in [("a", "5"), ("b", "5"), ("c", "6")] {
        let cache = place.path("cache").join(out);
        let args = ["train", "suite.toml", "--quiet", "--out", out, "--seed", seed];
        let mut command = place.command(env!("CARGO_BIN_EXE_polytask"), &args);
        let output = command.env("POLYTASK_CACHE", cache).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    }
    let [a, b, c] = ["a", "b", "c"].map(|run| files(&place.path(&format!("{run}/model"))));
    assert!(a == b, "model folders differ");
    assert!(a != c, "the seed has no effect");
    let report = |run: &str| {
        let mut report = place.json(&format!("{run}/report.json"));
        report.as_object_mut().unwrap().remove("seconds").unwrap();
        report
    };
    assert_eq!(report("a"), report("b"));
    assert_eq!(place.read("a/log.jsonl"), place.read("b/log.jsonl"));
}

#[test]
fn a_log_holds_no_control_characters_and_quiet_says_nothing() {
    let place = with_suite("baselines = false");
    let ran = place.polytask(&["train", "suite.toml", "--out", "a"]);
    has(&ran.err, &["joint", "done in"]);
    assert!(ran.err.chars().all(|c| c == '\n' || !c.is_control()), "{:?}", ran.err);
    assert!(ran.out.chars().all(|c| c == '\n' || !c.is_control()), "{:?}", ran.out);
    let ran = place.polytask(&["train", "suite.toml", "--out", "b", "--quiet"]);
    assert_eq!(ran.err, "");
}

#[test]
fn a_finished_run_has_nothing_to_resume_and_shows_its_table_again() {
    let place = trained();
    let before = files(&place.path("run"));
    let ran = place.polytask(&["train", "suite.toml", "--out", "run", "--resume"]);
    has(&ran.err, &["finished"]);
    has(&ran.done(), &["topic", "find"]);
    assert_eq!(files(&place.path("run")), before);
}

#[test]
fn show_fills_in_every_default_and_its_output_is_a_suite() {
    let place = with_suite("");
    let shown = place.polytask(&["show", "suite.toml", "--set", "train.lr=0.5"]).done();
    has(&shown, &["lr = 0.5", "weight_decay = 0.01", "sampling = \"sqrt\"", "batch_rows = 8"]);
    place.write("again.toml", &shown);
    assert_eq!(place.polytask(&["show", "again.toml"]).done(), shown);
    let json = place.polytask(&["show", "suite.toml", "--json"]).object();
    assert_eq!(json["train"]["steps"], 12);
}

#[test]
fn init_writes_a_suite_that_is_right_once_its_data_exist() {
    let place = Place::new();
    let text = place.polytask(&["init"]).done();
    place.write("suite.toml", &text);
    let error = place.polytask(&["check", "suite.toml"]).refused();
    has(&error, &["suite.toml:", "data/intent", "there is no folder"]);
    assert!(!error.contains("``"), "{error}");
    place.write("data/intent/train.csv", "text,label\na,x\nb,y\nc,x\nd,y\n");
    place.write("data/intent/valid.csv", "text,label\nf,x\ng,y\n");
    place.polytask(&["check", "suite.toml", "--data"]).done();
}

#[test]
fn init_guesses_tasks_from_a_folder_of_data() {
    let place = Place::new();
    write_data(&place);
    let ran = place.polytask(&["init", "--data", "data", "--out", "suite.toml"]);
    has(&ran.err, &["polytask check suite.toml"]);
    ran.done();
    let text = place.read("suite.toml");
    for (name, kind) in THREE {
        has(&text, &[&format!("name = \"{name}\""), &format!("kind = \"{kind}\"")]);
    }
    place.polytask(&["check", "suite.toml", "--data"]).done();
    place.polytask(&["init", "--data", "data", "--out", "away/suite.toml"]).done();
    place.polytask(&["check", "away/suite.toml", "--data"]).done();
    has(&place.polytask(&["init", "--data", "nowhere"]).refused(), &["nowhere"]);
    let refused = place.polytask(&["init", "--out", "suite.toml"]).refused();
    has(&refused, &["suite.toml exists", "--force"]);
    assert_eq!(place.read("suite.toml"), text);
    place.polytask(&["init", "--out", "suite.toml", "--force"]).done();
}

#[test]
fn a_suite_with_one_task_needs_no_baselines() {
    let place = with_suite("");
    place.write("one.toml", suite(&THREE[..1], ""));
    let report = place.polytask(&["train", "one.toml", "--json"]).object();
    assert_eq!(report["tasks"][0]["single"], Value::Array(Vec::new()));
}

#[test]
fn the_number_of_threads_does_not_change_the_weights() {
    let place = with_suite("baselines = false");
    for threads in ["1", "2", "3"] {
        let set = format!("train.threads={threads}");
        place.polytask(&["train", "suite.toml", "--out", threads, "--quiet", "--set", &set]).done();
    }
    let model = |run: &str| files(&place.path(&format!("{run}/model")));
    assert!(model("1") == model("2") && model("2") == model("3"));
}
