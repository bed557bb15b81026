//! Self-attention over packed rows: every (sequence, head) pair is its own small problem over the sequence's own
//! length, and pairs run in parallel.
//!
//! The forward keeps only log Σ eˢ per row and head; the backward computes the probabilities again (Dao et al.
//! 2022, <https://arxiv.org/abs/2205.14135>), so memory grows with rows, not with rows × length.
#![allow(clippy::inline_always)] // code must land in the caller that was compiled for wide vectors

use std::cell::RefCell;

use polytask_core::PackedBatch;
use rayon::prelude::*;

use super::super::bert::BertConfig;
use super::super::dropout::Dropout;
use super::super::elementwise::{dot, softmax, softmax_again};
use super::super::kernels::{Mat, MatMut, Threads, matmul};
use super::super::simd::wide;
use super::stack::Stack;

thread_local! {
    /// Score matrices of the pair at work.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Gives `f` a scratch of `n` arbitrary values.
fn with_scratch(n: usize, f: impl FnOnce(&mut [f32])) {
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.len() < n {
            scratch.resize(n, 0.0);
        }
        f(&mut scratch[..n]);
    });
}

/// Attention of one layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attention<'a> {
    heads: usize,
    d: usize,
    batch: &'a PackedBatch,
    /// `[rows, 3·d_hidden]`.
    qkv: Mat<'a>,
    drop: Option<Dropout>,
}

/// One sequence and head of the forward.
struct Pair<'a> {
    sequence: usize,
    head: usize,
    out: MatMut<'a>,
    log_sums: &'a mut [f32],
}

/// One stacked sequence and head of the backward.
struct PairGrad<'a> {
    sequence: usize,
    head: usize,
    /// dL/d context, `[len, d_head]`.
    grad: Mat<'a>,
    /// dL/d query, key, value.
    out: [MatMut<'a>; 3],
}

impl<'a> Attention<'a> {
    /// Attention over the rows `qkv` `[rows, 3·d_hidden]`.
    pub(super) fn new(
        config: &BertConfig,
        batch: &'a PackedBatch,
        qkv: &'a [f32],
        drop: Option<Dropout>,
    ) -> Self {
        let qkv = Mat::new(qkv, batch.n_rows(), 3 * config.hidden_size);
        Self { heads: config.num_attention_heads, d: config.d_head(), batch, qkv, drop }
    }

    /// Writes contexts `[rows, d_hidden]` and log-sums, per sequence `[heads, len]`.
    pub(super) fn forward(&self, context: &mut [f32], log_sums: &mut [f32], threads: Threads) {
        let mut pairs = Vec::with_capacity(self.batch.n_sequences() * self.heads);
        let (mut rest, mut sums) = (MatMut::new(context, self.batch.n_rows(), self.heads * self.d), log_sums);
        for sequence in 0..self.batch.n_sequences() {
            let (mut own, below) = rest.split_rows(self.batch.length(sequence));
            rest = below;
            for head in 0..self.heads {
                let (out, right) = own.split_cols(self.d);
                let (log_sums, later) = std::mem::take(&mut sums).split_at_mut(self.batch.length(sequence));
                (own, sums) = (right, later);
                pairs.push(Pair { sequence, head, out, log_sums });
            }
        }
        pairs.into_par_iter().with_min_len(threads.least()).for_each(|pair| self.forward_pair(pair));
    }

    fn forward_pair(&self, pair: Pair<'_>) {
        let len = self.batch.length(pair.sequence);
        let [q, k, v] = self.parts(pair.sequence, pair.head);
        with_scratch(len * len, |scores| {
            self.scores(scores, q, k);
            wide(
                #[inline(always)]
                || {
                    for (i, (row, sum)) in scores.chunks_exact_mut(len.max(1)).zip(pair.log_sums).enumerate()
                    {
                        *sum = softmax(row);
                        self.drop(pair.sequence, pair.head, i, row);
                    }
                },
            );
            matmul(pair.out, false, Mat::new(scores, len, len), v, 1.0, Threads::One);
        });
    }

    /// Writes dL/d(query, key, value) `[stacked rows, 3·d_hidden]` from dL/d context `[stacked rows, d_hidden]`.
    pub(super) fn backward(&self, log_sums: &[f32], stack: &Stack, grad: &[f32], out: &mut [f32]) {
        let (n, width) = (stack.n_rows(), self.heads * self.d);
        let grad = Mat::new(grad, n, width);
        let mut rest = MatMut::new(out, n, 3 * width);
        let mut pairs = Vec::with_capacity(stack.segments.len() * self.heads);
        let mut start = 0;
        for segment in &stack.segments {
            let (own, below) = rest.split_rows(segment.len);
            rest = below;
            let (mut q, kv) = own.split_cols(width);
            let (mut k, mut v) = kv.split_cols(width);
            for head in 0..self.heads {
                let ((dq, q_right), (dk, k_right)) = (q.split_cols(self.d), k.split_cols(self.d));
                let (dv, v_right) = v.split_cols(self.d);
                (q, k, v) = (q_right, k_right, v_right);
                let grad = grad.rows(start..start + segment.len).cols(head * self.d..(head + 1) * self.d);
                pairs.push(PairGrad { sequence: segment.sequence, head, grad, out: [dq, dk, dv] });
            }
            start += segment.len;
        }
        pairs.into_par_iter().for_each(|pair| self.backward_pair(pair, log_sums));
    }

    fn backward_pair(&self, pair: PairGrad<'_>, log_sums: &[f32]) {
        let (sequence, head) = (pair.sequence, pair.head);
        let len = self.batch.length(sequence);
        let [q, k, v] = self.parts(sequence, head);
        let sums = &log_sums[self.batch.rows(sequence).start * self.heads + head * len..][..len];
        with_scratch(3 * len * len, |scratch| {
            let (p, rest) = scratch.split_at_mut(len * len);
            let (dropped, dp) = rest.split_at_mut(len * len);
            self.scores(p, q, k);
            matmul(MatMut::new(dp, len, len), false, pair.grad, v.t(), 1.0, Threads::One);
            wide(
                #[inline(always)]
                || {
                    let rows = p.chunks_exact_mut(len.max(1)).zip(dropped.chunks_exact_mut(len.max(1)));
                    for (i, ((p, dropped), dp)) in rows.zip(dp.chunks_exact_mut(len.max(1))).enumerate() {
                        softmax_again(p, sums[i]);
                        dropped.copy_from_slice(p);
                        self.drop(sequence, head, i, dropped);
                        self.drop(sequence, head, i, dp);
                        let along = dot(dp, p);
                        dp.iter_mut().zip(&*p).for_each(|(dp, p)| *dp = p * (*dp - along));
                    }
                },
            );
            let [dq, dk, dv] = pair.out;
            let ds = Mat::new(dp, len, len);
            matmul(dv, false, Mat::new(dropped, len, len).t(), pair.grad, 1.0, Threads::One);
            matmul(dq, false, ds, k, self.scale(), Threads::One);
            matmul(dk, false, ds.t(), q, self.scale(), Threads::One);
        });
    }

    /// Query, key and value of a sequence and head, each `[len, d_head]`.
    fn parts(&self, sequence: usize, head: usize) -> [Mat<'a>; 3] {
        let rows = self.qkv.rows(self.batch.rows(sequence));
        [0, 1, 2].map(|part| {
            let start = (part * self.heads + head) * self.d;
            rows.cols(start..start + self.d)
        })
    }

    /// Scaled scores `q·kᵀ/√d_head`.
    fn scores(&self, out: &mut [f32], q: Mat<'_>, k: Mat<'_>) {
        let len = q.n_rows();
        matmul(MatMut::new(out, len, len), false, q, k.t(), self.scale(), Threads::One);
    }

    fn scale(&self) -> f32 {
        1.0 / (self.d as f32).sqrt()
    }

    #[inline(always)]
    fn drop(&self, sequence: usize, head: usize, i: usize, row: &mut [f32]) {
        if let Some(drop) = &self.drop {
            drop.apply(mask_row(self.batch, sequence, self.heads, head, i), row);
        }
    }
}

/// The coordinate of the mask of row `i` of a sequence's attention probabilities in one head.
#[inline(always)]
pub(in crate::trunk) fn mask_row(
    batch: &PackedBatch,
    sequence: usize,
    heads: usize,
    head: usize,
    i: usize,
) -> u64 {
    ((batch.rows(sequence).start + i) * heads + head) as u64
}
