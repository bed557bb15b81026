//! `predict`: every kind from arguments and lines.

use serde_json::Value;

use crate::support::{Ran, has, trained};

fn predict(args: &[&str]) -> Ran {
    trained().polytask(&[&["predict", "--model", "run/model"], args].concat())
}

#[test]
fn list_shows_every_task_with_its_inputs_and_labels() {
    let lines = predict(&["--list"]).lines();
    assert_eq!(lines.len(), 7);
    let of = |name: &str| lines.iter().find(|line| line["task"] == name).unwrap();
    assert_eq!(of("topic")["labels"], serde_json::json!(["animal", "tool"]));
    assert_eq!(of("pairs")["inputs"], serde_json::json!(["a", "b"]));
    assert_eq!(of("find")["kind"], "retrieval");
}

#[test]
fn every_kind_predicts_in_its_own_shape() {
    let one = |task: &str, texts: &[&str]| {
        let mut args = vec!["--task", task];
        texts.iter().for_each(|text| args.extend(["--text", text]));
        predict(&args).object()
    };
    let topic = one("topic", &["the cat sees a dog"]);
    assert!(["animal", "tool"].contains(&topic["label"].as_str().unwrap()), "{topic}");
    assert!((0.5..=1.0).contains(&topic["score"].as_f64().unwrap()));
    assert!(["no", "yes"].contains(&one("pairs", &["a cat", "a dog"])["label"].as_str().unwrap()));
    let sts = one("sts", &["a cat", "a cat"]);
    assert!((sts["cosine"].as_f64().unwrap() - 1.0).abs() < 1e-5, "{sts}");
    assert!((sts["score"].as_f64().unwrap() - 5.0).abs() < 1e-3, "on the scale of the data: {sts}");
    assert!(one("length", &["a cat"])["value"].is_f64());
    let marks = one("marks", &["a cat"]);
    assert!(
        marks["labels"].is_array() && marks["scores"].is_array() || marks["scores"].is_object(),
        "{marks}"
    );
    let names = one("names", &["the cat runs"]);
    assert_eq!(names["tags"].as_array().unwrap().len(), 3, "{names}");
}

#[test]
fn without_a_task_all_that_fit_answer() {
    let single = predict(&["--text", "the cat"]).object();
    let names: Vec<&String> = single.as_object().unwrap().keys().collect();
    assert_eq!(names, ["length", "marks", "names", "topic"]);
    let pair = predict(&["--text", "the cat", "--text", "the dog"]).object();
    assert_eq!(pair.as_object().unwrap().keys().collect::<Vec<_>>(), ["pairs", "sts"]);
    let error = predict(&["--text", "a", "--text", "b", "--text", "c"]).refused();
    has(&error, &["3 texts", "--list"]);
}

#[test]
fn wrong_arguments_are_explained() {
    has(&predict(&["--task", "topic", "--text", "a", "--text", "b"]).refused(), &["1 text", "found 2"]);
    has(&predict(&["--task", "pairs", "--text", "a"]).refused(), &["2 texts", "a, b", "found 1"]);
    has(&predict(&["--task", "topik", "--text", "a"]).refused(), &["`topik`", "topic", "--list"]);
    has(&predict(&["--task", "find", "--text", "a"]).refused(), &["find", "polytask search"]);
    has(&predict(&[]).refused(), &["--text", "--input"]);
    has(&predict(&["--task", "topic"]).refused(), &["--text", "--input"]);
    has(&predict(&["--input", "-"]).refused(), &["--task"]);
}

#[test]
fn lines_in_lines_out_in_order() {
    let place = trained();
    let text = |text: &str| serde_json::json!({ "text": text }).to_string() + "\n";
    let input = text("the cat sees a dog") + &text("") + &text("the saw takes a drill");
    let ran = place.polytask_reading(&input, &["predict", "-m", "run/model", "-t", "topic", "-i", "-"]);
    let lines = ran.lines();
    assert_eq!(lines.len(), 3);
    let alone = predict(&["--task", "topic", "--text", "the saw takes a drill"]).object();
    assert_eq!(lines[2]["label"], alone["label"]);
    place.write("pairs.tsv", "a\tb\nthe cat\tthe dog\n");
    assert_eq!(predict(&["--task", "pairs", "--input", "pairs.tsv"]).lines().len(), 1);
    place.write("wrong.jsonl", "{\"a\":\"the cat\"}\n");
    has(&predict(&["--task", "pairs", "--input", "wrong.jsonl"]).refused(), &["wrong.jsonl:1", "`b`"]);
}

#[test]
fn words_are_tagged_as_given_whether_as_list_or_as_text() {
    let place = trained();
    let input = "{\"tokens\":[\"the\",\"cat\",\"runs\"]}\n{\"tokens\":\"the cat runs\"}\n";
    let args = ["predict", "-m", "run/model", "-t", "names", "-i", "-"];
    let lines: Vec<Value> = place.polytask_reading(input, &args).lines();
    assert_eq!(lines[0], lines[1]);
    assert_eq!(lines[0]["tags"].as_array().unwrap().len(), 3);
}
