//! What the outputs of the rows of a step should be.

use crate::heads::Pairing;

/// The label, or the positive passage, of a row whose target is unknown.
pub const UNKNOWN: u32 = u32::MAX;

/// What the outputs of the rows of a step should be.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// One label per row, [`UNKNOWN`] where it is not known.
    Label(Vec<u32>),
    /// Which labels each row has.
    Labels {
        /// Number of labels.
        n_labels: usize,
        /// `[rows, n_labels]`: 0 or 1, NaN where unknown.
        values: Vec<f32>,
    },
    /// Numbers per row.
    Numbers {
        /// Numbers per row.
        width: usize,
        /// `[rows, width]`, NaN where unknown.
        values: Vec<f32>,
    },
    /// Which passage answers each query.
    Passages {
        /// Column of each query's positive, [`UNKNOWN`] where it is not known.
        positive: Vec<u32>,
        /// `[queries, passages]`: what each passage is to each query.
        relations: Vec<Relation>,
    },
    /// What is known, and what a teacher says.
    Taught {
        /// What is known.
        own: Box<Self>,
        /// Outputs per row.
        width: usize,
        /// `[rows, width]`: the teacher's outputs on the scale of the student's; NaN where it has not answered.
        values: Vec<f32>,
    },
}

/// What a passage of a batch is to a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// It does not answer the query, as far as is known.
    Negative,
    /// It answers the query.
    Answer,
    /// It is the query itself.
    LeftOut,
}

impl Target {
    /// Number of rows (queries).
    pub fn n_rows(&self) -> usize {
        match self {
            Self::Label(rows) | Self::Passages { positive: rows, .. } => rows.len(),
            Self::Labels { n_labels: width, values } | Self::Numbers { width, values } => {
                values.len() / (*width).max(1)
            }
            Self::Taught { own, .. } => own.n_rows(),
        }
    }

    /// How the inputs meet for such a target.
    pub fn pairing(&self) -> Pairing {
        if matches!(self, Self::Passages { .. }) { Pairing::Cross } else { Pairing::Rows }
    }

    /// What it is, for errors.
    pub(crate) fn describe(&self) -> &'static str {
        match self {
            Self::Label(_) => "one label per row",
            Self::Labels { .. } => "several labels per row",
            Self::Numbers { .. } => "numbers",
            Self::Passages { .. } => "passages",
            Self::Taught { own, .. } => own.describe(),
        }
    }
}
