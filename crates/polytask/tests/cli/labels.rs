//! Labels matched by their descriptions: from a file of labels to answers, further labels and "none of these".

use std::fmt::Write;

use crate::support::{Place, has};

const LABELS: &str =
    "card = \"a card that was lost\"\nfee = \"a fee that was charged\"\nrate = \"the rate of exchange\"\n";

/// Rows of three labels, and of none.
fn rows(n: usize, with_none: bool) -> String {
    let mut text = String::new();
    for i in 0..n {
        let label = ["card", "fee", "rate"][i % 3];
        let words = ["my card was lost", "a fee was charged to me", "what is the rate of exchange"][i % 3];
        let _ = writeln!(text, "{{\"text\": \"{words} {i}\", \"label\": \"{label}\"}}");
        if with_none && i % 5 == 0 {
            let _ = writeln!(text, "{{\"text\": \"zebras {i} graze quietly\", \"label\": \"other\"}}");
        }
    }
    text
}

fn suite(lines: &str) -> String {
    format!(
        "name = \"few\"\n[model]\nencoder = \"tiny\"\n[[task]]\nname = \"intent\"\nkind = \"class\"\nmetric = \"accuracy\"\n\
         labels = \"labels.toml\"\n{lines}\n"
    )
}

const FILES: &str =
    "files = { train = \"train.jsonl\", valid = \"valid.jsonl\", test = \"test.jsonl\" }\nnone = \"other\"";

fn place() -> Place {
    let place = Place::new();
    place.write("labels.toml", LABELS);
    place.write("train.jsonl", rows(12, false));
    place.write("valid.jsonl", rows(30, true));
    place.write("test.jsonl", rows(60, true));
    place
}

#[test]
fn few_rows_give_heads_side_by_side_probabilities_and_an_answer_for_none() {
    let place = place();
    place.write("few.toml", suite(FILES));
    let out = place.polytask(&["train", "few.toml", "--out", "run"]).done();
    has(&out, &["label-cross", "zero-shot", "nearest-mean", "probe", "bilinear", "random-labels"]);
    has(&out, &["calibrated on valid", "None of these", "promised 5.0 %", "AUROC"]);
    let report = place.json("run/report.json");
    let labels = &report["labels"][0];
    assert!(labels["calibrated"].as_bool().unwrap() && labels["scope"]["auroc"].is_number(), "{labels}");
    assert!(!labels["reliability"].as_array().unwrap().is_empty());
    has(&place.read("run/report.html"), &["Labels by their descriptions", "<svg"]);
    place.polytask(&["compare", "run", "run"]).done();

    let answer = place
        .polytask(&["predict", "--model", "run", "--task", "intent", "--text", "my card was lost 3"])
        .done();
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert!(answer["calibrated"].as_bool().unwrap() && answer["none"].is_boolean(), "{answer}");
    assert_eq!(answer["scores"].as_object().unwrap().len(), 3, "{answer}");
}

#[test]
fn labels_are_added_by_their_descriptions_and_said_to_be_uncalibrated() {
    let place = place();
    place.write("few.toml", suite(FILES));
    place.write("more.toml", "zoo = \"zebras and other animals\"\n");
    place.write("again.toml", "card = \"something else\"\n");
    place.write("alike.toml", "cards = \"A card  that was lost\"\n");
    place.polytask(&["train", "few.toml", "--out", "run", "--quiet"]).done();
    let asked = |file: &str| {
        place.polytask(&[
            "predict",
            "--model",
            "run",
            "--labels",
            file,
            "--task",
            "intent",
            "--text",
            "zebras graze",
        ])
    };
    let answer: serde_json::Value = serde_json::from_str(&asked("more.toml").done()).unwrap();
    assert!(answer["scores"]["zoo"].is_number() && !answer["calibrated"].as_bool().unwrap(), "{answer}");
    has(&asked("again.toml").refused(), &["task `intent` has the label `card` already"]);
    has(&asked("alike.toml").refused(), &["label `cards` has the description of label `card`"]);
    has(&asked("gone.toml").refused(), &["gone.toml"]);
    let list = place.polytask(&["predict", "--model", "run", "--labels", "more.toml", "--list"]).done();
    has(&list, &["\"added\":[\"zoo\"]", "a fee that was charged"]);
}

#[test]
fn without_rows_to_train_on_descriptions_alone_classify() {
    let place = place();
    place.write("zero.toml", suite("files = { test = \"test.jsonl\" }\nnone = \"other\""));
    let out = place.polytask(&["train", "zero.toml", "--out", "zero"]).done();
    has(&out, &["no row to train on", "Probabilities are not calibrated"]);
    // Not even rows to judge by are needed.
    place.write("bare.toml", suite(""));
    place.polytask(&["train", "bare.toml", "--out", "bare"]).done();
    let answer =
        place.polytask(&["predict", "--model", "bare", "--task", "intent", "--text", "a fee"]).done();
    has(&answer, &["\"calibrated\":false", "\"label\":"]);
}

#[test]
fn made_up_rows_pass_a_filter_and_a_gate() {
    let place = place();
    let made = "{\"text\": \"the card was lost again\", \"label\": \"card\"}\n\
        {\"text\": \"the card was lost again\", \"label\": \"card\"}\n{\"text\": \"fee\", \"label\": \"fee\"}\n\
        {\"text\": \"what is the rate of exchange now\", \"label\": \"card\"}\n";
    place.write("gen.jsonl", made);
    let lines = format!("{FILES}\nhead = \"bilinear\"\ngenerated = {{ file = \"gen.jsonl\", filter = 0.5 }}");
    place.write("few.toml", suite(&lines));
    has(&place.polytask(&["train", "few.toml", "--out", "run"]).done(), &["Made-up rows: 2 left out"]);
    place.write("gen.jsonl", "{\"text\": \"a b c\", \"label\": \"crad\"}\nnonsense\n");
    let wrong = place.polytask(&["train", "few.toml", "--out", "other"]).refused();
    has(&wrong, &["gen.jsonl:1: label `crad`", "try: `card`", "gen.jsonl:2: not a row"]);
}

#[test]
fn several_labels_of_a_row_are_matched_too() {
    let place = place();
    let row = |text: &str, labels: &str| format!("{{\"text\": \"{text}\", \"labels\": {labels}}}\n");
    let rows = |n: usize| -> String {
        (0..n)
            .map(|i| match i % 3 {
                0 => row(&format!("my card was lost and a fee was charged {i}"), "[\"card\", \"fee\"]"),
                1 => row(&format!("what is the rate of exchange {i}"), "[\"rate\"]"),
                _ => row(&format!("hello there {i}"), "[]"),
            })
            .collect()
    };
    for (file, n) in [("train", 12), ("valid", 30), ("test", 60)] {
        place.write(&format!("{file}.jsonl"), rows(n));
    }
    let lines = "files = { train = \"train.jsonl\", valid = \"valid.jsonl\", test = \"test.jsonl\" }";
    let text = suite(lines)
        .replace("kind = \"class\"", "kind = \"multilabel\"")
        .replace("metric = \"accuracy\"\n", "");
    place.write("tags.toml", text);
    place.polytask(&["train", "tags.toml", "--out", "run"]).done();
    let answer = place
        .polytask(&["predict", "--model", "run", "--task", "intent", "--text", "my card was lost"])
        .done();
    has(&answer, &["\"labels\":", "\"calibrated\":true"]);
}

#[test]
fn labels_in_data_that_the_file_lacks_are_refused_with_their_line_and_networks_refuse_the_key() {
    let place = place();
    place.write("train.jsonl", rows(3, false) + "{\"text\": \"x\", \"label\": \"loan\"}\n");
    place.write("few.toml", suite(FILES));
    let error = place.polytask(&["train", "few.toml", "--out", "run"]).refused();
    has(&error, &["train.jsonl:4", "label `loan` is unknown"]);
    place.write("train.jsonl", rows(3, false));
    let two = "[[task]]\nname = \"other\"\nkind = \"class\"\nlabels = \"labels.toml\"\n";
    place.write("few.toml", format!("{}{two}{FILES}\n", suite(FILES)));
    let error = place.polytask(&["conflict", "few.toml"]).refused();
    has(&error, &["leave the encoder as it is"]);
}
