//! `bench`: the fields other programs rely on.

use serde_json::Value;

use crate::support::{Place, has, trained};

#[track_caller]
fn is_timed(value: &Value, runs: u64) {
    let [low, middle, high] = ["min_ms", "median_ms", "max_ms"].map(|field| value[field].as_f64().unwrap());
    assert!(0.0 < low && low <= middle && middle <= high, "{value}");
    assert_eq!(value["runs"], runs);
}

#[test]
fn a_train_step_has_its_figures() {
    let args =
        ["bench", "train-step", "--batch", "2", "--length", "8", "--runs", "2", "--json", "--threads", "1"];
    let figures = trained().polytask(&args).object();
    is_timed(&figures, 2);
    assert_eq!((&figures["threads"], &figures["precision"]), (&Value::from(1), &Value::from("f32")));
    assert_eq!((&figures["batch"], &figures["length"]), (&Value::from(2), &Value::from(8)));
}

#[test]
fn embedding_has_its_figures_for_three_mixes_of_lengths() {
    let args = ["bench", "embed", "--model", "run/model", "--texts", "12", "--runs", "2"];
    let figures = trained().polytask(&[&args[..], &["--json"]].concat()).object();
    let mixes = figures["mixes"].as_array().unwrap();
    assert_eq!(mixes.iter().map(|mix| &mix["mix"]).collect::<Vec<_>>(), ["short", "long", "mixed"]);
    for mix in mixes {
        is_timed(mix, 2);
        assert!(mix["texts_per_s"].as_f64().unwrap() > 0.0);
    }
    is_timed(&figures, 2);
    assert!(figures["threads"].is_u64() && figures["precision"] == "f32", "{figures}");
    has(&trained().polytask(&args).done(), &["short", "long", "mixed", "texts/s"]);
}

#[test]
fn sizes_that_cannot_be_measured_are_refused() {
    for args in [["--batch", "0"], ["--length", "0"], ["--length", "100000"], ["--runs", "0"]] {
        let ran = trained().polytask(&[&["bench", "train-step"], &args[..]].concat());
        assert_eq!(ran.code, 2, "{args:?}: {ran:?}");
    }
    let ran = trained().polytask(&["bench", "embed", "--model", "run/model", "--texts", "0"]);
    assert_eq!(ran.code, 2, "{ran:?}");
}

#[test]
fn a_train_step_takes_vocabulary_and_length_limit_from_its_model() {
    let args = ["bench", "train-step", "--model", "run/model", "--batch", "2", "--runs", "1", "--json"];
    let run = |length: &str| trained().polytask(&[&args[..], &["--length", length]].concat());
    is_timed(&run("8").object(), 1);
    has(&run("500").refused(), &["--length is 500", "at most"]);
}

#[test]
fn mixed_batches_are_cut_into_tokens_by_the_model_that_is_trained() {
    for bench in ["mixed-step", "gramian"] {
        let args = ["bench", bench, "--data", ".", "--model", "run/model", "--runs", "1", "--json"];
        let figures = trained().polytask(&args).object();
        is_timed(&figures, 1);
        assert_eq!(figures["tasks"], 7);
    }
    let args = ["bench", "mixed-step", "--data", ".", "--model", "data", "--json"];
    assert_eq!(trained().polytask(&args).code, 2);
}

#[test]
fn conflict_times_the_plain_step_and_every_method_where_it_looks() {
    let args =
        ["bench", "conflict", "--tasks", "2", "--batch", "16", "--methods", "mean,mgda", "--runs", "2"];
    let figures = trained().polytask(&[&args[..], &["--json"]].concat()).object();
    let mixes = figures["mixes"].as_array().unwrap();
    let names: Vec<_> = mixes.iter().map(|mix| mix["mix"].as_str().unwrap()).collect();
    assert_eq!(names, ["plain", "mean, full", "mgda, full", "mgda, representation"]);
    mixes.iter().for_each(|mix| is_timed(mix, 2));
    let floor = figures["floor_ms"].as_f64().unwrap();
    assert!(floor > mixes[0]["median_ms"].as_f64().unwrap(), "{figures}");
    assert!(mixes[2]["ratio_to_floor"].is_f64() && mixes[3]["ratio_to_floor"].is_null(), "{figures}");
    let text = trained().polytask(&[&args[..], &["--trunk", "minilm", "--model", "data"]].concat());
    assert_eq!(text.code, 2, "{text:?}");
    let unknown = ["bench", "conflict", "--methods", "mgad"];
    let ran = trained().polytask(&unknown);
    assert_eq!(ran.code, 2, "{ran:?}");
    has(&ran.err, &["mgad", "a similar value exists: 'mgda'"]);
}

#[test]
fn a_start_uses_the_threads_it_was_given_and_tells_the_memory_of_the_processes_it_measured() {
    let args = ["bench", "start", "--model", "run/model", "--runs", "2", "--threads", "1", "--json"];
    let figures = trained().polytask(&args).object();
    is_timed(&figures, 2);
    assert_eq!(figures["threads"], 1);
    assert!(figures["peak_rss_mb"].as_f64().unwrap() > 1.0, "{figures}");
}

#[test]
fn what_only_a_comparison_needs_is_refused_without_one() {
    let ran = trained().polytask(&["bench", "latency", "--model", "run/model", "--rounds", "3"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    has(&ran.err, &["--against"]);
}

/// A program of the shell in place of Python: it proves with polytask's own vectors (or `vectors` instead), fails
/// with batches of 64, and is told times of its own.
#[cfg(unix)]
fn fake_peer(place: &Place, vectors: &str) -> String {
    use std::os::unix::fs::PermissionsExt;

    let text = r#"#!/bin/sh
set -e
job="$2"
field() { sed -n "s/^ *\"$1\": \"\(.*\)\",*$/\1/p" "$job"; }
if grep -q '"batch": 64' "$job"; then echo 'batches of 64 do not fit' >&2; exit 3; fi
if grep -q '"prove"' "$job"; then
  answers=$(field prove)
  sed -n 's/^ *"\([a-z ]*\)",*$/{"text": "\1"}/p' "$(field texts)" > "$answers.jsonl"
  VECTORS
else
  echo round >> LOG
fi
echo noise
mix() { echo "{\"mix\": \"$1\", \"median_ms\": 50, \"min_ms\": 40, \"max_ms\": 60}"; }
echo "{\"mixes\": [$(mix short), $(mix long), $(mix mixed)], \"peak_rss_mb\": 900, \"versions\": {\"fake\": \"1.2\"}}"
"#;
    let path = place.path("fake-python");
    let log = place.path("log").display().to_string();
    place.write("fake-python", text.replace("VECTORS", vectors).replace("LOG", &log));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_string_lossy().into_owned()
}

#[cfg(unix)]
fn compared(place: &Place, python: &str, more: &[&str]) -> crate::support::Ran {
    let model = trained().path("run/model").to_string_lossy().into_owned();
    let args =
        ["bench", "embed", "--against", "sentence-transformers", "--python", python, "--model", &model];
    let sizes = ["--texts", "8", "--runs", "1", "--rounds", "2", "--threads", "1"];
    place.polytask(&[&args[..], &sizes, more].concat())
}

/// Writes polytask's own vectors without their header.
#[cfg(unix)]
fn same_vectors() -> String {
    let model = trained().path("run/model");
    format!(
        "'{}' embed --model '{}' --input \"$answers.jsonl\" --output \"$answers.npy\" && tail -c +129 \"$answers.npy\" \
         > \"$answers\"",
        env!("CARGO_BIN_EXE_polytask"),
        model.display()
    )
}

#[test]
#[cfg(unix)]
fn a_comparison_proves_chooses_times_and_prints() {
    let place = Place::new();
    let python = fake_peer(&place, &same_vectors());
    let found = compared(&place, &python, &["--json"]).object();
    assert!(found["proof"]["lowest_cosine"].as_f64().unwrap() > 0.9999, "{found}");
    assert_eq!(found["settings"]["peer"], serde_json::json!({ "threads": 1, "batch": 32 }));
    let trials = found["trials"].as_array().unwrap();
    assert_eq!((trials.len(), &trials[0]["ms"]), (2, &Value::from(120.0)), "{found}");
    has(trials[1]["why_not"].as_str().unwrap(), &["batches of 64 do not fit"]);
    let parts = found["parts"].as_array().unwrap();
    assert_eq!(parts.iter().map(|part| &part["part"]).collect::<Vec<_>>(), ["short", "long", "mixed"]);
    for part in parts {
        assert_eq!(
            (&part["peer"]["median_ms"], &part["ours"]["runs"]),
            (&Value::from(50.0), &Value::from(2))
        );
        let ratio = 50.0 / part["ours"]["median_ms"].as_f64().unwrap();
        assert!((part["ratio"].as_f64().unwrap() / ratio - 1.0).abs() < 1e-9, "{part}");
    }
    assert_eq!(found["peak_rss_mb"]["peer"], 900.0);
    // A trial and two rounds; nothing else is left behind than the scripts.
    assert_eq!(place.read("log").lines().count(), 3);
    assert!(place.names("cache/peers").iter().all(|name| name.starts_with("scripts-")), "{found}");
    let table = compared(&place, &python, &[]).done();
    has(&table, &["time, short", "peak memory", "2 rounds", "fake 1.2", "batches of 64 do not fit"]);
}

#[test]
#[cfg(unix)]
fn a_peer_that_answers_something_else_is_not_timed() {
    let place = Place::new();
    let python = fake_peer(&place, "head -c 64 /dev/zero > \"$answers\"");
    let ran = compared(&place, &python, &["--json"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{ran:?}");
    has(&ran.err, &["do not answer the same", "expected"]);
    assert!(!place.path("log").exists());
}
