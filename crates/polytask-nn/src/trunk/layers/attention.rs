//! Self-attention over packed rows: every (sequence, head) pair is its own small problem over the sequence's own
//! length, and pairs run in parallel.
//!
//! The forward keeps only log Σ eˢ per row and head; the backward computes the probabilities again (Dao et al.
//! 2022, <https://arxiv.org/abs/2205.14135>), so memory grows with rows, not with rows × length. Several heads of
//! queries may share one of keys and values (Ainslie et al. 2023, <https://arxiv.org/abs/2305.13245>).
#![allow(clippy::inline_always)] // code must land in the caller that was compiled for wide vectors

use std::cell::RefCell;

use candle_core::{D, Tensor};
use polytask_core::PackedBatch;
use rayon::prelude::*;

use super::relative::{Relative, add_to_table, segments_of_groups};
use super::{Back, Below, Kept, Layer, Place, Plain, Rows, TensorShape, Weights, mask, sum};
use crate::Result;
use crate::trunk::dropout::{Dropout, Site};
use crate::trunk::elementwise::{add, dot, softmax, softmax_again};
use crate::trunk::kernels::{Mat, MatMut, Threads, matmul};
use crate::trunk::pool::Buf;
use crate::trunk::simd::wide;
use crate::trunk::stack::Stack;

thread_local! {
    /// Score matrices of the pair at work.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Gives `f` a scratch of `n` arbitrary values.
fn with_scratch<R>(n: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.len() < n {
            scratch.resize(n, 0.0);
        }
        f(&mut scratch[..n])
    })
}

/// Attention: from rows of queries, keys and values to contexts.
#[derive(Debug, Clone)]
pub(in crate::trunk) struct Attention {
    /// Heads of queries.
    pub(in crate::trunk) heads: usize,
    /// Heads of keys and values; divides `heads`.
    pub(in crate::trunk) kv_heads: usize,
    /// Values per head.
    pub(in crate::trunk) d_head: usize,
    /// What scores are multiplied by.
    pub(in crate::trunk) scale: f32,
    /// What is added to scores by distance.
    pub(in crate::trunk) relative: Relative,
}

impl Attention {
    /// As many heads of keys as of queries, scores divided by the root of their width, nothing added to them.
    pub(in crate::trunk) fn full(heads: usize, d_head: usize) -> Self {
        let scale = 1.0 / (d_head as f32).sqrt();
        Self { heads, kv_heads: heads, d_head, scale, relative: Relative::default() }
    }

    fn d_in(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.d_head
    }

    /// One layer's problem on a batch.
    fn on<'a>(&'a self, at: &Place<'a>, qkv: &'a [f32]) -> Problem<'a> {
        let longest = (0..at.batch.n_sequences()).map(|s| at.batch.length(s)).max().unwrap_or(0);
        let added = if self.relative.is_none() || longest == 0 {
            Vec::new()
        } else {
            (0..self.heads)
                .map(|head| self.relative.by_distance(at.relative, (head, self.heads), longest))
                .collect()
        };
        let qkv = Mat::new(qkv, at.batch.n_rows(), self.d_in());
        Problem { layer: self, batch: at.batch, qkv, drop: at.drop(Some(Site::Attention)), added }
    }
}

/// Attention of one layer on a batch.
struct Problem<'a> {
    layer: &'a Attention,
    batch: &'a PackedBatch,
    /// `[rows, (heads + 2·kv_heads)·d_head]`.
    qkv: Mat<'a>,
    drop: Option<Dropout>,
    /// What is added to the scores of each head by distance; empty where nothing is.
    added: Vec<Vec<f32>>,
}

/// One sequence and head of the forward.
struct Pair<'a> {
    sequence: usize,
    head: usize,
    out: MatMut<'a>,
    log_sums: &'a mut [f32],
}

/// One stacked sequence and head of keys of the backward.
struct PairGrad<'a> {
    sequence: usize,
    kv_head: usize,
    /// dL/d context of the sequence, `[len, heads·d_head]`.
    grad: Mat<'a>,
    /// dL/d queries (of all heads that share the keys), keys, values.
    out: [MatMut<'a>; 3],
}

impl<'a> Problem<'a> {
    /// Writes contexts `[rows, heads·d_head]` and log-sums, per sequence `[heads, len]`.
    fn forward(&self, context: &mut [f32], log_sums: &mut [f32], threads: Threads) {
        let (heads, d) = (self.layer.heads, self.layer.d_head);
        let mut pairs = Vec::with_capacity(self.batch.n_sequences() * heads);
        let (mut rest, mut sums) = (MatMut::new(context, self.batch.n_rows(), heads * d), log_sums);
        for sequence in 0..self.batch.n_sequences() {
            let (mut own, below) = rest.split_rows(self.batch.length(sequence));
            rest = below;
            for head in 0..heads {
                let (out, right) = own.split_cols(d);
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
            self.scores(scores, pair.head, q, k);
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

    /// Writes dL/d(query, key, value) from dL/d context `[stacked rows, heads·d_head]`; returns, where there is a
    /// table, the gradients of each segment's scores by distance, `[segments][heads]`.
    fn backward(&self, log_sums: &[f32], stack: &Stack, grad: &[f32], out: &mut [f32]) -> Vec<Vec<f32>> {
        let Attention { heads, kv_heads, d_head: d, .. } = *self.layer;
        let (n, shared) = (stack.n_rows(), heads / kv_heads);
        let grad = Mat::new(grad, n, heads * d);
        let mut rest = MatMut::new(out, n, self.layer.d_in());
        let mut pairs = Vec::with_capacity(stack.segments.len() * kv_heads);
        let mut start = 0;
        for segment in &stack.segments {
            let (own, below) = rest.split_rows(segment.len);
            rest = below;
            let (mut q, kv) = own.split_cols(heads * d);
            let (mut k, mut v) = kv.split_cols(kv_heads * d);
            for kv_head in 0..kv_heads {
                let ((dq, q_right), (dk, k_right)) = (q.split_cols(shared * d), k.split_cols(d));
                let (dv, v_right) = v.split_cols(d);
                (q, k, v) = (q_right, k_right, v_right);
                let grad = grad.rows(start..start + segment.len);
                pairs.push(PairGrad { sequence: segment.sequence, kv_head, grad, out: [dq, dk, dv] });
            }
            start += segment.len;
        }
        let by_head: Vec<Vec<Vec<f32>>> =
            pairs.into_par_iter().map(|pair| self.backward_heads(pair, log_sums)).collect();
        by_head.into_iter().flatten().collect()
    }

    /// The backward of all heads of queries that share one of keys.
    fn backward_heads(&self, pair: PairGrad<'_>, log_sums: &[f32]) -> Vec<Vec<f32>> {
        let Attention { heads, kv_heads, d_head: d, .. } = *self.layer;
        let (shared, [mut dq, mut dk, mut dv]) = (heads / kv_heads, pair.out);
        let mut tables = Vec::new();
        for i in 0..shared {
            let head = pair.kv_head * shared + i;
            let (own, right) = dq.split_cols(d);
            dq = right;
            let grad = pair.grad.cols(head * d..(head + 1) * d);
            let len = self.batch.length(pair.sequence);
            let sums = &log_sums[self.batch.rows(pair.sequence).start * heads + head * len..][..len];
            let out = [own, dk.again(), dv.again()];
            tables.push(self.backward_pair((pair.sequence, head), (grad, sums), out, i > 0));
        }
        tables
    }

    fn backward_pair(
        &self,
        (sequence, head): (usize, usize),
        (grad, sums): (Mat<'_>, &[f32]),
        [dq, dk, dv]: [MatMut<'_>; 3],
        adds: bool,
    ) -> Vec<f32> {
        let (len, scale) = (sums.len(), self.layer.scale);
        let [q, k, v] = self.parts(sequence, head);
        with_scratch(3 * len * len, |scratch| {
            let (p, rest) = scratch.split_at_mut(len * len);
            let (dropped, dp) = rest.split_at_mut(len * len);
            self.scores(p, head, q, k);
            matmul(MatMut::new(dp, len, len), false, grad, v.t(), 1.0, Threads::One);
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
            let ds = Mat::new(dp, len, len);
            matmul(dv, adds, Mat::new(dropped, len, len).t(), grad, 1.0, Threads::One);
            matmul(dq, false, ds, k, scale, Threads::One);
            matmul(dk, adds, ds.t(), q, scale, Threads::One);
            self.by_distance(dp, len)
        })
    }

    /// Gradients of scores summed by distance, where there is a table.
    fn by_distance(&self, ds: &[f32], len: usize) -> Vec<f32> {
        if self.layer.relative.buckets.is_none() || len == 0 {
            return Vec::new();
        }
        let mut sums = vec![0.0; 2 * len - 1];
        for (i, row) in ds.chunks_exact(len).enumerate() {
            add(&mut sums[len - 1 - i..2 * len - 1 - i], row);
        }
        sums
    }

    /// Query, key and value of a sequence and head, each `[len, d_head]`.
    fn parts(&self, sequence: usize, head: usize) -> [Mat<'a>; 3] {
        let Attention { heads, kv_heads, d_head: d, .. } = *self.layer;
        let (rows, kv_head) = (self.qkv.rows(self.batch.rows(sequence)), head / (heads / kv_heads));
        [head, heads + kv_head, heads + kv_heads + kv_head].map(|i| rows.cols(i * d..(i + 1) * d))
    }

    /// Scaled scores `q·kᵀ`, with what is added by distance.
    fn scores(&self, out: &mut [f32], head: usize, q: Mat<'_>, k: Mat<'_>) {
        let len = q.n_rows();
        matmul(MatMut::new(out, len, len), false, q, k.t(), self.layer.scale, Threads::One);
        if let Some(added) = self.added.get(head).filter(|_| len > 0) {
            let middle = added.len() / 2;
            for (i, row) in out.chunks_exact_mut(len).enumerate() {
                add(row, &added[middle - i..middle - i + len]);
            }
        }
    }

    #[inline(always)]
    fn drop(&self, sequence: usize, head: usize, i: usize, row: &mut [f32]) {
        if let Some(drop) = &self.drop {
            drop.apply(mask_row(self.batch, sequence, self.layer.heads, head, i), row);
        }
    }
}

/// The coordinate of the mask of row `i` of a sequence's attention probabilities in one head.
#[inline(always)]
fn mask_row(batch: &PackedBatch, sequence: usize, heads: usize, head: usize, i: usize) -> u64 {
    ((batch.rows(sequence).start + i) * heads + head) as u64
}

impl Layer for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn tensors(&self) -> Vec<TensorShape> {
        Vec::new()
    }

    fn width(&self) -> usize {
        self.heads * self.d_head
    }

    fn forward(
        &self,
        at: &Place<'_>,
        _: Weights<'_>,
        input: Rows<'_>,
        _: Option<&[f32]>,
        keep: bool,
    ) -> (Kept, Buf) {
        let rows = at.batch.n_rows();
        let (mut context, mut log_sums) =
            (at.pool.take(rows * self.width()), at.pool.take(rows * self.heads));
        self.on(at, &input).forward(&mut context, &mut log_sums, at.threads);
        let kept = if keep { vec![input.into_buf(at.pool), log_sums] } else { Vec::new() };
        (kept, context)
    }

    fn sees_ahead(&self) -> bool {
        self.relative.after != Some(0)
    }

    /// Remembers keys and values.
    fn next(
        &self,
        at: &Place<'_>,
        past: &mut Vec<f32>,
        _: Weights<'_>,
        input: Rows<'_>,
        _: Option<&[f32]>,
    ) -> Buf {
        let Self { heads, kv_heads, d_head: d, .. } = *self;
        let (n, d_kv) = (at.batch.n_rows(), 2 * kv_heads * d);
        input.chunks_exact(self.d_in()).for_each(|row| past.extend_from_slice(&row[heads * d..]));
        let len = at.past + n;
        let (qkv, kept) = (Mat::new(&input, n, self.d_in()), Mat::new(past, len, d_kv));
        let mut context = at.pool.take(n * heads * d);
        let mut rest = MatMut::new(&mut context, n, heads * d);
        for head in 0..heads {
            let (out, right) = rest.split_cols(d);
            rest = right;
            let kv_head = head / (heads / kv_heads);
            let key = kept.cols(kv_head * d..(kv_head + 1) * d);
            let value = kept.cols((kv_heads + kv_head) * d..(kv_heads + kv_head + 1) * d);
            let added = self.relative.by_distance(at.relative, (head, heads), len);
            with_scratch(n * len, |scores| {
                let query = qkv.cols(head * d..(head + 1) * d);
                matmul(MatMut::new(scores, n, len), false, query, key.t(), self.scale, Threads::One);
                // Distance 0 stands in the middle, at `len - 1`; query `i` is row `past + i` of the sequence.
                for (i, row) in scores.chunks_exact_mut(len).enumerate() {
                    add(row, &added[len - 1 - at.past - i..2 * len - 1 - at.past - i]);
                    softmax(row);
                }
                matmul(out, false, Mat::new(scores, n, len), value, 1.0, Threads::One);
            });
        }
        context
    }

    fn vjp(&self, at: &Place<'_>, _: Weights<'_>, given: Back<'_>) -> Below {
        let mut d_qkv = at.pool.take(given.stack.n_rows() * self.d_in());
        let problem = self.on(at, &given.kept[0]);
        let tables = problem.backward(&given.kept[1], given.stack, &given.g, &mut d_qkv);
        if let Some(buckets) = self.relative.buckets {
            let groups = segments_of_groups(given.stack);
            for (heads, group) in tables.chunks_exact(self.heads).zip(groups) {
                for (head, by_distance) in heads.iter().enumerate() {
                    add_to_table(buckets, (head, self.heads), by_distance, &mut given.relative[group]);
                }
            }
        }
        Below { input: Some(sum(d_qkv, given.onto)), residual: None }
    }

    fn plain(&self, at: &Plain<'_>, _: &[Tensor], input: &Tensor, _: Option<&Tensor>) -> Result<Tensor> {
        let (heads, kv_heads, d) = (self.heads, self.kv_heads, self.d_head);
        let drop = Dropout::new(at.mode, at.block, Site::Attention);
        let mut contexts = Vec::new();
        for sequence in (0..at.batch.n_sequences()).filter(|&s| at.batch.length(s) > 0) {
            let (rows, len) = (at.batch.rows(sequence), at.batch.length(sequence));
            // [len, n·d_head] → [heads, len, d_head], heads of keys repeated.
            let split = |first: usize, n: usize| -> Result<Tensor> {
                let x = input.narrow(0, rows.start, len)?.narrow(1, first * d, n * d)?;
                let x = x.reshape((len, n, d))?.transpose(0, 1)?.contiguous()?;
                let repeated = x.unsqueeze(1)?.broadcast_as((n, heads / n, len, d))?;
                Ok(repeated.contiguous()?.reshape((heads, len, d))?)
            };
            let (q, k, v) = (split(0, heads)?, split(heads, kv_heads)?, split(heads + kv_heads, kv_heads)?);
            let mut scores = (q.matmul(&k.t()?.contiguous()?)? * f64::from(self.scale))?;
            if !self.relative.is_none() {
                scores = (scores + self.relative.plain(at.relative, heads, len, input)?)?;
            }
            let shifted = scores.broadcast_sub(&scores.detach().max_keepdim(D::Minus1)?)?.exp()?;
            let mut p = shifted.broadcast_div(&shifted.sum_keepdim(D::Minus1)?)?;
            if let Some(drop) = &drop {
                let pairs = (0..heads).flat_map(|head| (0..len).map(move |i| (head, i)));
                let rows = pairs.map(|(head, i)| mask_row(at.batch, sequence, heads, head, i));
                p = (p * mask(drop, rows, len, input)?.reshape((heads, len, len))?)?;
            }
            contexts.push(p.matmul(&v)?.transpose(0, 1)?.contiguous()?.reshape((len, heads * d))?);
        }
        Ok(Tensor::cat(&contexts, 0)?)
    }
}
