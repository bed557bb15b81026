//! Consecutive blocks of a network, with their weights.

use crate::params::Block;

/// The weights of consecutive blocks.
#[derive(Clone, Copy)]
pub(super) struct Span<'a> {
    /// Index of the first.
    pub(super) first: usize,
    pub(super) blocks: &'a [&'a Block],
    /// The table of relative positions; empty in networks without one.
    pub(super) relative: &'a [f32],
    /// The blocks of adapters.
    pub(super) adapters: &'a [Block],
    /// Whether the blocks themselves are trained, not adapters alone.
    pub(super) trains_base: bool,
}

impl Default for Span<'_> {
    fn default() -> Self {
        Self { first: 0, blocks: &[], relative: &[], adapters: &[], trains_base: true }
    }
}

impl<'a> Span<'a> {
    /// Index behind the last.
    pub(super) fn end(self) -> usize {
        self.first + self.blocks.len()
    }

    /// The values of a block.
    pub(super) fn values(self, block: usize) -> &'a [f32] {
        &self.blocks[block - self.first].values
    }
}
