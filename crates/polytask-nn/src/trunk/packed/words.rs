//! The block of word vectors: a look-up, whose gradient is row-sparse.

use polytask_core::PackedBatch;
use rayon::prelude::*;

use crate::Result;
use crate::trunk::elementwise::add;
use crate::trunk::graph::WORDS;
use crate::trunk::kernels::Threads;
use crate::trunk::pool::{Buf, Pool};
use crate::trunk::stack::{CHUNK, Group, Stack};
use crate::trunk::{BlockGrad, Cotangent, GradSink, TaskGrad};

/// Word vectors of all rows, `[rows, d]`.
pub(super) fn look_up(table: &[f32], batch: &PackedBatch, out: &mut [f32], threads: Threads) {
    let Some(d) = out.len().checked_div(batch.n_rows()) else { return };
    let least = CHUNK.max(threads.least());
    out.par_chunks_mut(d).zip(&batch.ids).with_min_len(least).for_each(|(row, &id)| {
        row.copy_from_slice(&table[id as usize * d..][..d]);
    });
}

/// Row-sparse gradients of the word table, sent to the sink; `stacks` with their dL/d word vectors, `[rows, d]`.
pub(super) fn backward<'a>(
    d: usize,
    batch: &PackedBatch,
    pool: &Pool,
    stacks: impl Iterator<Item = (&'a Stack, &'a [f32])>,
    sink: &mut dyn GradSink<f32>,
) -> Result<()> {
    let sparse = |(stack, g, group): &(&Stack, &[f32], &Group)| {
        let mut order: Vec<(u32, u32)> =
            group.rows.clone().map(|row| (batch.ids[stack.rows[row] as usize], row as u32)).collect();
        order.sort_unstable();
        let mut ids: Vec<u32> = order.iter().map(|&(id, _)| id).collect();
        ids.dedup();
        let mut sums = pool.zeros(ids.len() * d);
        let mut at = 0;
        for (id, row) in order {
            at += usize::from(ids[at] != id);
            add(&mut sums[at * d..][..d], &g[row as usize * d..][..d]);
        }
        (ids, sums)
    };
    let groups: Vec<_> =
        stacks.flat_map(|(stack, g)| stack.groups.iter().map(move |group| (stack, g, group))).collect();
    let grads: Vec<(Vec<u32>, Buf)> = groups.par_iter().map(sparse).collect();
    let grads: Vec<TaskGrad<'_>> = grads
        .iter()
        .zip(&groups)
        .map(|((rows, values), (_, _, group))| TaskGrad {
            task: group.task,
            grad: BlockGrad::Sparse { rows, width: d, values },
        })
        .collect();
    sink.block(WORDS, &grads)
}

/// Stacked cotangent values.
pub(super) fn stack_values(pool: &Pool, cotangents: &[&Cotangent]) -> Buf {
    let mut g = pool.take(cotangents.iter().map(|c| c.values.len()).sum());
    let mut at = 0;
    for cotangent in cotangents {
        g[at..at + cotangent.values.len()].copy_from_slice(&cotangent.values);
        at += cotangent.values.len();
    }
    g
}
