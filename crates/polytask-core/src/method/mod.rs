//! What a named part (loss, weighting, aggregator, metric) tells about itself.
//!
//! One description serves the suite check (nearest name, range, default), the help text, the generated
//! tables and the model card; nothing about a part is written twice.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

use crate::error::Problem;
use crate::near;

mod short;

/// What kind of part it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// A per-task loss.
    Loss,
    /// Weights of the task losses, from their values or from looking ahead.
    LossWeighting,
    /// Task weights from the Gramian of the task gradients.
    GramianWeighting,
    /// A direction from the Jacobian (the rows themselves).
    Aggregator,
    /// A score of predictions.
    Metric,
    /// How often each source is drawn.
    Sampling,
    /// What turns a vector into a task's outputs.
    Head,
    /// A term added to the task losses.
    Regularizer,
    /// How tasks share the network.
    Sharing,
    /// What a run is compared with.
    Learner,
    /// What of the encoder is trained.
    Tune,
    /// What lies between a student and its teacher.
    Distil,
    /// How well two texts fit.
    Score,
    /// How models become one.
    Merge,
    /// Boosted trees in the place of a network.
    Trees,
    /// What boosted trees learn of a target.
    Objective,
    /// How rows are made of documents.
    Documents,
}

/// A named part as it presents itself.
#[derive(Debug, Clone, Serialize)]
pub struct MethodInfo {
    /// The name in suite files: lower case, words joined by hyphens.
    pub id: &'static str,
    /// The name in prose.
    pub title: &'static str,
    /// Authors, venue, year; empty for common knowledge.
    pub paper: &'static str,
    /// Which table it stands in.
    pub family: Family,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// What it costs compared with the plain step; empty when nothing worth saying.
    pub cost: &'static str,
    /// Kinds it fits beside those that list it themselves (losses and metrics): a new part needs no edit there.
    pub kinds: &'static [&'static str],
    /// Its parameters.
    pub params: &'static [ParamInfo],
}

impl MethodInfo {
    /// Parameters a user gave that are not this part's or lie outside their range; `noun` is what such a part is
    /// called (`loss`, `weighting`).
    pub fn wrong_params(&self, noun: &str, choice: &Choice) -> Vec<Problem> {
        let wrong = |(name, value): (&String, &Value)| match self.params.iter().find(|p| p.name == name) {
            None => Some(self.unknown_param(noun, name)),
            Some(param) if param.range.contains(value) => None,
            Some(param) => {
                let (id, expected) = (self.id, param.range.describe());
                let what = format!("parameter `{name}` of {noun} `{id}` is {value}, expected {expected}");
                Some(Problem::new(what).try_this(format!("the default, {}", param.default)))
            }
        };
        choice.params.iter().filter_map(wrong).collect()
    }

    fn unknown_param(&self, noun: &str, name: &str) -> Problem {
        let names: Vec<&str> = self.params.iter().map(|param| param.name).collect();
        let what = format!("unknown parameter `{name}` of {noun} `{}`", self.id);
        if names.is_empty() {
            return Problem::new(what).try_this(format!("remove it, {noun} `{}` has no parameters", self.id));
        }
        Problem::new(what).try_this(near::advice(name, &names))
    }
}

/// A parameter of a named part.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ParamInfo {
    /// The key in the suite file.
    pub name: &'static str,
    /// What it does, in a sentence, with its unit.
    pub about: &'static str,
    /// The default as JSON; `null` when it must be given or is found out.
    pub default: &'static str,
    /// The values it takes.
    pub range: Range,
}

/// The values a parameter takes.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Range {
    /// A real from `min` to `max`, both included.
    Real {
        /// Smallest.
        min: f64,
        /// Largest.
        max: f64,
    },
    /// A real above 0.
    Positive,
    /// A whole number of at least `min`.
    Integer {
        /// Smallest.
        min: i64,
    },
    /// `true` or `false`.
    Bool,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A text.
    Text,
    /// A table from names (tasks, labels) to reals of at least 0, or one of these words.
    Map(&'static [&'static str]),
    /// Another part of the same kind: its name, or a table of `name` and parameters.
    Part,
}

impl Range {
    /// Whether `value` lies in the range.
    pub fn contains(&self, value: &Value) -> bool {
        match self {
            Self::Real { min, max } => value.as_f64().is_some_and(|x| (*min..=*max).contains(&x)),
            Self::Positive => value.as_f64().is_some_and(|x| x > 0.0 && x.is_finite()),
            Self::Integer { min } => value.as_i64().is_some_and(|x| x >= *min),
            Self::Bool => value.is_boolean(),
            Self::OneOf(words) => value.as_str().is_some_and(|word| words.contains(&word)),
            Self::Text => value.as_str().is_some_and(|text| !text.is_empty()),
            Self::Map(words) => match value {
                Value::String(word) => words.contains(&word.as_str()),
                Value::Object(map) => map.values().all(|v| v.as_f64().is_some_and(|x| x >= 0.0)),
                _ => false,
            },
            Self::Part => Choice::from_json(value).is_some(),
        }
    }

    /// The range in words, for errors and help.
    pub fn describe(&self) -> String {
        match self {
            Self::Real { min, max } if max.is_finite() => format!("a number from {min} to {max}"),
            Self::Real { min, .. } => format!("a number of at least {min}"),
            Self::Positive => "a number above 0".into(),
            Self::Integer { min } => format!("a whole number of at least {min}"),
            Self::Bool => "true or false".into(),
            Self::OneOf(words) => format!("one of {}", words.join(", ")),
            Self::Text => "a text".into(),
            Self::Map([]) => "a table of numbers of at least 0".into(),
            Self::Map(words) => format!("{} or a table of numbers of at least 0", words.join(", ")),
            Self::Part => "a name or a table of `name` and parameters".into(),
        }
    }
}

/// A part chosen by name, with the parameters the user gave; defaults are the part's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The part's id.
    pub name: String,
    /// Parameters given; absent ones take their default.
    #[serde(flatten)]
    pub params: BTreeMap<String, Value>,
}

impl Choice {
    /// A part with all parameters at their defaults.
    pub fn named(name: &str) -> Self {
        Self { name: name.into(), params: BTreeMap::new() }
    }

    /// A part as a parameter of another: a text (its name or its short form) or a table with `name`.
    pub fn from_json(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::parse(text).ok(),
            Value::Object(_) => serde_json::from_value(value.clone()).ok(),
            _ => None,
        }
    }

    /// The value of a parameter: the one given, else the default `info` declares (`Null` when it has none).
    pub fn param(&self, info: &MethodInfo, name: &str) -> Value {
        let default = || {
            let declared = info.params.iter().find(|p| p.name == name).map_or("null", |p| p.default);
            serde_json::from_str(declared).unwrap_or(Value::Null)
        };
        self.params.get(name).cloned().unwrap_or_else(default)
    }

    /// A real parameter; NaN when it is not a number (the suite check has refused that before).
    pub fn real(&self, info: &MethodInfo, name: &str) -> f64 {
        self.param(info, name).as_f64().unwrap_or(f64::NAN)
    }

    /// A whole number; 0 when it is none (the suite check has refused that before).
    pub fn count(&self, info: &MethodInfo, name: &str) -> usize {
        self.param(info, name).as_u64().unwrap_or(0) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_parameter_wins_over_the_default() {
        const INFO: MethodInfo = MethodInfo {
            id: "x",
            title: "X",
            paper: "",
            family: Family::Loss,
            about: "",
            cost: "",
            kinds: &[],
            params: &[ParamInfo { name: "scale", about: "", default: "20.0", range: Range::Positive }],
        };
        let mut choice = Choice::named("x");
        assert_eq!(choice.real(&INFO, "scale"), 20.0);
        choice.params.insert("scale".into(), 5.into());
        assert_eq!(choice.real(&INFO, "scale"), 5.0);
    }
}
