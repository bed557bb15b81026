//! Parts chosen by name (weighting, loss, sampling): the name is known, its parameters are its own and in range.

use super::near;
use super::section::{Reporter, Section};
use super::written::{Data, Node};
use crate::method::{Choice, Family, MethodInfo, ParamInfo, Range};

/// What a part is called in errors, and the parts there are.
pub(super) struct Shelf<'a> {
    pub(super) noun: &'static str,
    pub(super) parts: &'a [&'static MethodInfo],
}

/// The ways to say how often each source is drawn, sorted by name.
pub static SAMPLINGS: &[&MethodInfo] = &[
    &sampling(
        "annealed",
        "By rows to a power that falls from 1 to 0.2 over training.",
        "Stickland & Murray 2019",
        &[],
    ),
    &sampling("proportional", "By number of rows.", "", &[]),
    &sampling("round-robin", "In turn.", "", &[]),
    &sampling("sqrt", "By the square root of the number of rows.", "", &[]),
    &sampling(
        "temperature",
        "By the number of rows to the power 1/t.",
        "Arivazhagan et al. 2019",
        &[ParamInfo {
            name: "t",
            about: "The temperature; 1 is proportional, larger is more even.",
            default: "5.0",
            range: Range::Positive,
        }],
    ),
    &sampling("uniform", "Equally.", "", &[]),
];

const fn sampling(
    id: &'static str,
    about: &'static str,
    paper: &'static str,
    params: &'static [ParamInfo],
) -> MethodInfo {
    MethodInfo { id, title: id, paper, family: Family::Sampling, about, cost: "", kinds: &[], params }
}

/// The heads a task with labels or numbers may choose, sorted by name.
pub static HEADS: &[&MethodInfo] = &[
    &head("linear", "A linear map.", &[]),
    &head(
        "mlp",
        "A hidden layer with ReLU, then a linear map.",
        &[ParamInfo {
            name: "hidden",
            about: "Width of the hidden layer.",
            default: "50",
            range: Range::Integer { min: 1 },
        }],
    ),
];

const fn head(id: &'static str, about: &'static str, params: &'static [ParamInfo]) -> MethodInfo {
    MethodInfo { id, title: id, paper: "", family: Family::Head, about, cost: "", kinds: &[], params }
}

impl Shelf<'_> {
    /// The part a key names, and what is known about it; `default` when the key is absent or names none.
    pub(super) fn choice(
        &self,
        section: &Section,
        key: &str,
        default: &str,
        reporter: &mut Reporter,
    ) -> (Choice, Option<&'static MethodInfo>) {
        let fallback = || (Choice::named(default), self.find(default));
        let Some(node) = section.node(key) else { return fallback() };
        let named = if node.text().is_some() { Some(node) } else { node.get("name") };
        let Some((name, name_node)) = named.and_then(|node| Some((node.text()?, node))) else {
            let what =
                format!("`{key}` in {} has no `name`, expected {{name = ..., parameters}}", section.label);
            reporter.report(&node.origin, what, format!("{key} = {{ name = {default:?} }}"));
            return fallback();
        };
        let Some(info) = self.find(name) else {
            let ids: Vec<&str> = self.parts.iter().map(|part| part.id).collect();
            let what =
                format!("unknown {} `{}` in {}", self.noun, super::written::shorten(name), section.label);
            reporter.report(&name_node.origin, what, near::advice(name, &ids));
            return fallback();
        };
        let given = node.entries().iter().filter(|(param, _)| param != "name");
        let checked = given.filter(|(param, value)| self.takes(info, param, value, &section.label, reporter));
        let params = checked.map(|(param, value)| (param.clone(), value.json())).collect();
        (Choice { name: name.into(), params }, Some(info))
    }

    fn find(&self, name: &str) -> Option<&'static MethodInfo> {
        self.parts.iter().copied().find(|part| part.id == name)
    }

    /// Whether a parameter is the part's own and its value in range.
    fn takes(
        &self,
        info: &MethodInfo,
        param: &str,
        value: &Node,
        label: &str,
        reporter: &mut Reporter,
    ) -> bool {
        let owner = format!("{} `{}` in {label}", self.noun, info.id);
        let Some(declared) = info.params.iter().find(|declared| declared.name == param) else {
            let names: Vec<&str> = info.params.iter().map(|declared| declared.name).collect();
            let what = format!("unknown parameter `{}` of {owner}", super::written::shorten(param));
            let none = || format!("remove it, {} `{}` has no parameters", self.noun, info.id);
            let remedy = if names.is_empty() { none() } else { near::advice(param, &names) };
            reporter.report(&value.origin, what, remedy);
            return false;
        };
        if declared.range.contains(&value.json()) {
            return true;
        }
        let expected = declared.range.describe();
        let what = format!("parameter `{param}` of {owner} is {}, expected {expected}", value.found());
        let remedy = match declared.default {
            "null" => String::new(),
            default => format!("the default is {default}"),
        };
        reporter.report(&value.origin, what, remedy);
        false
    }
}

/// A weighting's tables (such as the weights of `constant`) are by task: other keys are reported.
pub(super) fn check_task_keys(section: &Section, tasks: &[&str], reporter: &mut Reporter) {
    for (param, value) in section.node("weighting").map_or(&[][..], Node::entries) {
        let Data::Table(entries) = &value.data else { continue };
        for (key, node) in entries.iter().filter(|(key, _)| !tasks.contains(&key.as_str())) {
            let key = super::written::shorten(key);
            let what = format!("`{param}` of the weighting names `{key}`, expected names of tasks");
            reporter.report(&node.origin, what, near::advice(&key, tasks));
        }
    }
}
