//! Boosted trees for many targets of a table: histogram trees, vector leaves, robust multi-task boosting (paper 16), and
//! the files of XGBoost.
//!
//! A table's way: columns ([`NumericTable`]) → bins → slopes of each target's loss → trees → margins → responses.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bins;
pub mod booster;
pub mod loss;
pub mod method;
pub mod params;
mod quantile;
pub mod robust;
pub mod suite;
pub mod table;
pub mod tree;
pub mod xgboost;

pub use bins::Bins;
pub use booster::{BoostTarget, Booster, TrainingSet, fit};
pub use loss::LossSpec;
pub use params::{BoostParams, Growth, Leaves, TreeParams};
pub use robust::{Robust, RobustParams, RobustSet, fit_robust};
pub use table::{ColumnSort, NumericColumn, NumericTable};
