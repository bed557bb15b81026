//! The backward of image networks: cotangents down block by block, node by node.

use rayon::prelude::*;

use super::conv::Conv;
use super::graph::Op;
use super::patches::Images;
use super::stack::Stack;
use super::{NetSaved, NetTrunk};
use crate::Result;
use crate::params::Params;
use crate::trunk::pool::Buf;
use crate::trunk::{BlockGrad, Cotangent, GradSink, TaskGrad, elementwise, simd};

/// Most tasks whose gradients of an affine map go to the sink whole.
const WHOLE: usize = 8;

/// Tasks' gradients of a whole map that the bands of more tasks take the place of.
const AT_ONCE: usize = 4;

impl NetTrunk {
    /// Sends cotangents down block by block.
    pub(super) fn sweep(
        &self,
        params: &Params,
        saved: &NetSaved,
        cotangents: &[Cotangent],
        sink: &mut dyn GradSink<f32>,
    ) -> Result<()> {
        let mut active: Vec<&Cotangent> = cotangents.iter().collect();
        active.sort_by_key(|cotangent| cotangent.task);
        let is_coupled = saved.moments.iter().flatten().any(|used| used.rows > 0);
        let mut stack = Stack::new(&active, saved.n, is_coupled);
        let mut slots: Vec<(Option<Buf>, usize)> =
            (0..=self.graph.last()).map(|value| (None, self.graph.shape(value).len())).collect();
        let size = self.graph.states().len();
        slots[self.graph.last()].0 = Some(stack.gradient(&self.pool, &active, size));
        for block in (saved.mode.lowest..self.sizes.len()).rev() {
            stack.restrict(&self.pool, block, &mut slots);
            if stack.groups.is_empty() {
                break;
            }
            let below = block > saved.mode.lowest && stack.lowest() < block;
            self.block_backward((params, saved), (block, below), &stack, &mut slots, sink)?;
            if !below {
                break;
            }
        }
        Ok(())
    }

    /// The backward through one block, and its parameters' gradients to the sink.
    fn block_backward(
        &self,
        (params, saved): (&Params, &NetSaved),
        (block, below): (usize, bool),
        stack: &Stack,
        slots: &mut [(Option<Buf>, usize)],
        sink: &mut dyn GradSink<f32>,
    ) -> Result<()> {
        match self.affine(params, block) {
            Some(map) if stack.groups.len() > WHOLE => {
                self.affine_backward(map, saved, (block, below), stack, slots, sink)
            }
            _ => {
                let grads = self.backward((params, saved), (block, below), stack, slots);
                send(sink, (block, None), stack, &grads)
            }
        }
    }

    /// The block as one affine map of its input, if that is all it is: its place among the nodes and the map.
    fn affine<'a>(&'a self, params: &'a Params, block: usize) -> Option<(usize, Conv<'a>)> {
        let mut nodes = self.graph.nodes.iter().enumerate().filter(|(_, node)| node.block == block);
        let ((i, node), None) = (nodes.next()?, nodes.next()) else { return None };
        let Op::Conv { .. } = node.op else { return None };
        let conv = self.conv(&params.blocks[block], node);
        conv.is_dense().then_some((i, conv))
    }

    /// The backward through an affine map for many tasks: their gradients go to the sink a band of channels at a time,
    /// so that about as many values exist at once as of [`AT_ONCE`] tasks.
    fn affine_backward(
        &self,
        (i, conv): (usize, Conv<'_>),
        saved: &NetSaved,
        (block, below): (usize, bool),
        stack: &Stack,
        slots: &mut [(Option<Buf>, usize)],
        sink: &mut dyn GradSink<f32>,
    ) -> Result<()> {
        let node = &self.graph.nodes[i];
        let Some(mut g) = slots[i + 1].0.take() else { return Ok(()) };
        if node.relu {
            let y = saved.values[i + 1].as_deref().unwrap_or(&[]);
            mask(&mut g, &stack.images(y, node.out.len()), stack.len());
        }
        let x = saved.values[node.input].as_deref().unwrap_or(&[]);
        let (x, patch) = (stack.images(x, node.from.len()), node.from.len());
        for band in conv.bands(stack.groups.len().div_ceil(AT_ONCE)) {
            let grads = conv.band_backward(&x, &g, stack, &band);
            send(sink, (block, Some(band.start * patch)), stack, &grads)?;
        }
        send(sink, (block, Some(conv.weight_len())), stack, &conv.bias_backward(&g, stack))?;
        if below && node.input > 0 {
            add_to(&mut slots[node.input].0, conv.input_backward_of_many(g, stack.len()));
        }
        Ok(())
    }

    /// The backward through one block: the gradient of its parameters for each group of the stack.
    fn backward(
        &self,
        (params, saved): (&Params, &NetSaved),
        (block, below): (usize, bool),
        stack: &Stack,
        slots: &mut [(Option<Buf>, usize)],
    ) -> Vec<Buf> {
        let weights = &params.blocks[block];
        let mut grads: Vec<Buf> =
            stack.groups.iter().map(|_| self.pool.zeros(weights.values.len())).collect();
        for (i, node) in self.graph.nodes.iter().enumerate().rev().filter(|(_, node)| node.block == block) {
            let Some(mut g) = slots[i + 1].0.take() else { continue };
            if node.relu {
                let y = saved.values[i + 1].as_deref().unwrap_or(&[]);
                mask(&mut g, &stack.images(y, node.out.len()), stack.len());
            }
            let x = saved.values[node.input].as_deref().unwrap_or(&[]);
            let x = stack.images(x, node.from.len());
            let first = weights.tensors.get(node.tensor).map_or(0, |spec| spec.offset);
            let mut own: Vec<&mut [f32]> = grads.iter_mut().map(|grad| &mut grad[first..]).collect();
            let wants = |value: usize| value > 0 && (below || self.graph.nodes[value - 1].block == block);
            let wants_input = wants(node.input);
            match node.op {
                Op::Conv { .. } => {
                    let conv = self.conv(weights, node);
                    conv.weights_backward(&x, &g, stack, &mut own);
                    if wants_input {
                        add_to(&mut slots[node.input].0, conv.input_backward(&g, stack.len()));
                    }
                }
                Op::MaxPool if wants_input => {
                    add_to(&mut slots[node.input].0, self.max_pool(node).backward(&x, &g, stack.len()));
                }
                Op::MaxPool => {}
                Op::LayerNorm => {
                    self.layer_norm(weights, node).backward(&x, &mut g, stack, &mut own);
                    add_to(&mut slots[node.input].0, g);
                }
                Op::BatchNorm { plus } => {
                    let Some(used) = &saved.moments[i] else { continue };
                    let dx = self.batch_norm(weights, node).backward(&x, used, &g, stack, &mut own);
                    add_to(&mut slots[node.input].0, dx);
                    if let Some(plus) = plus.filter(|&value| wants(value)) {
                        add_to(&mut slots[plus].0, g);
                    }
                }
            }
        }
        grads
    }
}

/// Gives the sink the gradients of all groups: of the whole block, or of its parameters from `first` on.
fn send(
    sink: &mut dyn GradSink<f32>,
    (block, first): (usize, Option<usize>),
    stack: &Stack,
    grads: &[Buf],
) -> Result<()> {
    let of = |values| match first {
        None => BlockGrad::Dense(values),
        Some(first) => BlockGrad::Part { first, values },
    };
    let pairs = stack.groups.iter().zip(grads);
    let tasks: Vec<TaskGrad<'_>> =
        pairs.map(|(group, grad)| TaskGrad { task: group.task, grad: of(&**grad) }).collect();
    sink.block(block, &tasks)
}

/// Zeroes gradients where the output of a ReLU is 0.
fn mask(g: &mut [f32], y: &Images<'_>, n: usize) {
    let size = y.size;
    g.par_chunks_mut(size).enumerate().take(n).for_each(|(i, g)| {
        simd::wide(
            #[inline(always)]
            || g.iter_mut().zip(y.get(i)).for_each(|(g, y)| *g = if *y > 0.0 { *g } else { 0.0 }),
        );
    });
}

/// Adds a gradient to what a value has already.
fn add_to(slot: &mut Option<Buf>, more: Buf) {
    const CHUNK: usize = 1 << 14;
    match slot {
        None => *slot = Some(more),
        Some(sum) => sum.par_chunks_mut(CHUNK).zip(more.par_chunks(CHUNK)).for_each(|(sum, more)| {
            simd::wide(
                #[inline(always)]
                || elementwise::add(sum, more),
            );
        }),
    }
}
