//! Which columns towers read, and how wide the layers above them are.

use polytask_core::Problem;
use polytask_core::input::table::{ColumnForm, TableSpec};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// `model_type` in the configuration of a model of towers.
pub(crate) const TOWERS: &str = "towers";
/// Widths of the layers above all columns where a suite says nothing.
const WIDTHS: [usize; 1] = [256];
/// Widest layer, and most of them: beyond, a configuration file is broken.
const MOST: usize = 16_384;

/// The columns of a model of towers, and the layers above them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TowersConfig {
    /// `towers`.
    pub model_type: String,
    /// Its columns.
    #[serde(flatten)]
    pub table: TableSpec,
    /// Widths of the layers above all columns.
    pub widths: Vec<usize>,
}

impl TowersConfig {
    /// The layers above some columns; `widths` where the suite says them.
    pub fn new(table: &TableSpec, widths: Option<&[usize]>) -> Self {
        let widths = widths.unwrap_or(&WIDTHS).to_vec();
        Self { model_type: TOWERS.into(), table: table.clone(), widths }
    }

    pub(crate) fn check(&self) -> Result<()> {
        let in_range = |n: &usize| (1..=MOST).contains(n);
        if self.widths.len() > 64 || !self.widths.iter().all(in_range) {
            let what =
                format!("network `{TOWERS}`: widths {:?}, expected up to 64 of 1 to {MOST}", self.widths);
            return Err(Error::Core(Problem::new(what).try_this("`widths = [256]` in [model]").into()));
        }
        self.table.mistake().map_or(Ok(()), |what| Err(wrong(&what)))
    }

    /// The columns of a form, among those that encoders read.
    pub(crate) fn columns(&self, form: &ColumnForm) -> Vec<usize> {
        let encoded = self.table.encoded().iter().enumerate();
        encoded.filter(|(_, column)| column.form == *form).map(|(i, _)| i).collect()
    }
}

/// The error of a configuration that no network can be built of.
pub(crate) fn wrong(what: &str) -> Error {
    let problem = Problem::new(format!("network `{TOWERS}`: {what}"));
    Error::Core(problem.try_this("the config.json that a run of polytask wrote").into())
}
