//! Whole comparisons with programs of the shell in place of both sides.

use super::*;

/// A program that prints noise and then a report.
fn printing(name: &str, report: &str) -> Side {
    running(name, &format!("echo noise; echo '{report}'"))
}

fn running(name: &str, script: &str) -> Side {
    Side {
        name: name.into(),
        program: "sh".into(),
        arguments: vec!["-c".into(), script.into()],
        variables: Vec::new(),
        limit: Duration::from_secs(20),
    }
}

fn report(ms: f64, mib: f64) -> String {
    format!(r#"{{"median_ms": {ms}, "threads": 2, "peak_rss_mb": {mib}, "versions": {{"torch": "9.9"}}}}"#)
}

fn comparison() -> Comparison<'static> {
    Comparison {
        bench: "train-step",
        peer: "torch",
        what: "train step".into(),
        script: "torch_step.py",
        ours: Vec::new(),
        job: Fields::new(),
        axes: vec![threads(2)],
        trial: Fields::new(),
        variant: None,
        prove: Box::new(|_| Ok(Vec::new())),
    }
}

fn findings(timed: Vec<rounds::Timed>) -> Findings {
    let setting = fields([("threads", json!(1))]);
    Findings {
        proof: vec![("cosine", 0.999_999_9)],
        trials: vec![(setting.clone(), Some(12.0))],
        setting,
        timed,
        variant_failed: None,
    }
}

#[test]
fn both_sides_are_run_every_round_and_the_ratio_is_the_peers_over_ours() {
    let sides = [printing("polytask", &report(20.0, 100.0)), printing("torch", &report(30.0, 250.0))];
    let timed = rounds::interleave(&sides, 3, |_| ()).unwrap();
    assert_eq!(timed[0].parts, [(String::new(), vec![20.0; 3])]);
    let found = findings(timed);
    let json = table::json(&comparison(), &found);
    assert_eq!(json["parts"][0]["ratio"], 1.5);
    assert_eq!(json["peak_rss_mb"]["ratio"], 2.5);
    assert_eq!(json["versions"]["peer"]["torch"], "9.9");
    let text = table::text(&comparison(), &found);
    assert!(text.contains("time (torch)         20.0 ms (20.0–20.0)  30.0 ms (30.0–30.0)  1.50"), "{text}");
    assert!(text.contains("peak memory (torch)  100 MiB              250 MiB              2.50"), "{text}");
    assert!(text.contains("cosine 0.9999999") && text.contains("torch 9.9: threads 1"), "{text}");
}

#[test]
fn sides_take_turns() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let side =
        |name: &str| running(name, &format!("echo {name} >> {}; echo '{}'", log.display(), report(1.0, 1.0)));
    rounds::interleave(&[side("a"), side("b")], 3, |_| ()).unwrap();
    assert_eq!(std::fs::read_to_string(log).unwrap().split_whitespace().collect::<String>(), "ababab");
}

#[test]
fn every_length_mix_and_every_tail_has_its_row() {
    let mixes =
        r#"{"mixes": [{"mix": "short", "median_ms": 4}, {"mix": "long", "median_ms": 8}], "median_ms": 12}"#;
    let tails = r#"{"median_ms": 3, "p50_ms": 3, "p95_ms": 5}"#;
    for (report, expected) in
        [(mixes, [("short", 4.0), ("long", 8.0)]), (tails, [("p50", 3.0), ("p95", 5.0)])]
    {
        let parts = rounds::parts(&serde_json::from_str(report).unwrap()).unwrap();
        assert_eq!(parts, expected.map(|(name, ms)| (name.to_owned(), ms)));
    }
}

#[test]
fn reports_that_say_nothing_or_something_else_are_refused() {
    let good = printing("polytask", &report(1.0, 1.0));
    for bad in [
        "no report",
        "[1]",
        r#"{"threads": 2}"#,
        r#"{"median_ms": 0, "peak_rss_mb": 1}"#,
        r#"{"median_ms": 1}"#,
        r#"{"peak_rss_mb": 1, "mixes": [{"mix": "short", "median_ms": 1}]}"#,
        r#"{"peak_rss_mb": 1, "mixes": [{"median_ms": 1}]}"#,
    ] {
        let sides = [good.clone(), printing("torch", bad)];
        assert!(rounds::interleave(&sides, 1, |_| ()).is_err(), "{bad}");
    }
}

#[test]
fn a_side_that_fails_shows_its_last_words() {
    let error = running("torch", "echo why >&2; exit 3").report().unwrap_err().to_string();
    assert!(error.contains("why") && error.contains('3'), "{error}");
}

#[test]
fn a_side_that_hangs_is_ended() {
    let mut side = running("torch", "sleep 100");
    side.limit = Duration::from_millis(50);
    let started = std::time::Instant::now();
    assert!(side.report().unwrap_err().to_string().contains("longer than"));
    assert!(started.elapsed() < Duration::from_secs(10));
}
