//! Vocabulary of polytask: tasks, suite files, packed batches, seeds, reports as data.
//!
//! Nothing here touches a tensor, a network or a terminal. Data's way through the crates reads like a
//! sentence (suite → tasks → examples → packed batches → trunk → heads → losses → weighting/aggregator →
//! step → scores → report); this crate holds the nouns of that sentence, so that every other crate can
//! name them without depending on each other.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod atomic;
pub mod batch;
pub mod cell;
pub mod error;
pub mod files;
pub mod hash;
pub mod input;
mod interval;
pub mod kind;
mod label_report;
pub mod length;
pub mod method;
mod nan;
pub mod near;
pub mod outputs;
pub mod printable;
pub mod report;
pub mod rng;
pub mod saliency;
pub mod segmentation;
pub mod sharpness;
pub mod suite;
pub mod synonyms;
pub mod target;
pub mod words;

pub use batch::{Layout, PackedBatch, SECOND_TEXT, is_second, token_id};
pub use cell::Cell;
pub use error::{Error, Place, Problem, Result};
pub use input::{InputInfo, image};
pub use kind::{HeadForm, KindInfo};
pub use method::{Family, MethodInfo, ParamInfo};
pub use printable::printable;
pub use rng::{Purpose, Rng};
pub use suite::{Split, Suite};
pub use target::{TargetForm, TargetType};
pub use words::plural;
