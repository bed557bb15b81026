//! Node sets: named texts of a file that several tasks rank, or ask for.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::draft::Draft;
use super::files;
use super::near;
use super::reporter::Reporter;
use super::section::Section;
use super::tree::shorten;
use crate::kind::KindInfo;

/// A `[[nodes]]`: texts with ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeSpec {
    /// Its name.
    pub name: String,
    /// The file, relative to the suite's folder.
    pub file: PathBuf,
    /// Column of the id; the usual names are tried where it is not given.
    pub id: Option<String>,
    /// How a text is made of columns: `{title}: {description}`; title and text where it is not given.
    pub text: Option<String>,
    /// Line of the suite file where it is declared, for later errors.
    #[serde(skip)]
    pub line: usize,
}

/// Reads a declared node set.
pub(super) fn read(draft: &Draft, base: &Path, reporter: &mut Reporter) -> NodeSpec {
    let section = &draft.section;
    let file = section.path("file");
    match &file {
        None => {
            let what = format!("{} has no `file`, expected the file of its texts", section.label);
            reporter.report(section.origin, what, "file = \"nodes.tsv\"");
        }
        Some(path) => files::expect_file(section, base, path, reporter),
    }
    let text = section.maybe_text("text");
    if let Some(template) =
        text.as_deref().filter(|template| columns(template).is_none_or(|found| found.is_empty()))
    {
        let what =
            format!("`text` in {} is `{}`, expected columns in braces", section.label, shorten(template));
        reporter.report(section.place("text"), what, "text = \"{title}: {description}\"");
    }
    NodeSpec {
        name: draft.name.clone(),
        file: file.unwrap_or_default(),
        id: section.maybe_text("id"),
        text,
        line: section.origin.line(),
    }
}

/// Reports node sets that no ranking names, and a column that is said twice.
pub(super) fn unused(nodes: &[NodeSpec], readers: &[&Section], reporter: &mut Reporter) {
    for spec in nodes.iter().filter(|spec| !spec.name.is_empty()) {
        let names = |section: &&&Section| {
            ["left", "right"].iter().any(|key| section.maybe_text(key).as_deref() == Some(spec.name.as_str()))
        };
        if readers.iter().find(names).is_none() {
            let what = format!("no task names the node set `{}`", shorten(&spec.name));
            let line = super::tree::Origin::Line(spec.line);
            reporter.report(
                &line,
                what,
                format!("right = {:?} in a task of kind `ranking`, or remove it", spec.name),
            );
        }
    }
}

/// The columns that a template names; none where its braces do not close.
pub fn columns(template: &str) -> Option<Vec<&str>> {
    let mut rest = template;
    let mut found = Vec::new();
    while let Some((_, after)) = rest.split_once('{') {
        let (name, later) = after.split_once('}')?;
        found.push(name.trim());
        rest = later;
    }
    Some(found)
}

/// Checks `left` and `right` of a source: only rankings have them, and `right` is a node set.
pub(super) fn sides(section: &Section, kinds: &[&KindInfo], nodes: &[NodeSpec], reporter: &mut Reporter) {
    if kinds.iter().any(|kind| kind.ranks_nodes()) {
        check_right(section, nodes, reporter);
        for key in ["corpus", "queries", "qrels"].into_iter().filter(|key| section.has(key)) {
            let what = format!(
                "`{key}` in {} is for the kind `retrieval`: a ranking names its texts by `right`",
                section.label
            );
            reporter.report(section.place(key), what, "remove it, or kind = \"retrieval\"");
        }
    } else if let Some(kind) = kinds.first() {
        for key in ["left", "right"].into_iter().filter(|key| section.has(key)) {
            let what =
                format!("`{key}` in {} is for the kind `ranking`, found `{}`", section.label, kind.name);
            reporter.report(section.place(key), what, "kind = \"ranking\", or remove it");
        }
    }
}

/// Reports a `right` that is no node set.
fn check_right(section: &Section, nodes: &[NodeSpec], reporter: &mut Reporter) {
    let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    let Some(right) = section.maybe_text("right") else {
        let what = format!("{} has no `right`, expected the node set that it ranks", section.label);
        let remedy = names.first().map_or_else(
            || "a [[nodes]] with `name` and `file`, and `right` with that name".to_owned(),
            |name| format!("right = {name:?}"),
        );
        return reporter.report(section.origin, what, remedy);
    };
    if names.contains(&right.as_str()) {
        return;
    }
    let what = format!("`right` in {} is `{}`, which is no [[nodes]]", section.label, shorten(&right));
    let remedy =
        if names.is_empty() { "a [[nodes]] of this name".to_owned() } else { near::advice(&right, &names) };
    reporter.report(section.place("right"), what, remedy);
}

#[cfg(test)]
mod tests {
    use super::columns;

    #[test]
    fn a_template_names_its_columns() {
        assert_eq!(columns("{title}: { description }"), Some(vec!["title", "description"]));
        assert_eq!(columns("plain"), Some(vec![]));
        assert_eq!(columns("{open"), None);
    }
}
