//! T5's encoder (Raffel et al. 2020, <https://arxiv.org/abs/1910.10683>): pre-norm layers with RMS norms and no biases;
//! scores are not scaled and depend on distances by a table shared by all layers.

use polytask_core::input::text::TEXT;

use super::EncoderFamily;
use super::fields::{Composition, Fields};
use crate::pooling::PoolMode;
use crate::trunk::activation::Activation;
use crate::trunk::dropout::Site;
use crate::trunk::graph::{BlockGraph, Graph, INPUT};
use crate::trunk::layers::{
    Attention, Buckets, FeedForward, Linear, Norm, NormSpec, Relative, RelativeTable, Residual,
};

/// Texts may be of any length; this is far beyond those it was trained on.
const POSITIONS: usize = 4096;

/// T5.
pub(super) static T5: EncoderFamily = EncoderFamily {
    model_types: &[("t5", "T5EncoderModel")],
    examples: "T5, sentence-t5, gtr-t5",
    input: &TEXT,
    pooled: PoolMode::Mean,
    prefixes: &[],
    ties: &["encoder.embed_tokens.weight"],
    kept: &[],
    classifier: None,
    compose,
};

/// What all layers share.
struct Shape {
    d: usize,
    heads: usize,
    d_head: usize,
    d_wide: usize,
    act: Activation,
    is_gated: bool,
    eps: f64,
    buckets: Buckets,
}

fn compose(fields: &mut Fields) -> Option<Composition> {
    let (vocab, d) = (fields.size(&["vocab_size"]), fields.size(&["d_model"]));
    let n_layers = fields.layers(&["num_layers"]);
    let count = fields.size_or("relative_attention_num_buckets", 32);
    let most = fields.size_or("relative_attention_max_distance", 128);
    if count < 4 || count % 2 == 1 || most <= count / 4 {
        fields.wrong(
            "relative_attention_num_buckets",
            "an even number of at least 4, and a larger maximal distance",
        );
    }
    let (act, is_gated) = activation(fields);
    let shape = Shape {
        d,
        heads: fields.size(&["num_heads"]),
        d_head: fields.size(&["d_kv"]),
        d_wide: fields.size(&["d_ff"]),
        act,
        is_gated,
        eps: fields.number(&["layer_norm_epsilon"], 1e-6),
        buckets: Buckets { count, most },
    };
    let dropout = fields.share(&["dropout_rate"]);
    fields.finish(|| {
        let mut embeddings = BlockGraph::new("embeddings", d);
        let name = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight";
        embeddings.add(RelativeTable::new(name, shape.buckets, shape.heads, d), INPUT);
        let blocks = std::iter::once(embeddings).chain((0..n_layers).map(|i| shape.layer(i, n_layers)));
        Composition { graph: Graph::new(("shared.weight", vocab, d), POSITIONS, blocks), dropout }
    })
}

/// The function and whether it is gated: `relu`, `gated-gelu`.
fn activation(fields: &mut Fields) -> (Activation, bool) {
    let said = fields.get("feed_forward_proj").and_then(|value| value.as_str()).unwrap_or("relu").to_owned();
    match said.as_str() {
        "relu" => (Activation::Relu, false),
        "gelu" => (Activation::Gelu, false),
        "gated-gelu" => (Activation::GeluTanh, true),
        "gated-silu" => (Activation::Silu, true),
        _ => {
            fields.wrong("feed_forward_proj", "relu, gelu, gated-gelu or gated-silu");
            (Activation::Relu, false)
        }
    }
}

impl Shape {
    fn norm(&self, name: &str) -> Norm {
        Norm::new(NormSpec::rms(name, self.d, self.eps))
    }

    /// A layer; the last one ends with the network's norm.
    fn layer(&self, i: usize, n_layers: usize) -> BlockGraph {
        let (d, inner) = (self.d, self.heads * self.d_head);
        let name = |part: &str| format!("encoder.block.{i}.layer.{part}");
        let mut block = BlockGraph::new(format!("layer.{i}"), d);
        let normed = block.add(self.norm(&name("0.layer_norm")), INPUT);
        let [q, k, v] = ["q", "k", "v"].map(|part| name(&format!("0.SelfAttention.{part}")));
        let parts = [(q.as_str(), inner), (k.as_str(), inner), (v.as_str(), inner)];
        let qkv = block.add(Linear::joined(d, &parts), normed);
        let relative = Relative { buckets: Some(self.buckets), ..Relative::default() };
        let attention = Attention { relative, scale: 1.0, ..Attention::full(self.heads, self.d_head) };
        let context = block.add(attention, qkv);
        let out = block.add(Linear::new(&name("0.SelfAttention.o"), inner, d), context);
        let middle = block.add_with(Residual::new(d, Site::AttentionOut), out, INPUT);
        let normed = block.add(self.norm(&name("1.layer_norm")), middle);
        let wide = |part: &str| name(&format!("1.DenseReluDense.{part}"));
        let (gate, value) = (wide("wi_0"), wide("wi_1"));
        let widening = if self.is_gated {
            Linear::joined(d, &[(&gate, self.d_wide), (&value, self.d_wide)])
        } else {
            Linear::new(&wide("wi"), d, self.d_wide)
        };
        let widened = block.add(widening, normed);
        let narrow = FeedForward::new(self.act, &wide("wo"), self.d_wide, d);
        let narrow = block.add(if self.is_gated { narrow.gated() } else { narrow }, widened);
        let last = block.add_with(Residual::new(d, Site::FeedForwardOut), narrow, middle);
        if i + 1 == n_layers {
            block.add(self.norm("encoder.final_layer_norm"), last);
        }
        block
    }
}
