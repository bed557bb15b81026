//! An inspection as lines for people.

use polytask_eval::table::{aligned, wrapped};

use super::Inspection;

/// The inspection, no line wider than `width` where that is possible.
pub fn text(inspection: &Inspection, width: usize) -> String {
    let mut lines = aligned(&models(inspection));
    if !inspection.problems.is_empty() {
        lines.push(String::new());
        lines.extend(
            inspection.problems.iter().flat_map(|problem| wrapped(&format!("problem: {problem}"), width)),
        );
    }
    let n = inspection.models.len();
    if n > 1 && !inspection.cosines.is_empty() {
        lines.push(String::new());
        lines.extend(aligned(&square(inspection, "cosine", &inspection.cosines, |v| format!("{v:.3}"))));
        lines.push(String::new());
        let percent = |v: f64| format!("{:.1} %", v * 100.0);
        lines.extend(aligned(&square(inspection, "signs apart", &inspection.sign_conflicts, percent)));
    }
    if !inspection.left.is_empty() {
        lines.push(String::new());
        lines.extend(aligned(&left(inspection)));
    }
    if !inspection.tensors.is_empty() {
        lines.push(String::new());
        lines.extend(aligned(&tensors(inspection)));
    }
    lines.push(String::new());
    lines.extend(inspection.says.iter().flat_map(|line| wrapped(line, width)));
    lines.join("\n") + "\n"
}

fn models(inspection: &Inspection) -> Vec<Vec<String>> {
    let head = ["model", "network", "then", "tasks", "values", "|added|", "of the base", "in the top fifth"];
    let known = !inspection.cosines.is_empty();
    let number = |value: f64, text: String| if known && value > 0.0 { text } else { "–".into() };
    let row = |model: &super::InspectedModel| {
        let relative = model.relative.unwrap_or(0.0);
        vec![
            model.name.clone(),
            model.architecture.clone(),
            model.modules.join(", "),
            if model.tasks.is_empty() { "–".into() } else { model.tasks.join(", ") },
            format!("{:.1} M", model.n_values as f64 / 1e6),
            number(model.length, format!("{:.4}", model.length)),
            number(relative, format!("{:.2} %", relative * 100.0)),
            number(model.energy_top, format!("{:.0} %", model.energy_top * 100.0)),
        ]
    };
    let head = head.map(str::to_owned).to_vec();
    std::iter::once(head).chain(inspection.models.iter().map(row)).collect()
}

fn names(inspection: &Inspection) -> impl Iterator<Item = String> {
    inspection.models.iter().map(|model| model.name.clone())
}

fn square(
    inspection: &Inspection,
    of: &str,
    values: &[Vec<f64>],
    shown: impl Fn(f64) -> String,
) -> Vec<Vec<String>> {
    let head = std::iter::once(of.to_owned()).chain(names(inspection)).collect();
    let row = |(i, name): (usize, String)| {
        let cell = |j: usize| if i == j { "–".to_owned() } else { shown(values[i][j]) };
        std::iter::once(name).chain((0..values.len()).map(cell)).collect()
    };
    std::iter::once(head).chain(names(inspection).enumerate().map(row)).collect()
}

fn left(inspection: &Inspection) -> Vec<Vec<String>> {
    let head = std::iter::once("left of each, moved by others".to_owned()).chain(names(inspection)).collect();
    let row = |left: &super::Left| {
        let cell = |(share, moved): (&f64, &f64)| format!("{:.0} %, {moved:.2}", share * 100.0);
        let shares = left.shares.iter().zip(&left.moved).map(cell);
        std::iter::once(left.merge.clone()).chain(shares).collect()
    };
    std::iter::once(head).chain(inspection.left.iter().map(row)).collect()
}

fn tensors(inspection: &Inspection) -> Vec<Vec<String>> {
    let head = ["conflict in", "models", "cosine", "share of length²"].map(str::to_owned).to_vec();
    let row = |tensor: &super::TensorConflict| {
        vec![
            tensor.name.clone(),
            format!("{}, {}", tensor.models.0, tensor.models.1),
            format!("{:.3}", tensor.cosine),
            format!("{:.1} %", tensor.energy * 100.0),
        ]
    };
    std::iter::once(head).chain(inspection.tensors.iter().map(row)).collect()
}
