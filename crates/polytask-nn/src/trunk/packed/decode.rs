//! A sequence read token by token: what each layer needs of earlier rows is remembered, so that one more token costs one row.
//!
//! The states are those of the whole sequence read at once, in networks whose rows depend on no later ones.

use polytask_core::PackedBatch;

use super::blocks::BlockPanels;
use super::{Packed, Span};
use crate::Result;
use crate::params::{Block, Params};
use crate::trunk::graph::BlockGraph;
use crate::trunk::kernels::Threads;
use crate::trunk::layers::{Place, Rows, Weights};
use crate::trunk::pool::Buf;
use crate::trunk::shape_error::shape;
use crate::trunk::{LaidOut, Mode, States};

/// Rows from which on a product uses all threads.
const MANY_ROWS: usize = 16;

/// What is remembered of a sequence that is read token by token.
#[derive(Debug, Clone, Default)]
pub struct Decoding {
    /// Tokens read so far.
    past: usize,
    /// Of each layer of each block, keys and values of earlier rows.
    blocks: Vec<Vec<Vec<f32>>>,
}

impl Decoding {
    /// Tokens read so far.
    pub fn n_tokens(&self) -> usize {
        self.past
    }

    /// Values that are remembered.
    pub fn n_values(&self) -> usize {
        self.blocks.iter().flatten().map(Vec::len).sum()
    }
}

/// Nothing remembered by the layers of a block.
fn fresh(block: &BlockGraph) -> Vec<Vec<f32>> {
    vec![Vec::new(); block.nodes.len()]
}

impl Packed {
    /// The beginning of a sequence.
    ///
    /// # Errors
    /// A network whose rows depend on later ones, or whose rows are no tokens.
    pub fn decoding(&self) -> Result<Decoding> {
        let layers = self.graph.blocks.iter().flat_map(|block| &block.nodes);
        let sees_ahead = layers.clone().any(|node| node.layer.sees_ahead());
        let found = if sees_ahead || self.graph.front.even().is_some() {
            "a network whose rows depend on later ones"
        } else if self.graph.prompt.is_some() {
            "a network with rows of a prompt"
        } else if self.graph.blocks.iter().any(|block| block.times != 1) {
            "a network that passes blocks several times"
        } else {
            return Ok(Decoding { past: 0, blocks: self.graph.blocks.iter().map(fresh).collect() });
        };
        shape("decoding", found, "one that reads from left to right, each block once")
    }

    /// Whether something was begun by a network of as many layers.
    fn begins(&self, decoding: &Decoding) -> bool {
        let own = self.graph.blocks.iter().map(|block| block.nodes.len());
        own.eq(decoding.blocks.iter().map(Vec::len))
    }

    /// States of the next tokens of a sequence, `[tokens, d_hidden]`.
    ///
    /// # Errors
    /// Weights or tokens of another network, a sequence that becomes too long.
    pub fn next(
        &self,
        params: &Params,
        laid_out: &LaidOut,
        decoding: &mut Decoding,
        tokens: &[u32],
    ) -> Result<States> {
        let Some(panels) = laid_out.downcast_ref::<Vec<BlockPanels>>() else {
            return shape("decoding", "weights that another trunk laid out", "what `lay_out` returned");
        };
        let batch = PackedBatch::pack([tokens]);
        self.check(params, &batch, Mode::EVAL)?;
        if decoding.past + tokens.len() > self.graph.max_positions() || !self.begins(decoding) {
            let found = format!("{} tokens after {}", tokens.len(), decoding.past);
            return shape("decoding", found, format!("at most {} in all", self.graph.max_positions()));
        }
        let blocks: Vec<&Block> = self.base(params);
        let span = self.span(params, &blocks, 0);
        let threads = if tokens.len() < MANY_ROWS { Threads::One } else { Threads::All };
        let mut x = self.below(span, &batch, &[], 0);
        for (block, panels) in panels.iter().enumerate().take(span.end()) {
            let at = Place {
                threads,
                past: decoding.past,
                ..self.place(span, (&batch, &batch), &Mode::EVAL, block)
            };
            match block.checked_sub(1) {
                None => self.first_rows(span, &at, &mut x),
                Some(above) => x = self.next_rows(span, &at, &mut decoding.blocks[above], panels, x),
            }
        }
        decoding.past += tokens.len();
        Ok(self.states(&[x], span))
    }

    /// The next rows above a block.
    fn next_rows(
        &self,
        span: Span,
        at: &Place<'_>,
        past: &mut [Vec<f32>],
        panels: &BlockPanels,
        x: Buf,
    ) -> Buf {
        let mut rows = vec![x];
        for (i, node) in self.graph.block(at.block).nodes.iter().enumerate() {
            let weights = Weights { panels: panels.of(i), ..self.weights(span, at.block, node) };
            let residual = node.residual.map(|number| &*rows[number]);
            let out = node.layer.next(at, &mut past[i], weights, Rows::Lent(&rows[node.input]), residual);
            rows.push(out);
        }
        rows.pop().unwrap_or_else(|| self.pool.take(0))
    }
}
