//! The saliency report as one HTML file, in the look of a run's report.

use std::path::Path;

use minijinja::value::Serde;
use polytask_core::saliency::{PositionCell, PositionMap, SaliencyReport, Spectrum, TaskSaliency};
use polytask_core::{Result, atomic};
use serde::Serialize;

use super::fill;
use crate::words::{count, number};

/// The report as a self-contained HTML page.
pub fn render(report: &SaliencyReport) -> Result<String> {
    fill("saliency.html", Serde(Page::new(report)))
}

/// Writes the page to `path`.
pub fn write(report: &SaliencyReport, path: &Path) -> Result<()> {
    atomic::write(path, render(report)?.as_bytes())
}

#[derive(Debug, Serialize)]
struct Page<'a> {
    name: &'a str,
    lead: String,
    reading: String,
    facts: Vec<(&'static str, String, String)>,
    tasks: Vec<TaskRow<'a>>,
    is_fixed: bool,
    positions: Vec<Vec<Cell>>,
    names: Vec<&'a str>,
    similarity: Vec<(&'a str, Vec<Cell>)>,
    spectra: Vec<SpectrumRow<'a>>,
    notes: &'a [String],
}

#[derive(Debug, Serialize)]
struct TaskRow<'a> {
    task: &'a str,
    samples: String,
    size: String,
    /// Share of the largest in percent.
    share: String,
}

/// A coloured cell: the value, what stands below it, how strong its colour is.
#[derive(Debug, Serialize)]
struct Cell {
    text: String,
    sub: String,
    class: &'static str,
    alpha: String,
}

#[derive(Debug, Serialize)]
struct SpectrumRow<'a> {
    block: &'a str,
    tensor: &'a str,
    shape: String,
    exponent: String,
    tail: String,
    distance: String,
    /// Length of the exponent's bar in percent of 8.
    share: String,
    reading: &'static str,
    class: &'static str,
}

impl<'a> Page<'a> {
    fn new(report: &'a SaliencyReport) -> Self {
        let model =
            if report.trained { "The trained model" } else { "The encoder as loaded, with fresh heads," };
        Self {
            name: if report.name.is_empty() { "unnamed suite" } else { &report.name },
            lead: format!("{model} on {}.", report.split),
            reading: reading(report),
            facts: facts(report),
            tasks: tasks(&report.tasks),
            is_fixed: report.positions.is_fixed,
            positions: positions(&report.positions),
            names: report.tasks.iter().map(|task| task.task.as_str()).collect(),
            similarity: similarity(report),
            spectra: report.spectra.iter().map(SpectrumRow::new).collect(),
            notes: &report.notes,
        }
    }
}

fn reading(report: &SaliencyReport) -> String {
    let losses = if report.log_losses { "log losses" } else { "losses" };
    let mean = if report.channel_mean == "absolute" { "mean size" } else { "signed mean" };
    format!("gradients of {losses}, {mean} over channels")
}

fn facts(report: &SaliencyReport) -> Vec<(&'static str, String, String)> {
    let exponents: Vec<f64> = report.spectra.iter().filter_map(|s| s.exponent).collect();
    let mean = exponents.iter().sum::<f64>() / exponents.len().max(1) as f64;
    let dash = |x: Option<f64>, digits| x.map_or_else(|| "–".into(), |x| number(x, digits));
    vec![
        ("Samples", count(report.samples), format!("{} of several tasks", count(report.shared))),
        ("Evenness", dash(report.evenness, 3), "0 = one task per position, 1 = all alike".into()),
        ("Entropy (TSR)", dash(report.entropy, 3), "nats, mean over positions".into()),
        (
            "Power-law exponent",
            dash((!exponents.is_empty()).then_some(mean), 2),
            format!("mean over matrices ({})", exponents.len()),
        ),
    ]
}

fn tasks(tasks: &[TaskSaliency]) -> Vec<TaskRow<'_>> {
    let largest = tasks.iter().filter_map(|task| task.size).fold(f64::MIN_POSITIVE, f64::max);
    tasks.iter().map(|task| TaskRow::new(task, largest)).collect()
}

impl<'a> TaskRow<'a> {
    fn new(task: &'a TaskSaliency, largest: f64) -> Self {
        Self {
            task: &task.task,
            samples: count(task.samples),
            size: task.size.map_or_else(|| "–".into(), |size| format!("{size:.3e}")),
            share: number(task.size.unwrap_or(0.0) / largest * 100.0, 1),
        }
    }
}

/// Rows of cells: a square where the positions make one, else one row.
fn positions(map: &PositionMap) -> Vec<Vec<Cell>> {
    let side = (map.cells.len() as f64).sqrt().round() as usize;
    let is_square = map.is_fixed && side > 1 && side * side == map.cells.len();
    let width = if is_square { side } else { map.cells.len().clamp(1, 16) };
    let cell = |cell: &PositionCell| Cell {
        text: number(cell.evenness, 2),
        sub: if cell.first == cell.last {
            cell.first.to_string()
        } else {
            format!("{}–{}", cell.first, cell.last)
        },
        class: "cool",
        alpha: alpha(cell.evenness),
    };
    map.cells.chunks(width).map(|row| row.iter().map(cell).collect()).collect()
}

fn similarity(report: &SaliencyReport) -> Vec<(&str, Vec<Cell>)> {
    let cell = |(i, j, value): (usize, usize, Option<f64>)| match value {
        _ if i == j => Cell { text: String::new(), sub: String::new(), class: "self", alpha: "0".into() },
        None => Cell { text: "–".into(), sub: "never met".into(), class: "none", alpha: "0".into() },
        Some(value) => {
            Cell { text: number(value, 2), sub: String::new(), class: "cool", alpha: alpha(value) }
        }
    };
    let row = |(i, row): (usize, &Vec<Option<f64>>)| {
        row.iter().enumerate().map(|(j, v)| cell((i, j, *v))).collect()
    };
    let names = report.tasks.iter().map(|task| task.task.as_str());
    names.zip(report.similarity.iter().enumerate().map(row)).collect()
}

fn alpha(value: f64) -> String {
    format!("{:.2}", value.clamp(0.0, 1.0) * 0.62)
}

impl<'a> SpectrumRow<'a> {
    fn new(spectrum: &'a Spectrum) -> Self {
        let (reading, class) = standing(spectrum.exponent);
        Self {
            block: &spectrum.block,
            tensor: &spectrum.tensor,
            shape: format!("{} × {}", spectrum.rows, spectrum.columns),
            exponent: spectrum.exponent.map_or_else(|| "–".into(), |exponent| number(exponent, 2)),
            tail: if spectrum.tail == 0 { "–".into() } else { count(spectrum.tail) },
            distance: spectrum.distance.map_or_else(|| "–".into(), |distance| number(distance, 3)),
            share: number((spectrum.exponent.unwrap_or(0.0) / 8.0 * 100.0).min(100.0), 1),
            reading,
            class,
        }
    }
}

/// What an exponent is said to mean.
pub(crate) fn standing(exponent: Option<f64>) -> (&'static str, &'static str) {
    match exponent {
        None => ("too few eigenvalues", "even"),
        Some(x) if x < 2.0 => ("below 2: may be overfitted", "mild"),
        Some(x) if x <= 4.0 => ("2 to 4: heavy tail", "good"),
        Some(x) if x <= 6.0 => ("4 to 6: some tail", "even"),
        Some(_) => ("above 6: hardly any tail", "mild"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::saliency::sample;

    #[test]
    fn every_task_and_matrix_stands_in_the_page_and_no_name_is_markup() {
        let page = render(&sample()).unwrap();
        for text in ["tone", "&lt;b&gt;size", "layer.0", "attention.query", "never met", "2 to 4"] {
            assert!(page.contains(text), "{text}");
        }
        assert!(!page.contains("<b>size") && page.contains("prefers-color-scheme"));
        for reference in ["http:", "https:", "src=", "@import", "url(", "<script"] {
            assert!(!page.contains(reference), "{reference}");
        }
    }

    #[test]
    fn as_many_positions_as_a_square_are_drawn_as_one() {
        let mut report = sample();
        let cell = |i| PositionCell { first: i, last: i, n: 1, evenness: 0.5 };
        report.positions = PositionMap { is_fixed: true, cells: (0..25).map(cell).collect() };
        assert_eq!(positions(&report.positions).iter().map(Vec::len).collect::<Vec<_>>(), [5; 5]);
        report.positions.is_fixed = false;
        assert_eq!(positions(&report.positions).len(), 2);
    }

    #[test]
    fn an_empty_report_is_still_a_page() {
        assert!(render(&SaliencyReport::default()).unwrap().contains("unnamed suite"));
    }
}
