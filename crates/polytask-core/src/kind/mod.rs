//! Task kinds: which columns a task has, what its head gives, which losses and metrics fit.
//!
//! A kind combines inputs, a form of targets ([`crate::target`]) and a head. A new one is one file here and one line in
//! [`KINDS`]; a form of targets that no other kind has stands in the same file.

mod class;
mod cross_class;
mod cross_similarity;
mod image_class;
mod image_regression;
mod multilabel;
mod ordinal;
mod pair_class;
mod ranking;
mod regression;
mod retrieval;
mod similarity;
mod table_class;
mod table_multilabel;
mod table_ordinal;
mod table_regression;
mod tagging;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::input::InputInfo;
use crate::target::{TargetForm, TargetType};

/// All kinds, sorted by name.
pub static KINDS: &[&KindInfo] = &[
    &class::INFO,
    &cross_class::INFO,
    &cross_similarity::INFO,
    &image_class::INFO,
    &image_regression::INFO,
    &multilabel::INFO,
    &ordinal::INFO,
    &pair_class::INFO,
    &ranking::INFO,
    &regression::INFO,
    &retrieval::INFO,
    &similarity::INFO,
    &table_class::INFO,
    &table_multilabel::INFO,
    &table_ordinal::INFO,
    &table_regression::INFO,
    &tagging::INFO,
];

/// The kind that stands for several tasks, one per head, on rows made of documents.
pub const SEGMENTATION: &str = "segmentation";
/// Its heads: whether two neighbours are of one topic, which class a sentence is of, whether one follows the other.
pub const SEGMENT_HEADS: [&str; 3] = ["stp", "tc", "nsp"];

/// The kind of this name.
pub fn find(name: &str) -> Option<&'static KindInfo> {
    KINDS.iter().copied().find(|kind| kind.name == name)
}

/// A task kind.
#[derive(Debug)]
pub struct KindInfo {
    /// The name in suite files.
    pub name: &'static str,
    /// What such a task is, in a sentence.
    pub about: &'static str,
    /// What its inputs are.
    pub input: &'static InputInfo,
    /// Roles of the columns that hold inputs; a role's default column has the role's name.
    pub inputs: &'static [&'static str],
    /// Role of the column that holds the target.
    pub target: &'static str,
    /// Other column names accepted for a role when the suite names none: (role, names).
    pub synonyms: &'static [(&'static str, &'static [&'static str])],
    /// How targets are read, what outputs mean, how answers are written.
    pub form: &'static dyn TargetForm,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Mteb {
    /// The main score.
    pub main: &'static str,
    /// What a second name of each metric begins with; empty: there is none.
    pub prefix: &'static str,
}

impl PartialEq for KindInfo {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for KindInfo {}

impl Serialize for KindInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("KindInfo", 12)?;
        out.serialize_field("name", self.name)?;
        out.serialize_field("about", self.about)?;
        out.serialize_field("input", self.input.name)?;
        out.serialize_field("inputs", self.inputs)?;
        out.serialize_field("target", self.target)?;
        out.serialize_field("synonyms", self.synonyms)?;
        out.serialize_field("target_type", &self.target_type())?;
        out.serialize_field("head", &self.head)?;
        out.serialize_field("losses", self.losses)?;
        out.serialize_field("metrics", self.metrics)?;
        out.serialize_field("hub_task", self.hub_task)?;
        out.serialize_field("mteb", &self.mteb)?;
        out.end()
    }
}

impl KindInfo {
    /// The kind that reads targets of a form from so many inputs.
    pub fn of(form: &dyn TargetForm, input: &InputInfo, n_inputs: usize) -> Option<&'static Self> {
        let fits = |kind: &&Self| {
            !kind.ranks_nodes()
                && !kind.joins_texts()
                && kind.form.name() == form.name()
                && kind.input == input
                && kind.inputs.len() == n_inputs
        };
        KINDS.iter().copied().find(fits)
    }

    /// The kind that reads targets of another form from as many inputs like these.
    pub fn with_form(&self, form: &dyn TargetForm) -> Option<&'static Self> {
        Self::of(form, self.input, self.inputs.len())
    }

    /// The kind that reads two texts as one sequence in the place of this one.
    pub fn joined(&self) -> Option<&'static Self> {
        let same =
            |kind: &&Self| kind.joins_texts() && kind.inputs == self.inputs && kind.target == self.target;
        KINDS.iter().copied().find(same).filter(|_| !self.joins_texts())
    }

    /// Whether its two texts are read as one sequence.
    pub fn joins_texts(&self) -> bool {
        self.head == HeadForm::CrossLinear
    }

    /// Sequences of a row that the encoder reads.
    pub fn n_sequences(&self) -> usize {
        if self.joins_texts() { 1 } else { self.inputs.len() }
    }

    /// Whether a suite has to declare what it ranks: no such kind is made of rows alone.
    pub fn ranks_nodes(&self) -> bool {
        self.inputs.contains(&"left")
    }

    /// Roles of inputs that a column can be named for.
    pub fn input_roles(&self) -> &'static [&'static str] {
        if self.input.whole_row { &[] } else { self.inputs }
    }

    /// Roles of texts that words may stand before: its inputs, and what it ranks.
    pub fn prompt_roles(&self) -> Vec<&'static str> {
        if self.tags_words() || *self.input != crate::input::text::TEXT {
            return Vec::new();
        }
        self.inputs.iter().copied().chain(self.ranked_role()).collect()
    }

    /// Role of the texts it ranks.
    pub fn ranked_role(&self) -> Option<&'static str> {
        (!self.answers_rows()).then_some(if self.ranks_nodes() { self.target } else { "passage" })
    }

    /// What a target is once it is read.
    pub fn target_type(&self) -> TargetType {
        self.form.target_type()
    }

    /// Whether each row has an answer of its own; passages are ranked over a whole corpus instead.
    pub fn answers_rows(&self) -> bool {
        self.target_type() != TargetType::Passages
    }

    /// Whether it tags the words of its text.
    pub fn tags_words(&self) -> bool {
        self.head == HeadForm::TokenLinear
    }

    /// Whether two texts are compared by the model's score.
    pub fn compares_texts(&self) -> bool {
        self.head == HeadForm::Cosine
    }

    /// Outputs of its head for a task with so many labels or numbers per row.
    pub fn n_outputs(&self, n_labels: usize, n_numbers: usize) -> usize {
        match (self.head, self.target_type()) {
            (HeadForm::Cosine, _) => 1,
            (_, TargetType::Numbers | TargetType::Passages) => n_numbers.max(1),
            (_, TargetType::Label | TargetType::Labels | TargetType::Tags) => n_labels,
        }
    }

    /// How a suite says that a column is the target of such a task.
    pub fn with_target(&self, column: &str) -> String {
        format!("kind = {:?}, with columns = {{ {} = {column:?} }}", self.name, self.target)
    }

    /// Usual names of the column of a role, beside the role's own.
    pub fn synonyms_of(&self, role: &str) -> &'static [&'static str] {
        self.synonyms.iter().find(|(of, _)| *of == role).map_or(&[], |(_, names)| names)
    }
}

/// What turns trunk states into a task's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadForm {
    /// Cosine of two sentence vectors; no parameters.
    Cosine,
    /// A linear map of the sentence vector.
    Linear,
    /// A linear map of the vector of two texts that are one sequence.
    CrossLinear,
    /// A linear map of [u, v, |u − v|, u · v] of two sentence vectors.
    PairLinear,
    /// A linear map of the state of each word's first token.
    TokenLinear,
}

impl HeadForm {
    /// Whether it reads states of tokens, where texts may be scored by them.
    pub fn reads_states(self, is_scored: bool) -> bool {
        match self {
            Self::TokenLinear => true,
            Self::Cosine => is_scored,
            Self::Linear | Self::CrossLinear | Self::PairLinear => false,
        }
    }

    /// Whether a hidden layer may stand before its map.
    pub fn takes_hidden(self) -> bool {
        self.reads_one_vector() || self == Self::PairLinear
    }

    /// Whether it is a map of one vector, which other heads of one vector may replace.
    pub fn reads_one_vector(self) -> bool {
        matches!(self, Self::Linear | Self::CrossLinear)
    }
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
