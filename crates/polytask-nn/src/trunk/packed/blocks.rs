//! One block: its layers forward, in order, and backward, top first.

use super::clock::{Clock, Half};
use super::sweep::{Share, send};
use super::{Packed, Span};
use crate::Result;
use crate::trunk::GradSink;
use crate::trunk::fronts::{FrontPass, FrontShare, stack_values};
use crate::trunk::graph::{BlockGraph, FRONT, Home, INPUT, Node};
use crate::trunk::kernels::Mat;
use crate::trunk::layers::{Back, Kept, Place, Rows, Weights, sum};
use crate::trunk::panels::Panels;
use crate::trunk::pieces::Added;
use crate::trunk::pool::{Buf, Pool};
use crate::trunk::stack::Stack;

/// A block's matrices as right sides of products, by node.
#[derive(Debug, Default)]
pub(super) struct BlockPanels(Vec<Option<Panels>>);

impl BlockPanels {
    /// Lays out a block's weights, and those of its adapter.
    pub(super) fn new(block: &BlockGraph, pool: &Pool, (own, adapter): (&[f32], &[f32])) -> Self {
        let lay = |node: &Node| {
            let (matrix, start) = node.layer.matrix()?;
            let first = node.range.start + start;
            let values = if node.home == Home::Base { own } else { adapter };
            let weight = &values[first..first + matrix.len()];
            Some(Panels::new(pool, Mat::new(weight, matrix.d_out(), matrix.d_in).t()))
        };
        Self(block.nodes.iter().map(lay).collect())
    }

    /// Those of a node.
    pub(super) fn of(&self, node: usize) -> Option<&Panels> {
        self.0[node].as_ref()
    }
}

/// What a block keeps for its backward.
#[derive(Debug, Default)]
pub(super) struct KeptBlock {
    /// Rows by number of node, of those that are read again.
    rows: Vec<Option<Buf>>,
    /// What each layer keeps.
    layers: Vec<Kept>,
    /// The block's input, from which the rest is computed again.
    input: Option<Buf>,
    /// Where rows pass several times: what each pass keeps.
    passes: Vec<Self>,
}

impl KeptBlock {
    /// Nothing but the input.
    pub(super) fn input(input: Buf) -> Self {
        Self { input: Some(input), ..Self::default() }
    }
}

/// A node and what its backward reads.
struct NodeSaved<'a> {
    node: &'a Node,
    number: usize,
    weights: Weights<'a>,
    kept: &'a [Buf],
    input: &'a [f32],
    /// Whether the gradient at its input is wanted.
    wanted: bool,
    /// Whether its own parameters are trained.
    is_trained: bool,
}

/// Gradients of a node's parameters, per group of a share.
struct NodeParameters {
    layer: Vec<Buf>,
    adapter: Vec<Buf>,
}

/// Gradients at the rows of a block's nodes, of one share: by number of node.
type NodeGrads = Vec<Option<Buf>>;

impl Packed {
    /// States above the block, and what its backward needs when that is to be kept.
    pub(super) fn through_block(
        &self,
        span: Span,
        at: &Place<'_>,
        panels: Option<&BlockPanels>,
        mut x: Buf,
        keep: bool,
    ) -> (KeptBlock, Buf) {
        if at.block == FRONT {
            self.first_rows(span, at, &mut x);
            return (KeptBlock::default(), x);
        }
        let times = self.graph.block(at.block).times;
        if times == 1 {
            return self.pass_block(span, at, panels, x, keep);
        }
        let mut passes = Vec::new();
        for pass in 0..times {
            let mode = BlockGraph::mode_of(at.mode, pass);
            let (kept, out) = self.pass_block(span, &Place { mode: &mode, ..*at }, panels, x, keep);
            passes.extend(keep.then_some(kept));
            x = out;
        }
        (KeptBlock { passes, ..KeptBlock::default() }, x)
    }

    /// One pass of rows through a block above the front.
    fn pass_block(
        &self,
        span: Span,
        at: &Place<'_>,
        panels: Option<&BlockPanels>,
        x: Buf,
        keep: bool,
    ) -> (KeptBlock, Buf) {
        let block = self.graph.block(at.block);
        let mut kept = KeptBlock::default();
        let mut rows: Vec<Option<Buf>> = vec![Some(x)];
        for (i, node) in block.nodes.iter().enumerate() {
            let is_last = block.last_reader(node.input) == i && !(keep && block.is_read_again(node.input));
            let own = is_last.then(|| rows[node.input].take()).flatten();
            let lent = |number: usize| rows[number].as_deref().unwrap_or_default();
            let input = own.map_or_else(|| Rows::Lent(lent(node.input)), Rows::Own);
            let panels = panels.and_then(|panels| panels.of(i));
            let weights = Weights { panels, ..self.weights(span, at.block, node) };
            let forward = || node.layer.forward(at, weights, input, node.residual.map(lent), keep);
            let (layer, out) = Clock::time(self.clock.as_ref(), Half::Forward, (at.block, i), forward);
            for number in [Some(node.input), node.residual].into_iter().flatten() {
                if block.last_reader(number) == i && !(keep && block.is_read_again(number)) {
                    rows[number] = None;
                }
            }
            rows.push(Some(out));
            if keep {
                kept.layers.push(layer);
            }
        }
        let out = rows.pop().flatten().unwrap_or_else(|| self.pool.take(0));
        kept.rows = if keep { rows } else { Vec::new() };
        (kept, out)
    }

    /// The gradients of the front and of its prompt to the sink.
    fn front_backward(
        &self,
        span: Span,
        at: &Place<'_>,
        shares: &[Share<'_>],
        sink: &mut dyn GradSink<f32>,
    ) -> Result<()> {
        if let Some((prompt, number)) = self.graph.prompt.zip(self.graph.adapter_of(FRONT)) {
            let of = |share: &Share<'_>| share.prompt_grads(&self.pool, prompt);
            send((number, 0), shares, &shares.iter().map(of).collect::<Vec<_>>(), sink)?;
        }
        // Beside a prompt the front itself is never trained.
        if !span.trains_base || self.graph.prompt.is_some() {
            return Ok(());
        }
        let own: Vec<FrontShare<'_>> =
            shares.iter().map(|share| FrontShare { stack: &share.stack, g: &share.g }).collect();
        let pass = self.front_pass(span, at);
        let back = || self.graph.front.backward(pass, &own, FRONT, sink);
        Clock::time(self.clock.as_ref(), Half::Backward, (FRONT, 0), back)
    }

    /// The values of a block's adapter; none where it has none.
    pub(super) fn adapter_values<'a>(&self, span: Span<'a>, block: usize) -> &'a [f32] {
        let number = self.graph.adapter_of(block).map(|number| number - self.graph.n_base());
        number.and_then(|number| span.adapters.get(number)).map(|block| &*block.values).unwrap_or_default()
    }

    /// What the front reads.
    pub(super) fn front_pass<'a>(&'a self, span: Span<'a>, at: &Place<'a>) -> FrontPass<'a> {
        FrontPass { values: span.values(FRONT), symbols: at.symbols, pool: &self.pool, threads: at.threads }
    }

    /// The parameters of a node, and those of its adapter.
    pub(super) fn weights<'a>(&'a self, span: Span<'a>, block: usize, node: &'a Node) -> Weights<'a> {
        let adapter = self.adapter_values(span, block);
        let lora = node.adapter.as_ref().filter(|_| !adapter.is_empty());
        let lora = lora.map(|own| (&own.lora, &adapter[own.range.clone()]));
        let values = if node.home == Home::Base { span.values(block) } else { adapter };
        Weights { values: &values[node.range.clone()], panels: None, lora }
    }

    /// The backward through one block: feeds the sink; the shares then have dL/d(states below) when `below`.
    pub(super) fn block_backward<'a>(
        &self,
        span: Span,
        at: &Place<'_>,
        kept: &KeptBlock,
        (mut shares, below): (Vec<Share<'a>>, bool),
        sink: &mut dyn GradSink<f32>,
    ) -> Result<Vec<Share<'a>>> {
        if at.block == FRONT {
            self.front_backward(span, at, &shares, sink)?;
            return Ok(shares);
        }
        if let Some(input) = &kept.input {
            let (kept, _) = self.through_block(span, at, None, self.copy(input), true);
            return self.block_backward(span, at, &kept, (shares, below), sink);
        }
        if kept.passes.is_empty() {
            return self.pass_backward(span, at, kept, (shares, below), sink);
        }
        // What all passes say of the parameters they share is one gradient.
        let mut added = Added::of_sizes(self.graph.sizes());
        for (pass, kept) in kept.passes.iter().enumerate().rev() {
            let mode = BlockGraph::mode_of(at.mode, pass);
            let at = Place { mode: &mode, ..*at };
            shares = self.pass_backward(span, &at, kept, (shares, below || pass > 0), &mut added)?;
        }
        added.send(sink)?;
        Ok(shares)
    }

    /// The backward through one pass of rows through a block.
    fn pass_backward<'a>(
        &self,
        span: Span,
        at: &Place<'_>,
        kept: &KeptBlock,
        (mut shares, below): (Vec<Share<'a>>, bool),
        sink: &mut dyn GradSink<f32>,
    ) -> Result<Vec<Share<'a>>> {
        let block = self.graph.block(at.block);
        let mut grads: Vec<NodeGrads> = shares
            .iter_mut()
            .map(|share| {
                let mut grads: NodeGrads = (0..block.nodes.len()).map(|_| None).collect();
                grads.push(Some(std::mem::replace(&mut share.g, self.pool.take(0))));
                grads
            })
            .collect();
        for (i, node) in block.nodes.iter().enumerate().rev() {
            let saved = NodeSaved {
                node,
                number: i + 1,
                weights: self.weights(span, at.block, node),
                kept: &kept.layers[i],
                input: kept.rows[node.input].as_deref().unwrap_or_default(),
                wanted: below || node.input != INPUT,
                is_trained: (span.trains_base || node.home == Home::Adapter) && !node.range.is_empty(),
            };
            let (mut own, mut adapters) =
                (Vec::with_capacity(shares.len()), Vec::with_capacity(shares.len()));
            for (share, grads) in shares.iter_mut().zip(&mut grads) {
                let NodeParameters { layer, adapter } = self.node_backward(at, &saved, share, grads);
                own.push(layer);
                adapters.push(adapter);
            }
            let above = self.graph.adapter_of(at.block);
            let home = if node.home == Home::Base { Some(at.block) } else { above };
            if let Some(number) = home.filter(|_| saved.is_trained) {
                send((number, node.range.start), &shares, &own, sink)?;
            }
            if let (Some(adapter), Some(number)) = (&node.adapter, above) {
                send((number, adapter.range.start), &shares, &adapters, sink)?;
            }
        }
        for (share, grads) in shares.iter_mut().zip(&mut grads) {
            share.g = grads[INPUT].take().unwrap_or_else(|| self.pool.zeros(0));
        }
        Ok(shares)
    }

    /// The backward of one layer for one share.
    fn node_backward(
        &self,
        at: &Place<'_>,
        saved: &NodeSaved<'_>,
        share: &mut Share<'_>,
        grads: &mut NodeGrads,
    ) -> NodeParameters {
        let NodeSaved { node, kept, input, wanted, .. } = *saved;
        let take = |n: usize| share.stack.groups.iter().map(|_| self.pool.take(n)).collect::<Vec<Buf>>();
        let mut layer = if saved.is_trained { take(node.range.len()) } else { Vec::new() };
        let mut adapter = node.adapter.as_ref().map(|adapter| take(adapter.range.len())).unwrap_or_default();
        let Some(g) = grads[saved.number].take() else { return NodeParameters { layer, adapter } };
        let back = Back {
            kept,
            input,
            stack: &share.stack,
            g,
            onto: grads[node.input].take(),
            wanted,
            grads: &mut layer,
            lora: &mut adapter,
            relative: &mut share.relative,
        };
        let place = (at.block, saved.number - 1);
        let vjp = || node.layer.vjp(at, saved.weights, back);
        let below = Clock::time(self.clock.as_ref(), Half::Backward, place, vjp);
        grads[node.input] = below.input;
        if let (Some(number), Some(g)) = (node.residual, below.residual) {
            grads[number] = Some(sum(g, grads[number].take()));
        }
        NodeParameters { layer, adapter }
    }

    /// Rows of zeros for the table of relative positions, one per group.
    pub(super) fn relative_grads(&self, stack: &Stack) -> Vec<Buf> {
        let n = self.graph.relative_table().map_or(0, |(_, range)| range.len());
        if n == 0 {
            return Vec::new();
        }
        stack.groups.iter().map(|_| self.pool.zeros(n)).collect()
    }

    /// Stacked cotangents of some tasks.
    pub(super) fn stacked(&self, cotangents: &[&crate::trunk::Cotangent]) -> Buf {
        stack_values(&self.pool, cotangents)
    }
}
