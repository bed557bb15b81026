//! Few labels (paper 5): texts are matched with descriptions of labels on an encoder that stays as it is.
//!
//! A run's way: descriptions and rows → vectors and token states → heads → calibration → predictions → report, and a
//! folder that answers, takes further labels by their descriptions, and may say "none of these".

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod calibration;
mod contrast;
mod encoder;
mod facts;
mod features;
mod fitting;
mod generated;
mod head_spec;
pub mod heads;
mod labels;
mod model;
mod rows;
mod run;
mod said;
mod scope;
mod side;
mod writing;
mod written;

pub use calibration::{Calibration, calibration_error, reliability};
pub use encoder::{RemoteEncoder, TextEncoder, WrittenEndpoint};
pub use facts::{LabelRun, RunPhase};
pub use features::Features;
pub use generated::{Gate, use_generated};
pub use labels::LabelTexts;
pub use model::{LabelModel, MatchedTask};
pub use run::{judge, run};
pub use scope::{auroc, share};
pub use writing::{WritingPlan, WrittenRows, WrittenTexts};
