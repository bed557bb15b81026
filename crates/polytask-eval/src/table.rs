//! The score table the command line prints.
//!
//! Columns are aligned by display width; when the terminal is narrow, intervals and then whole columns go, and
//! below that each task becomes a block of lines. Nothing depends on colour.

use polytask_core::report::{RunReport, Score, TaskReport};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::heads;
use crate::words::{self, Standing, plain, signed, signed_range, value};

/// What a layout shows, widest first.
#[derive(Clone, Copy)]
#[allow(clippy::struct_excessive_bools, reason = "a table of what is shown, not a state")]
struct Layout {
    kind: bool,
    joint_range: bool,
    single_range: bool,
    delta_range: bool,
    others: bool,
}

const LAYOUTS: [Layout; 6] = [
    Layout { kind: true, joint_range: true, single_range: true, delta_range: true, others: true },
    Layout { kind: true, joint_range: true, single_range: false, delta_range: true, others: true },
    Layout { kind: false, joint_range: true, single_range: false, delta_range: true, others: true },
    Layout { kind: false, joint_range: false, single_range: false, delta_range: true, others: true },
    Layout { kind: false, joint_range: false, single_range: false, delta_range: false, others: true },
    Layout { kind: false, joint_range: false, single_range: false, delta_range: false, others: false },
];

/// The table of main metrics and the lines below it; no line is wider than `width` columns if that is possible.
pub fn table(report: &RunReport, width: usize) -> String {
    let cautions = report.cautions.iter().flat_map(|text| wrapped(&format!("caution: {text}"), width));
    let mut first: Vec<String> = cautions.collect();
    if !first.is_empty() {
        first.push(String::new());
    }
    let layouts = LAYOUTS.iter().map(|&layout| cells(report, layout));
    let mut lines = if report.labels.is_empty() {
        fitting(layouts, width).unwrap_or_else(|| blocks(report))
    } else {
        aligned(&heads::comparison(report))
    };
    // Narrow layouts leave columns out, and so what these mean.
    let legend: Vec<&str> =
        words::legend(report).filter(|column| is_shown(&lines, column.id)).map(|c| c.said).collect();
    lines.push(String::new());
    let below = summary(report);
    lines.extend(below.iter().map(String::as_str).chain(legend).flat_map(|line| wrapped(line, width)));
    first.extend(lines);
    first.join("\n") + "\n"
}

/// Whether a table names a learner: at the head of a column, or of a line where heads on labels are compared.
fn is_shown(lines: &[String], id: &str) -> bool {
    lines[0].contains(id) || lines.iter().any(|line| line.contains(&format!(" {id} ")))
}

/// The first of several layouts of a table (rows of cells, a head first) whose lines are at most `width` columns wide.
pub fn fitting(layouts: impl IntoIterator<Item = Vec<Vec<String>>>, width: usize) -> Option<Vec<String>> {
    let mut tables = layouts.into_iter().map(|rows| aligned(&rows));
    tables.find(|lines| lines.iter().all(|line| line.width() <= width))
}

fn cells(report: &RunReport, layout: Layout) -> Vec<Vec<String>> {
    let mut head = vec!["task"];
    head.extend(layout.kind.then_some("kind"));
    head.extend(["metric", "joint", "single"]);
    let others = if layout.others { words::others(report) } else { Vec::new() };
    let others: Vec<String> = others.into_iter().map(plain).collect();
    head.extend(others.iter().map(String::as_str));
    head.extend(["delta", "verdict"]);
    let mut head: Vec<String> = head.into_iter().map(String::from).collect();
    let first = if layout.kind { 3 } else { 2 };
    for (cell, side) in head[first..].iter_mut().zip(&report.sides) {
        *cell = if layout.kind { plain(side) } else { shortened(&plain(side)) };
    }
    let mut rows = vec![head];
    rows.extend(report.tasks.iter().map(|task| row(task, layout, &others)));
    if report.sides.len() == 1 {
        rows.iter_mut().for_each(|row| row.truncate(first + 1));
    }
    rows
}

fn row(task: &TaskReport, layout: Layout, others: &[String]) -> Vec<String> {
    let metric = task.joint.first().map_or("–", |score| score.metric.as_str());
    let name = plain(&task.task);
    let mut row = vec![if layout.kind { name } else { shortened(&name) }];
    row.extend(layout.kind.then(|| plain(&task.kind)));
    row.push(metric.into());
    row.push(score(task.joint.first(), layout.joint_range));
    row.push(score(task.single.first(), layout.single_range));
    let main = |id: &String| score(task.other(id).and_then(|other| other.scores.first()), false);
    row.extend(others.iter().map(main));
    row.push(delta(task, layout.delta_range));
    row.push(Standing::of(task).words().into());
    row
}

/// Widest name in the narrow layouts.
const NAME: usize = 24;

pub(crate) fn shortened(name: &str) -> String {
    if name.width() <= NAME {
        return name.into();
    }
    let mut short = String::new();
    for c in name.chars() {
        if short.width() + c.width().unwrap_or(0) >= NAME {
            break;
        }
        short.push(c);
    }
    short + "…"
}

fn score(score: Option<&Score>, with_range: bool) -> String {
    let Some(score) = score else { return "–".into() };
    let estimate = value(&score.metric, score.interval.value);
    if with_range { format!("{estimate} {}", words::range(score)) } else { estimate }
}

fn delta(task: &TaskReport, with_range: bool) -> String {
    let range = task.delta.filter(|_| with_range).map(|delta| format!(" {}", signed_range(delta)));
    words::delta(task) + &range.unwrap_or_default()
}

/// Rows as lines of equal columns, with a rule under the first.
pub fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let n = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> =
        (0..n).map(|c| rows.iter().map(|row| row[c].width()).max().unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let padded = row.iter().zip(&widths).map(|(cell, &width)| pad(cell, width));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_string()
    };
    let mut lines: Vec<String> = rows.iter().map(line).collect();
    lines.insert(1, widths.iter().map(|&width| "─".repeat(width)).collect::<Vec<_>>().join("  "));
    lines
}

fn pad(cell: &str, width: usize) -> String {
    format!("{cell}{}", " ".repeat(width.saturating_sub(cell.width())))
}

/// A block of short lines per task, for the narrowest terminals.
fn blocks(report: &RunReport) -> Vec<String> {
    let block = |task: &TaskReport| {
        let metric = task.joint.first().map_or("–", |score| score.metric.as_str());
        let (joint, single) = (score(task.joint.first(), false), score(task.single.first(), false));
        let name = shortened(&plain(&task.task));
        if report.sides.len() == 1 {
            return vec![name, format!("  {metric}: {joint}")];
        }
        vec![
            name,
            format!("  {metric}: {}", Standing::of(task).words()),
            format!("  {joint} against {single}, {}", delta(task, false)),
        ]
    };
    report.tasks.iter().flat_map(block).collect()
}

/// A sentence from a note.
fn capital(note: &str) -> String {
    let mut letters = note.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn summary(report: &RunReport) -> Vec<String> {
    let compared: Vec<&TaskReport> = report.tasks.iter().filter(|task| task.delta.is_some()).collect();
    let mut lines = vec![words::verdict(report)];
    let worst = report.worst.as_deref().and_then(|name| compared.iter().find(|task| task.task == name));
    if let Some((task, delta)) = worst.and_then(|task| Some((task, task.delta?))) {
        lines.push(format!(
            "Worst task: {} ({} {}). Below {}: {} of {}.",
            plain(&task.task),
            signed(delta.value, 1),
            words::delta_unit(task),
            report.sides.get(1).map_or_else(|| "single-task".into(), |side| plain(side)),
            report.below,
            compared.len()
        ));
    }
    let on_valid: Vec<&str> =
        report.tasks.iter().filter(|task| task.split == "valid").map(|task| task.task.as_str()).collect();
    lines.extend(
        words::on_valid(&on_valid).filter(|_| report.sides.is_empty()).map(|said| capital(&said) + "."),
    );
    lines.extend(words::unmoved(report));
    lines.extend(words::saving(report));
    lines.push("Scores are × 100 with 95 % bootstrap intervals (RMSE and MAE in the target's unit).".into());
    if !compared.is_empty() {
        let (ours, theirs) = match &report.sides[..] {
            [ours, theirs] => (plain(ours), plain(theirs)),
            _ => ("joint".into(), "single".into()),
        };
        lines.push(format!(
            "Delta: {ours} minus {theirs}, paired interval, positive = better. Δm: mean relative change."
        ));
    }
    lines
}

/// A sentence in lines of at most `width` columns, broken between words.
pub fn wrapped(line: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in line.split(' ') {
        let current = lines.last_mut().expect("starts with one line");
        if current.is_empty() {
            current.push_str(word);
        } else if current.width() + 1 + word.width() <= width {
            current.push(' ');
            current.push_str(word);
        } else {
            lines.push(word.into());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::report;

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in [200, 140, 120, 100, 80, 72, 60, 40] {
            let text = table(&report(), width);
            for line in text.lines() {
                assert!(line.width() <= width, "{} > {width}: {line}", line.width());
            }
            for task in &report().tasks {
                let start: String = task.task.chars().take(16).collect();
                assert!(text.contains(&start), "{width}: {}", task.task);
            }
            assert!(text.contains("regressed") && text.contains("Δm"));
        }
    }

    #[test]
    fn columns_start_at_the_same_place_for_every_script() {
        let text = table(&report(), 200);
        let lines: Vec<&str> = text.lines().take(2 + report().tasks.len()).collect();
        let rule = lines[1];
        let starts: Vec<usize> = rule
            .char_indices()
            .filter(|&(i, c)| c == '─' && (i == 0 || rule[..i].ends_with(' ')))
            .map(|(i, _)| rule[..i].width())
            .collect();
        for line in &lines[2..] {
            for &start in &starts {
                let before = line.char_indices().find(|(i, _)| line[..*i].width() == start);
                assert!(
                    before.is_some_and(|(i, c)| c != ' ' && (i == 0 || line[..i].ends_with(' '))),
                    "{line}"
                );
            }
        }
    }

    #[test]
    fn two_models_go_by_their_names_and_one_alone_is_compared_with_nothing() {
        let mut report = report();
        report.sides = vec!["spring".into(), "autumn".into()];
        for width in [200, 100, 80, 60] {
            let text = table(&report, width);
            assert!(text.contains("Delta: spring minus autumn") || width < 80, "{text}");
            for word in ["joint", "single"] {
                assert!(!text.contains(word), "{width}: {word} in {text}");
            }
            assert!(text.contains("spring") && text.contains("Below autumn"), "{text}");
        }
        report.sides.pop();
        report.tasks.iter_mut().for_each(|task| (task.delta, task.regressed) = (None, false));
        let alone = table(&report, 200);
        assert!(alone.contains("spring") && alone.contains("6 tasks scored"), "{alone}");
        for word in ["joint", "single", "delta", "verdict", "baseline"] {
            assert!(!alone.contains(word), "{word} in {alone}");
        }
    }

    #[test]
    fn control_characters_in_names_do_not_reach_the_terminal() {
        let mut evil = report();
        evil.tasks[0].task = "a\u{1b}[31m\nb".into();
        assert!(!table(&evil, 120).contains('\u{1b}'));
    }

    #[test]
    fn a_run_without_tasks_or_baselines_is_still_a_table() {
        assert!(table(&RunReport::default(), 80).contains("task"));
        let mut alone = report();
        for task in &mut alone.tasks {
            (task.delta, task.relative, task.regressed) = (None, None, false);
            task.single.clear();
        }
        (alone.delta_m, alone.worst) = (None, None);
        assert!(table(&alone, 120).contains("no baseline"));
    }
}
