//! ModernBERT (Warner et al. 2024, <https://arxiv.org/abs/2412.13663>): pre-norm layers with rotary positions and
//! gated feed-forwards; most layers see a window, every n-th the whole text.

use std::sync::Arc;

use polytask_core::input::text::TEXT;

use super::EncoderFamily;
use super::fields::{Composition, Fields};
use crate::pooling::PoolMode;
use crate::trunk::activation::Activation;
use crate::trunk::dropout::Site;
use crate::trunk::graph::{BlockGraph, Graph, INPUT};
use crate::trunk::layers::{
    Attention, FeedForward, Linear, Norm, NormSpec, Relative, Residual, Rotary, RotaryTable,
};

/// ModernBERT.
pub(super) static MODERNBERT: EncoderFamily = EncoderFamily {
    model_types: &[("modernbert", "ModernBertModel")],
    examples: "ModernBERT, gte-modernbert, modernbert-embed",
    input: &TEXT,
    pooled: PoolMode::Mean,
    prefixes: &["model."],
    ties: &[],
    kept: &[],
    classifier: None,
    compose,
};

/// What all layers share.
struct Shape {
    d: usize,
    heads: usize,
    d_wide: usize,
    act: Activation,
    eps: f64,
    /// Half the window of local layers.
    window: usize,
    /// Layers whose number it divides see all.
    global_every: usize,
    norm_bias: bool,
    attention_bias: bool,
    mlp_bias: bool,
    /// Tables of global and local layers.
    rotary: [Arc<RotaryTable>; 2],
}

fn compose(fields: &mut Fields) -> Option<Composition> {
    let (vocab, d) = (fields.size(&["vocab_size"]), fields.size(&["hidden_size"]));
    let (n_layers, heads) = (fields.layers(&["num_hidden_layers"]), fields.size(&["num_attention_heads"]));
    let (d_wide, positions) =
        (fields.size(&["intermediate_size"]), fields.size(&["max_position_embeddings"]));
    fields.divides(("num_attention_heads", heads), ("hidden_size", d));
    fields.expect("rope_parameters.full_attention.rope_type", &["default"]);
    fields.expect("rope_parameters.sliding_attention.rope_type", &["default"]);
    let theta = [
        ("full_attention", "global_rope_theta", 160_000.0),
        ("sliding_attention", "local_rope_theta", 10_000.0),
    ];
    let theta = theta
        .map(|(new, old, usual)| fields.number(&[&format!("rope_parameters.{new}.rope_theta"), old], usual));
    let every = fields.size_or("global_attn_every_n_layers", 3);
    check_layer_types(fields, n_layers, every);
    // Null means that local layers turn as global ones do.
    let theta = if fields.is_null("local_rope_theta") { [theta[0]; 2] } else { theta };
    fields.turned("hidden_size / num_attention_heads", d / heads, heads);
    let shape = Shape {
        d,
        heads,
        d_wide,
        act: fields.activation(&["hidden_activation"], Activation::Gelu),
        eps: fields.number(&["norm_eps"], 1e-5),
        window: fields.size_or("local_attention", 128) / 2,
        global_every: every,
        norm_bias: fields.flag("norm_bias", false),
        attention_bias: fields.flag("attention_bias", false),
        mlp_bias: fields.flag("mlp_bias", false),
        rotary: theta.map(|theta| Arc::new(RotaryTable::new(theta, d / heads))),
    };
    let dropout = fields.share(&["embedding_dropout", "mlp_dropout"]);
    fields.finish(|| {
        let mut embeddings = BlockGraph::new("embeddings", d);
        embeddings.add(Norm::new(shape.norm("embeddings.norm")).dropped(Site::Embedding), INPUT);
        let layers = (0..n_layers).map(|i| shape.layer(i, n_layers));
        let words = ("embeddings.tok_embeddings.weight", vocab, d);
        let blocks = std::iter::once(embeddings).chain(layers);
        Composition { graph: Graph::new(words, positions, blocks), dropout }
    })
}

/// Notes a list of layer types that says something else than every n-th layer.
fn check_layer_types(fields: &mut Fields, n_layers: usize, every: usize) {
    let Some(types) = fields.get("layer_types").and_then(|types| types.as_array()).cloned() else { return };
    let expected =
        (0..n_layers).map(|i| if i.is_multiple_of(every) { "full_attention" } else { "sliding_attention" });
    if !types.iter().map(|name| name.as_str().unwrap_or_default()).eq(expected) {
        fields.wrong(
            "layer_types",
            &format!("full attention in every layer that {every} divides (`global_attn_every_n_layers`)"),
        );
    }
}

impl Shape {
    fn norm(&self, name: &str) -> NormSpec {
        NormSpec { has_bias: self.norm_bias, ..NormSpec::layer(name, self.d, self.eps) }
    }

    /// A layer; the last one ends with the network's norm.
    fn layer(&self, i: usize, n_layers: usize) -> BlockGraph {
        let (d, heads, d_head) = (self.d, self.heads, self.d / self.heads);
        let (name, is_local) =
            (|part: &str| format!("layers.{i}.{part}"), !i.is_multiple_of(self.global_every));
        let mut block = BlockGraph::new(format!("layer.{i}"), d);
        // The first layer reads the embeddings' norm.
        let normed = if i == 0 { INPUT } else { block.add(Norm::new(self.norm(&name("attn_norm"))), INPUT) };
        let qkv = block.add(Linear::new(&name("attn.Wqkv"), d, 3 * d).biased(self.attention_bias), normed);
        let turned =
            block.add(Rotary::new(self.rotary[usize::from(is_local)].clone(), (heads, heads, d_head)), qkv);
        let relative = if is_local { Relative::window(self.window) } else { Relative::default() };
        let context = block.add(Attention { relative, ..Attention::full(heads, d_head) }, turned);
        let out = block.add(Linear::new(&name("attn.Wo"), d, d).biased(self.attention_bias), context);
        let middle = block.add_with(Residual::new(d, Site::AttentionOut), out, INPUT);
        let normed = block.add(Norm::new(self.norm(&name("mlp_norm"))), middle);
        let wide = block.add(Linear::new(&name("mlp.Wi"), d, 2 * self.d_wide).biased(self.mlp_bias), normed);
        let narrow = block.add(FeedForward::new(self.act, &name("mlp.Wo"), self.d_wide, d).gated(), wide);
        let close = Residual::new(d, Site::FeedForwardOut);
        let close = if self.mlp_bias { close.biased(&name("mlp.Wo.bias")) } else { close };
        let last = block.add_with(close, narrow, middle);
        if i + 1 == n_layers {
            block.add(Norm::new(self.norm("final_norm")), last);
        }
        block
    }
}
