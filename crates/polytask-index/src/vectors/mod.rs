//! Vectors and the search among them: exactly, by small codes with exact scores last, or by a graph of neighbours.

mod bits;
mod codes;
mod flat;
mod graph;
mod kernels;
mod numbers;
mod tokens;

use std::path::Path;

use polytask_core::Result;

use self::graph::Walk;

pub use bits::RowSet;
pub use codes::VectorStore;
pub use flat::Flat;
pub use graph::{GraphParams, Hnsw};
pub(crate) use kernels::dot;
pub use numbers::StoredNumbers;
pub use tokens::TokenStates;
pub(crate) use tokens::{COUNTS, STATES, TokenWriter};

/// The file of the exact vectors.
pub(crate) const VECTORS: &str = "vectors.f32";

/// What a search works with; kept from query to query, so that none allocates.
#[derive(Debug, Default)]
pub struct SearchScratch {
    scores: Vec<f32>,
    coded: codes::CodedQuery,
    pub(crate) walk: Walk,
}

/// A place that vectors of length 1 are added to and searched in.
///
/// Opening is each kind's own `open`: it maps the files that [`Index::save`] wrote.
pub trait Index: Send + Sync {
    /// Number of rows.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds rows.
    ///
    /// # Shapes
    /// `[rows, width]`.
    fn add(&mut self, rows: &[f32]);

    /// The best `k` rows among some (all, without) by inner product, best first, into `best`; equal ones by row.
    fn search(
        &self,
        query: &[f32],
        k: usize,
        among: Option<&RowSet>,
        scratch: &mut SearchScratch,
        best: &mut Vec<(u32, f32)>,
    );

    /// Writes its files into a folder.
    fn save(&self, folder: &Path) -> Result<()>;
}
