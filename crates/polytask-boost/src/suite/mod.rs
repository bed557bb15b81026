//! A suite's tables as boosted trees: rows of all sources in one numeric view, a target for every task, one model.

mod conflict;
mod diagnose;
mod eval;
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

pub use diagnose::{diagnose, groups};
pub use eval::{JudgedTrees, ReadAs, TreesSide, judge_trees};
pub use facts::{RunFacts, RunProgress};
pub use fit::{Curves, Fitting, check, check_data, fit_suite};
pub use judged::{JudgedTask, judged};
pub use model::{BoostModel, TaskOutputs, TextColumns, TreesOf, TreesTask};
pub use rows::{RowView, ViewedRows};
pub use run::run;
