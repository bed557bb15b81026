//! The cache of single-task results saves time and nothing else: what it cannot take or does not hold as it was
//! written costs a training, never a run or a score.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Place, has, suite, with_suite, write_data};

/// Makes other predictions of good ones.
type Spoil<'a> = &'a dyn Fn(&Value) -> Value;

const TASKS: &[(&str, &str)] = &[
    ("topic", "class"),
    ("sts", "similarity"),
    ("names", "tagging"),
    ("find", "retrieval"),
    ("marks", "multilabel"),
];

fn train(place: &Place, out: &str) -> Value {
    place.polytask(&["train", "suite.toml", "--out", out]).done();
    let mut report = place.json(&format!("{out}/report.json"));
    report.as_object_mut().unwrap().remove("seconds").unwrap();
    report
}

/// The two lines of each kept result.
fn kept(place: &Place) -> BTreeMap<String, (Value, Value)> {
    let names = place.names("cache/baselines");
    let read = |name: String| {
        let text = place.read(&format!("cache/baselines/{name}"));
        let (head, body) = text.trim_end().split_once('\n').unwrap();
        (name, (serde_json::from_str(head).unwrap(), serde_json::from_str(body).unwrap()))
    };
    names.into_iter().map(read).collect()
}

/// Writes a changed result with a checksum that fits it, as a careful forger (or an older version) would.
fn forge(place: &Place, name: &str, head: &Value, body: &Value) {
    let body = body.to_string();
    let mut head = head.clone();
    head["sha256"] = json!(polytask_core::hash::sha256(body.as_bytes()));
    place.write(&format!("cache/baselines/{name}"), format!("{head}\n{body}\n"));
}

/// The same value with every number of its lists changed.
fn changed(value: &Value, to: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(|item| changed(item, to)).collect(),
        Value::Object(map) => map.iter().map(|(key, item)| (key.clone(), changed(item, to))).collect(),
        Value::Number(_) => to.clone(),
        other => other.clone(),
    }
}

fn halved(value: &Value) -> Value {
    match value {
        Value::Array(items) => items[..items.len() / 2].to_vec().into(),
        Value::Object(map) => map.iter().map(|(key, item)| (key.clone(), halved(item))).collect(),
        other => other.clone(),
    }
}

#[test]
fn a_kept_result_that_is_not_of_this_task_and_these_rows_is_made_anew() {
    let place = Place::new();
    write_data(&place);
    place.write("suite.toml", suite(TASKS, ""));
    let whole = train(&place, "whole");
    let good = kept(&place);
    assert_eq!(good.len(), TASKS.len());
    let names: Vec<&String> = good.keys().collect();
    let predictions: [(&str, Spoil); 5] = [
        ("none", &|_| json!({})),
        ("half", &halved),
        ("zeros", &|p| changed(p, &json!(0))),
        ("4e9", &|p| changed(p, &json!(4_000_000_000_u32))),
        ("another task's", &|p| {
            let (task, value) = p.as_object().unwrap().iter().next().unwrap();
            let other = (task.parse::<usize>().unwrap() + 1) % TASKS.len();
            json!({ other.to_string(): value })
        }),
    ];
    for (what, spoil) in predictions {
        for forged in [false, true] {
            for (name, (head, body)) in &good {
                let mut body = body.clone();
                body["predictions"] = spoil(&body["predictions"]);
                if forged {
                    forge(&place, name, head, &body);
                } else {
                    place.write(&format!("cache/baselines/{name}"), format!("{head}\n{body}\n"));
                }
            }
            let run = place.polytask(&["train", "suite.toml", "--out", "run", "--force"]);
            assert_eq!(run.code, 0, "{what}: {run:#?}");
            has(&run.err, &["the cached result is damaged, trained anew"]);
            // A forger who keeps the truth and gives predictions within range is believed: that is no accident.
            if !forged || !matches!(what, "zeros") {
                let mut report = place.json("run/report.json");
                report.as_object_mut().unwrap().remove("seconds").unwrap();
                assert_eq!(report, whole, "{what}");
            }
            fs::remove_dir_all(place.path("run")).unwrap();
        }
    }
    // Files of two tasks swapped.
    for (i, name) in names.iter().enumerate() {
        let (head, body) = &good[names[(i + 1) % names.len()]];
        place.write(&format!("cache/baselines/{name}"), format!("{head}\n{body}\n"));
    }
    assert_eq!(train(&place, "swapped"), whole);
    for bytes in [&b""[..], b"null", b"\n\n", b"{}\n{}\n", b"\xff\xfe\0garbage"] {
        names.iter().for_each(|name| place.write(&format!("cache/baselines/{name}"), bytes));
        assert_eq!(train(&place, "spoilt"), whole);
        fs::remove_dir_all(place.path("spoilt")).unwrap();
    }
    let again = place.polytask(&["train", "suite.toml", "--out", "again"]);
    assert_eq!(again.err.matches("taken from the cache").count(), TASKS.len(), "mended: {}", again.err);
}

#[track_caller]
fn ends_with_a_note(place: &Place, variable: (&str, &str)) {
    let ran = place.polytask_where(variable, &["train", "suite.toml", "--out", "run"]);
    assert_eq!(ran.code, 0, "{ran:#?}");
    has(&ran.err, &["not kept for later runs", "POLYTASK_CACHE or XDG_CACHE_HOME"]);
    assert!(!ran.err.contains("--out"), "{}", ran.err);
    assert_eq!(ran.err.matches("not kept for later runs").count(), 1, "said once: {}", ran.err);
    assert!(place.path("run/report.json").exists());
}

#[test]
fn a_cache_that_cannot_be_written_is_a_note_and_the_run_ends_as_ever() {
    let place = with_suite("");
    place.write("file", "x");
    place.write("half/baselines", "x");
    ends_with_a_note(&place, ("POLYTASK_CACHE", "file"));
    fs::remove_dir_all(place.path("run")).unwrap();
    ends_with_a_note(&place, ("POLYTASK_CACHE", "half"));
    fs::remove_dir_all(place.path("run")).unwrap();
    // Where nobody may write, not even the superuser.
    ends_with_a_note(&place, ("POLYTASK_CACHE", "/proc/cache"));
    fs::remove_dir_all(place.path("run")).unwrap();
    let closed = place.path("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(closed.join("probe"), "").is_err() {
        ends_with_a_note(&place, ("POLYTASK_CACHE", "closed"));
    }
}

#[test]
fn a_full_cache_is_a_note_too() {
    let place = with_suite("");
    place.write("full/keep", "");
    let program = env!("CARGO_BIN_EXE_polytask");
    for options in ["size=4k", "ro"] {
        let mount = format!("mount -t tmpfs -o {options} none full");
        let script = format!(
            "{mount} || exit 77; POLYTASK_CACHE=full '{program}' train suite.toml --out run-{options}"
        );
        let ran = place.command("unshare", &["-rm", "sh", "-c", &script]).stderr(Stdio::piped()).output();
        let Ok(ran) =
            ran.map_err(drop).and_then(|ran| if ran.status.code() == Some(0) { Ok(ran) } else { Err(()) })
        else {
            let may_mount = place.command("unshare", &["-rm", "sh", "-c", &mount]).output();
            assert!(!may_mount.is_ok_and(|ran| ran.status.success()), "{options}: the run did not end well");
            eprintln!("skipped: no file system may be mounted here");
            return;
        };
        has(&String::from_utf8_lossy(&ran.stderr), &["not kept for later runs"]);
    }
}

#[test]
fn without_a_home_the_cache_is_not_in_the_current_folder() {
    let place = with_suite("");
    fs::create_dir(place.path("temporary")).unwrap();
    for home in [None, Some("")] {
        let mut command = place
            .command(env!("CARGO_BIN_EXE_polytask"), &["train", "suite.toml", "--out", "run", "--force"]);
        for name in ["POLYTASK_CACHE", "XDG_CACHE_HOME", "HF_HOME", "HOME", "USERPROFILE"] {
            command.env_remove(name);
        }
        home.map(|home| command.env("HOME", home));
        let ran = command.env("TMPDIR", place.path("temporary")).output().unwrap();
        let error = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(0), "{error}");
        has(&error, &["HOME is not set", "POLYTASK_CACHE"]);
        assert!(!place.path(".cache").exists());
        assert!(place.path("temporary/polytask/baselines").exists());
        fs::remove_dir_all(place.path("run")).unwrap();
    }
}
