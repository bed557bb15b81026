//! `bench`: the fields other programs rely on.

use serde_json::Value;

use crate::support::{has, trained};

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
