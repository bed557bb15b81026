//! The rows of all cotangents laid end to end: one sweep serves every task.
//!
//! Activation-side work of the backward runs over the stack at once; weight gradients are products over the rows
//! of one task (a *group*). A stacked row knows which saved row it differentiates, so overlapping tasks simply
//! repeat rows and disjoint tasks cost one backward together.

use std::ops::{Deref, Range};

use polytask_core::PackedBatch;
use rayon::prelude::*;

use super::Cotangent;
use super::elementwise;
use super::pool::{Buf, Pool};

/// Rows per unit of parallel row-wise work; fixed, so sums do not depend on the number of threads.
pub(in crate::trunk) const CHUNK: usize = 32;

/// A sequence in the stack.
#[derive(Debug, Clone, Copy)]
pub(in crate::trunk) struct Segment {
    /// Its index in the batch.
    pub(in crate::trunk) sequence: usize,
    /// Its number of rows.
    pub(in crate::trunk) len: usize,
}

/// The rows of one task.
#[derive(Debug, Clone)]
pub(in crate::trunk) struct Group {
    /// The task.
    pub(in crate::trunk) task: usize,
    /// Its stacked rows.
    pub(in crate::trunk) rows: Range<usize>,
    /// Its chunks.
    pub(in crate::trunk) chunks: Range<usize>,
}

/// Which saved rows are being differentiated, and for whom.
#[derive(Debug, Default)]
pub(in crate::trunk) struct Stack {
    /// Saved row of every stacked row.
    pub(in crate::trunk) rows: Vec<u32>,
    /// Sequences in stack order.
    pub(in crate::trunk) segments: Vec<Segment>,
    /// Tasks, ascending.
    pub(in crate::trunk) groups: Vec<Group>,
    /// Row ranges of at most [`CHUNK`] rows, each inside one group.
    pub(in crate::trunk) chunks: Vec<Range<usize>>,
    /// Whether stacked row i is saved row i for all rows.
    same: bool,
}

impl Stack {
    /// Lays the rows of `cotangents` (ascending by task) end to end.
    pub(in crate::trunk) fn new(batch: &PackedBatch, cotangents: &[&Cotangent]) -> Self {
        let mut stack = Self::default();
        for cotangent in cotangents {
            let start = stack.rows.len();
            for &sequence in &cotangent.sequences {
                let rows = batch.rows(sequence as usize);
                stack.segments.push(Segment { sequence: sequence as usize, len: rows.len() });
                stack.rows.extend(rows.map(|row| row as u32));
            }
            match stack.groups.last_mut() {
                Some(group) if group.task == cotangent.task => group.rows.end = stack.rows.len(),
                _ => stack.groups.push(Group {
                    task: cotangent.task,
                    rows: start..stack.rows.len(),
                    chunks: 0..0,
                }),
            }
        }
        for group in &mut stack.groups {
            let start = stack.chunks.len();
            let starts = group.rows.clone().step_by(CHUNK);
            stack.chunks.extend(starts.map(|row| row..(row + CHUNK).min(group.rows.end)));
            group.chunks = start..stack.chunks.len();
        }
        stack.same = stack.rows.len() == batch.n_rows()
            && stack.rows.iter().enumerate().all(|(i, &r)| r as usize == i);
        stack
    }

    /// Number of stacked rows.
    pub(in crate::trunk) fn n_rows(&self) -> usize {
        self.rows.len()
    }

    /// Saved rows in stack order.
    pub(in crate::trunk) fn gather<'a>(&self, pool: &Pool, saved: &'a [f32], width: usize) -> Gathered<'a> {
        if self.same {
            return Gathered::Same(saved);
        }
        let mut copy = pool.take(self.n_rows() * width);
        copy.par_chunks_mut(width).zip(&self.rows).with_min_len(CHUNK).for_each(|(to, &row)| {
            to.copy_from_slice(&saved[row as usize * width..][..width]);
        });
        Gathered::Copy(copy)
    }

    /// Cuts a stacked buffer into its chunks.
    pub(in crate::trunk) fn cut<'a>(&self, mut values: &'a mut [f32], width: usize) -> Vec<&'a mut [f32]> {
        let mut cut = |chunk: &Range<usize>| {
            let (front, rest) = std::mem::take(&mut values).split_at_mut(chunk.len() * width);
            values = rest;
            front
        };
        self.chunks.iter().map(&mut cut).collect()
    }

    /// Σ over the chunks of a group of `width` values at `offset` in each chunk's `stride` partial sums.
    pub(in crate::trunk) fn reduce(
        group: &Group,
        parts: &[f32],
        stride: usize,
        offset: usize,
        out: &mut [f32],
    ) {
        out.fill(0.0);
        for chunk in group.chunks.clone() {
            elementwise::add(out, &parts[chunk * stride + offset..][..out.len()]);
        }
    }

    /// Σ over the rows of every group, chunk by chunk: partial sums `[chunks, width]`.
    pub(in crate::trunk) fn sum_rows(&self, pool: &Pool, values: &[f32], width: usize) -> Buf {
        let mut parts = pool.take(self.chunks.len() * width);
        parts.par_chunks_mut(width).zip(&self.chunks).for_each(|(part, chunk)| {
            part.fill(0.0);
            let rows = values[chunk.start * width..chunk.end * width].chunks_exact(width);
            super::simd::wide(
                #[inline(always)]
                || rows.for_each(|row| elementwise::add(part, row)),
            );
        });
        parts
    }
}

/// Saved rows in stack order, borrowed when that is their own order.
#[derive(Debug)]
pub(in crate::trunk) enum Gathered<'a> {
    /// The saved buffer itself.
    Same(&'a [f32]),
    /// A copy.
    Copy(Buf),
}

impl Deref for Gathered<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match self {
            Self::Same(values) => values,
            Self::Copy(values) => values,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cotangent(task: usize, sequences: &[u32]) -> Cotangent {
        Cotangent { task, sequences: sequences.to_vec(), values: std::sync::Arc::default(), lowest: 0 }
    }

    #[test]
    fn rows_of_a_task_are_one_group_cut_into_chunks() {
        let batch = PackedBatch::pack([vec![0; 40], vec![], vec![0; 3]]);
        let (a, b) = (cotangent(1, &[0]), cotangent(1, &[1, 2]));
        let c = cotangent(4, &[0, 2]);
        let stack = Stack::new(&batch, &[&a, &b, &c]);
        assert_eq!(stack.n_rows(), 86);
        assert_eq!(
            stack.groups.iter().map(|g| (g.task, g.rows.clone())).collect::<Vec<_>>(),
            [(1, 0..43), (4, 43..86)]
        );
        assert_eq!(stack.chunks, [0..32, 32..43, 43..75, 75..86]);
        assert_eq!(stack.rows[40..45], [40, 41, 42, 0, 1]);
        assert!(!stack.same);
    }

    #[test]
    fn a_task_that_touches_everything_needs_no_copy() {
        let batch = PackedBatch::pack([vec![0; 4], vec![0; 3]]);
        let all = cotangent(0, &[0, 1]);
        let stack = Stack::new(&batch, &[&all]);
        let saved = [1.0; 14];
        assert!(matches!(stack.gather(&Pool::default(), &saved, 2), Gathered::Same(_)));
    }

    #[test]
    fn partial_sums_add_up_to_the_sum_of_each_group() {
        let batch = PackedBatch::pack([vec![0; 70]]);
        let all = cotangent(0, &[0]);
        let stack = Stack::new(&batch, &[&all]);
        let values: Vec<f32> = (0..140).map(|i| i as f32).collect();
        let parts = stack.sum_rows(&Pool::default(), &values, 2);
        let mut out = [0.0; 2];
        Stack::reduce(&stack.groups[0], &parts, 2, 0, &mut out);
        assert_eq!(out, [4830.0, 4900.0]);
    }
}
