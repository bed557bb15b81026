//! Llama (Touvron et al. 2023, <https://arxiv.org/abs/2302.13971>) and its kin, read as encoders: pre-norm layers with
//! RMS norms, rotary positions, heads that share keys and values, gated feed-forwards.
//!
//! A file that says `is_causal = false` sees both directions. Mistral sees a window; Qwen2 has biases of queries, keys and values; Qwen3 norms queries and keys; EuroBERT sees
//! both directions.

use std::sync::Arc;

use polytask_core::input::text::TEXT;

use super::EncoderFamily;
use super::fields::{Composition, Fields};
use super::rope;
use crate::pooling::PoolMode;
use crate::trunk::activation::Activation;
use crate::trunk::dropout::Site;
use crate::trunk::graph::{BlockGraph, Graph, INPUT};
use crate::trunk::layers::{
    Attention, FeedForward, HeadNorm, Linear, Norm, NormSpec, Relative, Residual, Rotary, RotaryTable,
};

/// Llama.
pub(super) static LLAMA: EncoderFamily =
    family(&[("llama", "LlamaModel")], "Llama 2 and 3, TinyLlama", |fields| {
        let bias = fields.flag("attention_bias", false);
        compose(fields, &Kin { qkv_bias: bias, out_bias: bias, ..CAUSAL })
    });

/// Mistral.
pub(super) static MISTRAL: EncoderFamily =
    family(&[("mistral", "MistralModel")], "Mistral, e5-mistral", |fields| {
        let window = fields.get("sliding_window").is_some().then(|| fields.size(&["sliding_window"]));
        compose(fields, &Kin { window, ..CAUSAL })
    });

/// Qwen 2 and 2.5.
pub(super) static QWEN2: EncoderFamily = family(&[("qwen2", "Qwen2Model")], "Qwen2, gte-Qwen2", |fields| {
    fields.expect_not("use_sliding_window", "layers that see all before them");
    compose(fields, &Kin { qkv_bias: true, ..CAUSAL })
});

/// Qwen 3.
pub(super) static QWEN3: EncoderFamily =
    family(&[("qwen3", "Qwen3Model")], "Qwen3, Qwen3-Embedding", |fields| {
        fields.expect_not("use_sliding_window", "layers that see all before them");
        let bias = fields.flag("attention_bias", false);
        compose(fields, &Kin { qkv_bias: bias, out_bias: bias, has_head_norms: true, ..CAUSAL })
    });

/// EuroBERT.
pub(super) static EUROBERT: EncoderFamily = family(&[("eurobert", "EuroBertModel")], "EuroBERT", |fields| {
    let bias = fields.flag("attention_bias", false);
    compose(fields, &Kin { qkv_bias: bias, out_bias: bias, is_causal: false, ..CAUSAL })
});

const fn family(
    model_types: &'static [(&'static str, &'static str)],
    examples: &'static str,
    compose: fn(&mut Fields) -> Option<Composition>,
) -> EncoderFamily {
    EncoderFamily {
        model_types,
        examples,
        input: &TEXT,
        pooled: PoolMode::Mean,
        prefixes: &["model."],
        ties: &[],
        kept: &[],
        classifier: None,
        compose,
    }
}

/// In what the kin differ.
struct Kin {
    qkv_bias: bool,
    out_bias: bool,
    has_head_norms: bool,
    is_causal: bool,
    /// Tokens that each sees, itself included.
    window: Option<usize>,
}

const CAUSAL: Kin =
    Kin { qkv_bias: false, out_bias: false, has_head_norms: false, is_causal: true, window: None };

/// What all layers share.
struct Shape<'a> {
    kin: &'a Kin,
    d: usize,
    heads: usize,
    kv_heads: usize,
    d_head: usize,
    d_wide: usize,
    act: Activation,
    eps: f64,
    mlp_bias: bool,
    rotary: Arc<RotaryTable>,
}

fn compose(fields: &mut Fields, kin: &Kin) -> Option<Composition> {
    let kin = &Kin { is_causal: fields.flag("is_causal", kin.is_causal), ..*kin };
    if !kin.is_causal && kin.window.is_some() {
        fields.wrong("sliding_window", "none where `is_causal` is false");
    }
    fields.expect_not("use_bidirectional_attention", "attention as `is_causal` says");
    let (vocab, d) = (fields.size(&["vocab_size"]), fields.size(&["hidden_size"]));
    let (n_layers, heads) = (fields.layers(&["num_hidden_layers"]), fields.size(&["num_attention_heads"]));
    let kv_heads = fields.size_or("num_key_value_heads", heads);
    let positions = fields.size(&["max_position_embeddings"]);
    if fields.get("head_dim").is_none() {
        fields.divides(("num_attention_heads", heads), ("hidden_size", d));
    }
    let d_head = fields.size_or("head_dim", d / heads);
    fields.turned("head_dim", d_head, heads);
    fields.divides(("num_key_value_heads", kv_heads), ("num_attention_heads", heads));
    let shape = Shape {
        kin,
        d,
        heads,
        kv_heads,
        d_head,
        d_wide: fields.size(&["intermediate_size"]),
        act: fields.activation(&["hidden_act"], Activation::Silu),
        eps: fields.number(&["rms_norm_eps"], 1e-6),
        mlp_bias: fields.flag("mlp_bias", false),
        rotary: Arc::new(rope::table(fields, d_head, positions)),
    };
    let dropout = fields.share(&["attention_dropout"]);
    fields.finish(|| {
        let blocks = (0..n_layers).map(|i| shape.layer(i, n_layers));
        Composition { graph: Graph::new(("embed_tokens.weight", vocab, d), positions, blocks), dropout }
    })
}

impl Shape<'_> {
    fn norm(&self, name: &str) -> Norm {
        Norm::new(NormSpec::rms(name, self.d, self.eps))
    }

    fn attention(&self) -> Attention {
        let relative = match (self.kin.is_causal, self.kin.window) {
            (true, Some(window)) => Relative { before: Some(window - 1), ..Relative::causal() },
            (true, None) => Relative::causal(),
            (false, _) => Relative::default(),
        };
        Attention { kv_heads: self.kv_heads, relative, ..Attention::full(self.heads, self.d_head) }
    }

    /// A layer; the last one ends with the network's norm.
    fn layer(&self, i: usize, n_layers: usize) -> BlockGraph {
        let (d, heads) = (self.d, (self.heads, self.kv_heads, self.d_head));
        let name = |part: &str| format!("layers.{i}.{part}");
        let mut block = BlockGraph::new(format!("layer.{i}"), d);
        let normed = block.add(self.norm(&name("input_layernorm")), INPUT);
        let widths = [heads.0, heads.1, heads.1].map(|n| n * self.d_head);
        let [q, k, v] = ["q_proj", "k_proj", "v_proj"].map(|part| name(&format!("self_attn.{part}")));
        let parts = [(q.as_str(), widths[0]), (k.as_str(), widths[1]), (v.as_str(), widths[2])];
        let mut qkv = block.add(Linear::joined(d, &parts).biased(self.kin.qkv_bias), normed);
        if self.kin.has_head_norms {
            let names = ["q_norm", "k_norm"].map(|part| name(&format!("self_attn.{part}.weight")));
            qkv = block.add(HeadNorm::new(names, heads, self.eps), qkv);
        }
        let turned = block.add(Rotary::new(self.rotary.clone(), heads), qkv);
        let context = block.add(self.attention(), turned);
        let out = Linear::new(&name("self_attn.o_proj"), widths[0], d).biased(self.kin.out_bias);
        let out = block.add(out, context);
        let middle = block.add_with(Residual::new(d, Site::AttentionOut), out, INPUT);
        let normed = block.add(self.norm(&name("post_attention_layernorm")), middle);
        let (gate, up) = (name("mlp.gate_proj"), name("mlp.up_proj"));
        let wide = Linear::joined(d, &[(&gate, self.d_wide), (&up, self.d_wide)]).biased(self.mlp_bias);
        let wide = block.add(wide, normed);
        let narrow = FeedForward::new(self.act, &name("mlp.down_proj"), self.d_wide, d).gated();
        let narrow = block.add(narrow, wide);
        let close = Residual::new(d, Site::FeedForwardOut);
        let close = if self.mlp_bias { close.biased(&name("mlp.down_proj.bias")) } else { close };
        let last = block.add_with(close, narrow, middle);
        if i + 1 == n_layers {
            block.add(self.norm("norm"), last);
        }
        block
    }
}
