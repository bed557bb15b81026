//! A suite's tables as boosted trees: rows of all sources in one numeric view, a target for every task, one model.

mod exchange;
pub mod explain;
mod extend;
mod facts;
mod fit;
mod gates;
mod judged;
mod model;
mod outputs;
mod rows;
mod run;
mod written;

pub use facts::RunFacts;
pub use fit::{Curves, Fitting, check, check_data, fit_suite};
pub use judged::{JudgedTask, judged};
pub use model::{BoostModel, TaskOutputs, TreesOf, TreesTask};
pub use rows::{RowView, ViewedRows};
pub use run::{RunProgress, run};
