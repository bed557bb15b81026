//! Networks on rows of a table: affine maps with ReLU over standardised numbers and places of categories.

use polytask_core::input::table::{TableSpec, TableValues};
use serde::{Deserialize, Serialize};

use super::graph::{Graph, Shape};
use super::mistake::wrong;
use super::nets;
use crate::Result;

/// Widths of the layers where a suite says nothing.
const WIDTHS: [usize; 2] = [256, 256];
/// Widest layer: beyond, a configuration file is broken.
const MOST: usize = 16_384;

/// A network on a table: which columns it reads, how wide it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableConfig {
    /// `table-mlp`.
    pub model_type: String,
    /// Its columns.
    #[serde(flatten)]
    pub table: TableSpec,
    /// Widths of the layers.
    pub widths: Vec<usize>,
    /// How a row's states become one vector.
    pub pooling: String,
}

impl TableConfig {
    /// A network for the columns of a table.
    pub fn new(model_type: &str, table: &TableSpec) -> Self {
        let (model_type, table) = (model_type.to_owned(), table.clone());
        Self { model_type, table, widths: WIDTHS.to_vec(), pooling: "mean".into() }
    }

    /// What is wrong with it, found and expected.
    pub(super) fn check(&self) -> Result<()> {
        let in_range = |n: &usize| (1..=MOST).contains(n);
        if !(1..=64).contains(&self.widths.len()) || !self.widths.iter().all(in_range) {
            return Err(wrong(&self.model_type, &format!("widths {:?} do not fit it", self.widths)));
        }
        if self.table.n_values() == 0 {
            return Err(wrong(
                &self.model_type,
                "no column with a number or a category, expected one at least",
            ));
        }
        self.table.mistake().map_or(Ok(()), |what| Err(wrong(&self.model_type, &what)))
    }

    /// What makes values of symbols.
    pub(super) fn values(&self) -> TableValues {
        TableValues::new(&self.table)
    }

    /// The network.
    pub(super) fn graph(&self) -> Graph {
        let row = Shape { height: 1, width: 1, channels: self.table.n_values() };
        nets::mlp(Graph::new(row), &self.widths)
    }
}
