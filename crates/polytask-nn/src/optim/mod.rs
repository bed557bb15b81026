//! Optimisers: what a gradient does to a block.

mod adamw;
pub mod schedule;

pub use adamw::{AdamW, Moments};
pub use schedule::{clip_factor, norm, rate};
