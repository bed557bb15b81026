//! Rounds in which all sides run in turn, so that a busy moment or a warm processor meets every side.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::side::Side;
use crate::measure::Times;

/// What the rounds of one side gave.
#[derive(Debug)]
pub(super) struct Timed {
    pub(super) name: String,
    /// Each part's medians, one per round.
    pub(super) parts: Vec<(String, Vec<f64>)>,
    /// Peak memory in MiB, one per round.
    pub(super) memory: Vec<f64>,
    /// The last report.
    pub(super) report: Value,
}

impl Timed {
    fn new(side: &Side) -> Self {
        Self { name: side.name.clone(), parts: Vec::new(), memory: Vec::new(), report: Value::Null }
    }

    /// One more round.
    fn run(&mut self, side: &Side) -> Result<()> {
        self.add(side.report()?).with_context(|| format!("the report of {}", side.name))
    }

    /// A part's times over the rounds.
    pub(super) fn times(&self, part: usize) -> Times {
        Times::of(self.parts[part].1.clone())
    }

    /// Peak memory in MiB over the rounds.
    pub(super) fn memory(&self) -> f64 {
        Times::of(self.memory.clone()).median_ms
    }

    fn add(&mut self, report: Value) -> Result<()> {
        let (parts, memory) = (parts(&report)?, number(&report, "peak_rss_mb")?);
        if self.parts.is_empty() {
            self.parts = parts.iter().map(|(name, _)| (name.clone(), Vec::new())).collect();
        }
        for ((_, medians), (_, median)) in self.parts.iter_mut().zip(&parts) {
            medians.push(*median);
        }
        self.memory.push(memory);
        self.report = report;
        Ok(())
    }

    fn names(&self) -> Vec<&str> {
        self.parts.iter().map(|(name, _)| name.as_str()).collect()
    }
}

/// Runs all sides `rounds` times in turn, and the peer's variant after them.
///
/// A variant that fails in a round is dropped and keeps the rounds before; gives why.
pub(super) fn interleave(
    sides: &[Side],
    variant: Option<&Side>,
    rounds: usize,
    say: impl Fn(usize),
) -> Result<(Vec<Timed>, Option<String>)> {
    let mut timed: Vec<Timed> = sides.iter().map(Timed::new).collect();
    let mut variant = variant.map(|side| (side, Timed::new(side)));
    let mut dropped = None;
    for round in 1..=rounds {
        say(round);
        sides.iter().zip(&mut timed).try_for_each(|(side, timed)| timed.run(side))?;
        if let (Some((side, timed)), None) = (&mut variant, &dropped) {
            dropped = timed.run(side).err().map(|error| format!("{error:#}"));
        }
    }
    timed.extend(variant.map(|(_, timed)| timed).filter(|timed| !timed.memory.is_empty()));
    for other in &timed[1..] {
        let (ours, theirs) = (timed[0].names(), other.names());
        ensure!(ours == theirs, "polytask timed {ours:?}, {} {theirs:?}", other.name);
    }
    Ok((timed, dropped))
}

/// What a short run says about a setting: the smallest times of its mixes, or its smallest; a latency's percentiles.
pub(super) fn least(report: &Value) -> Result<f64> {
    if let Some(mixes) = report.get("mixes").and_then(Value::as_array) {
        return mixes.iter().map(|mix| number(mix, "min_ms")).sum();
    }
    if report.get("p95_ms").is_some() {
        return Ok(parts(report)?.iter().map(|(_, ms)| ms).sum());
    }
    number(report, "min_ms")
}

/// The medians of a report by part: one per length mix, p50 and p95 of a latency, or one without a name.
pub(super) fn parts(report: &Value) -> Result<Vec<(String, f64)>> {
    if let Some(mixes) = report.get("mixes").and_then(Value::as_array) {
        let part = |mix: &Value| {
            let name = mix.get("mix").and_then(Value::as_str).context("a mix has no name")?;
            Ok((name.to_owned(), number(mix, "median_ms")?))
        };
        return mixes.iter().map(part).collect();
    }
    if report.get("p95_ms").is_some() {
        let part = |name: &str| Ok((name.to_owned(), number(report, &format!("{name}_ms"))?));
        return ["p50", "p95"].into_iter().map(part).collect();
    }
    Ok(vec![(String::new(), number(report, "median_ms")?)])
}

fn number(report: &Value, field: &str) -> Result<f64> {
    let number = report.get(field).and_then(Value::as_f64).filter(|number| *number > 0.0);
    number.with_context(|| format!("no `{field}` above 0 in {report}"))
}
