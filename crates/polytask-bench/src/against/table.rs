//! What a comparison found, as a table and as JSON.

use serde_json::{Value, json};

use super::choose::Trial;
use super::machine::Machine;
use super::rounds::Timed;
use super::{Comparison, Fields, Findings};
use crate::measure::Times;

/// A row of the table: what, ours, theirs, their share of ours.
struct Row {
    what: String,
    ours: String,
    peer: String,
    ratio: f64,
}

/// The table with all that was found.
pub(super) fn text(comparison: &Comparison, findings: &Findings) -> String {
    let (ours, peers) = findings.sides();
    let mut rows: Vec<Row> = Vec::new();
    for peer in peers {
        rows.extend((0..ours.parts.len()).map(|part| time_row(ours, peer, part)));
        rows.push(memory_row(ours, peer));
    }
    let mut lines = vec![format!("{}: polytask and {}", comparison.what, comparison.peer), String::new()];
    lines.extend(aligned(&rows));
    lines.push(String::new());
    lines.extend(notes(comparison, findings));
    lines.join("\n")
}

fn time_row(ours: &Timed, peer: &Timed, part: usize) -> Row {
    let (a, b) = (ours.times(part), peer.times(part));
    let name = &ours.parts[part].0;
    let what = if name.is_empty() { "time".to_owned() } else { format!("time, {name}") };
    Row { what: of(&what, peer), ours: spread(&a), peer: spread(&b), ratio: ratio(&a, &b) }
}

fn memory_row(ours: &Timed, peer: &Timed) -> Row {
    let (a, b) = (ours.memory(), peer.memory());
    let shown = |mib: f64| format!("{mib:.0} MiB");
    Row { what: of("peak memory", peer), ours: shown(a), peer: shown(b), ratio: b / a }
}

fn of(what: &str, peer: &Timed) -> String {
    format!("{what} ({})", peer.name)
}

/// Above 1 we are faster.
fn ratio(ours: &Times, peer: &Times) -> f64 {
    peer.median_ms / ours.median_ms
}

fn spread(times: &Times) -> String {
    let digits = if times.median_ms < 10.0 { 2 } else { 1 };
    let Times { median_ms, min_ms, max_ms, .. } = times;
    format!("{median_ms:.digits$} ms ({min_ms:.digits$}–{max_ms:.digits$})")
}

/// Columns as wide as their widest cell.
fn aligned(rows: &[Row]) -> Vec<String> {
    let head = ["", "polytask", "peer", "ratio"].map(String::from);
    let cells = |row: &Row| [&row.what, &row.ours, &row.peer, &format!("{:.2}", row.ratio)].map(Clone::clone);
    let table: Vec<[String; 4]> = std::iter::once(head).chain(rows.iter().map(cells)).collect();
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3].map(width);
    let line = |row: &[String; 4]| {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    table.iter().map(line).collect()
}

/// How it was measured.
fn notes(comparison: &Comparison, findings: &Findings) -> Vec<String> {
    let (ours, peers) = findings.sides();
    let proof: Vec<String> =
        findings.proof.iter().map(|(what, value)| format!("{what} {}", small(*value))).collect();
    let versions = peers.iter().map(|peer| shown(&peer.report["versions"])).next().unwrap_or_default();
    let rounds = findings.rounds;
    let trials: Vec<String> = findings.trials.iter().map(trial).collect();
    let mut notes = vec![
        format!("ratio: peer / polytask, above 1 polytask is faster or needs less; {rounds} rounds in turn"),
        format!("same answers: {}", proof.join(", ")),
        format!("polytask {}: threads {}", env!("CARGO_PKG_VERSION"), ours.report["threads"]),
        format!("{versions}: {}, the fastest of", shown(&findings.setting.clone().into())),
        trials.join("\n"),
        format!("machine: {}", Machine::here()),
    ];
    if let (Some(variant), Some(why)) = (&comparison.variant, &findings.variant_failed) {
        let finished = match peers.get(1).map_or(0, |timed| timed.memory.len()) {
            0 => "was not timed".to_owned(),
            n => format!("was dropped after {n} of {rounds} rounds"),
        };
        notes.push(format!("{} {finished}: {why}", variant.name));
    }
    notes
}

/// A setting, and its time or why it has lost.
fn trial((setting, ended): &Trial) -> String {
    let ended = ended.as_ref().map_or_else(|why| why.replace('\n', "\n    "), |ms| format!("{ms:.1} ms"));
    format!("  {}: {ended}", shown(&setting.clone().into()))
}

/// A figure near 1 with the digits that differ from it, one near 0 by its size.
fn small(value: f64) -> String {
    if value > 0.5 { format!("{value:.7}") } else { format!("{value:.1e}") }
}

/// Fields as `name value, name value`.
fn shown(fields: &Value) -> String {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let pairs =
        fields.as_object().into_iter().flatten().map(|(name, value)| format!("{name} {}", word(value)));
    pairs.collect::<Vec<_>>().join(", ")
}

/// All of it as one object.
pub(super) fn json(comparison: &Comparison, findings: &Findings) -> Value {
    let (ours, peers) = findings.sides();
    let variant = comparison.variant.as_ref().map(|variant| {
        let timed = peers.get(1).map(|peer| compared(ours, peer));
        let rounds = peers.get(1).map_or(0, |peer| peer.memory.len());
        let why_not = &findings.variant_failed;
        json!({
            "name": variant.name,
            "worked": why_not.is_none(),
            "why_not": why_not,
            "rounds": rounds,
            "timed": timed,
        })
    });
    let trials = findings.trials.iter().map(|(setting, ended)| {
        json!({ "setting": setting, "ms": ended.as_ref().ok(), "why_not": ended.as_ref().err() })
    });
    let proof: Fields =
        findings.proof.iter().map(|(what, value)| (what.replace(' ', "_"), json!(value))).collect();
    let mut all = json!({
        "bench": comparison.bench,
        "against": comparison.peer,
        "what": comparison.what,
        "rounds": findings.rounds,
        "proof": proof,
        "settings": { "ours": { "threads": ours.report["threads"] }, "peer": findings.setting },
        "trials": trials.collect::<Vec<_>>(),
        "variant": variant,
        "machine": Machine::here(),
        "versions": { "polytask": env!("CARGO_PKG_VERSION"), "peer": peers[0].report["versions"] },
    });
    if let (Value::Object(all), Value::Object(compared)) = (&mut all, compared(ours, &peers[0])) {
        all.extend(compared);
    }
    all
}

/// Times and memory of a pair.
fn compared(ours: &Timed, peer: &Timed) -> Value {
    let part = |part: usize| {
        let (a, b) = (ours.times(part), peer.times(part));
        json!({ "part": ours.parts[part].0, "ours": a, "peer": b, "ratio": ratio(&a, &b) })
    };
    let (a, b) = (ours.memory(), peer.memory());
    json!({
        "parts": (0..ours.parts.len()).map(part).collect::<Vec<_>>(),
        "peak_rss_mb": { "ours": a, "peer": b, "ratio": b / a },
    })
}

impl Findings {
    /// Ours, and the peer with its variant.
    fn sides(&self) -> (&Timed, &[Timed]) {
        let (ours, peers) = self.timed.split_first().expect("our side was timed");
        (ours, peers)
    }
}
