//! `cargo xtask peers --python PATH`: polytask and its peers side by side on this machine, now.
//!
//! The two sides run in turn (A B A B …), so that a busy moment or a warm processor meets both; each run is a process of
//! its own with the same number of threads. What is compared are the medians the processes report.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::options::Options;
use crate::process::cargo;
use crate::root::root;

/// Threads that are compared.
const THREADS: &[usize] = &[1, 2];

/// Tokens per sequence of the training step.
const LENGTHS: &[usize] = &[64, 128];

/// A program to be timed: prints one JSON object with `median_ms`, or with a list `mixes` of such.
struct Side {
    program: PathBuf,
    arguments: Vec<String>,
}

/// A comparison: two programs that do the same work.
struct Case {
    name: String,
    threads: usize,
    ours: Side,
    theirs: Side,
}

/// Medians of each part of a case in milliseconds, one per run.
type Medians = BTreeMap<String, Vec<f64>>;

/// Times both sides and prints them with their ratio.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let options = Options::parse(arguments, &["python", "polytask", "model", "runs"], &["quick"])?;
    let runs = options.count("runs", 5)?;
    let cases = cases(&options)?;
    println!(
        "| work | threads | polytask ms (min–max) | peer ms (min–max) | ratio |\n| --- | --- | --- | --- | --- |"
    );
    for case in &cases {
        let (ours, theirs) = interleave(case, runs)?;
        print!("{}", rows(case, &ours, &theirs));
    }
    Ok(ExitCode::SUCCESS)
}

fn cases(options: &Options) -> Result<Vec<Case>> {
    let python = Path::new(options.require("python")?);
    let polytask = polytask(options)?;
    let threads = if options.has("quick") { &THREADS[1..] } else { THREADS };
    let lengths = if options.has("quick") { &LENGTHS[..1] } else { LENGTHS };
    let mut cases = Vec::new();
    for &threads in threads {
        cases.extend(lengths.iter().map(|&length| train_step(&polytask, python, length, threads)));
        cases.extend(options.get("model").map(|model| embed(&polytask, python, model, threads)));
    }
    Ok(cases)
}

/// The binary to be timed: the one named, or this tree's, built first.
fn polytask(options: &Options) -> Result<PathBuf> {
    if let Some(path) = options.get("polytask") {
        return Ok(PathBuf::from(path));
    }
    let built = cargo(&root(), "build", &["build", "--release", "--package", "polytask"], &[])?;
    ensure!(built.passed(), "polytask does not build");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    Ok(target.join("release").join(format!("polytask{}", std::env::consts::EXE_SUFFIX)))
}

fn train_step(polytask: &Path, python: &Path, length: usize, threads: usize) -> Case {
    let work = words(&format!("--batch 32 --length {length} --threads {threads}"));
    let ours = ours(polytask, "train-step", &work);
    Case {
        name: format!("train step 32 x {length}"),
        threads,
        ours,
        theirs: peer(python, "train_step.py", &work),
    }
}

fn embed(polytask: &Path, python: &Path, model: &str, threads: usize) -> Case {
    let work = [words(&format!("--threads {threads} --model")), vec![model.to_owned()]].concat();
    let ours = ours(polytask, "embed", &work);
    Case { name: "embed".to_owned(), threads, ours, theirs: peer(python, "embed.py", &work) }
}

fn ours(polytask: &Path, bench: &str, work: &[String]) -> Side {
    let arguments = [words(&format!("bench {bench} --json")), work.to_vec()].concat();
    Side { program: polytask.to_path_buf(), arguments }
}

fn peer(python: &Path, script: &str, work: &[String]) -> Side {
    let script = root().join("xtask/peers").join(script).to_string_lossy().into_owned();
    Side { program: python.to_path_buf(), arguments: [&[script], work].concat() }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn interleave(case: &Case, runs: usize) -> Result<(Medians, Medians)> {
    let (mut ours, mut theirs) = (Medians::new(), Medians::new());
    for _ in 0..runs {
        add(&mut ours, medians(&once(&case.ours, case.threads)?, case.threads)?);
        add(&mut theirs, medians(&once(&case.theirs, case.threads)?, case.threads)?);
    }
    let parts = |medians: &Medians| medians.keys().cloned().collect::<Vec<_>>();
    let (our_parts, their_parts) = (parts(&ours), parts(&theirs));
    ensure!(
        our_parts == their_parts,
        "{}: polytask timed {our_parts:?}, its peer {their_parts:?}",
        case.name
    );
    Ok((ours, theirs))
}

fn add(all: &mut Medians, new: Vec<(String, f64)>) {
    for (part, median) in new {
        all.entry(part).or_default().push(median);
    }
}

/// Runs a side and reads the JSON object on the last line of its output.
fn once(side: &Side, threads: usize) -> Result<Value> {
    let mut command = Command::new(&side.program);
    command
        .args(&side.arguments)
        .env("OMP_NUM_THREADS", threads.to_string())
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let program = side.program.display();
    let output = command.output().with_context(|| format!("cannot start {program}"))?;
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{program} {} failed: {}", side.arguments.join(" "), stderr.trim());
    let line = stdout.lines().next_back().unwrap_or_default();
    serde_json::from_str(line).with_context(|| format!("{program} printed no JSON but `{line}`"))
}

/// The medians of a report by part: one unnamed part, or one per length mix.
fn medians(report: &Value, threads: usize) -> Result<Vec<(String, f64)>> {
    let used = report.get("threads").and_then(Value::as_u64);
    if used != Some(threads as u64) {
        bail!("a report is of {used:?} threads, expected {threads}: the sides are not comparable");
    }
    let Some(mixes) = report.get("mixes").and_then(Value::as_array) else {
        return Ok(vec![(String::new(), median(report)?)]);
    };
    let parts = mixes.iter().map(|mix| {
        let name = mix.get("mix").and_then(Value::as_str).context("a mix has no name")?;
        Ok((name.to_owned(), median(mix)?))
    });
    parts.collect()
}

fn median(timed: &Value) -> Result<f64> {
    let median = timed.get("median_ms").and_then(Value::as_f64).filter(|ms| *ms > 0.0);
    median.with_context(|| format!("no `median_ms` above 0 in {timed}"))
}

fn rows(case: &Case, ours: &Medians, theirs: &Medians) -> String {
    let row = |((part, ours), theirs): ((&String, &Vec<f64>), &Vec<f64>)| {
        let (ours, theirs) = (Spread::of(ours), Spread::of(theirs));
        let name = format!("{} {part}", case.name);
        let ratio = ours.middle / theirs.middle;
        format!("| {} | {} | {ours} | {theirs} | {ratio:.2} |\n", name.trim(), case.threads)
    };
    ours.iter().zip(theirs.values()).map(row).collect()
}

/// Median and range of some times.
struct Spread {
    low: f64,
    middle: f64,
    high: f64,
}

impl Spread {
    fn of(times: &[f64]) -> Self {
        let mut sorted = times.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (below, above) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Self { low: sorted[0], middle: f64::midpoint(below, above), high: sorted[sorted.len() - 1] }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} ({:.1}–{:.1})", self.middle, self.low, self.high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printing(text: &str) -> Side {
        Side { program: "sh".into(), arguments: vec!["-c".to_owned(), format!("echo noise; echo '{text}'")] }
    }

    fn case(ours: &str, theirs: &str) -> Case {
        Case { name: "step".to_owned(), threads: 2, ours: printing(ours), theirs: printing(theirs) }
    }

    #[test]
    fn both_sides_are_run_and_divided() {
        let case = case(r#"{"median_ms": 30.0, "threads": 2}"#, r#"{"median_ms": 20.0, "threads": 2}"#);
        let (ours, theirs) = interleave(&case, 3).unwrap();
        assert_eq!(ours[""], [30.0; 3]);
        assert_eq!(
            rows(&case, &ours, &theirs),
            "| step | 2 | 30.0 (30.0–30.0) | 20.0 (20.0–20.0) | 1.50 |\n"
        );
    }

    #[test]
    fn every_length_mix_has_its_row() {
        let report =
            |ms: f64| format!(r#"{{"threads": 2, "mixes": [{{"mix": "short", "median_ms": {ms}}}]}}"#);
        let case = case(&report(10.0), &report(20.0));
        let (ours, theirs) = interleave(&case, 1).unwrap();
        assert!(rows(&case, &ours, &theirs).starts_with("| step short | 2 |"));
    }

    #[test]
    fn sides_that_did_not_do_the_same_are_refused() {
        let good = r#"{"median_ms": 1.0, "threads": 2}"#;
        for bad in [
            r#"{"median_ms": 1.0, "threads": 1}"#,
            r#"{"threads": 2}"#,
            r#"{"threads": 2, "mixes": [{"mix": "short", "median_ms": 1.0}]}"#,
            "no report",
        ] {
            assert!(interleave(&case(good, bad), 1).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_spread_of_an_even_number_of_times_takes_the_middle_of_two() {
        assert_eq!(Spread::of(&[4.0, 1.0, 3.0, 2.0]).to_string(), "2.5 (1.0–4.0)");
    }

    /// The numbers are what `Rng(2, (3, 12))` of `xtask/peers/texts.py` draws.
    #[test]
    fn the_peers_texts_come_from_the_same_generator() {
        let mut rng = polytask_core::Rng::new(2, polytask_core::Purpose::Bench, &[3, 12]);
        let drawn = [rng.below(1 << 40), rng.below(1 << 40), rng.below(1 << 40)];
        assert_eq!(drawn, [385_360_355_966, 195_175_819_539, 581_057_372_683]);
    }
}
