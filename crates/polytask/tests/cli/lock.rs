//! Two processes and one output folder: the second is refused, the first ends unharmed.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Place, files, has, with_suite};

/// A suite whose run takes some seconds.
fn place() -> Place {
    let place = with_suite("checkpoint_every = 1\nbaselines = false");
    let text = place.read("suite.toml").replace("steps = 12", "steps = 400");
    place.write("suite.toml", text);
    place
}

fn start(place: &Place, args: &[&str]) -> Child {
    let mut command = place.command(env!("CARGO_BIN_EXE_polytask"), args);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Waits until the first steps of a run are in its log.
fn wait_for_steps(place: &Place, child: &mut Child, log: &str) {
    let limit = Instant::now() + Duration::from_secs(120);
    while std::fs::read_to_string(place.path(log)).unwrap_or_default().lines().count() < 5 {
        assert!(Instant::now() < limit && child.try_wait().unwrap().is_none(), "no step came");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_folder_in_use_is_refused_by_name_of_its_holder_and_its_run_ends_unharmed() {
    let place = place();
    place.polytask(&["train", "suite.toml", "--out", "whole", "--quiet"]).done();
    let mut first = start(&place, &["train", "suite.toml", "--out", "run", "--quiet"]);
    wait_for_steps(&place, &mut first, "run/log.jsonl");
    let who = format!("folder run is in use by process {}", first.id());
    let others: [&[&str]; 4] = [&["--force", "--seed", "99"], &["--force"], &["--resume"], &[]];
    for other in others {
        let error = place.polytask(&[&["train", "suite.toml", "--out", "run"][..], other].concat()).refused();
        has(&error, &[&who, "wait until it has ended"]);
    }
    assert!(first.try_wait().unwrap().is_none(), "the first ended before the others had tried");
    assert!(first.wait().unwrap().success());
    assert!(files(&place.path("run/model")) == files(&place.path("whole/model")));
    assert_eq!(
        place.json("run/report.json")["lineage"]["seed"],
        place.json("whole/report.json")["lineage"]["seed"]
    );
    assert!(!place.names("run").iter().any(|name| name.contains("lock")), "{:?}", place.names("run"));
    // Free again.
    place.polytask(&["train", "suite.toml", "--out", "run", "--force", "--set", "train.steps=2"]).done();
}

#[test]
fn the_lock_of_a_killed_run_stops_neither_resume_nor_force() {
    for again in ["--resume", "--force"] {
        let place = place();
        let mut first = start(&place, &["train", "suite.toml", "--out", "run", "--quiet"]);
        wait_for_steps(&place, &mut first, "run/log.jsonl");
        first.kill().unwrap();
        first.wait().unwrap();
        assert!(place.path("run/.polytask.lock").exists(), "killed, it could not tidy up");
        place.polytask(&["train", "suite.toml", "--out", "run", again]).done();
        assert!(!place.path("run/.polytask.lock").exists());
    }
}

#[test]
fn every_verb_that_trains_respects_the_holder() {
    let place = place();
    let mut first = start(&place, &["conflict", "suite.toml", "--out", "found", "--quiet"]);
    wait_for_steps(&place, &mut first, "found/joint/log.jsonl");
    let in_use = format!("in use by process {}", first.id());
    for args in [
        &["conflict", "suite.toml", "--out", "found", "--force"][..],
        &["conflict", "suite.toml", "--out", "found", "--resume"],
        &["train", "suite.toml", "--out", "found/joint", "--force"],
    ] {
        has(&place.polytask(args).refused(), &[&in_use]);
    }
    first.kill().unwrap();
    first.wait().unwrap();
}
