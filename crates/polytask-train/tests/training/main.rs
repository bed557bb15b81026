//! The training loop on small data: each promise of a run as a test that trains for real.
#![allow(clippy::unwrap_used)]

mod common;

mod architectures;
mod baselines;
mod diagnosis;
mod displaced;
mod families;
mod folds;
mod gramian;
mod isolation;
mod kinds;
mod learners;
mod linear_probe;
mod losses;
mod masking;
mod methods;
mod options;
mod ordinal;
mod probe;
mod regularizers;
mod resume;
mod sharing;
mod sharpness;
mod statistics;
