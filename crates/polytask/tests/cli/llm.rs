//! Calls of an endpoint: rows that a language model writes for labels, and vectors of texts in the place of an encoder's.

use std::time::Duration;

use polytask_llm::testing::{LocalServer, Reply, chat_reply, letter_vectors};
use serde_json::{Value, json};

use crate::support::{Place, has};

const LABELS: &str = "card = \"a card that was lost\"\nfee = \"a fee that was charged\"\n";

/// Rows of two labels.
fn rows(n: usize) -> String {
    let row = |i: usize| {
        let (words, label) = [("my card was lost", "card"), ("a fee was charged", "fee")][i % 2];
        json!({ "text": format!("{words} {i}"), "label": label }).to_string() + "\n"
    };
    (0..n).map(row).collect()
}

fn place() -> Place {
    let place = Place::new();
    place.write("labels.toml", LABELS);
    for (file, n) in [("train", 8), ("valid", 20), ("test", 20)] {
        place.write(&format!("{file}.jsonl"), rows(n));
    }
    place
}

fn suite(model: &str, lines: &str) -> String {
    format!(
        "name = \"few\"\n[model]\n{model}\n[[task]]\nname = \"intent\"\nkind = \"class\"\nmetric = \"accuracy\"\n\
         labels = \"labels.toml\"\nfiles = {{ train = \"train.jsonl\", valid = \"valid.jsonl\", test = \"test.jsonl\" }}\n{lines}\n"
    )
}

#[test]
fn rows_are_written_for_labels_once_paid_and_used_by_a_suite() {
    let server = LocalServer::start(|i, heard| {
        let label = if heard.body.to_string().contains("Label: card") { "card" } else { "fee" };
        let texts: Vec<String> = (0..3).map(|n| format!("the {label} was it, number {i} {n}")).collect();
        chat_reply(&json!(texts).to_string(), 40)
    });
    let place = place();
    let generate = |more: &[&str]| {
        let first = ["labels", "generate", "labels.toml", "--endpoint", &server.address, "--llm-model", "m"];
        let all = ["--per-label", "5", "--per-request", "3", "--examples", "train.jsonl", "-o", "gen.jsonl"];
        place.polytask(&[&first[..], &all, more].concat())
    };
    has(&generate(&["--dry-run"]).done(), &["5 rows of each of 2 labels: 4 requests", "tokens"]);
    assert!(server.heard().is_empty() && !place.path("gen.jsonl.cassette").exists());
    let told = generate(&["--budget-tokens", "100"]).refused();
    has(&told, &["budget of 100 tokens", "3 texts of label `card`"]);
    let out = generate(&[]).done();
    has(&out, &["gen.jsonl  10 rows", "4 requests and 160 tokens", "generated = { file = \"gen.jsonl\" }"]);
    let made: Vec<Value> =
        place.read("gen.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(made.iter().filter(|row| row["label"] == "fee").count(), 5);
    let asked = server.heard();
    assert_eq!(asked.len(), 4);
    has(&asked[0].body.to_string(), &["a card that was lost", "- my card was lost"]);
    let before = place.read("gen.jsonl");
    generate(&["--mode", "strict"]).done();
    has(&generate(&["--dry-run"]).done(), &["0 requests, 4 more are in the cassette"]);
    assert_eq!((place.read("gen.jsonl"), server.heard().len()), (before, 4));

    place.write(
        "few.toml",
        suite("encoder = \"tiny\"", "head = \"bilinear\"\ngenerated = { file = \"gen.jsonl\" }"),
    );
    has(&place.polytask(&["train", "few.toml", "--out", "run"]).done(), &["Made-up rows"]);
}

#[test]
fn a_run_that_is_killed_in_a_paid_call_goes_on_where_it_was() {
    let server = LocalServer::start(|i, _| {
        // The third answer does not come while the first run lives.
        let delay = if i == 2 { Duration::from_secs(60) } else { Duration::ZERO };
        Reply { delay, ..chat_reply(&json!([format!("a text of number {i}")]).to_string(), 10) }
    });
    let place = place();
    let args = [
        "labels",
        "generate",
        "labels.toml",
        "--endpoint",
        &server.address,
        "--llm-model",
        "m",
        "-o",
        "g.jsonl",
    ];
    let args = [&args[..], &["--per-label", "2", "--per-request", "1"]].concat();
    let mut child = place.command(env!("CARGO_BIN_EXE_polytask"), &args).spawn().unwrap();
    while server.heard().len() < 3 {
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!place.path("g.jsonl").exists());
    let out = place.polytask(&args).done();
    // Two were answered before; the one that was under way is asked again, and counts with the most it may have cost.
    assert_eq!(server.heard().len(), 5);
    has(&out, &["4 rows", "5 requests"]);
    let told = out.split("5 requests and ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    assert!(told.parse::<u64>().unwrap() > 4 * 10 + 100, "{out}");
    assert_eq!(place.read("g.jsonl").lines().count(), 4);
}

#[test]
fn an_endpoint_that_fails_or_is_named_wrongly_is_told_with_what_to_try() {
    let place = place();
    let generate = |address: &str, more: &[&str]| {
        let all =
            ["labels", "generate", "labels.toml", "--endpoint", address, "--llm-model", "m", "-o", "g.jsonl"];
        place.polytask(&[&all[..], more].concat()).refused()
    };
    has(&generate("127.0.0.1:1", &[]), &["has no `http://`", "try: http://127.0.0.1:8000/v1"]);
    let told = generate("http://127.0.0.1:1", &["--key-env", "POLYTASK_TEST_NO_SUCH_KEY"]);
    has(&told, &["`POLYTASK_TEST_NO_SUCH_KEY`", "is not set"]);
    let server = LocalServer::start(|_, _| Reply::text(401, "{\"error\": {\"message\": \"who are you\"}}"));
    has(&generate(&server.address, &[]), &["status 401: who are you", "name the environment variable"]);
    place.write("bad.jsonl", "{\"text\": \"a b c\", \"label\": \"crad\"}\n");
    has(&generate(&server.address, &["--examples", "bad.jsonl"]), &["row 1: label `crad`", "`card`"]);
    has(
        &generate(&server.address, &["--mode", "strict"]),
        &["g.jsonl.cassette has no answer", "its mode is strict"],
    );
}

#[test]
fn vectors_come_from_an_endpoint_and_are_paid_once() {
    let server = LocalServer::start(|_, heard| letter_vectors(heard));
    let place = place();
    let model = format!("endpoint = {{ url = \"{}\", model = \"m\", batch = 16 }}", server.address);
    place.write("few.toml", suite(&model, ""));
    let out = place.polytask(&["train", "few.toml", "--out", "run"]).done();
    has(&out, &["label-cross", "zero-shot", "bilinear", "calibrated on valid"]);
    let asked = server.heard().len();
    // The same texts again, and with another head: all of it is in the cassette, so that strict needs no endpoint.
    for head in ["label-cross", "bilinear", "zero-shot", "nearest-mean"] {
        let set = format!("task.intent.head={head}");
        let run = ["train", "few.toml", "--set", &set, "--set", "model.endpoint.mode=strict", "--out", head];
        place.polytask(&run).done();
        let text = "my card was lost";
        let answer = place.polytask(&["predict", "--model", head, "--task", "intent", "--text", text]).done();
        has(&answer, &["\"label\":\"card\"", "\"calibrated\":true"]);
    }
    // Each prediction asks for its one text and no description.
    let heard = server.heard();
    assert_eq!(heard.len(), asked + 4);
    assert!(heard[asked..].iter().all(|one| one.body["input"] == json!(["my card was lost"])));
    has(&place.read("run/model/labels.json"), &["\"url\"", "\"width\": 26"]);
    assert!(!place.path("run/model/config.json").exists());
}

#[test]
fn an_encoder_is_tuned_by_pairs_and_its_run_answers() {
    let place = place();
    let head = "head = \"contrastive(steps=3, rows=4)\"";
    place.write("few.toml", suite("encoder = \"tiny\"", head));
    let out = place.polytask(&["train", "few.toml", "--out", "run"]).done();
    has(&out, &["contrastive", "zero-shot", "probe"]);
    let ask = |more: &[&str]| {
        let all = ["predict", "--model", "run", "--task", "intent", "--text", "a fee"];
        place.polytask(&[&all[..], more].concat())
    };
    has(&ask(&[]).done(), &["\"label\":", "\"calibrated\":true"]);
    place.write("more.toml", "zoo = \"animals\"\n");
    has(&ask(&["--labels", "more.toml"]).refused(), &["takes no further labels"]);
    place.write("beside.toml", suite("encoder = \"tiny\"", "beside = \"contrastive(steps=3, rows=4)\""));
    let out = place.polytask(&["train", "beside.toml", "--out", "beside"]).done();
    has(&out, &["label-cross", "contrastive"]);
}
