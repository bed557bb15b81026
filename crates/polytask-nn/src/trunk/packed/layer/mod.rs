//! One layer: attention, residual and norm, feed-forward, residual and norm; the forward and what it keeps.

mod backward;

use polytask_core::PackedBatch;
use rayon::prelude::*;

use super::super::Mode;
use super::super::bert::{BertConfig, EMBEDDINGS, LayerView, WORDS};
use super::super::dropout::{Dropout, Site};
use super::super::elementwise::{activate, activate_in_place, add, norm};
use super::super::kernels::{Mat, MatMut, Threads, matmul};
use super::super::panels::{Panels, Start};
use super::super::pool::{Buf, Pool};
use super::super::simd::wide;
use super::attention::Attention;
use super::embedding;
use super::norm::NormSaved;
use super::stack::CHUNK;

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
    Layer(Box<LayerSaved>),
    /// A layer's input, from which the rest is computed again.
    Input(Buf),
}

impl Kept {
    /// As little as the backward can start from.
    pub(super) fn reduced(self) -> Self {
        match self {
            Self::Layer(layer) => Self::Input(layer.input),
            other => other,
        }
    }
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
                (Kept::Layer(Box::new(saved)), out)
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
