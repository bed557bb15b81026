//! The table of the comparison, in points of each task's metric.

use std::fmt::Write as _;

use super::run::{Outcome, Task};
use super::sets::{self, Role};

/// What is claimed of a group of tasks.
struct Summary {
    n: usize,
    over_probe: f64,
    worst_over_probe: f64,
    n_below: usize,
    over_tuned: f64,
}

/// A cell on one line, for the terminal.
pub(super) fn line(outcome: &Outcome) -> String {
    let of = |task: &Task| format!("{}: {}", task.set, scores(task).join(" / "));
    let tasks: Vec<String> = outcome.tasks.iter().map(of).collect();
    let (kept, steps, seconds) = (outcome.kept, outcome.steps, outcome.seconds);
    format!(
        "{} [default / probe / tuned] {} (kept {kept} of {steps} steps, {seconds:.0} s)",
        outcome.cell,
        tasks.join(", ")
    )
}

/// The tables as Markdown: what holds for groups of tasks, then every task.
pub(super) fn table(outcomes: &[Outcome]) -> String {
    let mut text =
        "| tasks | n | default - probe: mean | worst | below by more than 1 | default - tuned: mean |\n"
            .to_owned();
    text += &"| --- ".repeat(6);
    text += "|\n";
    for (name, role) in
        [("development", Role::Development), ("unseen", Role::Unseen), ("held out", Role::HeldOut)]
    {
        let tasks: Vec<&Task> = outcomes
            .iter()
            .flat_map(|outcome| &outcome.tasks)
            .filter(|task| sets::find(&task.set).role == role)
            .collect();
        if let Some(found) = summary(&tasks) {
            let Summary { n, over_probe, worst_over_probe, n_below, over_tuned } = found;
            let _ = writeln!(
                text,
                "| {name} | {n} | {over_probe:+.1} | {worst_over_probe:+.1} | {n_below} | {over_tuned:+.1} |"
            );
        }
    }
    text += "\n| suite | task | kind | metric | default | probe | tuned | kept step | seconds |\n";
    text += &"| --- ".repeat(9);
    text += "|\n";
    for outcome in outcomes {
        for task in &outcome.tasks {
            let [default, probe, tuned] = scores(task);
            let Task { set, kind, metric, rows, .. } = task;
            let (kept, steps, seconds) = (outcome.kept, outcome.steps, outcome.seconds);
            let suite = if outcome.tasks.len() > 1 { outcome.cell.as_str() } else { "alone" };
            let about = sets::find(set).about;
            let _ = writeln!(
                text,
                "| {suite} | {set} {rows} ({about}) | {kind} | {metric} | {default} | {probe} | {tuned} | {kept} of {steps} | {seconds:.0} |"
            );
        }
    }
    text
}

fn summary(tasks: &[&Task]) -> Option<Summary> {
    let over_probe: Vec<f64> =
        tasks.iter().map(|task| gain(task, task.default) - gain(task, task.probe)).collect();
    let over_tuned: Vec<f64> =
        tasks.iter().map(|task| gain(task, task.default) - gain(task, task.tuned)).collect();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    (!tasks.is_empty()).then(|| Summary {
        n: tasks.len(),
        over_probe: mean(&over_probe),
        worst_over_probe: over_probe.iter().copied().fold(f64::INFINITY, f64::min),
        n_below: over_probe.iter().filter(|gain| **gain < -1.0).count(),
        over_tuned: mean(&over_tuned),
    })
}

/// A score in points, larger = better.
fn gain(task: &Task, score: f64) -> f64 {
    if polytask_eval::higher_is_better(&task.metric) { 100.0 * score } else { -100.0 * score }
}

/// Default, probe and tuned.
fn scores(task: &Task) -> [String; 3] {
    [task.default, task.probe, task.tuned].map(|score| format!("{:.1}", 100.0 * score))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(default: f64, probe: f64, tuned: f64) -> Outcome {
        let task = Task {
            set: "snli".into(),
            kind: "pair-class".into(),
            rows: 500,
            metric: "accuracy".into(),
            default,
            probe,
            tuned,
            over_probe: [0.0; 3],
        };
        Outcome { cell: "snli 500".into(), kept: 3, steps: 9, seconds: 61.0, won: 1, tasks: vec![task] }
    }

    #[test]
    fn means_and_the_worst_are_in_points() {
        let table = table(&[outcome(0.70, 0.72, 0.71), outcome(0.74, 0.70, 0.71)]);
        assert!(table.contains("| unseen | 2 | +1.0 | -2.0 | 1 | +1.0 |"), "{table}");
        assert!(table.contains("| alone | snli 500 (3 relations of sentences) | pair-class | accuracy | 70.0 | 72.0 | 71.0 | 3 of 9 | 61 |"));
    }
}
