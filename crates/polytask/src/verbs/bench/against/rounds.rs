//! Rounds in which all sides run in turn, so that a busy moment or a warm processor meets every side.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::side::Side;
use crate::verbs::bench::measure::Times;

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
    /// A part's times over the rounds.
    pub(super) fn times(&self, part: usize) -> Times {
        Times::of(self.parts[part].1.clone())
    }

    /// Peak memory in MiB over the rounds.
    pub(super) fn memory(&self) -> f64 {
        Times::of(self.memory.clone()).median_ms
    }

    fn add(&mut self, report: Value) -> Result<()> {
        let parts = parts(&report)?;
        if self.parts.is_empty() {
            self.parts = parts.iter().map(|(name, _)| (name.clone(), Vec::new())).collect();
        }
        for ((_, medians), (_, median)) in self.parts.iter_mut().zip(&parts) {
            medians.push(*median);
        }
        self.memory.push(number(&report, "peak_rss_mb")?);
        self.report = report;
        Ok(())
    }

    fn names(&self) -> Vec<&str> {
        self.parts.iter().map(|(name, _)| name.as_str()).collect()
    }
}

/// Runs all sides `rounds` times in turn.
pub(super) fn interleave(sides: &[Side], rounds: usize, say: impl Fn(usize)) -> Result<Vec<Timed>> {
    let empty = |side: &Side| Timed {
        name: side.name.clone(),
        parts: Vec::new(),
        memory: Vec::new(),
        report: Value::Null,
    };
    let mut timed: Vec<Timed> = sides.iter().map(empty).collect();
    for round in 1..=rounds {
        say(round);
        for (side, timed) in sides.iter().zip(&mut timed) {
            timed.add(side.report()?).with_context(|| format!("the report of {}", side.name))?;
        }
    }
    for other in &timed[1..] {
        let (ours, theirs) = (timed[0].names(), other.names());
        ensure!(ours == theirs, "polytask timed {ours:?}, {} {theirs:?}", other.name);
    }
    Ok(timed)
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
