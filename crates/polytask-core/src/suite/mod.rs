//! The suite: what a user writes to describe tasks, model and training.
//!
//! Three shapes: the file as written (a `toml_edit` document with the span of every key) → [`Suite`], merged
//! with defaults (what `polytask show` prints and a run folder keeps) → the suite that [`load`] has
//! checked against the [`Catalogue`] of named parts, all mistakes reported at once.

mod catalogue;
mod check;
mod documents;
mod draft;
mod endpoint;
mod files;
mod fresh;
pub mod images;
mod inputs;
mod keys;
mod label_file;
mod label_keys;
pub mod nodes;
mod parts;
mod prompts;
mod read;
mod reporter;
mod section;
mod teacher;
mod template;
#[cfg(test)]
mod tests;
mod train;
mod tree;
mod write;
mod written;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::input::{InputInfo, text};
use crate::kind::KindInfo;
use crate::method::Choice;
use crate::near;

pub use crate::files::names_in;
pub use catalogue::Catalogue;
pub use documents::{DOCUMENT_ROLES, DOCUMENTS, NEXT_LABELS, TOPIC_LABELS};
pub use endpoint::{EndpointSpec, is_variable};
pub use files::{BeirFolder, COMPRESSIONS, FORMATS, is_readable};
pub use keys::{KeyInfo, POOLINGS, Table, ValueType, keys, keys_of};
pub use label_file::{DescribedLabel, described};
pub use nodes::NodeSpec;
pub use parts::{HEADS, LABEL_HEADS, NO_REGULARIZER, SAMPLINGS};
pub use read::{load, load_to_judge, parse, parse_to_judge};
pub use teacher::TeacherSpec;
pub use template::{Draft, DraftData, DraftTask, template};
pub use train::{GradientSpace, Keep, Mixing, OPEN, Sampling, Schedule, Start, TINY, TrainSpec};
pub use write::{hash, to_toml, weight_hash, weight_settings};

/// A part of a task's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// What the model learns from.
    Train,
    /// What choices are made on.
    Valid,
    /// What is reported, once.
    Test,
}

impl Split {
    /// All three, in their order.
    pub const ALL: [Self; 3] = [Self::Train, Self::Valid, Self::Test];

    /// The name in suite files and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Valid => "valid",
            Self::Test => "test",
        }
    }

    /// File stems that mean this split (`dev`, `val`, `validation` mean valid).
    pub const fn stems(self) -> &'static [&'static str] {
        match self {
            Self::Train => &["train"],
            Self::Valid => &["valid", "dev", "val", "validation"],
            Self::Test => &["test"],
        }
    }
}

/// A whole suite, every default filled in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Suite {
    /// Name of the suite.
    pub name: String,
    /// Seed of every random choice.
    pub seed: u64,
    /// The shared model.
    pub model: ModelSpec,
    /// How it is trained.
    pub train: TrainSpec,
    /// Texts with ids that rankings name.
    pub nodes: Vec<NodeSpec>,
    /// Where rows come from; tasks without `from` have a source of their own name.
    #[serde(rename = "source")]
    pub sources: Vec<SourceSpec>,
    /// The tasks, in the order written.
    #[serde(rename = "task")]
    pub tasks: Vec<TaskSpec>,
    /// The folder relative paths start at (not written to files).
    #[serde(skip)]
    pub folder: PathBuf,
    /// The file itself, for places in later errors (not written to files).
    #[serde(skip)]
    pub file: PathBuf,
    /// Whether it was read to judge a model that is there: sources may have no rows to train on (not written to files).
    #[serde(skip)]
    pub is_to_judge: bool,
}

/// The shared model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelSpec {
    /// A name `polytask pull` knows, a folder, or `tiny`.
    pub encoder: String,
    /// Blocks whose weights stay as they are: `embeddings`, `layer.0-3`, `layer.5`.
    pub freeze: Vec<String>,
    /// What of the encoder is trained.
    pub tune: Choice,
    /// How tasks share the encoder.
    pub sharing: Choice,
    /// Pooling, when it is not what the encoder's folder says.
    pub pooling: Option<String>,
    /// How texts are scored against each other, when it is not what the encoder's folder says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<Choice>,
    /// Longest text in tokens, when it is not what the encoder's folder says.
    pub max_length: Option<usize>,
    /// What reads images that stand in columns of a table beside others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_encoder: Option<String>,
    /// Height and width that images are resized to.
    pub image_size: Option<Vec<usize>>,
    /// Channels that images are converted to.
    pub channels: Option<usize>,
    /// Subtracted from pixels, as shares of full white.
    pub pixel_mean: f64,
    /// What pixels are divided by after that.
    pub pixel_std: f64,
    /// Widths of a network on images or tables, when they are not the usual ones.
    pub widths: Option<Vec<usize>>,
    /// `f32` for now.
    pub precision: String,
    /// Share of values dropped in training, in trainable layers and before heads; the encoder's own when absent.
    pub dropout: Option<f64>,
    /// Boosted trees in the place of the encoder (tables).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trees: Option<Choice>,
    /// An endpoint that gives vectors of texts in the place of the encoder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<EndpointSpec>,
}

/// Rows that one or several tasks read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourceSpec {
    /// Name of the source.
    pub name: String,
    /// The file of each split, relative to the suite's folder.
    pub files: BTreeMap<Split, PathBuf>,
    /// How its rows are made of documents, where its files hold documents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documents: Option<Choice>,
    /// Role → column, for the input roles of all its tasks (`a`, `text`, `id`, `weight`, …).
    pub columns: BTreeMap<String, String>,
    /// Lines of the suite file where these are written, by role, for later errors.
    #[serde(skip)]
    pub column_lines: BTreeMap<String, usize>,
    /// Role → words before every text of it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub prompts: BTreeMap<String, String>,
    /// Columns of a table that are read; all that no task reads otherwise, where none are named.
    pub features: Vec<String>,
    /// Columns of a table that are not read.
    pub ignore: Vec<String>,
    /// Columns of a table that hold categories, though written as numbers.
    pub categories: Vec<String>,
    /// Columns of a table that are texts, which the encoder reads.
    pub texts: Vec<String>,
    /// Columns of a table that name files of images, which `image_encoder` reads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// Column that names the group of a row: a task of its own in the eyes of boosted trees (tables).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Share of train that becomes valid, by hash, when there is no valid file.
    pub valid: f64,
    /// Cells of targets, and of the columns of a table, that mean unknown, beside empty ones, null and NaN.
    pub missing: Vec<String>,
    /// Most rows read per split (by hash, not the first ones); 0 means all.
    pub limit: usize,
    /// Rows per step, when given.
    pub batch_rows: Option<usize>,
    /// Tokens per step, when given.
    pub batch_tokens: Option<usize>,
    /// Factor on how often the source is drawn.
    pub sampling_weight: f64,
    /// Passages (retrieval): JSONL or TSV with id, title, text.
    pub corpus: Option<PathBuf>,
    /// Queries (retrieval, BEIR), shared by all splits.
    pub queries: Option<PathBuf>,
    /// Relevance judgements per split (retrieval, BEIR or TREC).
    pub qrels: BTreeMap<Split, PathBuf>,
    /// What is asked (ranking): a column, or a node set.
    pub left: Option<String>,
    /// The node set that is ranked (ranking).
    pub right: Option<String>,
    /// Line of the suite file where it is declared, for later errors.
    #[serde(skip)]
    pub line: usize,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskSpec {
    /// Name of the task.
    pub name: String,
    /// Its kind.
    #[serde(serialize_with = "kind_name")]
    pub kind: &'static KindInfo,
    /// Name of its source.
    pub from: String,
    /// Role → column for the target role (and `weight`), on top of the source's.
    pub columns: BTreeMap<String, String>,
    /// Lines of the suite file where these are written, by role, for later errors.
    #[serde(skip)]
    pub column_lines: BTreeMap<String, usize>,
    /// Its head.
    pub head: Choice,
    /// Its loss.
    pub loss: Choice,
    /// What boosted trees learn of the target; the kind's own without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objective: Option<Choice>,
    /// Metric that decides; one of the kind's.
    pub metric: String,
    /// The label set, when it is not what train shows.
    pub labels: Option<Vec<String>>,
    /// The file that the label set was read from, with descriptions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_file: Option<PathBuf>,
    /// What each label means; empty without descriptions (not written to files).
    #[serde(skip)]
    pub descriptions: Vec<DescribedLabel>,
    /// What the target's column holds in rows that are of none of the labels; it is the last label then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub none: Option<String>,
    /// Share of rows of known labels that may be answered "none of these".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out_of_scope: Option<f64>,
    /// A head that is fitted beside the task's own and printed with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beside: Option<Choice>,
    /// Rows that were made up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generated: Option<GeneratedRows>,
    /// Whether the suite itself names the labels, so that numbers may be their places (not written to files).
    #[serde(skip)]
    pub counts_labels: bool,
    /// Whether its text is read as words although no task of its source tags them: the model learnt so (not written to
    /// files).
    #[serde(skip)]
    pub reads_words: bool,
    /// Smallest and largest score there can be, when they are not those of train.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<(f64, f64)>,
    /// What stands between the labels of a cell that holds several; `|` when it is not given.
    pub separator: Option<String>,
    /// Cells of its target that mean unknown, beside those of its source.
    pub missing: Vec<String>,
    /// What becomes of a passage with a query's own text or id.
    pub identical: Identical,
    /// Another model whose answers on train it learns from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teacher: Option<TeacherSpec>,
    /// Points (of 100) below single-task that count as regression.
    pub margin: f64,
    /// Factor on its loss.
    pub loss_weight: f64,
    /// Its head learns this many times faster than `head_lr_factor` says.
    pub lr_factor: f64,
    /// Blocks in which this task's gradient stops, as `model.freeze`.
    pub freeze: Vec<String>,
    /// Line of the suite file where it is declared, for later errors.
    #[serde(skip)]
    pub line: usize,
}

/// Rows that somebody or something made up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GeneratedRows {
    /// The file of rows, relative to the suite's folder.
    pub file: PathBuf,
    /// Least probability that a teacher gives a row's label.
    pub filter: f64,
    /// Whether they are used only where valid is better with them.
    pub gate: bool,
    /// Most rows of a label.
    pub most: usize,
}

/// What becomes of a passage that has a query's own text or id, where it is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Identical {
    /// It is no negative in training, and left out of rankings.
    Ignore,
    /// It is a passage like any other.
    Keep,
}

// Serde hands fields over by reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn kind_name<S: serde::Serializer>(kind: &&'static KindInfo, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.name)
}

impl TaskSpec {
    /// Whether its head is a pooler and a linear map.
    pub fn is_pooler(&self) -> bool {
        self.head.name == "pooler"
    }

    /// Whether its head matches texts with descriptions of labels.
    pub fn matches_labels(&self) -> bool {
        parts::is_label_head(&self.head.name)
    }

    /// Width of its head's hidden layer, where it has one.
    pub fn hidden(&self) -> Option<usize> {
        let info = parts::HEADS.iter().find(|info| info.id == self.head.name)?;
        self.head.param(info, "hidden").as_u64().and_then(|n| usize::try_from(n).ok())
    }
}

impl Suite {
    /// Whether its tasks match texts with descriptions of labels on an encoder that stays as it is.
    pub fn matches_labels(&self) -> bool {
        self.tasks.iter().any(TaskSpec::matches_labels)
    }

    /// What its tasks read; those of a checked suite all read the same.
    pub fn input(&self) -> &'static InputInfo {
        self.tasks.first().map_or(&text::TEXT, |task| task.kind.input)
    }

    /// The node set of a name.
    pub fn nodes_of(&self, name: &str) -> Option<&NodeSpec> {
        self.nodes.iter().find(|nodes| nodes.name == name)
    }

    /// The source a task reads.
    pub fn source_of(&self, task: &TaskSpec) -> &SourceSpec {
        let found = self.sources.iter().find(|source| source.name == task.from);
        found.expect("the suite check has seen that every task has a source")
    }
}
