//! The saliency report as the command line prints it.

use polytask_core::saliency::{SaliencyReport, Spectrum};

use crate::html::saliency::standing;
use crate::table::{aligned, shortened, wrapped};
use crate::words::{count, number, plain};

/// The tables and the lines below them; sentences are at most `width` columns wide.
pub fn text(report: &SaliencyReport, width: usize) -> String {
    let mut lines = aligned(&tasks(report));
    let mut section = |title: &str, rows: Vec<Vec<String>>| {
        lines.push(String::new());
        lines.extend(wrapped(title, width));
        lines.extend(aligned(&rows));
    };
    if !report.positions.cells.is_empty() {
        section("Evenness by position (0 = one task, 1 = all tasks alike)", positions(report));
    }
    if report.tasks.len() > 1 && report.shared > 0 {
        section("Similarity of two tasks' saliencies at the same samples", similarity(report));
    }
    if !report.spectra.is_empty() {
        section(
            "Power-law exponents of the weights, mean by block (2 to 4 in well-trained networks)",
            spectra(report),
        );
    }
    lines.push(String::new());
    lines.extend(summary(report).iter().flat_map(|line| wrapped(line, width)));
    lines.join("\n") + "\n"
}

fn row(cells: impl IntoIterator<Item = String>) -> Vec<String> {
    cells.into_iter().collect()
}

fn head(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

fn tasks(report: &SaliencyReport) -> Vec<Vec<String>> {
    let of_task = |task: &polytask_core::saliency::TaskSaliency| {
        let size = task.size.map_or_else(|| "–".into(), |size| format!("{size:.3e}"));
        row([shortened(&plain(&task.task)), count(task.samples), size])
    };
    [head(&["task", "samples", "mean |S|"])].into_iter().chain(report.tasks.iter().map(of_task)).collect()
}

fn positions(report: &SaliencyReport) -> Vec<Vec<String>> {
    let cells = &report.positions.cells;
    let range = |(first, last): (usize, usize)| {
        if first == last { first.to_string() } else { format!("{first}–{last}") }
    };
    let of_cell = |cell: &polytask_core::saliency::PositionCell| {
        row([range((cell.first, cell.last)), count(cell.n), number(cell.evenness, 3)])
    };
    [head(&["positions", "n", "evenness"])].into_iter().chain(cells.iter().map(of_cell)).collect()
}

fn similarity(report: &SaliencyReport) -> Vec<Vec<String>> {
    let names: Vec<String> = report.tasks.iter().map(|task| shortened(&plain(&task.task))).collect();
    let cell = |value: &Option<f64>| value.map_or_else(|| "–".into(), |value| number(value, 2));
    let of_task = |(name, values): (&String, &Vec<Option<f64>>)| {
        row([name.clone()].into_iter().chain(values.iter().map(cell)))
    };
    let first = row([String::new()].into_iter().chain(names.iter().cloned()));
    [first].into_iter().chain(names.iter().zip(&report.similarity).map(of_task)).collect()
}

/// Mean exponent of each block's matrices.
fn spectra(report: &SaliencyReport) -> Vec<Vec<String>> {
    let blocks = report.spectra.chunk_by(|a, b| a.block == b.block);
    let of_block = |block: &[Spectrum]| {
        let known: Vec<f64> = block.iter().filter_map(|spectrum| spectrum.exponent).collect();
        let mean = (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64);
        let shown = mean.map_or_else(|| "–".into(), |mean| number(mean, 2));
        row([plain(&block[0].block), block.len().to_string(), shown, standing(mean).0.into()])
    };
    [head(&["block", "matrices", "exponent", "reading"])].into_iter().chain(blocks.map(of_block)).collect()
}

fn summary(report: &SaliencyReport) -> Vec<String> {
    let losses = if report.log_losses { "log losses" } else { "losses" };
    let mut lines = vec![format!(
        "{} samples of {} ({} of several tasks); entropies of {losses}, {} channel mean.",
        count(report.samples),
        report.split,
        count(report.shared),
        report.channel_mean
    )];
    if let (Some(entropy), Some(evenness)) = (report.entropy, report.evenness) {
        lines.push(format!(
            "Entropy {} nats a position, evenness {}.",
            number(entropy, 3),
            number(evenness, 3)
        ));
    }
    lines.extend(report.notes.iter().map(|note| format!("note: {}", plain(note))));
    lines
}

/// A report for tests.
#[cfg(test)]
pub(crate) fn sample() -> SaliencyReport {
    use polytask_core::saliency::{PositionCell, PositionMap, TaskSaliency};
    let task = |name: &str, size, samples| TaskSaliency { task: name.into(), size, samples };
    let cell = |first, last, evenness| PositionCell { first, last, n: 40, evenness };
    let spectrum = |tensor: &str, exponent| Spectrum {
        block: "layer.0".into(),
        tensor: tensor.into(),
        rows: 64,
        columns: 64,
        exponent,
        tail: 20,
        distance: exponent.map(|_| 0.05),
    };
    SaliencyReport {
        version: 1,
        name: "notes".into(),
        trained: true,
        split: "valid".into(),
        samples: 1200,
        shared: 800,
        log_losses: true,
        channel_mean: "signed".into(),
        tasks: vec![task("tone", Some(3e-4), 1200), task("<b>size", Some(2e-5), 800), task("far", None, 0)],
        entropy: Some(0.41),
        evenness: Some(0.592),
        positions: PositionMap {
            is_fixed: false,
            cells: vec![cell(0, 0, 0.9), cell(1, 1, 0.5), cell(2, 3, 0.1)],
        },
        similarity: vec![
            vec![Some(1.0), Some(0.4), None],
            vec![Some(0.4), Some(1.0), None],
            vec![None, None, None],
        ],
        spectra: vec![spectrum("attention.query", Some(2.9)), spectrum("attention.key", None)],
        notes: vec!["a note".into()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_holds_every_table_and_number() {
        let text = text(&sample(), 100);
        for part in
            ["tone", "3.000e-4", "2–3", "0.592", "0.40", "2.90", "2 to 4", "note: a note", "800 of several"]
        {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn tables_without_content_are_left_out() {
        let text = text(&SaliencyReport::default(), 80);
        assert!(text.contains("mean |S|") && !text.contains("Evenness") && !text.contains("Similarity"));
    }
}
