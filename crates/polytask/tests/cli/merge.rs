//! `polytask merge`: models of runs become one that answers all tasks.

use serde_json::Value;

use crate::support::{Place, has};

/// Rows of a class task and of one that compares texts, and a run that is the base of others.
fn base() -> Place {
    let place = Place::new();
    for split in ["train", "valid", "test"] {
        let n = if split == "train" { 60 } else { 20 };
        let topic = |i: usize| match i % 2 {
            0 => format!("{{\"text\": \"the cat {split} {i}\", \"label\": \"animal\"}}\n"),
            _ => format!("{{\"text\": \"a hammer {split} {i}\", \"label\": \"tool\"}}\n"),
        };
        let near = |i: usize| {
            let other = ["cat", "hammer"][i % 2];
            format!("{{\"a\": \"cat {split} {i}\", \"b\": \"{other} {i}\", \"score\": {}}}\n", 1 - i % 2)
        };
        place.write(&format!("topic/{split}.jsonl"), (0..n).map(topic).collect::<String>());
        place.write(&format!("near/{split}.jsonl"), (0..n).map(near).collect::<String>());
    }
    place.write("base.toml", suite("base", "tiny", &[TOPIC]));
    place.polytask(&["train", "base.toml", "--out", "base"]).done();
    place
}

const TOPIC: &str = "[[task]]\nname = \"topic\"\nkind = \"class\"\ndata = \"topic\"\n\
    columns = { text = \"text\", label = \"label\" }\n";
const NEAR: &str = "[[task]]\nname = \"near\"\nkind = \"similarity\"\ndata = \"near\"\n\
    columns = { a = \"a\", b = \"b\", score = \"score\" }\n";

fn suite(name: &str, encoder: &str, tasks: &[&str]) -> String {
    format!(
        "name = \"{name}\"\n[model]\nencoder = \"{encoder}\"\n[train]\nsteps = 8\nbatch_rows = 8\nlr = 1e-3\n\
         keep = \"last\"\nbaselines = []\n{}",
        tasks.concat()
    )
}

/// Two runs of one task each, from one base.
fn runs() -> Place {
    let place = base();
    for (name, task) in [("topic", TOPIC), ("near", NEAR)] {
        place.write(&format!("{name}.toml"), suite(name, "base/model", &[task]));
        place.polytask(&["train", &format!("{name}.toml"), "--out", &format!("run-{name}")]).done();
    }
    place
}

#[test]
fn runs_of_one_task_each_become_a_model_of_all() {
    let place = runs();
    let told = place.polytask(&["merge", "run-topic", "run-near", "--base", "base", "--out", "both"]).done();
    has(&told, &["task_arithmetic", "run-topic", "run-near", "base", "→ both"]);
    let answer = place.polytask(&["predict", "-m", "both", "--task", "topic", "--text", "the cat"]).done();
    assert!(answer.contains("animal") || answer.contains("tool"), "{answer}");
    place.write("both.toml", suite("both", "base/model", &[TOPIC, NEAR]));
    let scores = place.polytask(&["eval", "both.toml", "--model", "both", "--json"]).object();
    assert_eq!(scores["tasks"].as_array().unwrap().len(), 2);
    let card = place.read("both/CARD.md");
    let report = place.json("both/merge.json");
    has(&card, &["task_arithmetic", report["models"][0]["sha256"][0].as_str().unwrap()]);

    place.write("m.yaml", "merge_method: ties\nbase_model: base\nmodels:\n  - model: run-topic\n  - model: run-near\nparameters: {density: 0.5}\n");
    let report = place.polytask(&["merge", "m.yaml", "--out", "ties", "--json"]).object();
    assert_eq!(report["merge"]["parameters"]["density"], 0.5);
    let told = place.polytask(&["merge", "inspect", "run-topic", "run-near", "--base", "base"]).done();
    has(&told, &["|added|", "cosine", "signs apart", "left of each"]);

    let args = [
        "merge",
        "search",
        "run-topic",
        "run-near",
        "--base",
        "base",
        "--probe",
        "both.toml",
        "--steps",
        "20",
    ];
    for (form, out) in [("slerp", "s"), ("atlas", "t")] {
        let found = place.polytask(&[&args[..], &["--form", form, "--out", out, "--json"]].concat()).object();
        let learned = &found["merge"]["learned"]["found"];
        let losses: Vec<f64> =
            learned["losses"].as_array().unwrap().iter().filter_map(Value::as_f64).collect();
        assert_eq!(losses.len(), 20);
        let factors = learned["factors"][0].as_array().unwrap().len();
        assert!(if form == "atlas" { factors > 10 } else { factors == 1 }, "{form} {factors}");
        place.polytask(&["predict", "-m", out, "--task", "topic", "--text", "the cat"]).done();
    }
}

#[test]
fn wrong_words_are_refused_with_the_nearest_and_nothing_is_written() {
    let place = base();
    place.write(
        "typo.yaml",
        "merge_method: ties\nbase_model: base\nmodels: [{model: base}]\nparameters: {densty: 0.5}\n",
    );
    for (args, words) in [
        (&["merge", "base", "--method", "tise", "--out", "d"][..], &["unknown method `tise`", "`ties`"][..]),
        (&["merge", "base", "--method", "atlas", "--out", "d"], &["merge search"]),
        (&["merge", "base", "nothing", "--out", "d"], &["`nothing`"]),
        (&["merge", "base", "base"], &["--out"]),
        (&["merge", "base", "--base", "base", "--out", "d"], &["found 0"]),
        (&["merge", "base", "--set", "weigth=1", "--out", "d"], &["`weigth`", "`weight`"]),
        (&["merge", "base", "--weight", "1,2,3", "--out", "d"], &["3 values of `weight`"]),
        (&["merge", "base", "--dtype", "int4", "--out", "d"], &["float32"]),
        (&["merge", "base", "--set", "x", "--out", "d"], &["KEY=VALUE"]),
        (&["merge", "typo.yaml", "--out", "d"], &["typo.yaml:4", "`densty`", "`density`"]),
        (&["merge", "typo.yaml", "--method", "linear", "--out", "d"], &["put them into the file"]),
        (&["merge", "base", "--out", "base"], &["is there already"]),
    ] {
        has(&place.polytask(args).refused(), words);
        assert!(!place.path("d").exists(), "{args:?}");
    }
    let names = place.names(".");
    assert!(names.iter().all(|name| !name.contains("partial")), "{names:?}");
}

#[test]
fn training_goes_on_from_the_heads_of_a_merge() {
    let place = runs();
    place.polytask(&["merge", "run-topic", "run-near", "--base", "base", "--out", "both"]).done();
    place.write("further.toml", suite("further", "both", &[TOPIC, NEAR]));
    let told = place
        .polytask(&[
            "train",
            "further.toml",
            "--out",
            "further",
            "--set",
            "train.start=model",
            "--set",
            "train.lr=1e-12",
            "--set",
            "train.steps=1",
        ])
        .done();
    let scores = |model: &str| {
        let report = place.polytask(&["eval", "further.toml", "--model", model, "--json"]).object();
        report["tasks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|task| task["joint"][0].clone())
            .collect::<Vec<Value>>()
    };
    // So small a step changes no score: heads that began anew would.
    assert_eq!(scores("further/model"), scores("both"), "{told}");

    let refused =
        place.polytask(&["train", "base.toml", "--out", "x", "--set", "train.start=model"]).refused();
    has(&refused, &["start = \"model\"", "`tiny`", "has no head"]);
}
