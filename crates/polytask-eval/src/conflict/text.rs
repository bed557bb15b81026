//! Findings as the command line prints them.

use polytask_core::report::Interval;

use super::advice::{braces, evidence, in_short, listed, loss_alone, percent, predicted, with_range};
use super::{Conflict, TaskFinding};
use crate::table::{aligned, shortened, wrapped};
use crate::words::{self, plain, plural, signed, signed_range};

/// What the table of pairs holds.
const TABLE: &str = "Cosine of two tasks' gradients · affinity of a step on the row's task to the column's: 1 helps \
                     like its own step, −1 undoes it (* clearly not 0).";

/// Tables, evidence and advice, no line wider than `width` columns if that is possible.
pub fn text(conflict: &Conflict, width: usize) -> String {
    let measured = plural(conflict.diagnosis.measurements.len(), "measurement");
    let mut lines =
        vec![format!("{measured} over {}", plural(conflict.steps as usize, "step")), String::new()];
    lines.extend(aligned(&tasks(conflict)));
    lines.push(String::new());
    lines.extend(wrapped(TABLE, width));
    lines.extend(aligned(&affinities(conflict)));
    lines.push(String::new());
    lines.extend(aligned(&budgets(conflict)));
    lines.push(String::new());
    let advice = conflict.advice.iter().enumerate();
    let advice = advice.map(|(number, advice)| format!("{}. {}", number + 1, advice.text));
    let notes = conflict.notes.iter().map(|note| format!("note: {note}"));
    let sentences = advice.chain(harms(conflict)).chain(verified(conflict)).chain(notes);
    lines.extend(sentences.flat_map(|line| hanging(&plain(&line), width)));
    lines.join("\n") + "\n"
}

/// A sentence in lines that can be told from the next one's.
fn hanging(line: &str, width: usize) -> Vec<String> {
    let mut lines = wrapped(line, width.saturating_sub(3));
    lines.iter_mut().skip(1).for_each(|line| line.insert_str(0, "   "));
    lines
}

fn tasks(conflict: &Conflict) -> Vec<Vec<String>> {
    let head = ["task", "metric", "joint", "single", "delta", "sharpness"].map(String::from).to_vec();
    let row = |task: &TaskFinding| {
        let score =
            |x: &Option<Interval>| x.map_or_else(|| "–".into(), |x| words::value(&task.metric, x.value));
        let delta =
            task.delta.map_or_else(|| "–".into(), |d| format!("{} {}", signed(d.value, 1), signed_range(d)));
        let sharpness = task.relative_sharpness.as_ref().map_or_else(|| "–".into(), percent);
        let name = shortened(&plain(&task.task));
        vec![name, task.metric.clone(), score(&task.joint), score(&task.single), delta, sharpness]
    };
    std::iter::once(head).chain(conflict.tasks.iter().map(row)).collect()
}

/// Cosine and affinity of each pair; a star where the affinity's interval excludes zero.
fn affinities(conflict: &Conflict) -> Vec<Vec<String>> {
    let names: Vec<String> = conflict.tasks.iter().map(|task| shortened(&plain(&task.task))).collect();
    let cell = |i: usize, j: usize| {
        if i == j {
            return "·".into();
        }
        let cosine = conflict.cosine[i][j].map_or_else(|| "–".into(), |cosine| signed(cosine.value, 2));
        let star = |z: Interval| if z.low > 0.0 || z.high < 0.0 { "*" } else { "" };
        let affinity = conflict.relative_affinity[i][j]
            .map_or_else(|| "–".into(), |z| format!("{}{}", signed(z.value, 2), star(z)));
        format!("{cosine} · {affinity}")
    };
    let row = |(i, name): (usize, &String)| {
        std::iter::once(name.clone()).chain((0..names.len()).map(|j| cell(i, j))).collect()
    };
    let head = std::iter::once(String::new()).chain(names.iter().cloned()).collect();
    std::iter::once(head).chain(names.iter().enumerate().map(row)).collect()
}

fn budgets(conflict: &Conflict) -> Vec<Vec<String>> {
    let head = ["models", "grouping", "predicted Δm"].map(String::from).to_vec();
    let row = |(k, grouping): (usize, &super::Grouping)| {
        let mark = if k == conflict.suggested { " ←" } else { "" };
        let groups = plain(&braces(&grouping.groups));
        vec![format!("≤ {}", k + 1), groups, predicted(grouping, conflict.sign()) + mark]
    };
    std::iter::once(head).chain(conflict.budgets.iter().enumerate().map(row)).collect()
}

fn harms(conflict: &Conflict) -> Vec<String> {
    let line = |harm: &super::Harm| {
        if conflict.is_thin() {
            return format!("evidence: {}: too few measurements to say through whom", loss_alone(harm));
        }
        let by: Vec<String> = harm.by.iter().map(evidence).collect();
        let by = if by.is_empty() {
            "no single task's steps raise its loss clearly".into()
        } else {
            by.join("; ")
        };
        format!("evidence: {}: {by}", in_short(harm))
    };
    conflict.harms.iter().map(line).collect()
}

fn verified(conflict: &Conflict) -> Option<String> {
    let verified = conflict.verified.as_ref()?;
    if conflict.suggestion().is_all_alone() {
        return Some(
            "verified: nothing to train, every task is in a model of its own: Δm is 0 by definition".into(),
        );
    }
    let agrees = match verified.agrees {
        Some(true) => "the intervals overlap",
        Some(false) => "the intervals do not overlap",
        None => "there is nothing to compare",
    };
    let sign = conflict.sign();
    let (predicted, measured) =
        (predicted(conflict.suggestion(), sign), with_range(verified.measured.as_ref()));
    let alone: Vec<&str> = conflict.suggestion().alone().collect();
    let alone = match alone.len() {
        0 => String::new(),
        _ => format!("; {} alone: 0 by definition", listed(&alone)),
    };
    Some(format!(
        "verified by training the groups, on the split tasks are reported on: predicted Δm {predicted}, measured {measured} \
         {sign}; {agrees}{alone}"
    ))
}
