//! How vectors lie, as a table for a terminal.

use polytask_core::report::{Geometry, TaskGeometry};

use crate::table::{aligned, fitting, wrapped};

/// What the columns mean.
const LEGEND: &str = "mean cosine: of two texts, near 1 all lie in a narrow cone. uniformity: lower is more even. \
                      alignment: squared distance of texts that belong together, lower is closer. effective rank: how \
                      many directions are used.";

/// A line per task and model, and what its columns mean; lines of at most `width` columns where that is possible.
pub fn geometry_table(tasks: &[TaskGeometry], names: &[String], width: usize) -> String {
    let layouts = [rows(tasks, names, true), rows(tasks, names, false)];
    let narrow = aligned(&layouts[1]);
    let mut lines = fitting(layouts, width).unwrap_or(narrow);
    lines.push(String::new());
    lines.extend(wrapped(LEGEND, width));
    lines.join("\n") + "\n"
}

fn rows(tasks: &[TaskGeometry], names: &[String], is_wide: bool) -> Vec<Vec<String>> {
    let mut head = vec!["task", "model", "mean cosine", "uniformity", "alignment", "effective rank"];
    head.extend(if is_wide { &["rank", "condition", "texts"][..] } else { &[] });
    let mut rows = vec![head.into_iter().map(str::to_owned).collect()];
    for task in tasks {
        for (side, name) in task.sides.iter().zip(names) {
            rows.push([vec![task.task.clone(), name.clone()], values(side, is_wide)].concat());
        }
    }
    rows
}

fn values(side: &Geometry, is_wide: bool) -> Vec<String> {
    let real = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"));
    let mut cells = vec![
        real(Some(side.mean_cosine)),
        real(Some(side.uniformity)),
        real(side.alignment),
        format!("{:.1}", side.effective_rank),
    ];
    if is_wide {
        let condition = side.condition.map_or_else(|| "–".to_owned(), |value| format!("{value:.1}"));
        cells.extend([side.rank.to_string(), condition, side.texts.to_string()]);
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_of_every_task_has_a_line_and_unknown_values_a_dash() {
        let side = Geometry {
            texts: 12,
            mean_cosine: 0.25,
            uniformity: -3.5,
            alignment: None,
            rank: 8,
            entropy: 1.0,
            effective_rank: 2.5,
            condition: None,
        };
        let tasks = [TaskGeometry { task: "find".into(), sides: vec![side.clone(), side] }];
        let names = ["new".to_owned(), "old".to_owned()];
        let table = geometry_table(&tasks, &names, 120);
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[2].starts_with("find  new") && lines[3].starts_with("find  old"), "{table}");
        assert!(
            lines[2].contains("0.250") && lines[2].contains('–') && table.contains("condition"),
            "{table}"
        );
        assert!(!geometry_table(&tasks, &names, 80).contains("condition"));
    }
}
