//! Networks of polytask: trunk, heads, losses, optimisers, weights on disk.
//!
//! The only crate that names the tensor engine. The trunk works on plain flat buffers *outside* the autodiff
//! graph ([`trunk::Trunk`]); heads and losses are small autodiff graphs on a leaf, the trunk's states. Each
//! task's backward gives its head gradients and its cotangent dL/dz; one sweep of the trunk turns any number of
//! cotangents into what the caller asks for (sum, Gramian, Jacobian).

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod candidates;
pub mod distil;
pub mod encoder;
pub mod error;
pub mod folder;
pub mod heads;
pub mod label_cross;
pub mod linear_fit;
pub mod losses;
pub mod objective;
pub mod optim;
pub mod params;
pub mod pooling;
pub mod scores;
pub mod sharing;
mod target;
pub mod topk;
pub mod towers;
pub mod trunk;
pub mod tune;
pub mod weights;

pub use encoder::{Encoder, Network, freeze_blocks};
pub use error::{Error, Result};
pub use params::{Block, Params, Real, TensorSpec};
pub use trunk::{BlockGrad, Cotangent, GradSink, Mode, SavedForward, States, TaskGrad, Trunk};
