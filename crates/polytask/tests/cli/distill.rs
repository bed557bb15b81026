//! Sentence models and cross-encoders that teach each other.

use std::fmt::Write;

use crate::support::{Place, has};

/// Pairs of short texts, more or less alike.
fn place(n: usize) -> Place {
    let place = Place::new();
    let words = ["cook", "wall", "pilot", "soup", "river", "stone", "glass", "horse"];
    let mut rows = String::from("sentence1\tsentence2\tscore\n");
    for i in 0..n {
        let (a, b, c) = (words[i % 8], words[(i / 8) % 8], words[(i / 3) % 8]);
        let score = if a == b { 2 } else { i % 2 };
        writeln!(rows, "the {a} {i}\tthe {b} and the {c}\t{score}").unwrap();
    }
    place.write("pairs.tsv", rows);
    place.write("tiny.toml", "[model]\nencoder = \"tiny\"\n[train]\nsteps = 30\nbatch_rows = 16\nlr = 1e-2\nbaselines = false\n[[task]]\nname = \"s\"\nkind = \"similarity\"\nloss = \"cosine-mse\"\nfiles = { train = \"pairs.tsv\", valid = \"pairs.tsv\" }\n");
    place.polytask(&["train", "tiny.toml", "--out", "start", "-q"]).done();
    place
}

const SETTINGS: [&str; 6] =
    ["--set", "train.steps=60", "--set", "train.batch_rows=8", "--set", "train.lr=1e-2"];

#[test]
fn pairs_without_labels_give_a_sentence_model_and_a_cross_encoder() {
    let place = place(120);
    let asked = ["distill", "pairs.tsv", "--start", "start", "--cycles", "2", "--out", "te", "-q", "--json"];
    let done = place.polytask(&[&asked[..], &SETTINGS].concat()).object();
    let halves = done["half_cycles"].as_array().unwrap();
    let forms: Vec<&str> = halves.iter().map(|half| half["form"].as_str().unwrap()).collect();
    assert_eq!(forms, ["cross", "bi", "cross", "bi"]);
    assert!(halves.iter().all(|half| half["agreement"].is_number()), "{done}");
    // The second cycle's cross-encoder learns from the first cycle's sentence model.
    assert_ne!(halves[0]["label_mean"], halves[2]["label_mean"]);
    let cross = place.read("te/cycle-1/cross.jsonl");
    assert_eq!(cross.lines().count(), 2 * done["pairs"].as_u64().unwrap() as usize);
    assert!(cross.lines().nth(1).unwrap().contains("\"b\":\"the cook 0\""), "{cross}");
    place.write("texts.txt", "the cook\n");
    place.polytask(&["embed", "-m", "te/best-bi", "--input", "texts.txt", "--output", "vectors.npy"]).done();
    let answer = ["predict", "-m", "te/best-cross", "--text", "the cook", "--text", "the wall"];
    has(&place.polytask(&answer).done(), &["probability"]);
    // The same command goes on with nothing left, and gives the same.
    let again = place.polytask(&[&asked[..], &SETTINGS, &["--resume"]].concat()).object();
    assert_eq!(again, done);
}

#[test]
fn two_models_learn_from_the_mean_of_their_labels() {
    let place = place(120);
    let dev = [
        "distill",
        "pairs.tsv",
        "--start",
        "start",
        "--mutual",
        "start",
        "--dev",
        "pairs.tsv",
        "--cycles",
        "1",
    ];
    let done = place.polytask(&[&dev[..], &["--out", "te", "-q", "--json"], &SETTINGS].concat()).object();
    let half = &done["half_cycles"][0];
    assert_eq!((half["models"].as_array().unwrap().len(), half["dev"].as_array().unwrap().len()), (2, 2));
}

#[test]
fn what_cannot_be_distilled_is_refused_with_the_reason() {
    let place = place(120);
    let refused = |more: &[&str]| {
        let asked = ["distill", "pairs.tsv", "--start", "start", "--out", "te", "-q"];
        place.polytask(&[&asked[..], more].concat()).refused()
    };
    has(&refused(&["--columns", "a=text"]), &["no text `a`", "looked for: text"]);
    place.write("pairs.tsv", "a\tb\nx\ty\n");
    has(&refused(&[]), &["has 1 distinct pairs, expected at least 100"]);
    let same: String = (0..200).map(|i| format!("word {i}\tword {i}\n")).collect();
    place.write("pairs.tsv", format!("a\tb\n{same}"));
    has(&refused(&[]), &["are one text twice"]);
    let alike: String = (0..200).map(|i| format!("{}a\t{}b\n", " ".repeat(i), " ".repeat(i))).collect();
    place.write("pairs.tsv", format!("a\tb\n{alike}"));
    has(&refused(&[]), &["the models say the same of every pair"]);
}

#[test]
fn tasks_trained_alone_teach_one_joint_model() {
    let place = place(60);
    let rows: String = (0..60)
        .map(|i| {
            format!(
                "the {} {i}\tthe {} {i}\t{}\n",
                ["cook", "wall"][i % 2],
                ["cook", "soup"][i % 2],
                ["same", "other"][i % 2]
            )
        })
        .collect();
    place.write("labels.tsv", format!("a\tb\tlabel\n{rows}"));
    place.write("both.toml", "[model]\nencoder = \"tiny\"\n[train]\nsteps = 20\nbatch_rows = 8\nlr = 1e-2\nbaselines = false\n\
        [[task]]\nname = \"close\"\nkind = \"similarity\"\nloss = \"cosine-mse\"\nfiles = { train = \"pairs.tsv\", valid = \"pairs.tsv\" }\n\
        [[task]]\nname = \"kind\"\nkind = \"pair-class\"\nhead = { name = \"mlp\", hidden = 8 }\nfiles = { train = \"labels.tsv\", valid = \"labels.tsv\" }\n");
    let report = place.polytask(&["distill", "both.toml", "--out", "taught", "-q", "--json"]).object();
    assert_eq!(report["tasks"].as_array().unwrap().len(), 2);
    let suite = place.read("taught/student/suite.toml");
    has(&suite, &["teachers/close", "teachers/kind", "alpha = 0.5"]);
    let teacher = place.json("taught/teachers/kind/polytask.json");
    assert_eq!(teacher["tasks"].as_array().unwrap().len(), 1, "{teacher}");
    // Candidates are ranked by a label of the pair.
    place.write("texts.txt", "the soup 1\nthe cook 2\n");
    let found = place
        .polytask(&[
            "search",
            "-m",
            "taught/student",
            "--targets",
            "texts.txt",
            "--query",
            "the cook 2",
            "--label",
            "same",
            "--json",
        ])
        .object();
    let hits = found["hits"].as_array().unwrap();
    let answer = place
        .polytask(&[
            "predict",
            "-m",
            "taught/student",
            "--task",
            "kind",
            "--text",
            "the cook 2",
            "--text",
            "the cook 2",
        ])
        .object();
    let of = |text: &str| hits.iter().find(|hit| hit["text"] == text).unwrap()["score"].as_f64().unwrap();
    let share = answer["scores"]["same"].as_f64().unwrap_or_else(|| panic!("{answer}"));
    assert!((of("the cook 2") - share).abs() < 1e-5, "{hits:?} {answer}");
    let refused = place
        .polytask(&[
            "search",
            "-m",
            "taught/student",
            "--targets",
            "texts.txt",
            "--query",
            "x",
            "--label",
            "sane",
        ])
        .refused();
    has(&refused, &["no label `sane`", "same"]);

    let again = place.polytask(&["distill", "both.toml", "--out", "taught", "-q"]).refused();
    has(&again, &["taught/teachers is there already", "--resume"]);
    let done =
        place.polytask(&["distill", "both.toml", "--out", "taught", "--resume", "-q", "--json"]).object();
    assert_eq!(done["tasks"], report["tasks"]);
    let other = ["distill", "both.toml", "--out", "taught", "--resume", "-q", "--set", "train.lr=1e-3"];
    has(&place.polytask(&other).refused(), &["origin.json", "other settings or data"]);
    let refused = place.polytask(&["distill", "pairs.tsv", "--out", "x"]).refused();
    has(&refused, &["no model to begin with", "--start"]);
    let refused = place.polytask(&["distill", "pairs.tsv", "--folds", "2", "--out", "x"]).refused();
    has(&refused, &["`--folds` is for a suite, found pairs"]);

    place.polytask(&["distill", "both.toml", "--folds", "2", "--out", "folds", "-q"]).done();
    has(&place.read("folds/student/suite.toml"), &["out_of_fold = true", "kind-1-of-2", "kind-2-of-2"]);
}
