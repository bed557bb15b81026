//! The report of a run as one HTML file: no script, no font, no image from elsewhere.
//!
//! This module turns a [`RunReport`] into a page of ready-made words and coordinates; `report.html` holds all
//! markup and escapes every text.

mod chart;
mod data;
mod page;
pub mod saliency;

use std::path::Path;

use minijinja::Environment;
use minijinja::value::Serde;
use polytask_core::report::RunReport;
use polytask_core::{Error, Result, atomic};

/// The report as a self-contained HTML page.
pub fn render(report: &RunReport) -> Result<String> {
    let bug = |e: minijinja::Error| Error::Bug(format!("report template: {e:#}"));
    let mut environment = Environment::new();
    // The name's ending switches HTML escaping on.
    environment.add_template("report.html", include_str!("report.html")).map_err(bug)?;
    let template = environment.get_template("report.html").map_err(bug)?;
    template.render(Serde(page::Page::new(report))).map_err(bug)
}

/// The look of every page: the report's style sheet.
fn style() -> &'static str {
    let report = include_str!("report.html");
    report
        .split_once("<style>")
        .and_then(|(_, rest)| rest.split_once("</style>"))
        .map_or("", |(style, _)| style)
}

/// Writes the page to `path`.
pub fn write(report: &RunReport, path: &Path) -> Result<()> {
    atomic::write(path, render(report)?.as_bytes())
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
}
