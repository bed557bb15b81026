//! How well segments were found, as a table for a terminal.

use polytask_core::plural;
use polytask_core::segmentation::{SegmentationReport, SegmentationRow};

use crate::table::{aligned, wrapped};

/// What the columns mean.
const LEGEND: &str = "Pk, WD: shares of windows that disagree, lower is better. P, R, F1: exact boundaries; ±1: within a \
                      sentence. Pk rewards silence where boundaries are rare and noise where they are dense: read it \
                      beside the trivial rows.";

/// A segmentation's rows under its convention; prose in lines of at most `width` columns.
pub fn segmentation_table(report: &SegmentationReport, width: usize) -> String {
    let split = if report.split.is_empty() { String::new() } else { format!(" on {}", report.split) };
    let mut lines = wrapped(
        &format!(
            "{}{split}: {}, {} of no more than k sentences left out; {}",
            report.name,
            plural(report.n_documents, "document"),
            report.n_skipped,
            report.convention
        ),
        width,
    );
    lines.extend(wrapped(&made_of(report), width));
    if !report.tried.is_empty() {
        let tried: Vec<String> = report.tried.iter().map(|(name, f1)| format!("{name} {f1:.4}")).collect();
        lines.extend(wrapped(&format!("tried on valid (F1): {}", tried.join(", ")), width));
    }
    lines.push(String::new());
    lines.extend(aligned(&rows(&report.rows)));
    if let Some(classes) = &report.classes {
        let supports: Vec<String> = classes.supports.iter().map(|(name, n)| format!("{name} {n}")).collect();
        let (accuracy, macro_f1) = (classes.accuracy, classes.macro_f1);
        let said = format!(
            "classes: accuracy {accuracy:.4}, macro-F1 {macro_f1:.4}; sentences of each: {}",
            supports.join(", ")
        );
        lines.push(String::new());
        lines.extend(wrapped(&said, width));
    }
    lines.push(String::new());
    lines.extend(wrapped(LEGEND, width));
    lines.join("\n") + "\n"
}

/// Where k, the trivial rows and the threshold come from.
fn made_of(report: &SegmentationReport) -> String {
    let threshold = match (report.threshold, report.f1_on_valid) {
        (Some(threshold), Some(f1)) => format!("; threshold {threshold:.4}, chosen on valid (F1 {f1:.4})"),
        (Some(threshold), None) => format!("; threshold {threshold:.4}"),
        (None, _) => String::new(),
    };
    format!("mean segment {:.3}, rate of boundaries {:.4}{threshold}", report.mean_segment, report.rate)
}

fn rows(rows: &[SegmentationRow]) -> Vec<Vec<String>> {
    let head = ["boundaries", "Pk", "WD", "P", "R", "F1", "F1 ±1"].map(str::to_owned).to_vec();
    let row = |row: &SegmentationRow| {
        let values = [row.pk, row.window_diff, row.precision, row.recall, row.f1, row.f1_near];
        std::iter::once(row.name.clone()).chain(values.map(|value| format!("{value:.4}"))).collect()
    };
    std::iter::once(head).chain(rows.iter().map(row)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_convention_stands_with_the_scores() {
        let row = |name: &str, pk| SegmentationRow {
            name: name.into(),
            pk,
            window_diff: 0.3,
            precision: 0.5,
            recall: 0.25,
            f1: 1.0 / 3.0,
            f1_near: 0.4,
        };
        let report = SegmentationReport {
            name: "topics".into(),
            split: "test".into(),
            convention: "k = 2, n-k windows (segeval), per-document".into(),
            n_documents: 3,
            n_skipped: 1,
            mean_segment: 3.9,
            rate: 0.2367,
            threshold: Some(0.4),
            f1_on_valid: Some(0.9),
            tried: vec![("neighbours".into(), 0.8), ("pairs of 2 a side".into(), 0.9)],
            rows: vec![row("topics", 0.05), row("none", 0.5)],
            classes: None,
        };
        let table = segmentation_table(&report, 100);
        for words in [
            "k = 2, n-k windows (segeval)",
            "3 documents, 1 of",
            "chosen on valid",
            "neighbours 0.8000, pairs of 2",
            "0.0500",
            "none",
        ] {
            assert!(table.contains(words), "{words}: {table}");
        }
    }
}
