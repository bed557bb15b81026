//! Checks of the keys that say what the labels of a task are: `labels` and `separator`.

use super::draft::Draft;
use super::keys::Table;
use super::reporter::Reporter;
use super::section::Section;
use super::tree::shorten;
use crate::kind::KindInfo;
use crate::target::TargetType;

/// Texts without the white space around them, as labels of data are read.
pub(super) fn trimmed(section: &Section, key: &str) -> Vec<String> {
    section.texts(key).iter().map(|text| text.trim().to_owned()).collect()
}

/// A separator is for cells of several labels, and separates something.
pub(super) fn separator(draft: &Draft, kind: &KindInfo, reporter: &mut Reporter) {
    let section = &draft.section;
    let (origin, label) = (section.place("separator"), &section.label);
    if !section.has("separator") {
        return;
    }
    if section.text("separator").is_empty() {
        reporter.report(origin, format!("`separator` in {label} is empty"), "separator = \";\"");
    } else if kind.target_type() != TargetType::Labels && section.text("separator") != "|" {
        let what = format!("`separator` in {label}: a row has one target in the kind `{}`", kind.name);
        reporter.report(origin, what, "kind = \"multilabel\", or remove it");
    }
}

/// A range is one of scores.
pub(super) fn range(draft: &Draft, kind: &KindInfo, reporter: &mut Reporter) {
    let section = &draft.section;
    if section.has("range") && !kind.form.has_range() {
        let what =
            format!("`range` in {} is for scores of two texts, found kind `{}`", section.label, kind.name);
        reporter.report(section.place("range"), what, "remove it");
    }
}

/// Passages that are a query itself are kept where passages are ranked.
pub(super) fn identical(draft: &Draft, kind: &KindInfo, reporter: &mut Reporter) {
    let section = &draft.section;
    if kind.answers_rows() && section.text("identical") != "ignore" {
        let what =
            format!("`identical` in {} is for the kind `retrieval`, found `{}`", section.label, kind.name);
        reporter.report(section.place("identical"), what, "remove it");
    }
}

/// A label set is for kinds with labels, and has something to choose between.
pub(super) fn labels(draft: &Draft, kind: &KindInfo, given: Option<&[String]>, reporter: &mut Reporter) {
    let Some(given) = given else { return };
    let (origin, label) = (draft.section.place("labels"), &draft.section.label);
    let Some(least) = kind.form.least_labels() else {
        let what = format!("`labels` in {label}: the kind `{}` has no labels", kind.name);
        return reporter.report(origin, what, "remove it");
    };
    for (i, name) in given.iter().enumerate() {
        let what = match name.as_str() {
            "" => format!("`labels` in {label} has an empty label, which in data means unknown"),
            _ if given[..i].contains(name) => format!("`labels` in {label} names `{}` twice", shorten(name)),
            _ => continue,
        };
        reporter.report(origin, what, "remove it");
    }
    let n = given.len();
    if n < least {
        reporter.report(
            origin,
            format!("`labels` in {label} has {}, expected at least {least}", crate::plural(n, "label")),
            "every label of the task",
        );
    }
}

/// Cells of rows that mean unknown. A number that marks unknown targets of one task may well be a number elsewhere in
/// its rows; a word is a word.
pub(super) fn missing_of_rows(section: &Section) -> Vec<String> {
    let words = trimmed(section, "missing");
    let is_of_rows = |word: &String| section.table() == Table::Source || word.parse::<f64>().is_err();
    words.into_iter().filter(is_of_rows).collect()
}
