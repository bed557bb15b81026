//! Findings as tables for a terminal.

use polytask_eval::table::{aligned, fitting, wrapped};

use crate::experiment::sentence;
use crate::findings::{Arm, Findings, Role};

/// The findings as text: a table per setting, the comparisons, the verdict; lines of at most `width` columns where
/// that is possible.
pub fn table(findings: &Findings, width: usize) -> String {
    let mut lines = vec![format!("{}: {}", findings.id, findings.title)];
    lines.extend(wrapped(&format!("Claim: {}", findings.claim), width));
    for arms in findings.arms.chunk_by(|a, b| a.setting == b.setting) {
        lines.extend([String::new(), arms[0].setting.clone()]);
        let layouts: Vec<_> = LAYOUTS.iter().map(|&layout| rows(arms, layout)).collect();
        let narrowest = layouts.last().map(|rows| aligned(rows)).unwrap_or_default();
        lines.extend(fitting(layouts, width).unwrap_or(narrowest));
    }
    lines.push(String::new());
    for comparison in findings.comparisons.iter().filter(|c| c.role != Role::Mechanism) {
        let noun = if comparison.role == Role::Claim { "claim" } else { "question" };
        lines.extend(wrapped(&format!("{noun}: {}", sentence(comparison)), width));
    }
    for evidence in &findings.mechanism.evidence {
        lines.extend(wrapped(&format!("mechanism: {evidence}"), width));
    }
    lines.push(String::new());
    lines.push(format!("Verdict: the claim {}.", of_claim(findings)));
    if let Some(verdict) = findings.mechanism.verdict {
        lines.push(format!("Mechanism: {}.", verdict.words()));
    }
    lines.push(format!("{} minutes of training; intervals are 95 % over seeds.", findings.minutes));
    lines.join("\n") + "\n"
}

fn of_claim(findings: &Findings) -> &'static str {
    findings.verdict.words()
}

/// What a table shows beside name and score.
#[derive(Debug, Clone, Copy)]
struct Layout {
    interval: bool,
    measured: bool,
    tasks: bool,
}

const LAYOUTS: [Layout; 4] = [
    Layout { interval: true, measured: true, tasks: true },
    Layout { interval: true, measured: true, tasks: false },
    Layout { interval: true, measured: false, tasks: false },
    Layout { interval: false, measured: false, tasks: false },
];

/// Names of what the arms of a setting have in one of their maps.
fn names<'a>(arms: &'a [Arm], of: impl Fn(&'a Arm) -> Vec<&'a String>) -> Vec<&'a str> {
    let mut names: Vec<&str> = arms.iter().flat_map(of).map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn rows(arms: &[Arm], layout: Layout) -> Vec<Vec<String>> {
    let tasks = if layout.tasks { names(arms, |arm| arm.tasks.keys().collect()) } else { Vec::new() };
    let measured =
        if layout.measured { names(arms, |arm| arm.measured.keys().collect()) } else { Vec::new() };
    let metric = arms[0].metric.replace("delta_m", "Δm %");
    let mut head = vec!["arm".to_owned(), metric];
    head.extend(layout.interval.then(|| "95 % interval".to_owned()));
    head.extend(["seeds", "ms/step"].map(str::to_owned));
    head.extend(tasks.iter().chain(&measured).map(ToString::to_string));
    let row = |arm: &Arm| {
        let mut row = vec![title(arm), number(arm.mean, 2)];
        row.extend(layout.interval.then(|| range(arm.interval)));
        row.extend([arm.seeds.to_string(), format!("{:.1}", arm.step_ms)]);
        row.extend(tasks.iter().map(|task| number(arm.tasks.get(*task).copied(), 4)));
        row.extend(measured.iter().map(|name| number(arm.measured.get(*name).copied(), 3)));
        row
    };
    std::iter::once(head).chain(arms.iter().map(row)).collect()
}

/// The arm's name with what was chosen for it.
pub fn title(arm: &Arm) -> String {
    arm.chosen.as_ref().map_or_else(|| arm.name.clone(), |chosen| format!("{} ({chosen})", arm.name))
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "–".into(), |value| format!("{value:.digits$}"))
}

fn range(interval: Option<[f64; 2]>) -> String {
    interval.map_or_else(|| "–".into(), |[low, high]| format!("{low:.2} … {high:.2}"))
}
