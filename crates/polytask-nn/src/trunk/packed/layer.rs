//! One layer: attention, residual and norm, feed-forward, residual and norm; forward and hand-written backward.

use polytask_core::PackedBatch;
use rayon::prelude::*;

use super::super::Mode;
use super::super::bert::{BertConfig, EMBEDDINGS, LayerView, WORDS};
use super::super::dropout::{Dropout, Site};
use super::super::elementwise::{
    activate, activate_backward, activate_in_place, add, add_product, norm, norm_backward,
};
use super::super::kernels::{Mat, MatMut, Threads, matmul};
use super::super::panels::{Panels, Start};
use super::super::pool::{Buf, Pool};
use super::super::simd::wide;
use super::attention::Attention;
use super::embedding;
use super::stack::{CHUNK, Group, Stack};

/// What a norm keeps for its backward.
#[derive(Debug)]
pub(super) struct NormSaved {
    /// x̂, `[rows, d_hidden]`.
    pub(super) hat: Buf,
    /// 1/σ, `[rows]`.
    pub(super) inverse: Buf,
}

/// What a layer keeps for its backward.
#[derive(Debug)]
pub(super) struct LayerSaved {
    /// The layer's input, `[rows, d_hidden]`.
    input: Buf,
    /// Queries, keys, values, `[rows, 3·d_hidden]`.
    qkv: Buf,
    /// log Σ eˢ of the attention scores, per sequence `[heads, len]`.
    log_sums: Buf,
    /// Attention before its output product, `[rows, d_hidden]`.
    context: Buf,
    norm1: NormSaved,
    /// Input of the feed-forward part, `[rows, d_hidden]`.
    middle: Buf,
    /// Before the activation, `[rows, d_ff]`.
    wide: Buf,
    norm2: NormSaved,
}

/// A layer's surroundings: everything but its own parameters and states.
#[derive(Debug, Clone, Copy)]
pub(super) struct LayerContext<'a> {
    pub(super) config: &'a BertConfig,
    pub(super) batch: &'a PackedBatch,
    pub(super) mode: &'a Mode,
    pub(super) pool: &'a Pool,
    /// Index of the layer's parameter block: keys its masks.
    pub(super) block: usize,
    pub(super) threads: Threads,
    /// The layer's weights laid out, where they serve many groups.
    pub(super) panels: Option<&'a LayerPanels>,
}

/// A layer's weights as right sides of products.
#[derive(Debug)]
pub(super) struct LayerPanels {
    qkv: Panels,
    out: Panels,
    up: Panels,
    down: Panels,
}

impl LayerPanels {
    /// Lays out the weights of a layer's block.
    pub(super) fn new(config: &BertConfig, pool: &Pool, values: &[f32]) -> Self {
        let view = LayerView::new(config, values);
        let lay =
            |weight: &[f32], d_in: usize| Panels::new(pool, Mat::new(weight, weight.len() / d_in, d_in).t());
        let (d, f) = (config.hidden_size, config.intermediate_size);
        Self {
            qkv: lay(view.qkv_weight, d),
            out: lay(view.out_weight, d),
            up: lay(view.up_weight, d),
            down: lay(view.down_weight, f),
        }
    }
}

/// What a block keeps for its backward.
#[derive(Debug)]
pub(super) enum Kept {
    /// Word vectors need nothing but the batch.
    Words,
    /// The norm of the embeddings.
    Embeddings(NormSaved),
    /// A layer.
    Layer(LayerSaved),
}

/// The end of a half layer: bias, dropout, residual, norm.
struct Closing<'a> {
    bias: &'a [f32],
    drop: Option<Dropout>,
    weight: &'a [f32],
    norm_bias: &'a [f32],
}

impl LayerContext<'_> {
    fn drop(&self, site: Site) -> Option<Dropout> {
        Dropout::new(self.mode, self.block, site)
    }

    /// States above the block, and what its backward needs when that is to be kept.
    pub(super) fn through(&self, values: &[f32], mut x: Buf, keep: bool) -> (Kept, Buf) {
        match self.block {
            WORDS => {
                embedding::words(self.config, values, self.batch, &mut x, self.threads);
                (Kept::Words, x)
            }
            EMBEDDINGS => {
                let surroundings = (self.pool, self.threads);
                let (norm, out) =
                    embedding::forward(self.config, values, self.batch, self.mode, surroundings, x);
                (Kept::Embeddings(norm), out)
            }
            _ => {
                let (saved, out) = self.forward(values, x, keep);
                (Kept::Layer(saved), out)
            }
        }
    }

    /// `x · weightᵀ` plus a bias if there is one: `[rows, d_in]` → `[rows, d_out]`.
    fn product(
        &self,
        x: &[f32],
        (weight, d_in): (&[f32], usize),
        panels: Option<&Panels>,
        bias: Option<&[f32]>,
    ) -> Buf {
        let (rows, d_out) = (x.len() / d_in, weight.len() / d_in);
        let mut out = self.pool.take(rows * d_out);
        let x = Mat::new(x, rows, d_in);
        if let Some(panels) = panels {
            let start = bias.map_or(Start::Zero, Start::Bias);
            panels.multiply(MatMut::new(&mut out, rows, d_out), x, start, self.threads);
            return out;
        }
        let weight = Mat::new(weight, d_out, d_in);
        matmul(MatMut::new(&mut out, rows, d_out), false, x, weight.t(), 1.0, self.threads);
        if let Some(bias) = bias {
            self.each_row(
                &mut out,
                d_out,
                #[inline(always)]
                |row| add(row, bias),
            );
        }
        out
    }

    /// Output of the layer, and what its backward needs: all of it with `keep`, else only the input holds.
    pub(super) fn forward(&self, values: &[f32], input: Buf, keep: bool) -> (LayerSaved, Buf) {
        let panels = self.panels;
        let (d, f, rows) = (self.config.hidden_size, self.config.intermediate_size, self.batch.n_rows());
        let view = LayerView::new(self.config, values);
        let bias = Some(view.qkv_bias);
        let qkv = self.product(&input, (view.qkv_weight, d), panels.map(|p| &p.qkv), bias);
        let (mut context, mut log_sums) =
            (self.pool.take(rows * d), self.pool.take(rows * self.config.num_attention_heads));
        let attention = Attention::new(self.config, self.batch, &qkv, self.drop(Site::Attention));
        attention.forward(&mut context, &mut log_sums, self.threads);
        let closing = Closing {
            bias: view.out_bias,
            drop: self.drop(Site::AttentionOut),
            weight: view.norm1_weight,
            norm_bias: view.norm1_bias,
        };
        let x = self.product(&context, (view.out_weight, d), panels.map(|p| &p.out), None);
        let (norm1, middle) = self.close(&closing, x, &input);
        let mut wide = self.product(&middle, (view.up_weight, d), panels.map(|p| &p.up), None);
        let active = self.activation(&mut wide, view.up_bias, keep);
        let active: &[f32] = active.as_deref().unwrap_or(&wide);
        let closing = Closing {
            bias: view.down_bias,
            drop: self.drop(Site::FeedForwardOut),
            weight: view.norm2_weight,
            norm_bias: view.norm2_bias,
        };
        let x = self.product(active, (view.down_weight, f), panels.map(|p| &p.down), None);
        let (norm2, out) = self.close(&closing, x, &middle);
        (LayerSaved { input, qkv, log_sums, context, norm1, middle, wide, norm2 }, out)
    }

    /// Adds the bias to `x` in place and returns the activation of the sum; in `x` itself unless `keep`.
    fn activation(&self, x: &mut [f32], bias: &[f32], keep: bool) -> Option<Buf> {
        let (f, act) = (bias.len(), self.config.hidden_act);
        if !keep {
            self.each_row(
                x,
                f,
                #[inline(always)]
                |row| activate_in_place(act, row, bias),
            );
            return None;
        }
        let mut out = self.pool.take(x.len());
        let chunks = x.par_chunks_mut(CHUNK * f).zip(out.par_chunks_mut(CHUNK * f));
        chunks.with_min_len(self.threads.least()).for_each(|(x, out)| {
            wide(
                #[inline(always)]
                || {
                    for (x, out) in x.chunks_exact_mut(f).zip(out.chunks_exact_mut(f)) {
                        activate(act, x, bias, out);
                    }
                },
            );
        });
        Some(out)
    }

    /// Runs `f` on every row of `width` values.
    fn each_row(&self, x: &mut [f32], width: usize, f: impl Fn(&mut [f32]) + Sync) {
        x.par_chunks_mut(CHUNK * width).with_min_len(self.threads.least()).for_each(|rows| {
            wide(
                #[inline(always)]
                || {
                    for row in rows.chunks_exact_mut(width) {
                        f(row);
                    }
                },
            );
        });
    }

    /// Norm of (dropout of (x + bias) + residual).
    fn close(&self, closing: &Closing<'_>, mut x: Buf, residual: &[f32]) -> (NormSaved, Buf) {
        let (d, rows) = (self.config.hidden_size, self.batch.n_rows());
        let eps = self.config.layer_norm_eps as f32;
        let (mut out, mut inverse) = (self.pool.take(rows * d), self.pool.take(rows));
        let chunks = x.par_chunks_mut(CHUNK * d).zip(out.par_chunks_mut(CHUNK * d));
        let chunks = chunks.zip(inverse.par_chunks_mut(CHUNK)).zip(residual.par_chunks(CHUNK * d));
        chunks.enumerate().with_min_len(self.threads.least()).for_each(
            |(c, (((x, out), inverse), residual))| {
                wide(
                    #[inline(always)]
                    || {
                        let rows = x.chunks_exact_mut(d).zip(out.chunks_exact_mut(d)).zip(inverse);
                        for (i, (((x, out), inverse), residual)) in
                            rows.zip(residual.chunks_exact(d)).enumerate()
                        {
                            add(x, closing.bias);
                            if let Some(drop) = &closing.drop {
                                drop.apply((c * CHUNK + i) as u64, x);
                            }
                            add(x, residual);
                            *inverse = norm(x, closing.weight, closing.norm_bias, eps, out);
                        }
                    },
                );
            },
        );
        (NormSaved { hat: x, inverse }, out)
    }
}

/// A layer's gradients.
pub(super) struct LayerGrads {
    /// Per group, one value per parameter of the block.
    pub(super) params: Vec<Buf>,
    /// dL/d input on the stacked rows, when asked for.
    pub(super) input: Option<Buf>,
}

impl LayerContext<'_> {
    /// Gradients from `g` = dL/d output on the stacked rows.
    pub(super) fn backward(
        &self,
        values: &[f32],
        saved: &LayerSaved,
        stack: &Stack,
        mut g: Buf,
        below: bool,
    ) -> LayerGrads {
        let (pool, d, f, n) =
            (self.pool, self.config.hidden_size, self.config.intermediate_size, stack.n_rows());
        let view = LayerView::new(self.config, values);
        let mut params: Vec<Buf> = stack.groups.iter().map(|_| pool.take(values.len())).collect();

        let mut branch = pool.take(n * d);
        let drop = self.drop(Site::FeedForwardOut);
        let norm2 =
            norm_backward_rows(pool, stack, &saved.norm2, view.norm2_weight, drop, &mut g, Some(&mut branch));
        let mut d_wide = self.back(&branch, view.down_weight, f, None);
        let (active, up_bias) = self.activation_backward(saved, stack, &mut d_wide);
        self.each(stack, &mut params, |group, grad| {
            outer(grad.down_weight, group, &branch, &active, d);
            Stack::reduce(group, &norm2, 3 * d, 0, grad.norm2_weight);
            Stack::reduce(group, &norm2, 3 * d, d, grad.norm2_bias);
            Stack::reduce(group, &norm2, 3 * d, 2 * d, grad.down_bias);
            Stack::reduce(group, &up_bias, f, 0, grad.up_bias);
        });
        drop_all((active, norm2, up_bias));
        let middle = stack.gather(pool, &saved.middle, d);
        self.each(stack, &mut params, |group, grad| outer(grad.up_weight, group, &d_wide, &middle, f));
        let mut g = self.back(&d_wide, view.up_weight, d, Some(g));
        drop_all((d_wide, middle));

        let drop = self.drop(Site::AttentionOut);
        let norm1 =
            norm_backward_rows(pool, stack, &saved.norm1, view.norm1_weight, drop, &mut g, Some(&mut branch));
        let d_context = self.back(&branch, view.out_weight, d, None);
        let context = stack.gather(pool, &saved.context, d);
        let mut d_qkv = pool.take(n * 3 * d);
        let attention = Attention::new(self.config, self.batch, &saved.qkv, self.drop(Site::Attention));
        attention.backward(&saved.log_sums, stack, &d_context, &mut d_qkv);
        let qkv_bias = stack.sum_rows(pool, &d_qkv, 3 * d);
        let input = stack.gather(pool, &saved.input, d);
        self.each(stack, &mut params, |group, grad| {
            outer(grad.out_weight, group, &branch, &context, d);
            outer(grad.qkv_weight, group, &d_qkv, &input, 3 * d);
            Stack::reduce(group, &norm1, 3 * d, 0, grad.norm1_weight);
            Stack::reduce(group, &norm1, 3 * d, d, grad.norm1_bias);
            Stack::reduce(group, &norm1, 3 * d, 2 * d, grad.out_bias);
            Stack::reduce(group, &qkv_bias, 3 * d, 0, grad.qkv_bias);
        });
        let input = below.then(|| self.back(&d_qkv, view.qkv_weight, d, Some(g)));
        LayerGrads { params, input }
    }

    /// Runs `f` on the parts of every group's gradient.
    fn each(&self, stack: &Stack, params: &mut [Buf], f: impl Fn(&Group, LayerView<&mut [f32]>)) {
        for (group, grad) in stack.groups.iter().zip(params) {
            f(group, LayerView::new(self.config, &mut **grad));
        }
    }

    /// `g · weight` (+ `add`): gradient at a product's input, `[n, d_out]` → `[n, d_in]`.
    fn back(&self, g: &[f32], weight: &[f32], d_in: usize, add: Option<Buf>) -> Buf {
        let d_out = weight.len() / d_in;
        let n = g.len() / d_out;
        let adds = add.is_some();
        let mut out = add.unwrap_or_else(|| self.pool.take(n * d_in));
        let (g, weight) = (Mat::new(g, n, d_out), Mat::new(weight, d_out, d_in));
        matmul(MatMut::new(&mut out, n, d_in), adds, g, weight, 1.0, Threads::All);
        out
    }

    /// Multiplies `g` by the activation's derivative; returns the activation and per-chunk sums of `g`.
    fn activation_backward(&self, saved: &LayerSaved, stack: &Stack, g: &mut [f32]) -> (Buf, Buf) {
        let f = self.config.intermediate_size;
        let mut active = self.pool.take(stack.n_rows() * f);
        let mut sums = self.pool.take(stack.chunks.len() * f);
        let chunks = stack.cut(g, f).into_par_iter().zip(stack.cut(&mut active, f)).zip(&stack.chunks);
        chunks.zip(sums.par_chunks_mut(f)).for_each(|(((g, active), chunk), sums)| {
            sums.fill(0.0);
            let rows = g.chunks_exact_mut(f).zip(active.chunks_exact_mut(f)).zip(&stack.rows[chunk.clone()]);
            wide(
                #[inline(always)]
                || {
                    for ((g, active), &row) in rows {
                        let x = &saved.wide[row as usize * f..][..f];
                        activate_backward(self.config.hidden_act, x, g, active);
                        add(sums, g);
                    }
                },
            );
        });
        (active, sums)
    }
}

/// Gives buffers back to the pool before the next ones are taken.
fn drop_all<B>(buffers: B) {
    drop(buffers);
}

/// Weight gradient `gᵀ · x` over the rows of a group: `[d_out, d_in]`.
fn outer(out: &mut [f32], group: &Group, g: &[f32], x: &[f32], d_out: usize) {
    let d_in = out.len() / d_out;
    let (g, x) = (Mat::new(g, g.len() / d_out, d_out), Mat::new(x, x.len() / d_in, d_in));
    let (g, x) = (g.rows(group.rows.clone()), x.rows(group.rows.clone()));
    matmul(MatMut::new(out, d_out, d_in), false, g.t(), x, 1.0, Threads::All);
}

/// Backward of residual, dropout and norm on the stacked rows: `g` becomes the gradient of the residual branch,
/// `branch` that of the other one (before dropout).
///
/// Returns per-chunk sums `[chunks, 3, d_hidden]`: of g·x̂ (norm weight), g (norm bias) and of the other branch's
/// gradient (its bias), or of the residual's when there is no other branch.
pub(super) fn norm_backward_rows(
    pool: &Pool,
    stack: &Stack,
    saved: &NormSaved,
    weight: &[f32],
    drop: Option<Dropout>,
    g: &mut [f32],
    branch: Option<&mut [f32]>,
) -> Buf {
    let d = weight.len();
    let mut sums = pool.take(stack.chunks.len() * 3 * d);
    let branches = match branch {
        Some(branch) => stack.cut(branch, d),
        None => stack.chunks.iter().map(|_| <&mut [f32]>::default()).collect(),
    };
    let chunks =
        stack.cut(g, d).into_par_iter().zip(branches).zip(&stack.chunks).zip(sums.par_chunks_mut(3 * d));
    chunks.for_each(|(((g, branch), chunk), sums)| {
        sums.fill(0.0);
        let (for_weight, rest) = sums.split_at_mut(d);
        let (for_bias, for_branch) = rest.split_at_mut(d);
        wide(
            #[inline(always)]
            || {
                for (i, (g, &row)) in g.chunks_exact_mut(d).zip(&stack.rows[chunk.clone()]).enumerate() {
                    let hat = &saved.hat[row as usize * d..][..d];
                    add_product(for_weight, g, hat);
                    add(for_bias, g);
                    norm_backward(g, weight, hat, saved.inverse[row as usize]);
                    let Some(branch) = branch.get_mut(i * d..(i + 1) * d) else {
                        add(for_branch, g);
                        continue;
                    };
                    branch.copy_from_slice(g);
                    if let Some(drop) = &drop {
                        drop.apply(u64::from(row), branch);
                    }
                    add(for_branch, branch);
                }
            },
        );
    });
    sums
}
