//! The backward through all blocks: cotangents down block by block, a share of the tasks at a time.
//!
//! What a layer needs on the way (gradients of its wide activations) exists for one share only, and a layer's weight
//! gradients go to the sink in three parts. So the memory that grows with the number of tasks is a gradient of the
//! states and the largest of these parts per task.

use super::embedding;
use super::layer::{Kept, LayerContext, LayerSaved};
use super::stack::Stack;
use super::{Packed, PackedSaved, Span};
use crate::Result;
use crate::trunk::bert::{LayerView, WORDS};
use crate::trunk::pool::{Buf, Pool};
use crate::trunk::{BlockGrad, Cotangent, GradSink, TaskGrad};

/// Stacked rows from which tasks are taken in several shares: products are long enough, and the wide gradients of so
/// many rows stay below what a small encoder's own gradient takes.
pub(super) const ROWS: usize = 2048;

/// Tasks that go through a block together.
struct Share<'a> {
    /// Their cotangents, ascending by task.
    active: Vec<&'a Cotangent>,
    stack: Stack,
    /// dL/d states on the stacked rows.
    g: Buf,
}

impl<'a> Share<'a> {
    fn new(pool: &Pool, saved: &PackedSaved, active: Vec<&'a Cotangent>) -> Self {
        let (stack, g) = (Stack::new(&saved.batch, &active), embedding::stack_values(pool, &active));
        Self { active, stack, g }
    }

    /// Cotangents with what has arrived.
    fn arrived(&self) -> impl Iterator<Item = Cotangent> + '_ {
        let mut g = &self.g[..];
        self.active.iter().map(move |cotangent| {
            let (own, rest) = g.split_at(cotangent.values.len());
            g = rest;
            Cotangent { values: own.to_vec().into(), sequences: cotangent.sequences.clone(), ..**cotangent }
        })
    }

    /// Leaves out the cotangents that stop above `block`.
    fn restrict(&mut self, pool: &Pool, saved: &PackedSaved, block: usize) {
        let kept = |cotangent: &Cotangent| cotangent.lowest <= block;
        if self.active.iter().all(|cotangent| kept(cotangent)) {
            return;
        }
        let n = self.active.iter().filter(|c| kept(c)).map(|c| c.values.len()).sum();
        let mut next = pool.take(n);
        let (mut from, mut to) = (0, 0);
        for cotangent in &self.active {
            let len = cotangent.values.len();
            if kept(cotangent) {
                next[to..to + len].copy_from_slice(&self.g[from..from + len]);
                to += len;
            }
            from += len;
        }
        self.active.retain(|cotangent| kept(cotangent));
        (self.stack, self.g) = (Stack::new(&saved.batch, &self.active), next);
    }
}

/// Cotangents in shares of at most `most` rows, or of one task.
fn shares<'a>(
    pool: &Pool,
    saved: &PackedSaved,
    cotangents: &'a [Cotangent],
    (width, most): (usize, usize),
) -> Vec<Share<'a>> {
    let mut active: Vec<&Cotangent> = cotangents.iter().collect();
    active.sort_by_key(|cotangent| cotangent.task);
    let mut groups: Vec<Vec<&Cotangent>> = Vec::new();
    let mut rows = 0;
    for of_task in active.chunk_by(|a, b| a.task == b.task) {
        let more: usize = of_task.iter().map(|cotangent| cotangent.values.len() / width).sum();
        match groups.last_mut() {
            Some(group) if rows + more <= most => group.extend(of_task),
            _ => {
                groups.push(of_task.to_vec());
                rows = 0;
            }
        }
        rows += more;
    }
    groups.into_iter().map(|group| Share::new(pool, saved, group)).collect()
}

impl Packed {
    /// Sends cotangents down block by block; with `below`, what arrives below the last one.
    pub(super) fn sweep(
        &self,
        span: Span,
        saved: &PackedSaved,
        cotangents: &[Cotangent],
        sink: &mut dyn GradSink<f32>,
        below: bool,
    ) -> Result<Vec<Cotangent>> {
        let mut shares =
            shares(&self.pool, saved, cotangents, (self.config.hidden_size, self.rows_per_share));
        for block in (saved.mode.lowest..span.end()).rev() {
            shares.iter_mut().for_each(|share| share.restrict(&self.pool, saved, block));
            shares.retain(|share| !share.active.is_empty());
            let mut active = shares.iter().flat_map(|share| &share.active);
            let deeper = block > saved.mode.lowest && active.any(|cotangent| cotangent.lowest < block);
            let is_last = below && block == saved.mode.lowest;
            if shares.is_empty() {
                break;
            }
            shares = self.backward((span, saved), (block, deeper || is_last), shares, sink)?;
            if is_last && block != WORDS {
                return Ok(shares.iter().flat_map(Share::arrived).collect());
            }
            if !deeper {
                break;
            }
        }
        Ok(Vec::new())
    }

    /// The backward through one block: feeds the sink; the shares then have dL/d(states below) when `below`.
    fn backward<'a>(
        &self,
        (span, saved): (Span, &PackedSaved),
        (block, below): (usize, bool),
        shares: Vec<Share<'a>>,
        sink: &mut dyn GradSink<f32>,
    ) -> Result<Vec<Share<'a>>> {
        let (values, batch, mode) = (span.values(block), &saved.batch, &saved.mode);
        let place = self.context(batch, mode, block);
        match &saved.blocks[block - mode.lowest] {
            Kept::Words => {
                let stacks = shares.iter().map(|share| (&share.stack, &share.g[..]));
                embedding::words_backward(&self.config, batch, &self.pool, stacks, sink)?;
                Ok(shares)
            }
            Kept::Embeddings(norm) => {
                let (shares, grads) = each(shares, |stack, mut g| {
                    let kept = (norm, stack);
                    let grads =
                        embedding::backward(&self.config, values, batch, mode, &self.pool, kept, &mut g);
                    (g, grads)
                });
                send((block, None), shares, &grads, sink)
            }
            Kept::Layer(layer) => self.layer_backward((&place, values, layer), below, shares, sink),
            Kept::Input(input) => {
                let (layer, _) = place.forward(values, self.below(batch, input, 0), true);
                self.layer_backward((&place, values, &layer), below, shares, sink)
            }
        }
    }

    /// A layer's three parts, the upper ones first. A share that is the only one keeps the gradient of its wide states
    /// from one part to the next; several compute theirs again.
    fn layer_backward<'a>(
        &self,
        (place, values, layer): (&LayerContext<'_>, &[f32], &LayerSaved),
        below: bool,
        shares: Vec<Share<'a>>,
        sink: &mut dyn GradSink<f32>,
    ) -> Result<Vec<Share<'a>>> {
        let view = LayerView::new(&self.config, values);
        let [attention, up, down] = LayerView::<&[f32]>::starts(&self.config);
        let buffers = |stack: &Stack, len: usize| -> Vec<Buf> {
            stack.groups.iter().map(|_| self.pool.take(len)).collect()
        };
        let (keep, mut kept) = (shares.len() == 1, None);
        let (shares, grads) = each(shares, |stack, mut g| {
            let mut grads = buffers(stack, values.len() - down);
            kept = place.narrowing_backward(&view, layer, stack, (&mut g, keep), &mut grads);
            (g, grads)
        });
        let shares = send((place.block, Some(down)), shares, &grads, sink)?;
        drop(grads);
        let (shares, grads) = each(shares, |stack, g| {
            let mut grads = buffers(stack, down - up);
            (place.widening_backward(&view, layer, stack, (g, kept.take()), &mut grads), grads)
        });
        let shares = send((place.block, Some(up)), shares, &grads, sink)?;
        drop(grads);
        let (shares, grads) = each(shares, |stack, g| {
            let mut grads = buffers(stack, up - attention);
            (place.attention_backward(&view, layer, stack, g, below, &mut grads), grads)
        });
        send((place.block, Some(attention)), shares, &grads, sink)
    }
}

/// Takes every share's gradient a step down; also gives the gradients of parameters, `[shares][tasks]`.
fn each<'a>(
    shares: Vec<Share<'a>>,
    mut down: impl FnMut(&Stack, Buf) -> (Buf, Vec<Buf>),
) -> (Vec<Share<'a>>, Vec<Vec<Buf>>) {
    let through = |Share { active, stack, g }: Share<'a>| {
        let (g, grads) = down(&stack, g);
        (Share { active, stack, g }, grads)
    };
    shares.into_iter().map(through).unzip()
}

/// Gives the sink the gradients of all shares' tasks: of the whole block, or of the part that begins at `first`.
fn send<'a>(
    (block, first): (usize, Option<usize>),
    shares: Vec<Share<'a>>,
    grads: &[Vec<Buf>],
    sink: &mut dyn GradSink<f32>,
) -> Result<Vec<Share<'a>>> {
    let groups = shares.iter().flat_map(|share| &share.stack.groups);
    let of = |values| match first {
        None => BlockGrad::Dense(values),
        Some(first) => BlockGrad::Part { first, values },
    };
    let tasks: Vec<TaskGrad<'_>> = groups
        .zip(grads.iter().flatten())
        .map(|(group, grad)| TaskGrad { task: group.task, grad: of(&**grad) })
        .collect();
    sink.block(block, &tasks)?;
    Ok(shares)
}
