//! Boosted trees in words and tables: what they read, and which group is unlike the others.

use polytask_core::report::{ColumnImportance, GroupGate, TreesReport};

use crate::table::{aligned, wrapped};
use crate::words::{plain, plural, signed, value};

/// Columns named in the summary of a run.
const NAMED: usize = 5;

/// What a run says below its scores.
pub fn summary(trees: &TreesReport, width: usize) -> Vec<String> {
    let mut lines = vec![format!(
        "{} with {}; columns that say most: {}",
        plural(trees.trees, "tree"),
        plural(trees.leaves, "leaf").replace("leafs", "leaves"),
        most_telling(&trees.importance)
    )];
    lines.extend(unlike(trees));
    lines.iter().flat_map(|line| wrapped(line, width)).collect()
}

/// The columns that gain most, each once.
fn most_telling(importance: &[ColumnImportance]) -> String {
    let mut names: Vec<String> = Vec::new();
    let mut columns: Vec<&ColumnImportance> = importance.iter().filter(|column| column.splits > 0).collect();
    columns.sort_by(|a, b| b.gain.total_cmp(&a.gain));
    for column in columns {
        let name = plain(&column.column);
        if !names.contains(&name) && names.len() < NAMED {
            names.push(name);
        }
    }
    if names.is_empty() { "none, no split gained anything".into() } else { names.join(", ") }
}

/// Which groups are unlike the others, in a sentence; none where there are no gates.
pub fn unlike(trees: &TreesReport) -> Option<String> {
    if trees.groups.iter().all(|group| group.gate.is_none()) {
        return None;
    }
    let named = |group: &&GroupGate| {
        let gate = group.gate.unwrap_or(f64::NAN);
        format!("{} (gate {gate:.2})", plain(&group.group))
    };
    let flagged: Vec<String> =
        trees.groups.iter().filter(|group| group.flagged).map(|group| named(&group)).collect();
    let few = if trees.groups.len() <= 3 { "; of so few, the split says nothing" } else { "" };
    Some(match flagged.len() {
        0 => format!("None of {} groups is unlike the others{few}", trees.groups.len()),
        n => format!("Unlike the others, {n} of {} groups: {}", trees.groups.len(), flagged.join(", ")),
    })
}

/// The tables of `explain`, each of at most `top` lines.
pub fn tables(trees: &TreesReport, top: usize, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for of_task in trees.importance.chunk_by(|a, b| a.task == b.task) {
        let whose = if of_task[0].task.is_empty() { "all tasks".into() } else { plain(&of_task[0].task) };
        lines.push(format!("columns, {whose}"));
        lines.extend(aligned(&column_rows(of_task, top)));
        lines.push(String::new());
    }
    if !trees.groups.is_empty() {
        lines.push(format!("groups, {} of {}", trees.groups.len().min(top), trees.groups.len()));
        lines.extend(aligned(&group_rows(&trees.groups, top)));
        lines.push(String::new());
    }
    lines.extend(unlike(trees).iter().flat_map(|line| wrapped(line, width)));
    lines
}

/// Cells of the table of columns, its head first.
fn column_rows(columns: &[ColumnImportance], top: usize) -> Vec<Vec<String>> {
    let head = ["column", "gain %", "splits", "shuffled"].map(String::from).to_vec();
    let row = |column: &ColumnImportance| {
        let shuffled = column.permutation.map_or("–".into(), |lost| format!("{lost:.2}"));
        vec![
            plain(&column.column),
            format!("{:.1}", 100.0 * column.gain),
            column.splits.to_string(),
            shuffled,
        ]
    };
    std::iter::once(head).chain(columns.iter().take(top).map(row)).collect()
}

/// Cells of the table of groups, its head first.
pub(crate) fn group_rows(groups: &[GroupGate], top: usize) -> Vec<Vec<String>> {
    let head = ["group", "task", "rows", "gate", "distance", "scored", "joint", "alone", "delta", ""];
    let row = |group: &GroupGate| {
        let two = |number: Option<f64>| number.map_or("–".into(), |number| format!("{number:.2}"));
        vec![
            plain(&group.group),
            plain(&group.task),
            group.rows.to_string(),
            two(group.gate),
            two(group.distance),
            group.scored.to_string(),
            value(&group.metric, group.joint),
            value(&group.metric, group.single),
            group.delta.map_or("–".into(), |delta| signed(delta.value, 1)),
            if group.flagged { "unlike the others".into() } else { String::new() },
        ]
    };
    std::iter::once(head.map(String::from).to_vec()).chain(groups.iter().take(top).map(row)).collect()
}
