//! The sharpness report as the command line prints it.

use polytask_core::report::Interval;
use polytask_core::sharpness::{SharpnessReport, TaskSharpness};

use crate::table::{aligned, fitting, shortened, wrapped};
use crate::words::{count, decimals, number, plain, significant};

/// Columns of the table, widest layout first.
const LAYOUTS: [&[&str]; 4] = [
    &["task", "loss", "at worst", "sharpness (95 %)", "|g|", "|flat|", "cosine"],
    &["task", "loss", "at worst", "sharpness (95 %)", "|flat|", "cosine"],
    &["task", "loss", "sharpness (95 %)", "cosine"],
    &["task", "sharpness"],
];

/// The table and the lines below it; no line is wider than `width` columns if that is possible.
pub fn text(report: &SharpnessReport, width: usize) -> String {
    let layouts = LAYOUTS.iter().map(|columns| rows(&report.tasks, columns));
    let narrowest = || aligned(&rows(&report.tasks, LAYOUTS[LAYOUTS.len() - 1]));
    let mut lines = fitting(layouts, width).unwrap_or_else(narrowest);
    lines.push(String::new());
    lines.extend(summary(report).iter().flat_map(|line| wrapped(line, width)));
    lines.join("\n") + "\n"
}

fn rows(tasks: &[TaskSharpness], columns: &[&str]) -> Vec<Vec<String>> {
    let head = columns.iter().map(ToString::to_string).collect();
    let row = |task: &TaskSharpness| columns.iter().map(|column| cell(task, column)).collect();
    std::iter::once(head).chain(tasks.iter().map(row)).collect()
}

fn cell(task: &TaskSharpness, column: &str) -> String {
    let real = |value: Option<f64>| value.map_or_else(|| "–".into(), significant);
    match column {
        "task" => shortened(&plain(&task.task)),
        "loss" => real(task.loss),
        "at worst" => real(task.worst),
        "sharpness (95 %)" => task.sharpness.as_ref().map_or_else(|| "–".into(), with_interval),
        "|g|" => real(task.gradient),
        "|flat|" => real(task.flat),
        "cosine" => task.cosine.map_or_else(|| "–".into(), |cosine| number(cosine, 2)),
        _ => real(task.sharpness.map(|sharpness| sharpness.value)),
    }
}

/// Student's interval is even on both sides.
fn with_interval(interval: &Interval) -> String {
    let (value, half) = (significant(interval.value), (interval.high - interval.low) / 2.0);
    if !half.is_finite() {
        return value;
    }
    // As many decimals as the value has, unless nothing would be left of it.
    let alike =
        decimals(interval.value).filter(|&digits| half == 0.0 || half > 0.5 * 0.1_f64.powi(digits as i32));
    let half = alike.map_or_else(|| significant(half), |digits| number(half, digits));
    format!("{value} ± {half}")
}

fn summary(report: &SharpnessReport) -> Vec<String> {
    let (rho, most) = (report.rho, report.tasks.iter().map(|task| task.batches).max().unwrap_or(0));
    let batches = if most == 1 { "one batch".into() } else { format!("{most} batches") };
    let measure = if report.adaptive { "each weight by its size" } else { "all weights alike" };
    let slope =
        if report.adaptive { "" } else { " A plain slope would give rho × |g|; the rest is curvature." };
    let mut lines = vec![
        format!(
            "Means over {batches} of {} with at most {} rows of each source; rho = {rho}, {measure}, over {} shared \
             trained parameters.",
            report.split,
            count(report.rows),
            count(report.parameters)
        ),
        format!("Sharpness: loss at the worst place within rho minus loss here; lower is flatter.{slope}"),
    ];
    lines.extend(report.notes.iter().map(|note| format!("note: {}", plain(note))));
    lines
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;

    fn report() -> SharpnessReport {
        let sharpness = Interval { value: 0.0123, low: 0.0119, high: 0.0127 };
        let seen = TaskSharpness {
            task: "similarity\u{1b}[31m".into(),
            batches: 8,
            loss: Some(1.25),
            worst: Some(1.2623),
            sharpness: Some(sharpness),
            gradient: Some(0.2),
            flat: Some(12345.0),
            cosine: Some(-0.4),
        };
        let one = Interval { low: f64::NAN, high: f64::NAN, ..sharpness };
        let once = TaskSharpness { task: "once".into(), batches: 1, sharpness: Some(one), ..seen.clone() };
        let unseen = TaskSharpness { task: "unseen".into(), ..TaskSharpness::default() };
        SharpnessReport {
            split: "train".into(),
            rho: 0.05,
            rows: 64,
            parameters: 1234,
            tasks: vec![seen, once, unseen],
            notes: vec!["a note".into()],
            ..SharpnessReport::default()
        }
    }

    #[test]
    fn the_table_holds_every_number_where_there_is_room_and_the_sharpness_everywhere() {
        let wide = text(&report(), 100);
        for part in
            ["1.250", "1.262", "0.01230 ± 0.00040", "0.2000", "1.23e4", "−0.40", "8 batches", "note: a note"]
        {
            assert!(wide.contains(part), "{part}\n{wide}");
        }
        assert!(!wide.contains('\u{1b}') && wide.contains("rho × |g|"));
        for width in [100, 80, 60, 40] {
            let text = text(&report(), width);
            assert!(text.lines().all(|line| line.width() <= width), "{width}:\n{text}");
            assert!(text.contains("0.01230") && text.contains("unseen"), "{text}");
        }
    }

    #[test]
    fn a_narrow_interval_is_not_rounded_away() {
        let of = |value, half| with_interval(&Interval { value, low: value - half, high: value + half });
        assert_eq!(of(123.45, 0.02), "123.5 ± 0.02000");
        assert_eq!(of(123.45, 0.2), "123.5 ± 0.2");
        assert_eq!(of(1234.5, 0.5), "1234 ± 0.5000");
        assert_eq!(of(0.0, 0.0), "0.000 ± 0.000");
    }

    #[test]
    fn one_batch_has_no_interval_and_the_adaptive_form_no_plain_slope() {
        let mut report = report();
        report.adaptive = true;
        report.tasks.drain(..1);
        let text = text(&report, 100);
        assert!(
            !text.contains('±') && !text.contains("rho ×") && text.contains("one batch of train"),
            "{text}"
        );
    }
}
