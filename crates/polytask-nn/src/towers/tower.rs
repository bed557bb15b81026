//! A tower: an encoder of one type of column, in its place among others.

use std::ops::Range;
use std::sync::Arc;

use polytask_core::rng::{self, Purpose};
use polytask_core::{Layout, PackedBatch};

use crate::Result;
use crate::params::{Block, Params};
use crate::pooling::Pooling;
use crate::trunk::{Blocks, Cotangent, GradSink, Mode, SavedForward, States, TaskGrad, Trunk};

/// An encoder of some columns of a table.
pub(crate) struct Tower {
    pub(crate) trunk: Arc<dyn Trunk>,
    pub(crate) pooling: Pooling,
    /// The columns it reads, among those that towers read.
    pub(crate) columns: Vec<usize>,
    /// Number of its first block.
    pub(crate) first: usize,
    /// Whether it started from random weights.
    pub(crate) is_fresh: bool,
}

/// What a tower's pass keeps; nothing where its vectors were cached.
#[derive(Default)]
pub(super) struct TowerSaved {
    pub(super) layout: Layout,
    pub(super) states: States,
    /// Of a trained tower: what its trunk kept, and the first of its blocks that ran.
    pub(super) saved: Option<(SavedForward, usize)>,
}

impl TowerSaved {
    /// The pooled vectors.
    pub(super) fn pooled(&self, tower: &Tower) -> States {
        tower.pooling.forward(&self.states, &self.layout)
    }
}

impl Tower {
    /// Values of a pooled vector.
    pub(crate) fn width(&self) -> usize {
        self.pooling.width(&*self.trunk)
    }

    pub(super) fn n_blocks(&self) -> usize {
        self.trunk.n_blocks()
    }

    /// One more than the number of its last block.
    pub(super) fn end(&self) -> usize {
        self.first + self.n_blocks()
    }

    /// Its blocks.
    pub(super) fn range(&self) -> Range<usize> {
        self.first..self.end()
    }

    /// A copy of its parameters.
    pub(super) fn params(&self, params: &Params) -> Params {
        Params { blocks: params.blocks[self.range()].to_vec() }
    }

    /// Its own number of a block of all towers; all its blocks are frozen from its number of blocks on.
    pub(super) fn own_block(&self, block: usize) -> usize {
        block.saturating_sub(self.first).min(self.n_blocks())
    }

    /// How its trunk runs: with masks of its own, and nothing kept where it is frozen.
    fn mode(&self, (number, mode): (usize, Mode)) -> Mode {
        let lowest = self.own_block(mode.lowest);
        let seed =
            if number == 0 { mode.seed } else { rng::key(mode.seed, Purpose::Dropout, &[number as u64]) };
        let still = Blocks::from_fn(|block| mode.still.contains(self.first + block));
        Mode { lowest, seed, still, save: mode.save && lowest < self.n_blocks(), ..mode }
    }

    /// A pass over its sequences; `below` are its states under the lowest trained block, where they are known.
    pub(super) fn pass(
        &self,
        params: &Params,
        sequences: &PackedBatch,
        below: Option<&States>,
        mode: (usize, Mode),
    ) -> Result<TowerSaved> {
        let mode = self.mode(mode);
        let first = below.map_or(0, |_| mode.lowest);
        let none = States::default();
        let (states, saved) = if self.trunk.can_be_cut() {
            let blocks = self.blocks(params, first);
            self.trunk.through((first, &blocks), sequences, below.unwrap_or(&none), mode)?
        } else {
            let own = self.params(params);
            match below {
                Some(below) => self.trunk.forward_from(&own, sequences, below, mode)?,
                None => self.trunk.forward(&own, sequences, mode)?,
            }
        };
        let layout = self.trunk.layout(sequences);
        Ok(TowerSaved { layout, states, saved: mode.save.then_some((saved, first)) })
    }

    /// States of its sequences under block `lowest` of its own.
    pub(super) fn below(&self, params: &Params, sequences: &PackedBatch, lowest: usize) -> Result<States> {
        if !self.trunk.can_be_cut() {
            return self.trunk.forward_below(&self.params(params), sequences, lowest);
        }
        let blocks: Vec<&Block> = params.blocks[self.first..self.first + lowest].iter().collect();
        let none = States::default();
        let mode = Mode { lowest, ..Mode::EVAL };
        Ok(self.trunk.through((0, &blocks), sequences, &none, mode)?.0)
    }

    /// Its blocks from `first` of its own on.
    fn blocks<'a>(&self, params: &'a Params, first: usize) -> Vec<&'a Block> {
        params.blocks[self.first + first..self.end()].iter().collect()
    }

    /// Sends cotangents down through it.
    pub(super) fn vjp(
        &self,
        params: &Params,
        (saved, first): &(SavedForward, usize),
        cotangents: &[Cotangent],
        sink: &mut dyn GradSink<f32>,
    ) -> Result<()> {
        let mut sink = Shifted { sink, by: self.first };
        if self.trunk.can_be_cut() {
            let blocks = self.blocks(params, *first);
            return self.trunk.vjp_through((*first, &blocks), saved, cotangents, &mut sink, false).map(drop);
        }
        self.trunk.vjp(&self.params(params), saved, cotangents, &mut sink)
    }

    /// Moves its running statistics towards those of a pass.
    pub(super) fn update_statistics(&self, params: &mut Params, saved: &TowerSaved) {
        let Some((saved, _)) = &saved.saved else { return };
        let blocks = params.blocks[self.range()].iter_mut().map(std::mem::take).collect();
        let mut own = Params { blocks };
        self.trunk.update_statistics(&mut own, saved);
        for (block, own) in params.blocks[self.range()].iter_mut().zip(own.blocks) {
            *block = own;
        }
    }
}

/// A sink that knows a tower's blocks by their numbers among all.
struct Shifted<'a> {
    sink: &'a mut dyn GradSink<f32>,
    by: usize,
}

impl GradSink<f32> for Shifted<'_> {
    fn block(&mut self, block: usize, grads: &[TaskGrad<'_>]) -> Result<()> {
        self.sink.block(block + self.by, grads)
    }
}
