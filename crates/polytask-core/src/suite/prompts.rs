//! `prompts`: words before the texts of a role.

use std::collections::BTreeMap;

use super::near;
use super::reporter::Reporter;
use super::section::Section;
use super::tree::{Node, shorten};
use crate::kind::KindInfo;

/// The prompts of a source, by role; roles that none of its kinds has are reported.
pub(super) fn read(
    section: &Section,
    kinds: &[&KindInfo],
    reporter: &mut Reporter,
) -> BTreeMap<String, String> {
    let entries = section.node("prompts").map_or(&[][..], Node::entries);
    let mut roles: Vec<&str> = kinds.iter().flat_map(|kind| kind.prompt_roles()).collect();
    roles.sort_unstable();
    roles.dedup();
    if let Some(kind) = kinds.iter().find(|kind| kind.prompt_roles().is_empty() && !entries.is_empty()) {
        let what = format!("`prompts` in {}, but kind `{}` reads no running text", section.label, kind.name);
        reporter.report(section.place("prompts"), what, "remove it");
        return BTreeMap::new();
    }
    // Tasks of a source read the same texts: which prompt stands before one that two tasks call differently is not said.
    if let (Some((_, first)), [kind, others @ ..]) = (entries.first(), kinds)
        && let Some(other) = others.iter().find(|other| other.inputs != kind.inputs)
    {
        let what = format!(
            "`prompts` in {}, whose tasks call its texts {} and {}",
            section.label,
            near::list(kind.inputs),
            near::list(other.inputs)
        );
        reporter.report(&first.origin, what, "a source of its own for each");
        return BTreeMap::new();
    }
    for (role, node) in
        entries.iter().filter(|(role, _)| !kinds.is_empty() && !roles.contains(&role.as_str()))
    {
        let what = format!("unknown role `{}` in prompts of {}", shorten(role), section.label);
        reporter.report(&node.origin, what, near::advice(role, &roles));
    }
    let pair = |(role, node): &(String, Node)| Some((role.clone(), node.text()?.to_owned()));
    entries.iter().filter_map(pair).collect()
}
