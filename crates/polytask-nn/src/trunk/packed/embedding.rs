//! The two embedding blocks: word vectors, then position and type vectors, norm and dropout.

use polytask_core::PackedBatch;
use rayon::prelude::*;

use super::super::bert::{BertConfig, EMBEDDINGS, EmbeddingView};
use super::super::dropout::{Dropout, Site};
use super::super::elementwise::{add, norm};
use super::super::kernels::Threads;
use super::super::pool::{Buf, Pool};
use super::super::simd::wide;
use super::super::{BlockGrad, Cotangent, GradSink, Mode, TaskGrad};
use super::norm::{NormSaved, norm_backward_rows};
use super::stack::{CHUNK, Stack};
use crate::Result;

/// Word vectors of all rows, `[rows, d_hidden]`.
pub(super) fn words(
    config: &BertConfig,
    table: &[f32],
    batch: &PackedBatch,
    out: &mut [f32],
    threads: Threads,
) {
    let d = config.hidden_size;
    let least = CHUNK.max(threads.least());
    out.par_chunks_mut(d).zip(&batch.ids).with_min_len(least).for_each(|(row, &id)| {
        row.copy_from_slice(&table[id as usize * d..][..d]);
    });
}

/// Position of every row in its sequence.
pub(super) fn positions(batch: &PackedBatch) -> Vec<u32> {
    (0..batch.n_sequences()).flat_map(|s| 0..batch.length(s) as u32).collect()
}

/// Adds positions and type 0 to word vectors, then norm and dropout.
pub(super) fn forward(
    config: &BertConfig,
    values: &[f32],
    batch: &PackedBatch,
    mode: &Mode,
    (pool, threads): (&Pool, Threads),
    mut words: Buf,
) -> (NormSaved, Buf) {
    let (d, rows) = (config.hidden_size, batch.n_rows());
    let view = EmbeddingView::new(config, values);
    let drop = Dropout::new(mode, EMBEDDINGS, Site::Embedding);
    let positions = positions(batch);
    let (mut out, mut inverse) = (pool.take(rows * d), pool.take(rows));
    let chunks = words.par_chunks_mut(CHUNK * d).zip(out.par_chunks_mut(CHUNK * d));
    let chunks = chunks.zip(inverse.par_chunks_mut(CHUNK)).enumerate();
    chunks.with_min_len(threads.least()).for_each(|(c, ((hat, out), inverse))| {
        wide(
            #[inline(always)]
            || {
                let rows = hat.chunks_exact_mut(d).zip(out.chunks_exact_mut(d)).zip(inverse);
                for (i, ((hat, out), inverse)) in rows.enumerate() {
                    let row = c * CHUNK + i;
                    add(hat, &view.positions[positions[row] as usize * d..][..d]);
                    add(hat, &view.types[..d]);
                    *inverse = norm(hat, view.norm_weight, view.norm_bias, config.layer_norm_eps as f32, out);
                    if let Some(drop) = &drop {
                        drop.apply(row as u64, out);
                    }
                }
            },
        );
    });
    (NormSaved { hat: words, inverse }, out)
}

/// Gradients of the `embeddings` block per group; `g` becomes dL/d word vectors.
pub(super) fn backward(
    config: &BertConfig,
    values: &[f32],
    batch: &PackedBatch,
    mode: &Mode,
    pool: &Pool,
    (saved, stack): (&NormSaved, &Stack),
    g: &mut [f32],
) -> Vec<Buf> {
    let d = config.hidden_size;
    let view = EmbeddingView::new(config, values);
    if let Some(drop) = Dropout::new(mode, EMBEDDINGS, Site::Embedding) {
        g.par_chunks_mut(d).zip(&stack.rows).with_min_len(CHUNK).for_each(|(row, &saved_row)| {
            wide(
                #[inline(always)]
                || drop.apply(u64::from(saved_row), row),
            );
        });
    }
    let parts = norm_backward_rows(pool, stack, saved, view.norm_weight, None, g, None);
    let positions = positions(batch);
    let group_grad = |group: &super::stack::Group| {
        let mut grad = pool.zeros(values.len());
        let view = EmbeddingView::new(config, &mut *grad);
        for row in group.rows.clone() {
            let from = &g[row * d..][..d];
            add(&mut view.positions[positions[stack.rows[row] as usize] as usize * d..][..d], from);
        }
        Stack::reduce(group, &parts, 3 * d, 0, view.norm_weight);
        Stack::reduce(group, &parts, 3 * d, d, view.norm_bias);
        Stack::reduce(group, &parts, 3 * d, 2 * d, &mut view.types[..d]);
        grad
    };
    stack.groups.par_iter().map(group_grad).collect()
}

/// Row-sparse gradients of the word table, sent to the sink; `stacks` with their dL/d word vectors.
pub(super) fn words_backward<'a>(
    config: &BertConfig,
    batch: &PackedBatch,
    pool: &Pool,
    stacks: impl Iterator<Item = (&'a Stack, &'a [f32])>,
    sink: &mut dyn GradSink<f32>,
) -> Result<()> {
    let d = config.hidden_size;
    let sparse = |(stack, g, group): &(&Stack, &[f32], &super::stack::Group)| {
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
    sink.block(super::super::bert::WORDS, &grads)
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
