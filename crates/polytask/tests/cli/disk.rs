//! A full disk: an error, and nothing half-written under a final name.

use std::process::{Output, Stdio};

use crate::support::{Place, has, trained, with_suite};

/// Runs with no file allowed to grow beyond `kib`: what a full disk does, without needing one.
fn limited(place: &Place, kib: usize, args: &str) -> Output {
    let script = format!("ulimit -f {kib}; exec '{}' {args}", env!("CARGO_BIN_EXE_polytask"));
    place.command("bash", &["-c", &script]).stderr(Stdio::piped()).output().unwrap()
}

#[track_caller]
fn failed(output: &Output, words: &[&str]) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(!error.contains("panicked"), "{error}");
    has(&error, words);
}

#[test]
fn vectors_that_do_not_fit_leave_no_file() {
    let place = trained();
    place.write("big.jsonl", "{\"text\":\"the cat\"}\n".repeat(3000));
    for output in ["big.npy", "big-out.jsonl"] {
        let ran = limited(place, 16, &format!("embed -m run/model -i big.jsonl -o {output}"));
        failed(&ran, &["error: cannot write", output]);
        let left: Vec<String> = place.names(".").into_iter().filter(|name| name.contains(output)).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_run_that_does_not_fit_leaves_no_part_and_continues_when_there_is_room() {
    let place = with_suite("checkpoint_every = 1\nbaselines = false");
    let ran = limited(&place, 64, "train suite.toml --out run --quiet");
    failed(&ran, &["error: cannot write", "run"]);
    let files = crate::support::files(&place.path("run"));
    let unfinished = |name: &str| name.contains(".partial") || name.ends_with(".safetensors");
    assert!(
        !files.iter().any(|(name, _)| unfinished(name)),
        "{:?}",
        files.iter().map(|f| &f.0).collect::<Vec<_>>()
    );
    place.polytask(&["train", "suite.toml", "--out", "run", "--resume"]).done();
    assert!(place.path("run/model/model.safetensors").exists());
}

/// Runs with `full/` on a disk of `kib` of its own; `None` where mounting is not permitted.
fn on_small_disk(place: &Place, kib: usize, args: &str) -> Option<Output> {
    place.write("full/keep", "");
    let run =
        |script: &str| place.command("unshare", &["-rm", "sh", "-c", script]).stderr(Stdio::piped()).output();
    let mount = format!("mount -t tmpfs -o size={kib}k none full");
    if !run(&mount).is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no file system may be mounted here");
        return None;
    }
    let program = env!("CARGO_BIN_EXE_polytask");
    Some(run(&format!("{mount}; '{program}' {args}; code=$?; ls -AR full >&2; exit $code")).unwrap())
}

#[test]
fn a_disk_without_space_is_named_and_holds_no_half_written_file() {
    let place = with_suite("checkpoint_every = 1\nbaselines = false");
    let trained = trained();
    place.write("big.jsonl", "{\"text\":\"the cat\"}\n".repeat(3000));
    let model = trained.path("run/model").display().to_string();
    for args in
        ["train suite.toml --out full/run --quiet", &format!("embed -m {model} -i big.jsonl -o full/v.npy")]
    {
        let Some(ran) = on_small_disk(&place, 64, args) else { return };
        failed(&ran, &["error: cannot write full/", "free space"]);
        let left = String::from_utf8_lossy(&ran.stderr);
        let left = left.rsplit_once("full:\n").unwrap().1;
        assert!([".partial", ".safetensors", "v.npy"].iter().all(|end| !left.contains(end)), "{left}");
    }
}

#[test]
fn standard_output_that_is_full_is_an_error() {
    if !std::path::Path::new("/dev/full").exists() {
        eprintln!("skipped: there is no /dev/full here");
        return;
    }
    let place = trained();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command =
        place.command(env!("CARGO_BIN_EXE_polytask"), &["predict", "-m", "run/model", "--text", "a"]);
    let output = command.stdout(full).stderr(Stdio::piped()).output().unwrap();
    failed(&output, &["error: ", "space"]);
}

#[test]
fn a_folder_that_may_not_be_written_is_refused() {
    let place = with_suite("");
    place.write("file", "x");
    let error = place.polytask(&["train", "suite.toml", "--out", "file/run"]);
    assert_eq!(error.code, 2);
    has(&error.err, &["file/run"]);
    let error = place.polytask(&["train", "suite.toml", "--out", "file"]);
    assert_eq!(error.code, 2);
    has(&error.err, &["file"]);
    assert_eq!(place.read("file"), "x");
}
