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
        remedy: None,
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
        trials: vec![(setting.clone(), Ok(12.0))],
        setting,
        rounds: timed[0].memory.len(),
        timed,
        variant_failed: None,
    }
}

#[test]
fn both_sides_are_run_every_round_and_the_ratio_is_the_peers_over_ours() {
    let sides = [printing("polytask", &report(20.0, 100.0)), printing("torch", &report(30.0, 250.0))];
    let (timed, _) = rounds::interleave(&sides, None, 3, |_| ()).unwrap();
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
    rounds::interleave(&[side("a"), side("b")], None, 3, |_| ()).unwrap();
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
        assert!(rounds::interleave(&sides, None, 1, |_| ()).is_err(), "{bad}");
    }
}

#[test]
fn a_variant_that_fails_in_a_round_is_dropped_and_all_finished_rounds_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let sides = [printing("polytask", &report(20.0, 100.0)), printing("torch", &report(30.0, 250.0))];
    // It works once and fails from then on.
    let once = format!(
        "echo run >> {0}; test $(wc -l < {0}) = 1 || {{ echo no compiler >&2; exit 1; }}; echo '{1}'",
        log.display(),
        report(25.0, 300.0)
    );
    let variant = running("torch.compile", &once);
    let (timed, dropped) = rounds::interleave(&sides, Some(&variant), 4, |_| ()).unwrap();
    assert_eq!(timed.iter().map(|timed| timed.memory.len()).collect::<Vec<_>>(), [4, 4, 1]);
    assert_eq!(std::fs::read_to_string(&log).unwrap().lines().count(), 2);
    let found = Findings { variant_failed: dropped, ..findings(timed) };
    let variant = Variant { name: "torch.compile", job: Fields::new(), limit: LIMIT };
    let comparison = Comparison { variant: Some(variant), ..comparison() };
    let text = table::text(&comparison, &found);
    assert!(text.contains("torch.compile was dropped after 1 of 4 rounds"), "{text}");
    assert!(text.contains("no compiler") && text.contains("time (torch.compile)"), "{text}");
    let json = table::json(&comparison, &found);
    assert_eq!((&json["rounds"], &json["variant"]["rounds"]), (&json!(4), &json!(1)));
    assert_eq!(json["variant"]["worked"], false);
}

#[test]
fn a_variant_that_never_finishes_a_round_is_named_with_its_reason() {
    let sides = [printing("polytask", &report(20.0, 100.0)), printing("torch", &report(30.0, 250.0))];
    let mut variant = running("torch.compile", "sleep 100");
    variant.limit = Duration::from_millis(50);
    let (timed, dropped) = rounds::interleave(&sides, Some(&variant), 2, |_| ()).unwrap();
    assert_eq!(timed.len(), 2);
    assert!(dropped.unwrap().contains("longer than"));
}

#[test]
fn a_setting_is_judged_by_the_smallest_time_of_its_short_run() {
    let least = |report: &str| rounds::least(&serde_json::from_str(report).unwrap());
    assert_eq!(least(r#"{"median_ms": 9, "min_ms": 7}"#).unwrap(), 7.0);
    assert_eq!(least(r#"{"mixes": [{"median_ms": 9, "min_ms": 4}, {"min_ms": 2}]}"#).unwrap(), 6.0);
    assert_eq!(least(r#"{"median_ms": 3, "min_ms": 1, "p50_ms": 3, "p95_ms": 5}"#).unwrap(), 8.0);
    assert!(least(r#"{"median_ms": 9}"#).is_err());
}

#[test]
fn a_side_that_lacks_a_package_says_what_to_try() {
    let mut side = running("torch", "echo \"ModuleNotFoundError: No module named 'torch'\" >&2; exit 1");
    side.remedy = Some("delete it".into());
    let error = side.report().unwrap_err().to_string();
    assert!(error.contains("No module named 'torch'") && error.contains("try: delete it"), "{error}");
    side.arguments[1] = "exit 1".into();
    assert!(!side.report().unwrap_err().to_string().contains("try:"));
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
