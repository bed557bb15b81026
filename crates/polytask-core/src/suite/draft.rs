//! A table of the suite whose own keys have been read.

use super::near;
use super::reporter::Reporter;
use super::section::Section;
use super::tree::{Data, Node, shorten};
use crate::kind::{KINDS, KindInfo};

/// A task whose own keys have been read; what depends on other sections comes later.
pub(super) struct Draft<'t> {
    pub(super) section: Section<'t>,
    pub(super) name: String,
    /// `None` when it is missing or unknown, which has been reported.
    pub(super) kind: Option<&'static KindInfo>,
}

impl Draft<'_> {
    /// Whether a task reads the source of this name.
    pub(super) fn reads(&self, source: &str) -> bool {
        self.section.maybe_text("from").as_deref() == Some(source)
    }
}

/// The kind of a task.
pub(super) fn kind(section: &Section, node: &Node, reporter: &mut Reporter) -> Option<&'static KindInfo> {
    let mut names: Vec<&str> = crate::kind::KINDS.iter().map(|kind| kind.name).collect();
    names.push(crate::kind::SEGMENTATION);
    let Some(name) = section.maybe_text("kind") else {
        if node.get("kind").is_none() && matches!(node.data, Data::Table(_)) {
            let what = format!("{} has no `kind`, expected one of {}", section.label, near::list(&names));
            reporter.report(section.origin, what, "kind = \"class\"");
        }
        return None;
    };
    let found = crate::kind::find(&name);
    if found.is_none() {
        let what = format!("unknown kind `{}` of {}", shorten(&name), section.label);
        reporter.report(section.place("kind"), what, near::advice(&name, &names));
    }
    found.map(|found| of_form(section, found, reporter))
}

/// The kind that reads two texts in the form a task asks for.
fn of_form(section: &Section, kind: &'static KindInfo, reporter: &mut Reporter) -> &'static KindInfo {
    let (form, is_joined) = (section.maybe_text("form"), kind.joins_texts());
    match (form.as_deref(), kind.joined()) {
        (None, _) => kind,
        (Some("pair"), _) if is_joined => kind,
        (Some("pair"), Some(joined)) => joined,
        (Some("siamese"), _) if !is_joined => kind,
        (Some(form), _) => {
            let what =
                format!("`form` of {} is {form:?}, which the kind `{}` has not", section.label, kind.name);
            let joined = KINDS.iter().filter(|kind| kind.joined().is_some()).map(|kind| kind.name);
            let remedy = format!("remove it; \"pair\" is for {}", near::list(&joined.collect::<Vec<_>>()));
            reporter.report(section.place("form"), what, remedy);
            kind
        }
    }
}
