//! What training and scoring read: every text tokenised once, rows that name texts, targets per task.

use std::collections::BTreeMap;

use polytask_core::Split;
use polytask_core::input::InputSpec;
use polytask_core::target::Bounds;

use crate::tokens::{TextId, TokenStore};

/// Rows of one split of one source.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rows {
    /// The input texts of each row, `[rows][inputs]` laid end to end.
    pub texts: Vec<TextId>,
    /// Number of input texts per row (1 or 2).
    pub n_inputs: usize,
    /// Weight of each row, `[rows]`; 1 where none is given.
    pub weights: Vec<f32>,
    /// What tells the rows of a split apart, where that is more than their texts: `[rows]`, else empty.
    pub keys: Vec<u64>,
    /// The texts as they are in the file, `[rows][inputs of the kind]`, where a teacher will read them; else empty.
    pub raw: Vec<String>,
}

impl Rows {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.weights.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// The input texts of row `i`.
    pub fn inputs(&self, i: usize) -> &[TextId] {
        &self.texts[i * self.n_inputs..(i + 1) * self.n_inputs]
    }
}

/// Targets of one split of one task, by row of its source. `None` and NaN mean unknown, never zero.
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// Index of the label.
    Label(Vec<Option<u32>>),
    /// Indices of the labels, ascending.
    Labels(Vec<Option<Vec<u32>>>),
    /// `[rows][width]` laid end to end; NaN = unknown; as in the file (not scaled).
    Numbers {
        /// Numbers per row.
        width: usize,
        /// The numbers.
        values: Vec<f64>,
    },
    /// Index of each word's tag; the row's text has word starts.
    Tags(Vec<Option<Vec<u32>>>),
    /// What answers each query.
    Passages(Vec<Relevance>),
}

/// What answers a query.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Relevance {
    /// Relevant passages as (index into the task's corpus, grade above 0), ascending; empty = unknown.
    pub positives: Vec<(u32, f32)>,
    /// Passages known to be wrong, as indices into the corpus.
    pub negatives: Vec<u32>,
    /// The passage that has the query's own id, where queries stand in the corpus.
    pub own: Option<u32>,
    /// The query's id, where judgements name it.
    pub query: Option<Box<str>>,
}

impl Targets {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Label(rows) => rows.len(),
            Self::Labels(rows) | Self::Tags(rows) => rows.len(),
            Self::Numbers { width, values } => values.len() / (*width).max(1),
            Self::Passages(rows) => rows.len(),
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether row `i` has a target (for several numbers: at least one).
    pub fn is_known(&self, i: usize) -> bool {
        match self {
            Self::Label(rows) => rows[i].is_some(),
            Self::Labels(rows) | Self::Tags(rows) => rows[i].is_some(),
            Self::Numbers { width, values } => values[i * width..(i + 1) * width].iter().any(|v| !v.is_nan()),
            Self::Passages(rows) => !rows[i].positives.is_empty(),
        }
    }
}

/// A source's rows by split.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SourceData {
    /// Name of the source.
    pub name: String,
    /// The rows.
    pub splits: BTreeMap<Split, Rows>,
}

/// A task's targets by split, and what its outputs mean.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TaskData {
    /// Name of the task.
    pub name: String,
    /// Index of its source.
    pub source: usize,
    /// The labels or tags, in the order of output indices; empty for numbers and passages.
    pub labels: Vec<String>,
    /// Shift and span of each number, as its form of targets takes them from train.
    pub scale: Vec<(f64, f64)>,
    /// Smallest and largest value of each number that is a grade: no output lies beyond; `None` for other numbers.
    pub bounds: Vec<Bounds>,
    /// Texts of the corpus (retrieval).
    pub corpus: Vec<TextId>,
    /// Of each passage, the query of the same text where there is one; empty where queries and passages have the same
    /// prompt, so that equal texts are one.
    pub twins: Vec<Option<TextId>>,
    /// Whether a passage with a query's own text or id is a passage like any other.
    pub keeps_identical: bool,
    /// Ids of the corpus's passages as in the files.
    pub corpus_ids: Vec<String>,
    /// The targets.
    pub targets: BTreeMap<Split, Targets>,
    /// What a teacher says of the rows of train.
    pub taught: Option<TeacherOutputs>,
    /// The task's own row weights, `[rows]`, where it names a `weight` column; else those of its source's rows.
    pub weights: BTreeMap<Split, Vec<f32>>,
}

/// All data of a suite, read, checked, tokenised.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Dataset {
    /// The texts.
    pub texts: TokenStore,
    /// The sources, in suite order.
    pub sources: Vec<SourceData>,
    /// The tasks, in suite order.
    pub tasks: Vec<TaskData>,
    /// Texts cut at the length limit, ascending.
    pub truncated: Vec<TextId>,
    /// Hash of each text in lower case with its white space folded, `[texts]`: equal for near-equal texts.
    pub folded: Vec<u64>,
    /// What a network must be made for.
    pub input: InputSpec,
    /// File as named in the suite → SHA-256 of its content.
    pub files: BTreeMap<String, String>,
    /// What a reader of the data should know, in words.
    pub warnings: Vec<String>,
}

/// What a teacher says of the rows of train, on the scale of the student's outputs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TeacherOutputs {
    /// Outputs per row.
    pub width: usize,
    /// `[rows, width]`; NaN where it has not answered.
    pub values: Vec<f32>,
}

impl TeacherOutputs {
    /// Those of a row.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.width..(i + 1) * self.width]
    }

    /// Whether it has answered a row.
    pub fn is_known(&self, i: usize) -> bool {
        self.row(i).iter().all(|value| value.is_finite())
    }
}

impl TaskData {
    /// Whether row `i` of a split has something to learn: a known target, or a teacher's answer.
    pub fn teaches(&self, split: Split, i: usize) -> bool {
        let is_taught =
            split == Split::Train && self.taught.as_ref().is_some_and(|taught| taught.is_known(i));
        is_taught || self.targets.get(&split).is_some_and(|targets| targets.is_known(i))
    }

    /// Whether a passage has a query's text.
    pub fn is_text_of(&self, passage: u32, query: TextId) -> bool {
        let passage = passage as usize;
        if self.twins.is_empty() { self.corpus[passage] == query } else { self.twins[passage] == Some(query) }
    }
}

impl Dataset {
    /// Tokens of an input; of a row of a table with texts those of its texts, as pixels cost what their network says.
    pub fn n_tokens(&self, text: TextId) -> usize {
        let symbols = self.texts.tokens(text);
        match &self.input {
            InputSpec::Table(table) if !table.encoded().is_empty() => table.n_tokens(symbols),
            _ => symbols.len(),
        }
    }

    /// The rows of a task's source in a split; `None` when there is no such split.
    pub fn rows(&self, task: usize, split: Split) -> Option<&Rows> {
        self.sources[self.tasks[task].source].splits.get(&split)
    }

    /// The row weights of a task in a split, `[rows]`; empty when there is no such split.
    pub fn weights(&self, task: usize, split: Split) -> &[f32] {
        let own = self.tasks[task].weights.get(&split).map(Vec::as_slice);
        own.or_else(|| self.rows(task, split).map(|rows| &rows.weights[..])).unwrap_or(&[])
    }

    /// The split a task's scores are reported on: test where it has a known target, else valid.
    pub fn report_split(&self, task: usize) -> Split {
        let is_known = |targets: &Targets| (0..targets.len()).any(|i| targets.is_known(i));
        let has_test = self.tasks[task].targets.get(&Split::Test).is_some_and(is_known);
        if has_test { Split::Test } else { Split::Valid }
    }
}
