//! The backward through all blocks: cotangents down block by block, a share of the tasks at a time.
//!
//! A layer's weight gradients go to the sink before the next layer's are made. So the memory that grows with the number
//! of tasks is a gradient of a layer's rows, and the largest layer's weight gradient per task.

use polytask_core::PackedBatch;

use super::{Packed, PackedSaved, Span};
use crate::Result;
use crate::trunk::elementwise::add;
use crate::trunk::graph::{FRONT, Prompt};
use crate::trunk::pool::{Buf, Pool};
use crate::trunk::stack::{Group, Stack};
use crate::trunk::{BlockGrad, Cotangent, GradSink, TaskGrad};

/// Stacked rows from which tasks are taken in several shares: products are long enough, and the wide gradients of so
/// many rows stay below what a small encoder's own gradient takes.
pub(super) const ROWS: usize = 2048;

/// Tasks that go through a block together.
pub(super) struct Share<'a> {
    /// Their cotangents, ascending by task.
    active: Vec<&'a Cotangent>,
    pub(super) stack: Stack,
    /// dL/d states on the stacked rows.
    pub(super) g: Buf,
    /// Per group: gradients of the table of relative positions so far; none in networks without one.
    pub(super) relative: Vec<Buf>,
}

impl<'a> Share<'a> {
    fn new(trunk: &Packed, saved: &PackedSaved, active: Vec<&'a Cotangent>) -> Self {
        let (stack, g) = (Stack::new(saved.rows(), &active), trunk.stacked(&active));
        Self { relative: trunk.relative_grads(&stack), active, stack, g }
    }

    /// Per group: what arrives at the rows of a prompt, summed over its sequences.
    pub(super) fn prompt_grads(&self, pool: &Pool, prompt: Prompt) -> Vec<Buf> {
        let (n, d) = (prompt.rows * prompt.width, prompt.width);
        let mut segments = self.stack.segments.iter();
        let of = |group: &Group| {
            let (mut grad, mut row) = (pool.zeros(n), group.rows.start);
            while row < group.rows.end {
                let Some(segment) = segments.next() else { break };
                add(&mut grad, &self.g[row * d..][..n]);
                row += segment.len;
            }
            grad
        };
        self.stack.groups.iter().map(of).collect()
    }

    /// Cotangents with what has arrived.
    fn arrived<'s>(&'s self, batch: &'s PackedBatch) -> impl Iterator<Item = Cotangent> + 's {
        let mut g = &self.g[..];
        let width = g.len().checked_div(self.stack.n_rows()).unwrap_or(0);
        self.active.iter().map(move |cotangent| {
            let rows: usize = cotangent.sequences.iter().map(|&s| batch.length(s as usize)).sum();
            let (own, rest) = g.split_at(rows * width);
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
        // Blocks may differ in width: what has arrived is as wide as the states below the block above.
        let width = self.g.len().checked_div(self.stack.n_rows()).unwrap_or(0);
        let rows = |cotangent: &Cotangent| -> usize {
            cotangent.sequences.iter().map(|&s| saved.rows().length(s as usize)).sum()
        };
        let n: usize = self.active.iter().filter(|c| kept(c)).map(|c| rows(c) * width).sum();
        let mut next = pool.take(n);
        let (mut from, mut to) = (0, 0);
        for cotangent in &self.active {
            let len = rows(cotangent) * width;
            if kept(cotangent) {
                next[to..to + len].copy_from_slice(&self.g[from..from + len]);
                to += len;
            }
            from += len;
        }
        self.active.retain(|cotangent| kept(cotangent));
        let tasks: Vec<usize> = self.stack.groups.iter().map(|group| group.task).collect();
        (self.stack, self.g) = (Stack::new(saved.rows(), &self.active), next);
        let left = |task: &usize| self.stack.groups.iter().any(|group| group.task == *task);
        let relative = std::mem::take(&mut self.relative).into_iter().zip(tasks);
        self.relative = relative.filter(|(_, task)| left(task)).map(|(grad, _)| grad).collect();
    }
}

/// Cotangents in shares of at most `most` rows, or of one task.
fn shares<'a>(
    trunk: &Packed,
    saved: &PackedSaved,
    cotangents: &'a [Cotangent],
    width: usize,
) -> Vec<Share<'a>> {
    let most = trunk.rows_per_share;
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
    groups.into_iter().map(|group| Share::new(trunk, saved, group)).collect()
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
        let mut shares = shares(self, saved, cotangents, self.graph.width_below(span.end()));
        for block in (saved.mode.lowest..span.end()).rev() {
            shares.iter_mut().for_each(|share| share.restrict(&self.pool, saved, block));
            shares.retain(|share| !share.active.is_empty());
            let mut active = shares.iter().flat_map(|share| &share.active);
            let deeper = block > saved.mode.lowest && active.any(|cotangent| cotangent.lowest < block);
            let is_last = below && block == saved.mode.lowest;
            if shares.is_empty() {
                break;
            }
            let (place, kept) =
                (self.place(span, (&saved.symbols, saved.rows()), &saved.mode, block), &saved.blocks);
            let kept = &kept[block - saved.mode.lowest];
            shares = self.block_backward(span, &place, kept, (shares, deeper || is_last), sink)?;
            if is_last && block != FRONT {
                return Ok(shares.iter().flat_map(|share| share.arrived(saved.rows())).collect());
            }
            if !deeper {
                break;
            }
        }
        Ok(Vec::new())
    }
}

/// Gives the sink the gradients of all shares' tasks for the part of a block that begins at `first`,
/// `[shares][groups]`.
pub(super) fn send(
    (block, first): (usize, usize),
    shares: &[Share<'_>],
    grads: &[Vec<Buf>],
    sink: &mut dyn GradSink<f32>,
) -> Result<()> {
    let groups = shares.iter().flat_map(|share| &share.stack.groups);
    let tasks: Vec<TaskGrad<'_>> = groups
        .zip(grads.iter().flatten())
        .map(|(group, grad)| TaskGrad { task: group.task, grad: BlockGrad::Part { first, values: grad } })
        .collect();
    sink.block(block, &tasks)
}
