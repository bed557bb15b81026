//! Labels matched by their descriptions on the page: reliability, "none of these", made-up rows.

use polytask_core::report::{LabelTask, Point};
use serde::Serialize;

use super::chart::{Chart, chart_in};
use crate::labels::{label_rows, lines};

/// A task of the section about labels.
#[derive(Debug, Serialize)]
pub(super) struct LabelView {
    task: String,
    /// How often answers are right, by their probability.
    chart: Option<Chart>,
    lines: Vec<String>,
    /// Cells of the table of made-up rows, its head first; empty without any.
    generated: Vec<Vec<String>>,
}

impl LabelView {
    pub(super) fn new(task: &LabelTask) -> Self {
        let point =
            |step: f64, value: f64| Point { step: (100.0 * step).round() as u64, value: 100.0 * value };
        let found: Vec<Point> = task.reliability.iter().map(|bin| point(bin.confidence, bin.right)).collect();
        let ideal = [point(0.0, 0.0), point(1.0, 1.0)];
        let label = format!("Share of right answers by probability, task {}", task.task);
        let lines_of = [("single", &ideal[..]), ("joint", &found[..])];
        let chart = if found.is_empty() {
            None
        } else {
            chart_in(Some((0.0, 100.0)), task.task.clone(), label, &lines_of, None)
        };
        let generated = task.generated.as_ref().map_or_else(Vec::new, label_rows);
        Self { task: task.task.clone(), chart, lines: lines(task), generated }
    }
}
