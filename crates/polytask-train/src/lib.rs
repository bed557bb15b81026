//! Training of polytask: the loop, regularizers, joint run with baselines, checkpoints.
//!
//! A step reads like the data's way: the plan names rows ([`assemble`]), the engine runs trunk, heads and losses
//! ([`engine`]), a weighting turns what the tasks want into an update (`polytask_weighting`), the trainer applies it
//! ([`trainer`]). A run is a joint training, the single-task trainings it is compared with, and the report
//! ([`run`]).
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod assemble;
pub mod cache;
mod catalogue;
pub mod checkpoint;
mod choose;
mod claim;
mod columns;
mod context;
mod cotangents;
pub mod defaults;
pub mod diagnose;
pub mod engine;
pub mod evaluate;
mod gain;
pub mod geometry;
pub mod heads;
pub mod history;
pub mod judge;
mod judged;
mod kept_heads;
pub mod learner;
mod linear_probe;
mod load;
mod locate;
pub mod log;
pub mod merging;
pub mod observe;
pub mod optimise;
mod own;
mod own_rows;
mod pace;
mod part;
mod pooled;
pub mod prepare;
mod prepared;
pub mod probe;
mod ranking;
mod reference;
pub mod regularizer;
pub mod run;
pub mod saliency;
mod scales;
mod scored;
pub mod segmenting;
mod share;
pub mod sharpness;
mod side;
mod subject;
pub mod swept;
pub mod teacher;
mod to_model;
mod token_states;
mod towers;
pub mod trainer;
mod units;
pub mod vectors;
mod views;

pub use catalogue::catalogue;
pub use polytask_weighting::{Error, Result};
