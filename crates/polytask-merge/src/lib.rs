//! Models of one base become one: methods as settings of few parts, read and written block by block.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod combine;
mod config;
mod inspect;
mod layers;
pub mod learn;
mod model;
mod parts;
mod plan;
mod report;
mod run;
mod table;
mod tensor;
mod write;

pub use config::{Given, MergeConfig};
pub use inspect::{InspectedModel, Inspection, Left, TensorConflict, inspect, text as inspection_text};
pub use layers::group as layer_of;
pub use polytask_nn::{Error, Result};
pub use report::{MergeReport, MergedModel};
pub use run::{MergeOptions, Resolve, merge};
pub use table::{BaseUse, METHODS, MergeMethod};
pub use write::check_free;
