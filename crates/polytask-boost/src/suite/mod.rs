//! A suite's tables as boosted trees: rows of all sources in one numeric view, a target for every task, one model.

pub mod explain;
mod fit;
mod gates;
mod model;
mod outputs;
mod rows;
mod run;

pub use fit::{Curves, Fitting, fit_suite};
pub use model::{BoostModel, TaskOutputs, TreesOf, TreesTask};
pub use rows::{RowView, ViewedRows};
pub use run::{RunFacts, RunProgress, run};
