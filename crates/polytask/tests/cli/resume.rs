//! A run killed at any moment and resumed ends with the bytes of one that was never disturbed.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Place, files, has, with_suite};

/// Steps of each training.
const STEPS: usize = 40;

fn place(checkpoint_every: usize) -> Place {
    let settings = format!("checkpoint_every = {checkpoint_every}\neval_every = 10\nweighting = \"uw\"\n");
    let place = with_suite(&settings);
    let text = place.read("suite.toml").replace("steps = 12", &format!("steps = {STEPS}"));
    place.write("suite.toml", text);
    place
}

/// Files by name, and a report.
type Run = (Vec<(String, Vec<u8>)>, Value);

/// Model files and report of an undisturbed run.
fn undisturbed() -> &'static Run {
    static FILES: OnceLock<Run> = OnceLock::new();
    FILES.get_or_init(|| {
        let place = place(1);
        place.polytask(&["train", "suite.toml", "--out", "run"]).done();
        (files(&place.path("run/model")), report(&place))
    })
}

/// What must not depend on interruptions: all but seconds, and the hash of a suite that names its checkpoints.
fn report(place: &Place) -> Value {
    let mut report = place.json("run/report.json");
    report.as_object_mut().unwrap().remove("seconds").unwrap();
    report["lineage"].as_object_mut().unwrap().remove("suite").unwrap();
    report
}

/// Lines of the log in each phase.
fn lines(place: &Place, phase: &str) -> usize {
    let log = fs::read_to_string(place.path("run/log.jsonl")).unwrap_or_default();
    log.lines().filter(|line| line.contains(&format!("\"phase\":\"{phase}\""))).count()
}

fn start(place: &Place, resume: bool) -> Child {
    let mut args = vec!["train", "suite.toml", "--out", "run", "--quiet"];
    args.extend(resume.then_some("--resume"));
    let mut command = place.command(env!("CARGO_BIN_EXE_polytask"), &args);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Kills the run as soon as `now` says so; false when it ended before.
fn kill_when(child: &mut Child, now: impl Fn() -> bool) -> bool {
    let limit = Instant::now() + Duration::from_secs(120);
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < limit, "the moment to kill never came");
        if now() {
            child.kill().unwrap();
            child.wait().unwrap();
            return true;
        }
        std::thread::sleep(Duration::from_micros(300));
    }
    false
}

fn resume_and_compare(place: &Place) {
    place.polytask(&["train", "suite.toml", "--out", "run", "--resume"]).done();
    compare(place);
}

#[track_caller]
fn compare(place: &Place) {
    let (model, expected) = undisturbed();
    let found = files(&place.path("run/model"));
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&found), names(model));
    for ((name, found), (_, expected)) in found.iter().zip(model) {
        assert!(found == expected, "{name} differs from that of the undisturbed run");
    }
    assert_eq!(&report(place), expected);
    let log = place.read("run/log.jsonl");
    for phase in ["joint", "single topic", "single sts", "single names"] {
        let of_phase = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let of_phase = of_phase.filter(|line| line["phase"] == phase && line["losses"].is_object());
        let steps: Vec<u64> = of_phase.map(|line| line["step"].as_u64().unwrap()).collect();
        assert_eq!(steps, (1..=STEPS as u64).collect::<Vec<_>>(), "steps of {phase} in the log");
    }
    let partial = |path: &Path| files(path).into_iter().find(|(name, _)| name.contains(".partial"));
    assert_eq!(partial(&place.path("run")), None, "a half-written file was left");
}

#[test]
fn killed_in_the_joint_training_and_resumed_it_ends_with_the_same_bytes() {
    for (every, steps) in [(1, 2), (2, 7), (3, 25)] {
        let place = place(every);
        let killed = kill_when(&mut start(&place, false), || lines(&place, "joint") >= steps);
        assert!(killed, "the run ended before it could be killed");
        assert!(!place.path("run/report.json").exists());
        resume_and_compare(&place);
    }
}

#[test]
fn killed_in_a_baseline_and_resumed_it_ends_with_the_same_bytes() {
    for (every, phase, steps) in [(3, "single topic", 4), (1, "single names", 8)] {
        let place = place(every);
        assert!(kill_when(&mut start(&place, false), || lines(&place, phase) >= steps));
        assert!(place.path("run/model").exists() && !place.path("run/report.json").exists());
        resume_and_compare(&place);
    }
}

#[test]
fn killed_while_files_are_written_and_resumed_it_ends_with_the_same_bytes() {
    let moments: [&dyn Fn(&Place) -> bool; 4] = [
        &|place| place.path("run/suite.toml").exists(),
        &|place| place.path("run/checkpoint/joint/state.safetensors").exists(),
        &|place| place.path("run/model").exists(),
        &|place| ["CARD.md", "report.html", "report.json"].iter().any(|f| place.path("run").join(f).exists()),
    ];
    for moment in moments {
        let place = place(1);
        kill_when(&mut start(&place, false), || moment(&place));
        resume_and_compare(&place);
        assert!(place.path("run/report.html").exists() && place.path("run/CARD.md").exists());
    }
}

#[test]
fn killed_again_and_again_it_ends_with_the_same_bytes() {
    let place = place(1);
    let (mut kills, mut resume, mut wait) = (0, false, 60);
    loop {
        let begin = Instant::now();
        let mut child = start(&place, resume);
        if !kill_when(&mut child, || begin.elapsed() > Duration::from_millis(wait)) {
            assert!(child.wait().unwrap().success());
            break;
        }
        (kills, resume, wait) = (kills + 1, true, wait + 25);
    }
    assert!(kills >= 3, "killed only {kills} times");
    compare(&place);
}

#[test]
fn frozen_layers_alternating_sources_and_early_stopping_resume_too() {
    let settings = "checkpoint_every = 1\neval_every = 7\nmixing = \"alternate\"\nsampling = \"uniform\"\n\
                    patience = 4\nkeep = \"best\"\nweighting = \"pcgrad\"\nbaselines = false\n";
    let place = with_suite(settings);
    let text = place.read("suite.toml").replace("steps = 12", &format!("steps = {STEPS}"));
    let frozen =
        text.replace("encoder = \"tiny\"", "encoder = \"tiny\"\nfreeze = [\"embeddings\", \"layer.0\"]");
    place.write("suite.toml", frozen);
    place.polytask(&["train", "suite.toml", "--out", "whole"]).done();
    for steps in [2, 11, 20] {
        assert!(kill_when(&mut start(&place, false), || lines(&place, "joint") >= steps));
        place.polytask(&["train", "suite.toml", "--out", "run", "--resume"]).done();
        assert!(
            files(&place.path("run/model")) == files(&place.path("whole/model")),
            "killed at step {steps}"
        );
        fs::remove_dir_all(place.path("run")).unwrap();
    }
}

#[test]
fn a_run_is_not_resumed_with_another_suite_or_seed() {
    let place = place(1);
    assert!(kill_when(&mut start(&place, false), || lines(&place, "joint") >= 3));
    for other in [&["--seed", "99"], &["--set", "train.lr=0.5"]] {
        let error = place
            .polytask(&[&["train", "suite.toml", "--out", "run", "--resume"][..], other].concat())
            .refused();
        has(&error, &["run", "began with", "--force"]);
    }
    resume_and_compare(&place);
}

#[test]
fn a_finished_run_is_not_taken_for_one_with_other_baselines_or_of_another_format() {
    let place = with_suite("baselines = false");
    let args = ["train", "suite.toml", "--out", "run", "-q"];
    place.polytask(&args).done();
    let resume = [&args[..], &["--resume"]].concat();
    let others = [&resume[..], &["--set", "train.baselines=[\"prior\"]"]].concat();
    has(
        &place.polytask(&others).refused(),
        &["began with `baselines = []`", "found `[\"prior\"]`", "--force"],
    );
    let report = place.read("run/report.json");
    has(&place.polytask(&resume).err, &["nothing to resume"]);
    place.write(
        "run/report.json",
        report.replacen("\"version\":2", "\"version\":1", 1).replacen("\"version\": 2", "\"version\": 1", 1),
    );
    has(&place.polytask(&resume).refused(), &["has format 1, expected 2", "--force"]);
}

#[test]
fn how_a_run_is_done_may_change_on_resume_and_a_setting_its_suite_lacks_has_its_default() {
    let place = place(1);
    assert!(kill_when(&mut start(&place, false), || lines(&place, "joint") >= 5));
    let text = place.read("run/suite.toml");
    let older: String = text
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("recompute") && !line.starts_with("eps "))
        .collect();
    assert_ne!(older, text);
    place.write("run/suite.toml", older);
    let set = ["train.threads=2", "train.recompute=true", "train.checkpoint_every=3"];
    let set: Vec<&str> = set.iter().flat_map(|set| ["--set", set]).collect();
    place.polytask(&[&["train", "suite.toml", "--out", "run", "--resume"][..], &set].concat()).done();
    compare(&place);
}

#[test]
fn resuming_where_nothing_was_begun_starts_the_run() {
    let place = place(1);
    resume_and_compare(&place);
}

#[test]
fn a_folder_of_the_users_is_not_resumed() {
    let place = place(1);
    place.write("run/suite.toml", "mine");
    let error = place.polytask(&["train", "suite.toml", "--out", "run", "--resume"]).refused();
    has(&error, &["run", "holds files but no run", "--out"]);
    assert_eq!((place.read("run/suite.toml"), place.path("run/log.jsonl").exists()), ("mine".into(), false));
}
