//! The report of a run as one HTML file: no script, no font, no image from elsewhere.
//!
//! This module turns a [`RunReport`] (or a [`Conflict`]) into a page of ready-made words and coordinates; the
//! templates hold all markup and escape every text.

mod chart;
mod conflict;
mod data;
mod labels;
mod page;
pub mod saliency;
mod trees;

use std::path::Path;

use minijinja::Environment;
use minijinja::value::Serde;
use polytask_core::report::RunReport;
use polytask_core::{Error, Result, atomic, printable};
use serde::Serialize;

use crate::conflict::Conflict;

/// The pages and what they share; a name's ending in `html` switches escaping on.
const TEMPLATES: [(&str, &str); 5] = [
    ("report.html", include_str!("report.html")),
    ("conflict.html", include_str!("conflict.html")),
    ("saliency.html", include_str!("saliency.html")),
    ("chart.html", include_str!("chart.html")),
    ("style.css", include_str!("style.css")),
];

/// The report as a self-contained HTML page.
pub fn render(report: &RunReport) -> Result<String> {
    fill("report.html", Serde(page::Page::new(report)))
}

/// Findings about conflict as a self-contained HTML page.
pub fn render_conflict(conflict: &Conflict) -> Result<String> {
    fill("conflict.html", Serde(conflict::Page::new(conflict)))
}

/// Writes the report's page to `path`.
pub fn write(report: &RunReport, path: &Path) -> Result<()> {
    atomic::write(path, render(report)?.as_bytes())
}

/// Writes the page of findings to `path`.
pub fn write_conflict(conflict: &Conflict, path: &Path) -> Result<()> {
    atomic::write(path, render_conflict(conflict)?.as_bytes())
}

fn fill<T: Serialize>(name: &str, page: Serde<T>) -> Result<String> {
    let bug = |e: minijinja::Error| Error::Bug(format!("template {name}: {e:#}"));
    let mut environment = Environment::new();
    for (name, text) in TEMPLATES {
        environment.add_template(name, text).map_err(bug)?;
    }
    let page = environment.get_template(name).map_err(bug)?.render(page).map_err(bug)?;
    // Of the whole page: its own markup holds nothing that is not shown.
    Ok(printable(&page).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::report;

    #[test]
    fn every_task_stands_in_the_page_and_no_name_is_markup() {
        let page = render(&report()).unwrap();
        for task in ["sts", "entail", "intent", "search", "情绪", "&lt;script&gt;alert(1)&lt;"] {
            assert!(page.contains(task), "{task}");
        }
        assert!(!page.contains("<script") && !page.contains("I-<b>"));
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        let page = render(&report()).unwrap();
        for reference in ["http:", "https:", "src=", "href=\"//", "@import", "url("] {
            assert!(!page.contains(reference), "{reference}");
        }
        assert!(page.contains("prefers-color-scheme") && page.contains("viewBox"));
    }

    #[test]
    fn the_page_says_what_regressed_and_what_was_isolated() {
        let page = render(&report()).unwrap();
        assert!(page.contains("regressed: intent by 2.1 points"));
        assert!(page.contains("loss is NaN on rows 17, 240"));
        assert!(page.contains("214"));
    }

    #[test]
    fn what_was_not_trained_has_no_legend_and_columns_are_headed_by_their_names() {
        let mut run = report();
        let legend = "</svg>single-task model";
        assert!(render(&run).unwrap().contains(legend));
        run.single_losses.clear();
        for task in &mut run.tasks {
            task.others.iter_mut().for_each(|other| other.learner = "bm25".into());
        }
        let page = render(&run).unwrap();
        assert!(!page.contains(legend) && page.contains(">BM25</th>"));
    }

    #[test]
    fn an_empty_or_undefined_run_is_still_a_page() {
        assert!(render(&RunReport::default()).unwrap().contains("One model for 0 tasks"));
        let mut undefined = report();
        for task in &mut undefined.tasks {
            task.joint[0].interval.value = f64::NAN;
            task.delta.as_mut().unwrap().value = f64::NAN;
        }
        undefined.losses.values_mut().flatten().for_each(|point| point.value = f64::NAN);
        undefined.conflict.cosine.clear();
        let page = render(&undefined).unwrap();
        assert!(!page.contains("NaN\"") && !page.contains(">NaN"));
    }

    #[test]
    fn the_page_of_conflict_needs_nothing_from_elsewhere_and_no_name_is_markup() {
        let mut found = crate::conflict::conflict(&report(), None).unwrap();
        crate::conflict::verify(&mut found, &report().tasks);
        let page = render_conflict(&found).unwrap();
        for part in [
            "search hurts intent",
            "Affinity",
            "The suggestion, trained",
            "情绪",
            "&lt;script&gt;",
            "viewBox",
        ] {
            assert!(page.contains(part), "{part}");
        }
        for reference in ["http:", "https:", "src=", "url(", "<script", "NaN"] {
            assert!(!page.contains(reference), "{reference}");
        }
        assert!(render_conflict(&crate::conflict::Conflict::default()).unwrap().contains("unnamed suite"));
    }
}
