//! Parts chosen by name (weighting, loss, sampling): the name is known, its parameters are its own and in range.

use std::borrow::Cow;

use serde_json::Value;

use super::near;
use super::reporter::Reporter;
use super::section::Section;
use super::tree::{Data, Node};
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

/// What the plain task losses are called where a regularizer could stand.
pub static NO_REGULARIZER: MethodInfo = MethodInfo {
    id: "none",
    title: "None",
    paper: "",
    family: Family::Regularizer,
    about: "adds nothing to the task losses",
    cost: "",
    kinds: &[],
    params: &[],
};

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
    &BILINEAR,
    &CONTRASTIVE,
    &LABEL_CROSS,
    &head("linear", "A linear map.", &[]),
    &head(
        "mlp",
        "A hidden layer with ReLU, then a linear map; of two texts it reads both vectors, their distance and their product.",
        &[ParamInfo {
            name: "hidden",
            about: "Width of the hidden layer.",
            default: "50",
            range: Range::Integer { min: 1 },
        }],
    ),
    &head(
        "pooler",
        "A layer with tanh, as wide as the vector, then a linear map: the head of BERT's classifiers; on `pooling = \"cls\"` a cross-encoder of it is a folder that transformers and sentence-transformers load.",
        &[],
    ),
    &NEAREST_MEAN,
    &ZERO_SHOT,
];

/// Heads on an encoder that stays as it is, which match texts with descriptions of labels.
pub static LABEL_HEADS: &[&MethodInfo] = &[&BILINEAR, &CONTRASTIVE, &LABEL_CROSS, &NEAREST_MEAN, &ZERO_SHOT];

/// Cosine of text and description.
static ZERO_SHOT: MethodInfo =
    head("zero-shot", "Cosines of a text with the descriptions of labels; learns nothing.", &[]);

/// Cosine of text and mean of a label's texts.
static NEAREST_MEAN: MethodInfo = head(
    "nearest-mean",
    "Cosines of a text with the mean of each label's texts; the description where a label has none.",
    &[],
);

/// A matrix between texts and descriptions.
static BILINEAR: MethodInfo = head(
    "bilinear",
    "s xᵀ W d of text and description, W from the identity: the zero-shot classifier before it learns.",
    &[
        ParamInfo {
            name: "scale",
            about: "The factor s, which cosines start with.",
            default: "10.0",
            range: Range::Positive,
        },
        ParamInfo {
            name: "pull",
            about: "How strongly W is pulled towards the identity, beside rows whose losses are added up; where it is not given, the one of 16, 4, 1 and 0.25 that valid prefers, and 4 without valid.",
            default: "null",
            range: Range::Positive,
        },
    ],
);

/// A tuned encoder, and a logistic regression on it.
static CONTRASTIVE: MethodInfo = MethodInfo {
    paper: "Tunstall et al. 2022, arXiv 2209.11055",
    ..head(
        "contrastive",
        "Tunes the encoder so that texts of one label, and what it means, lie together and others apart; then a logistic regression on its vectors.",
        &[
            ParamInfo {
                name: "steps",
                about: "Steps of tuning.",
                default: "100",
                range: Range::Integer { min: 1 },
            },
            ParamInfo {
                name: "rows",
                about: "Rows of a step; each comes with another row of its label, and all pairs of them count.",
                default: "16",
                range: Range::Integer { min: 1 },
            },
            ParamInfo {
                name: "lr",
                about: "Peak learning rate of AdamW.",
                default: "5e-5",
                range: Range::Positive,
            },
        ],
    )
};

/// Cross-attention of descriptions on texts.
static LABEL_CROSS: MethodInfo = MethodInfo {
    paper: "Luo et al., LREC-COLING 2024, arXiv 2403.12468",
    ..head(
        "label-cross",
        "Descriptions of labels attend to the tokens of a text; before it learns it is its prior.",
        &[
            ParamInfo {
                name: "prior",
                about: "What scores start from, with a learned factor: `bilinear`, a matrix that was fitted on the rows before; the cosine of text and description; or nothing.",
                default: "\"bilinear\"",
                range: Range::OneOf(&["bilinear", "cosine", "none"]),
            },
            ParamInfo {
                name: "width",
                about: "Width of the head, at most that of the encoder.",
                default: "128",
                range: Range::Integer { min: 1 },
            },
            ParamInfo {
                name: "heads",
                about: "Attention heads.",
                default: "4",
                range: Range::Integer { min: 1 },
            },
            ParamInfo {
                name: "epochs",
                about: "Most passes over the rows of train.",
                default: "100",
                range: Range::Integer { min: 1 },
            },
            ParamInfo {
                name: "steps",
                about: "Most steps in all; what was learnt beyond the prior is kept only where valid is better by more than chance.",
                default: "200",
                range: Range::Integer { min: 1 },
            },
            ParamInfo {
                name: "patience",
                about: "Passes without a better loss on valid before training stops; the best one is kept.",
                default: "10",
                range: Range::Integer { min: 1 },
            },
            ParamInfo {
                name: "lr",
                about: "Learning rate of AdamW.",
                default: "1e-3",
                range: Range::Positive,
            },
            ParamInfo {
                name: "dropout",
                about: "Share of values dropped in training.",
                default: "0.1",
                range: Range::Real { min: 0.0, max: 0.9 },
            },
        ],
    )
};

/// Whether a head tunes the encoder.
pub(super) fn tunes_encoder(name: &str) -> bool {
    name == CONTRASTIVE.id
}

/// Whether a head matches texts with descriptions.
pub(super) fn is_label_head(name: &str) -> bool {
    LABEL_HEADS.iter().any(|head| head.id == name)
}

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
        let chosen = self.chosen(node, (key, default), &section.label, reporter);
        chosen.map_or_else(fallback, |(choice, info)| (choice, Some(info)))
    }

    /// The part a key names, where it is there.
    pub(super) fn maybe(&self, section: &Section, key: &str, reporter: &mut Reporter) -> Option<Choice> {
        let default = self.parts.first().map_or("", |part| part.id);
        section.has(key).then(|| self.choice(section, key, default, reporter).0)
    }

    /// The part the value of a key names (the key with an example); what is wrong is reported.
    fn chosen(
        &self,
        node: &Node,
        (key, example): (&str, &str),
        label: &str,
        reporter: &mut Reporter,
    ) -> Option<(Choice, &'static MethodInfo)> {
        let node = &*long_form(node, key, label, reporter)?;
        let named = if node.text().is_some() { Some(node) } else { node.get("name") };
        let Some((name, name_node)) = named.and_then(|node| Some((node.text()?, node))) else {
            let what = format!("`{key}` in {label} has no `name`, expected {{name = ..., parameters}}");
            reporter.report(&node.origin, what, format!("{key} = {{ name = {example:?} }}"));
            return None;
        };
        let Some(info) = self.find(name) else {
            let ids: Vec<&str> = self.parts.iter().map(|part| part.id).collect();
            let what = format!("unknown {} `{}` in {label}", self.noun, super::tree::shorten(name));
            reporter.report(&name_node.origin, what, near::advice(name, &ids));
            return None;
        };
        let given = node.entries().iter().filter(|(param, _)| param != "name");
        let checked = given.filter_map(|(param, value)| {
            Some((param.clone(), self.param(info, param, value, label, reporter)?))
        });
        Some((Choice { name: name.into(), params: checked.collect() }, info))
    }

    fn find(&self, name: &str) -> Option<&'static MethodInfo> {
        self.parts.iter().copied().find(|part| part.id == name)
    }

    /// The value of a parameter; none when it is not the part's own or out of range.
    fn param(
        &self,
        info: &MethodInfo,
        param: &str,
        value: &Node,
        label: &str,
        reporter: &mut Reporter,
    ) -> Option<Value> {
        let owner = format!("{} `{}` in {label}", self.noun, info.id);
        let Some(declared) = info.params.iter().find(|declared| declared.name == param) else {
            let names: Vec<&str> = info.params.iter().map(|declared| declared.name).collect();
            let what = format!("unknown parameter `{}` of {owner}", super::tree::shorten(param));
            let none = || format!("remove it, {} `{}` has no parameters", self.noun, info.id);
            let remedy = if names.is_empty() { none() } else { near::advice(param, &names) };
            reporter.report(&value.origin, what, remedy);
            return None;
        };
        let is_part = value.text().is_some() || !value.entries().is_empty();
        if matches!(declared.range, Range::Part) && is_part {
            return Some(
                self.chosen(value, (param, declared.default.trim_matches('"')), &owner, reporter)?
                    .0
                    .to_json(),
            );
        }
        if declared.range.contains(&value.json()) {
            return Some(value.json());
        }
        let expected = declared.range.describe();
        let what = format!("parameter `{param}` of {owner} is {}, expected {expected}", value.found());
        let remedy = match declared.default {
            "null" => String::new(),
            default => format!("the default is {default}"),
        };
        reporter.report(&value.origin, what, remedy);
        None
    }
}

/// The table a short form stands for, or the value itself; none when it cannot be read, which is reported.
fn long_form<'a>(node: &'a Node, key: &str, label: &str, reporter: &mut Reporter) -> Option<Cow<'a, Node>> {
    let Some(text) = node.text().filter(|text| text.contains('(')) else { return Some(Cow::Borrowed(node)) };
    match Choice::parse(text) {
        Ok(choice) => Some(Cow::Owned(Node::from_json(&choice.to_json(), &node.origin))),
        Err(wrong) => {
            let what = format!("`{key}` in {label} cannot be read: {}", super::tree::shorten(&wrong));
            reporter.report(&node.origin, what, format!("{key} = \"NAME(KEY=VALUE, ...)\""));
            None
        }
    }
}

/// A weighting's tables (such as the weights of `constant`) are by task: other keys are reported.
pub(super) fn check_task_keys(section: &Section, tasks: &[&str], reporter: &mut Reporter) {
    if let Some(node) = section.node("weighting") {
        check_tables(node, tasks, reporter);
    }
}

fn check_tables(weighting: &Node, tasks: &[&str], reporter: &mut Reporter) {
    for (param, value) in weighting.entries() {
        let Data::Table(entries) = &value.data else { continue };
        if value.get("name").is_some_and(|name| name.text().is_some()) {
            // Another weighting inside this one.
            check_tables(value, tasks, reporter);
            continue;
        }
        for (key, node) in entries.iter().filter(|(key, _)| !tasks.contains(&key.as_str())) {
            let key = super::tree::shorten(key);
            let what = format!("`{param}` of the weighting names `{key}`, expected names of tasks");
            reporter.report(&node.origin, what, near::advice(&key, tasks));
        }
    }
}
