//! The parts that methods of the task-arithmetic family are settings of.

mod consensus;
mod scale;
mod select;
mod sparsify;

pub(crate) use consensus::{agrees, major};
pub(crate) use scale::{divisor, relative};
pub(crate) use select::{Ranks, Window, key, keys_of_ranks, select};
#[cfg(test)]
pub(crate) use sparsify::Kept;
pub(crate) use sparsify::{Rescale, Sparsify, SparsifySettings, Thinned};
