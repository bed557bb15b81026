//! Two texts as one sequence, and students of other models.

use std::fmt::Write;

use serde_json::Value;

use crate::support::{Place, has};

const CROSS: &str = r#"
[model]
encoder = "tiny"
[train]
steps = 20
lr = 1e-3
baselines = ["probe", "prior"]
[[task]]
name = "follows"
kind = "pair-class"
form = "pair"
files = { train = "rows.tsv", valid = "rows.tsv" }
columns = { label = "verdict" }
[[task]]
name = "near"
kind = "similarity"
form = "pair"
files = { train = "rows.tsv", valid = "rows.tsv" }
"#;

const STUDENT: &str = r#"
[model]
encoder = "tiny"
[train]
steps = 10
lr = 1e-3
baselines = ["prior"]
[[task]]
name = "follows"
kind = "pair-class"
files = { train = "rows.tsv", valid = "rows.tsv" }
columns = { label = "verdict" }
teacher = { model = "cross", loss = { name = "kl", temperature = 2.0 } }
[[task]]
name = "close"
kind = "similarity"
files = { train = "rows.tsv", valid = "rows.tsv" }
teacher = { model = "cross", task = "near", loss = "mse", alpha = 0.7 }
"#;

/// Rows of two texts with a label and a score; a cross-encoder trained on them.
fn trained() -> Place {
    let place = Place::new();
    let words = ["cook", "cooks", "wall", "walls", "pilot", "pilots", "soup", "soups"];
    let mut rows = String::from("a\tb\tverdict\tscore\n");
    for (i, a) in words.iter().enumerate() {
        for (j, b) in words.iter().enumerate() {
            let is_near = i / 2 == j / 2;
            let (verdict, score) = if is_near { ("yes", 4.0) } else { ("no", 1.0) };
            writeln!(rows, "the {a}\tthe {b}\t{verdict}\t{score}").unwrap();
        }
    }
    place.write("rows.tsv", rows);
    place.write("cross.toml", CROSS);
    place.write("student.toml", STUDENT);
    place.polytask(&["train", "cross.toml", "--out", "cross", "-q"]).done();
    place
}

#[test]
fn a_cross_encoder_trains_answers_pairs_and_ranks_anew() {
    let place = trained();
    let report = place.json("cross/report.json");
    let kinds: Vec<&Value> = report["tasks"].as_array().unwrap().iter().map(|task| &task["kind"]).collect();
    assert_eq!(kinds, ["cross-class", "cross-similarity"]);
    let ask = |a: &str, b: &str| {
        let asked = ["predict", "-m", "cross", "-t", "near", "--text", a, "--text", b];
        place.polytask(&asked).object()
    };
    let answer = ask("the cook", "the cooks");
    let share = answer["probability"].as_f64().unwrap();
    let score = answer["score"].as_f64().unwrap();
    assert!((score - (1.0 + 3.0 * share)).abs() < 1e-6, "{answer}");
    assert_ne!(ask("the cooks", "the cook"), answer, "the two texts have other token types");
    // A list is ranked by the same scores.
    place.write("list.txt", "the walls\nthe cooks\nthe soup\n");
    let asked = ["search", "-m", "cross", "--corpus", "list.txt", "--query", "the cook", "--json"];
    let found = place.polytask(&asked).object();
    let hits = found["hits"].as_array().unwrap();
    let own = hits.iter().find(|hit| hit["text"] == "the cooks").unwrap();
    assert!((own["score"].as_f64().unwrap() - share).abs() < 1e-6, "{found}");
    let scores: Vec<f64> = hits.iter().map(|hit| hit["score"].as_f64().unwrap()).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b) && scores.len() == 3, "{found}");
}

#[test]
fn a_student_learns_from_a_teacher_that_is_asked_once() {
    let place = trained();
    let train = |suite: &str, out: &str| {
        let ran = place.polytask(&["train", suite, "--out", out]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.err
    };
    has(&train("student.toml", "student"), &["answers 64 rows of train (0 of them are in the cache)"]);
    has(&train("student.toml", "again"), &["answers 64 rows of train (64 of them are in the cache)"]);
    let weights = |run: &str| std::fs::read(place.path(&format!("{run}/model/model.safetensors"))).unwrap();
    assert_eq!(weights("student"), weights("again"));
    let plain: String =
        STUDENT.lines().filter(|line| !line.starts_with("teacher")).map(|line| format!("{line}\n")).collect();
    place.write("plain.toml", plain);
    train("plain.toml", "plain");
    assert_ne!(weights("plain"), weights("student"));
}

#[test]
fn teachers_that_cannot_teach_are_refused_with_the_reason() {
    let place = trained();
    let refused = |from: &str, to: &str| {
        place.write("wrong.toml", STUDENT.replace(from, to));
        place.polytask(&["train", "wrong.toml", "--out", "wrong", "-q"]).refused()
    };
    let error = refused("task = \"near\"", "task = \"far\"");
    assert!(error.contains("has no task `far`, it has `follows`, `near`"), "{error}");
    let error = refused("task = \"near\"", "task = \"follows\"");
    assert!(error.contains("cannot learn from task `follows`"), "{error}");
    let error = refused("loss = \"mse\"", "loss = \"kl\"");
    assert!(error.contains("`kl` needs logits, which task `close` has none of"), "{error}");
    let error = refused("model = \"cross\", loss", "model = \"gone\", loss");
    assert!(error.contains("there is no folder `gone`"), "{error}");
}
