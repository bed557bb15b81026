//! Task kinds: which columns a task has, what its head gives, which losses and metrics fit.
//!
//! A kind is data: it combines an input form, a target type and a head form that the other crates know.
//! A new kind of such parts is one file here and one line in [`KINDS`].

mod class;
mod image_class;
mod image_regression;
mod multilabel;
mod pair_class;
mod regression;
mod retrieval;
mod similarity;
mod tagging;

use serde::Serialize;

/// All kinds, sorted by name.
pub static KINDS: &[&KindInfo] = &[
    &class::INFO,
    &image_class::INFO,
    &image_regression::INFO,
    &multilabel::INFO,
    &pair_class::INFO,
    &regression::INFO,
    &retrieval::INFO,
    &similarity::INFO,
    &tagging::INFO,
];

/// The kind of this name.
pub fn find(name: &str) -> Option<&'static KindInfo> {
    KINDS.iter().copied().find(|kind| kind.name == name)
}

/// A task kind.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct KindInfo {
    /// The name in suite files.
    pub name: &'static str,
    /// What such a task is, in a sentence.
    pub about: &'static str,
    /// Roles of the columns that hold inputs (texts, or files of images); a role's default column has the role's name.
    pub inputs: &'static [&'static str],
    /// Role of the column that holds the target.
    pub target: &'static str,
    /// Other column names accepted for a role when the suite names none: (role, names).
    pub synonyms: &'static [(&'static str, &'static [&'static str])],
    /// How a target cell is read.
    pub target_type: TargetType,
    /// What turns trunk states into outputs.
    pub head: HeadForm,
    /// Losses that fit; the first is the default.
    pub losses: &'static [&'static str],
    /// Metrics that are computed; the first is the default main metric.
    pub metrics: &'static [&'static str],
    /// What model hubs call such a task.
    pub hub_task: &'static str,
    /// How MTEB's result files have its scores; none where they have no shape for it.
    pub mteb: Option<Mteb>,
}

/// How MTEB's result files have the scores of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Mteb {
    /// The main score.
    pub main: &'static str,
    /// What a second name of each metric begins with; empty: there is none.
    pub prefix: &'static str,
}

impl KindInfo {
    /// The kind that reads such targets from so many texts.
    pub fn of_texts(target_type: TargetType, n_inputs: usize) -> Option<&'static Self> {
        let fits = |kind: &&Self| {
            !kind.reads_images() && kind.target_type == target_type && kind.inputs.len() == n_inputs
        };
        KINDS.iter().copied().find(fits)
    }

    /// The kind that reads such targets from an image.
    pub fn of_images(target_type: TargetType) -> Option<&'static Self> {
        KINDS.iter().copied().find(|kind| kind.reads_images() && kind.target_type == target_type)
    }

    /// Whether each row has an answer of its own; passages are ranked over a whole corpus instead.
    pub fn answers_rows(&self) -> bool {
        self.target_type != TargetType::Passages
    }

    /// Whether its inputs are images, not texts.
    pub fn reads_images(&self) -> bool {
        self.inputs.contains(&"image")
    }

    /// Usual names of the column of a role, beside the role's own.
    pub fn synonyms_of(&self, role: &str) -> &'static [&'static str] {
        self.synonyms.iter().find(|(of, _)| *of == role).map_or(&[], |(_, names)| names)
    }
}

/// How a target cell is read, and what a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetType {
    /// One label of a set.
    Label,
    /// Any number of labels of a set: a JSON list, or words joined by `|`.
    Labels,
    /// One real, or several (a JSON list; `null` inside means unknown).
    Numbers,
    /// One tag per input word, separated by spaces, or a JSON list.
    Tags,
    /// Which passages answer a query.
    Passages,
}

/// What turns trunk states into a task's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadForm {
    /// Cosine of two sentence vectors; no parameters.
    Cosine,
    /// A linear map of the sentence vector.
    Linear,
    /// A linear map of [u, v, |u − v|, u · v] of two sentence vectors.
    PairLinear,
    /// A linear map of the state of each word's first token.
    TokenLinear,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_sorted_unique_and_complete() {
        assert!(KINDS.windows(2).all(|pair| pair[0].name < pair[1].name));
        for kind in KINDS {
            assert!(!kind.inputs.is_empty() && !kind.losses.is_empty() && !kind.metrics.is_empty());
            assert!(kind.about.ends_with('.'), "{} has no sentence", kind.name);
            for (role, _) in kind.synonyms {
                assert!(kind.inputs.contains(role) || *role == kind.target || *role == "negatives");
            }
        }
    }
}
