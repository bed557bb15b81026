//! Single-task comparisons: the same rows, kept between runs; and the output folder.

use std::collections::BTreeMap;
use std::fs;

use polytask_core::Split;
use polytask_data::Plan;
use polytask_train::observe::{Event, Observer, Silent};
use polytask_train::run::{RunOptions, claim, run};
use serde_json::Value;

use crate::common::{ALL, Data, TWO};

#[test]
fn single_task_runs_see_exactly_the_rows_of_the_joint_run() {
    let data = Data::new();
    data.change("notes", "notes", |i, row| {
        if i % 3 == 0 {
            row["size"] = Value::Null;
        }
    });
    for mixing in ["joint", "alternate"] {
        let prepared = data.prepare(ALL, &[&*format!("train.mixing=\"{mixing}\""), "train.epochs=2.5"]);
        let joint = Plan::new(&prepared.suite, &prepared.dataset);
        for (task, spec) in prepared.dataset.tasks.iter().enumerate() {
            let targets = &spec.targets[&Split::Train];
            let single = joint.for_task(task);
            let mut expected = BTreeMap::new();
            for step in 0..joint.n_steps() {
                for (_, rows) in joint.step(step).into_iter().filter(|(source, _)| *source == spec.source) {
                    let known: Vec<u32> =
                        rows.into_iter().filter(|&r| targets.is_known(r as usize)).collect();
                    if !known.is_empty() {
                        expected.insert(step, known);
                    }
                }
            }
            let seen: BTreeMap<u64, Vec<u32>> =
                (0..single.n_steps()).map(|i| (single.joint_step(i), single.step(i).remove(0).1)).collect();
            assert_eq!(seen, expected, "{}", spec.name);
        }
    }
}

#[derive(Default)]
struct Notes(Vec<String>);

impl Observer for Notes {
    fn event(&mut self, event: Event) {
        if let Event::Note(note) = event {
            self.0.push(note.to_owned());
        }
    }
}

#[test]
fn a_kept_baseline_is_used_again_and_a_corrupt_one_is_trained_again() {
    let data = Data::new();
    let kept = data.out("kept");
    let once = |name: &str, set: &[&str]| {
        let set = [&["train.baselines=true"], set].concat();
        let options = RunOptions { out: data.out(name), resume: false, baselines: Some(kept.clone()) };
        let mut notes = Notes::default();
        let mut report = run(&data.prepare(TWO, &set), &options, &mut notes).unwrap();
        report.seconds.clear();
        let cached = notes.0.iter().filter(|note| note.contains("taken from the cache")).count();
        (serde_json::to_value(&report).unwrap(), cached)
    };
    let first = once("a", &[]);
    assert_eq!(first.1, 0);
    assert_eq!(once("b", &[]), (first.0.clone(), 2));
    // Another weighting of the joint run leaves single tasks as they are; another rate does not.
    let other = once("c", &["train.weighting=\"uw\""]);
    assert_eq!(other.1, 2);
    assert_eq!(other.0["tasks"][0]["single"], first.0["tasks"][0]["single"]);
    // Nor does how it is done.
    for set in ["train.threads=3", "train.recompute=true", "train.checkpoint_every=1"] {
        assert_eq!(once("how", &[set]).1, 2, "{set}");
        fs::remove_dir_all(data.out("how")).unwrap();
    }
    assert_eq!(once("d", &["train.lr=1e-3"]).1, 0);
    let files: Vec<_> = fs::read_dir(&kept).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 4);
    files.iter().for_each(|file| fs::write(file, "{\"predictions\": 3").unwrap());
    assert_eq!(once("e", &[]), (first.0.clone(), 0));
    assert_eq!(once("f", &[]), (first.0, 2));
}

#[test]
fn a_baseline_with_unknown_numbers_is_kept_too() {
    let data = Data::new();
    for split in Split::ALL {
        let rows = data.rows("notes", split).into_iter().enumerate();
        data.write(
            "notes",
            split,
            rows.map(|(i, mut row)| {
                row["size"] =
                    if i % 3 == 0 { serde_json::json!([1, null]) } else { serde_json::json!([i, 2 * i]) };
                row
            }),
        );
    }
    let two = TWO.replacen("kind = \"class\"", "kind = \"regression\"\ncolumns = { value = \"size\" }", 1);
    let mut cached = Vec::new();
    for name in ["a", "b"] {
        let options = RunOptions { out: data.out(name), resume: false, baselines: Some(data.out("kept")) };
        let mut notes = Notes::default();
        run(&data.prepare(&two, &["train.baselines=true"]), &options, &mut notes).unwrap();
        cached.push(notes.0.iter().filter(|note| note.contains("taken from the cache")).count());
    }
    assert_eq!(cached, [0, 2]);
}

#[test]
fn an_output_folder_is_never_overwritten_unasked() {
    let data = Data::new();
    let out = data.out("run");
    fs::create_dir_all(&out).unwrap();
    drop(claim(&out, false, false).unwrap());
    let options = RunOptions { out: out.clone(), resume: false, baselines: None };
    run(&data.prepare(TWO, &["train.steps=1"]), &options, &mut Silent).unwrap();
    fs::write(out.join("mine.txt"), "keep me").unwrap();
    let error = claim(&out, false, false).unwrap_err().to_string();
    assert!(
        error.contains("not empty") && error.contains("--force") && error.contains("--resume"),
        "{error}"
    );
    drop(claim(&out, false, true).unwrap());
    assert!(out.join("report.json").exists());
    drop(claim(&out, true, false).unwrap());
    let mut left: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["log.jsonl", "mine.txt"]);
}
