//! The layer of the first transformers: attention, residual and norm, feed-forward, residual and norm, with biases.

use crate::trunk::activation::Activation;
use crate::trunk::dropout::Site;
use crate::trunk::graph::{BlockGraph, INPUT};
use crate::trunk::layers::{Attention, FeedForward, Linear, NormSpec, Residual};

/// Names and sizes of a layer.
pub(super) struct PostNormLayer {
    pub(super) attention: Attention,
    /// Queries, keys, values.
    pub(super) qkv: [String; 3],
    pub(super) out: String,
    pub(super) attention_norm: String,
    pub(super) up: String,
    pub(super) down: String,
    pub(super) norm: String,
    pub(super) d_wide: usize,
    pub(super) act: Activation,
    pub(super) eps: f64,
}

impl PostNormLayer {
    /// Layer `i`.
    pub(super) fn block(self, i: usize) -> BlockGraph {
        let d = self.attention.heads * self.attention.d_head;
        let mut block = BlockGraph::new(format!("layer.{i}"), d);
        let parts: Vec<(&str, usize)> = self.qkv.iter().map(|name| (name.as_str(), d)).collect();
        let qkv = block.add(Linear::joined(d, &parts).biased(true), INPUT);
        let context = block.add(self.attention, qkv);
        let out = block.add(Linear::new(&self.out, d, d), context);
        let close = |site, bias: &str, norm: &str| {
            let norm = NormSpec::layer(norm, d, self.eps);
            Residual::new(d, site).biased(&format!("{bias}.bias")).normed(norm)
        };
        let attended = close(Site::AttentionOut, &self.out, &self.attention_norm);
        let middle = block.add_with(attended, out, INPUT);
        let wide = block.add(Linear::new(&self.up, d, self.d_wide), middle);
        let feed =
            FeedForward::new(self.act, &self.down, self.d_wide, d).biased(&format!("{}.bias", self.up));
        let narrow = block.add(feed, wide);
        block.add_with(close(Site::FeedForwardOut, &self.down, &self.norm), narrow, middle);
        block
    }
}
