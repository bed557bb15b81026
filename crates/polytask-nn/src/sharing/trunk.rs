//! The graph as a trunk: one forward through the shared part and all nodes, views side by side.

use std::sync::Arc;

use polytask_core::{Layout, PackedBatch, Purpose, rng};

use super::mix::{Mixing, Moment};
use super::needed::{self, Needed};
use super::net::{Net, Node, NodeId, Origin, needed_of};
use crate::Result;
use crate::params::{Block, Params, Real};
use crate::trunk::{Cotangent, GradSink, Mode, SavedForward, States, Trunk, shape_error};

/// A trunk whose upper blocks are shared as an architecture says.
pub struct Shared<T: Real = f32> {
    pub(super) inner: Arc<dyn Trunk<T>>,
    /// Number of blocks below the cut.
    pub(super) n_below: usize,
    pub(super) nodes: Vec<Node>,
    views: Vec<NodeId>,
    owners: Vec<Option<usize>>,
    fresh: Vec<bool>,
    sizes: Vec<usize>,
}

/// What all nodes of a pass read.
struct Pass<'a, T> {
    params: &'a Params<T>,
    batch: &'a PackedBatch,
    layout: Layout,
    mode: Mode,
    needed: Vec<Needed>,
}

/// What [`Shared`] keeps between forward and backward.
pub(super) struct SharedSaved<T> {
    pub(super) layout: Layout,
    pub(super) mode: Mode,
    /// Of the part below the cut, when it is trained.
    pub(super) below: Option<SavedForward>,
    /// The sequences wanted of each view.
    pub(super) wanted: Vec<Needed>,
    /// The sequences each node was needed on.
    pub(super) needed: Vec<Needed>,
    /// States of each node.
    pub(super) states: Vec<States<T>>,
    /// Of each trained layer.
    pub(super) layers: Vec<Option<SavedForward>>,
}

impl<T: Real> Shared<T> {
    /// The graph of `net` over a trunk; `params` are its first values.
    pub(super) fn new(inner: Arc<dyn Trunk<T>>, net: Net, params: &Params<T>) -> Self {
        let owners = owners(&net, params.blocks.len());
        let fresh = net.origins.iter().map(|origin| matches!(origin, Origin::Fresh(_))).collect();
        let sizes = params.blocks.iter().map(|block| block.values.len()).collect();
        Self { inner, n_below: net.cut + 1, nodes: net.nodes, views: net.views, owners, fresh, sizes }
    }

    /// The node of a view.
    pub(super) fn view(&self, view: usize) -> NodeId {
        self.views[view]
    }

    fn check(&self, params: &Params<T>) -> Result<()> {
        let found: Vec<usize> = params.blocks.iter().map(|block| block.values.len()).collect();
        if found == self.sizes {
            return Ok(());
        }
        let found = format!("{} parameter blocks of other sizes", found.len());
        shape_error::shape("shared trunk", found, format!("the {} blocks it was made with", self.sizes.len()))
    }

    /// How the part below the cut runs.
    fn mode_below(&self, mode: Mode) -> Mode {
        let is_trained = mode.lowest < self.n_below;
        let dropout = if is_trained { mode.dropout } else { 0.0 };
        Mode { save: mode.save && is_trained, dropout, lowest: mode.lowest.min(self.n_below), ..mode }
    }

    /// How a layer runs: copies have masks of their own.
    fn mode_of(mode: Mode, (layer, block, stream): (usize, usize, u64)) -> Mode {
        let is_trained = block >= mode.lowest;
        let dropout = if is_trained { mode.dropout } else { 0.0 };
        let seed = if stream == 0 { mode.seed } else { rng::key(mode.seed, Purpose::Dropout, &[stream]) };
        Mode { save: mode.save && is_trained, dropout, seed, lowest: layer, ..mode }
    }

    /// States at the cut, from those below block `first`.
    fn to_cut(
        &self,
        params: &Params<T>,
        batch: &PackedBatch,
        (first, below): (usize, &States<T>),
        mode: Mode,
    ) -> Result<(States<T>, Option<SavedForward>)> {
        if first >= self.n_below {
            return Ok((below.clone(), None));
        }
        let blocks: Vec<&Block<T>> = params.blocks[first..self.n_below].iter().collect();
        let mode = self.mode_below(mode);
        let (states, saved) = self.inner.through((first, &blocks), batch, below, mode)?;
        Ok((states, mode.save.then_some(saved)))
    }

    /// The pass from the states below block `first`, for the `wanted` sequences of each view.
    fn pass(
        &self,
        params: &Params<T>,
        batch: &PackedBatch,
        below: (usize, &States<T>),
        mode: Mode,
        wanted: Option<&[Vec<u32>]>,
    ) -> Result<(States<T>, SavedForward)> {
        let (cut, below) = self.to_cut(params, batch, below, mode)?;
        let layout = self.inner.layout(batch);
        let needed = match wanted {
            Some(wanted) => needed_of(&self.nodes, &self.views, wanted, layout.n_sequences()),
            None => vec![None; self.nodes.len()],
        };
        let pass = Pass { params, batch, layout, mode, needed };
        let (mut states, mut layers) = (vec![cut], vec![None]);
        for node in 1..self.nodes.len() {
            let (out, saved) = self.node(&pass, node, &states)?;
            states.push(out);
            layers.push(saved);
        }
        let mut out = States { values: Vec::new(), width: self.inner.d_hidden() };
        self.views.iter().for_each(|&node| out.values.extend_from_slice(&states[node].values));
        if !mode.save {
            return Ok((out, Box::new(())));
        }
        let Pass { layout, needed, .. } = pass;
        let wanted = (0..self.views.len()).map(|view| wanted.map(|wanted| wanted[view].clone())).collect();
        Ok((out, Box::new(SharedSaved { layout, mode, below, wanted, needed, states, layers })))
    }

    /// States of one node, and what its backward needs.
    fn node(
        &self,
        pass: &Pass<T>,
        index: NodeId,
        states: &[States<T>],
    ) -> Result<(States<T>, Option<SavedForward>)> {
        let (layout, needed) = (&pass.layout, &pass.needed[index]);
        let width = self.inner.d_hidden();
        if needed.as_ref().is_some_and(Vec::is_empty) {
            return Ok((needed::spread(&[], width, &[], layout), None));
        }
        match &self.nodes[index] {
            Node::Cut => unreachable!("the cut is node 0 alone"),
            Node::Layer { layer, block, stream, input } => {
                let mode = Self::mode_of(pass.mode, (*layer, *block, *stream));
                let block = (*layer, &pass.params.blocks[*block]);
                let (out, saved) = self.layer(pass, block, &states[*input], needed, mode)?;
                Ok((out, mode.save.then_some(saved)))
            }
            node @ Node::Mix { .. } => {
                let mixing = mixing(node, pass.params, layout, states, pass.mode);
                Ok((mixing.forward(needed), None))
            }
            Node::Mask { block, mask, reads, input } => {
                let all: Vec<u32> = (0..layout.n_sequences() as u32).collect();
                let sequences = needed.as_ref().unwrap_or(&all);
                let rows = |node: NodeId| needed::rows(&states[node], sequences, layout);
                let seen: Vec<Vec<T>> = reads.iter().map(|&read| rows(read)).collect();
                let seen: Vec<&[T]> = seen.iter().map(Vec::as_slice).collect();
                let values = mask.forward(&pass.params.blocks[*block], &seen, &rows(*input))?;
                Ok((needed::spread(&values, width, sequences, layout), None))
            }
        }
    }

    /// A block over the sequences its node is needed on.
    fn layer(
        &self,
        pass: &Pass<T>,
        (layer, block): (usize, &Block<T>),
        below: &States<T>,
        needed: &Needed,
        mode: Mode,
    ) -> Result<(States<T>, SavedForward)> {
        let Some(sequences) = needed else {
            return self.inner.through((layer, &[block]), pass.batch, below, mode);
        };
        let (batch, width) = (needed::select(pass.batch, sequences), below.width);
        let below = States { values: needed::rows(below, sequences, &pass.layout), width };
        let (out, saved) = self.inner.through((layer, &[block]), &batch, &below, mode)?;
        Ok((needed::spread(&out.values, out.width, sequences, &pass.layout), saved))
    }
}

/// A mix node in a pass.
pub(super) fn mixing<'a, T: Real>(
    node: &'a Node,
    params: &Params<T>,
    layout: &'a Layout,
    states: &'a [States<T>],
    mode: Mode,
) -> Mixing<'a, T> {
    let Node::Mix { block, weigher, reads, inputs } = node else { unreachable!("the node is a mix") };
    Mixing {
        weigher: &**weigher,
        values: params.blocks[*block].values.iter().map(|v| v.f64()).collect(),
        moment: Moment {
            seed: mode.seed,
            step: if mode.train { mode.step } else { 0 },
            block: *block as u64,
        },
        layout,
        reads: reads.map(|read| &states[read]),
        inputs: inputs.iter().map(|&input| &states[input]).collect(),
    }
}

/// The only view whose states depend on each block.
fn owners(net: &Net, n_blocks: usize) -> Vec<Option<usize>> {
    let mut seen: Vec<Vec<usize>> = vec![Vec::new(); n_blocks];
    for (view, &top) in net.views.iter().enumerate() {
        let mut waiting = vec![top];
        let mut reached = vec![false; net.nodes.len()];
        while let Some(node) = waiting.pop() {
            if std::mem::replace(&mut reached[node], true) {
                continue;
            }
            seen.get_mut(net.nodes[node].block().unwrap_or(usize::MAX))
                .into_iter()
                .for_each(|s| s.push(view));
            waiting.extend(net.nodes[node].inputs());
        }
    }
    let owner = |(block, views): (usize, &Vec<usize>)| match views.as_slice() {
        [view] if block > net.cut && net.views.len() > 1 => Some(*view),
        _ => None,
    };
    seen.iter().enumerate().map(owner).collect()
}

impl<T: Real> Trunk<T> for Shared<T> {
    fn d_hidden(&self) -> usize {
        self.inner.d_hidden()
    }

    fn max_positions(&self) -> usize {
        self.inner.max_positions()
    }

    fn vocab_size(&self) -> usize {
        self.inner.vocab_size()
    }

    fn n_blocks(&self) -> usize {
        self.sizes.len()
    }

    fn n_views(&self) -> usize {
        self.views.len()
    }

    fn symbols_per_pass(&self) -> usize {
        self.inner.symbols_per_pass()
    }

    fn is_coupled(&self) -> bool {
        self.inner.is_coupled()
    }

    fn rows_per_sequence(&self) -> Option<usize> {
        self.inner.rows_per_sequence()
    }

    fn layout_below(&self, batch: &PackedBatch, lowest: usize) -> (Layout, usize) {
        self.inner.layout_below(batch, lowest.min(self.n_below))
    }

    fn layout(&self, batch: &PackedBatch) -> Layout {
        let one = self.inner.layout(batch);
        let mut starts = vec![0];
        for view in 0..self.views.len() {
            let base = (view * one.n_rows()) as u32;
            starts.extend(one.starts[1..].iter().map(|&end| base + end));
        }
        Layout { starts }
    }

    fn forward(
        &self,
        params: &Params<T>,
        batch: &PackedBatch,
        mode: Mode,
    ) -> Result<(States<T>, SavedForward)> {
        self.check(params)?;
        let empty = States { values: Vec::new(), width: self.d_hidden() };
        self.pass(params, batch, (0, &empty), mode, None)
    }

    fn forward_below(&self, params: &Params<T>, batch: &PackedBatch, lowest: usize) -> Result<States<T>> {
        self.check(params)?;
        let blocks: Vec<&Block<T>> = params.blocks[..lowest.min(self.n_below)].iter().collect();
        let empty = States { values: Vec::new(), width: self.d_hidden() };
        if blocks.is_empty() {
            return Ok(empty);
        }
        let mode = Mode { lowest: blocks.len(), ..Mode::EVAL };
        Ok(self.inner.through((0, &blocks), batch, &empty, mode)?.0)
    }

    fn forward_from(
        &self,
        params: &Params<T>,
        batch: &PackedBatch,
        below: &States<T>,
        mode: Mode,
    ) -> Result<(States<T>, SavedForward)> {
        self.check(params)?;
        self.pass(params, batch, (mode.lowest.min(self.n_below), below), mode, None)
    }

    fn forward_for(
        &self,
        params: &Params<T>,
        batch: &PackedBatch,
        below: Option<&States<T>>,
        mode: Mode,
        wanted: &[Vec<u32>],
    ) -> Result<(States<T>, SavedForward)> {
        self.check(params)?;
        let empty = States { values: Vec::new(), width: self.d_hidden() };
        let start = match below {
            Some(below) => (mode.lowest.min(self.n_below), below),
            None => (0, &empty),
        };
        self.pass(params, batch, start, mode, Some(wanted))
    }

    fn vjp(
        &self,
        params: &Params<T>,
        saved: &SavedForward,
        cotangents: &[Cotangent<T>],
        sink: &mut dyn GradSink<T>,
    ) -> Result<()> {
        self.check(params)?;
        self.sweep(params, self.saved(saved)?, cotangents, sink)
    }

    fn owner(&self, block: usize) -> Option<usize> {
        self.owners[block]
    }

    fn is_fresh(&self, block: usize) -> bool {
        self.fresh[block]
    }

    fn penalty(
        &self,
        params: &Params<T>,
        saved: &SavedForward,
        touched: &[(usize, Vec<u32>)],
        sink: &mut dyn GradSink<T>,
    ) -> Result<f64> {
        self.penalties(params, self.saved(saved)?, touched, sink)
    }
}
