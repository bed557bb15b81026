//! Pipes, devices and targets without content in the place of data: refused at once, by name.

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Place, Ran, copied_model, has, suite, with_suite, write_data};

/// Runs a command that must end by itself, within some seconds.
#[track_caller]
fn at_once(place: &Place, args: &[&str]) -> Ran {
    let mut command = place.command(env!("CARGO_BIN_EXE_polytask"), args);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let limit = Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > limit {
            child.kill().unwrap();
            panic!("{args:?} does not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn pipe(place: &Place, name: &str) {
    let _ = fs::remove_file(place.path(name));
    assert!(Command::new("mkfifo").arg(place.path(name)).status().unwrap().success());
}

#[test]
fn a_pipe_or_a_device_in_the_place_of_a_file_is_refused_at_once() {
    let place = with_suite("");
    pipe(&place, "pipe.toml");
    pipe(&place, "rows.jsonl");
    for file in ["pipe.toml", "/dev/zero"] {
        let error = at_once(&place, &["check", file]).refused();
        has(&error, &[file, "not a regular file"]);
    }
    let text = place.read("suite.toml");
    for data in ["rows.jsonl", "/dev/zero"] {
        place.write("suite.toml", text.replace("\"data/topic\"", &format!("\"{data}\"")));
        let error = at_once(&place, &["check", "suite.toml", "--data"]).refused();
        has(&error, &[data, "not a regular file"]);
    }
}

#[test]
fn a_pipe_in_a_model_folder_is_refused_at_once() {
    for file in ["model.safetensors", "tokenizer.json", "config.json", "polytask.json", "modules.json"] {
        let place = copied_model();
        place.write("texts.jsonl", "{\"text\":\"the cat\"}\n");
        if !place.path("model").join(file).exists() {
            continue;
        }
        pipe(&place, &format!("model/{file}"));
        let ran = at_once(&place, &["embed", "-m", "model", "-i", "texts.jsonl"]);
        assert_eq!(ran.code, 2, "{file}: {ran:#?}");
        has(&ran.err, &[file, "not a regular file"]);
    }
    let place = copied_model();
    pipe(&place, "texts.jsonl");
    has(
        &at_once(&place, &["embed", "-m", "model", "-i", "texts.jsonl"]).refused(),
        &["texts.jsonl", "a pipe"],
    );
}

#[test]
fn a_multilabel_task_without_any_label_is_refused_with_its_file() {
    let place = Place::new();
    write_data(&place);
    for split in ["train", "valid", "test"] {
        let text = place.read(&format!("data/marks/{split}.jsonl"));
        let row = |line: &str| {
            let mut row: serde_json::Value = serde_json::from_str(line).unwrap();
            row["labels"] = serde_json::json!([]);
            row.to_string()
        };
        let rows: Vec<String> = text.lines().map(row).collect();
        place.write(&format!("data/marks/{split}.jsonl"), rows.join("\n"));
    }
    place.write("suite.toml", suite(&[("marks", "multilabel"), ("topic", "class")], ""));
    for args in [&["check", "suite.toml", "--data"][..], &["train", "suite.toml", "--out", "run"]] {
        let error = place.polytask(args).refused();
        has(&error, &["data/marks/train.jsonl", "task `marks` has no label in train"]);
    }
}

#[test]
fn a_task_whose_rows_all_weigh_nothing_is_refused_with_its_file() {
    let place = Place::new();
    write_data(&place);
    for (task, kind) in [("topic", "class"), ("length", "regression")] {
        let text = place.read(&format!("data/{task}/train.csv"));
        for split in ["valid", "test"] {
            let file = format!("data/{task}/{split}.csv");
            let rows = place.read(&file);
            place.write(&file, rows.replace('\n', ",1\n").replacen(",1\n", ",weight\n", 1));
        }
        for (weight, is_right) in [("0", false), ("0.5", true)] {
            let mut rows = text.lines();
            let mut weighted = format!("{},weight\n", rows.next().unwrap());
            rows.for_each(|row| writeln!(weighted, "{row},{weight}").unwrap());
            place.write(&format!("data/{task}/train.csv"), weighted);
            let columns = "columns = { weight = \"weight\" }\n";
            place.write("suite.toml", suite(&[(task, kind)], "") + columns);
            let ran = place.polytask(&["check", "suite.toml", "--data"]);
            if is_right {
                ran.done();
            } else {
                has(
                    &ran.refused(),
                    &[&format!("data/{task}/train.csv"), &format!("task `{task}`"), "weight", "is 0"],
                );
            }
        }
    }
}

#[test]
fn of_very_many_mistakes_the_first_are_shown_and_the_rest_are_counted() {
    let place = with_suite("");
    let unknown: String = (0..100_000).fold(String::new(), |mut text, i| {
        let _ = writeln!(text, "key{i} = 1");
        text
    });
    place.write("suite.toml", unknown + &place.read("suite.toml"));
    let error = at_once(&place, &["check", "suite.toml"]).refused();
    has(&error, &["suite.toml:1: unknown key `key0`", "more mistakes"]);
    assert!(error.lines().count() < 300, "{} lines", error.lines().count());
}
