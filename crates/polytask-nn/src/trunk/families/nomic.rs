//! Nomic's BERT (Nussbaum et al. 2024, <https://arxiv.org/abs/2402.01613>): post-norm layers with rotary positions and
//! gated feed-forwards, without biases. Published files have the field names of GPT-2.

use std::sync::Arc;

use polytask_core::input::text::TEXT;

use super::EncoderFamily;
use super::fields::{Composition, Fields};
use crate::pooling::PoolMode;
use crate::trunk::activation::Activation;
use crate::trunk::dropout::Site;
use crate::trunk::graph::{BlockGraph, Graph, INPUT};
use crate::trunk::layers::{
    Attention, FeedForward, Linear, Norm, NormSpec, Positions, Residual, Rotary, RotaryTable,
};

/// Nomic's BERT.
pub(super) static NOMIC: EncoderFamily = EncoderFamily {
    model_types: &[("nomic_bert", "NomicBertModel")],
    examples: "nomic-embed-text",
    input: &TEXT,
    pooled: PoolMode::Mean,
    prefixes: &["bert.", "model."],
    ties: &[],
    kept: &["pooler.dense.weight", "pooler.dense.bias"],
    classifier: None,
    compose,
};

/// Switches that would change the layers.
const SWITCHES: [&str; 9] = [
    "prenorm",
    "qkv_proj_bias",
    "mlp_fc1_bias",
    "mlp_fc2_bias",
    "rotary_emb_interleaved",
    "causal",
    "parallel_block",
    "use_rms_norm",
    "scale_attn_by_inverse_layer_idx",
];

fn compose(fields: &mut Fields) -> Option<Composition> {
    let (vocab, d) = (fields.size(&["vocab_size"]), fields.size(&["hidden_size", "n_embd"]));
    let n_layers = fields.layers(&["num_hidden_layers", "n_layer"]);
    let heads = fields.size(&["num_attention_heads", "n_head"]);
    let d_wide = fields.size(&["intermediate_size", "n_inner"]);
    let positions = fields.size(&["max_position_embeddings", "n_positions"]);
    let types = fields.size_or("type_vocab_size", 2);
    let eps = fields.number(&["layer_norm_eps", "layer_norm_epsilon"], 1e-12);
    let theta = fields.number(&["rope_parameters.rope_theta", "rope_theta", "rotary_emb_base"], 1000.0);
    fields.expect("rope_parameters.rope_type", &["default"]);
    fields.expect("activation_function", &["swiglu"]);
    fields.expect("hidden_act", &["silu"]);
    for switch in SWITCHES {
        fields.expect_not(switch, "the layers of nomic-embed-text");
    }
    for key in ["rotary_scaling_factor", "rotary_emb_scale_base", "moe_every_n_layers"] {
        if fields.get(key).is_some_and(|value| value.as_f64() != Some(0.0)) {
            fields.wrong(key, "none, as in nomic-embed-text");
        }
    }
    if fields.number(&["rotary_emb_fraction"], 1.0) != 1.0 {
        fields.wrong("rotary_emb_fraction", "1.0: all values of a head are turned");
    }
    if fields.size_or("head_dim", d / heads) != d / heads {
        fields.wrong("head_dim", "the width by the number of heads");
    }
    fields.turned("hidden_size / num_attention_heads", d / heads, heads);
    fields.divides(("num_attention_heads", heads), ("hidden_size", d));
    let dropout = fields.share(&["hidden_dropout_prob", "resid_pdrop"]);
    let d_head = d / heads;
    let rotary = Arc::new(RotaryTable::new(theta, d_head));
    let layer = |i: usize| {
        let name = |part: &str| format!("encoder.layers.{i}.{part}");
        let close = |site, norm: &str| Residual::new(d, site).normed(NormSpec::layer(&name(norm), d, eps));
        let mut block = BlockGraph::new(format!("layer.{i}"), d);
        let qkv = block.add(Linear::new(&name("attn.Wqkv"), d, 3 * d), INPUT);
        let turned = block.add(Rotary::new(rotary.clone(), (heads, heads, d_head)), qkv);
        let context = block.add(Attention::full(heads, d_head), turned);
        let out = block.add(Linear::new(&name("attn.out_proj"), d, d), context);
        let middle = block.add_with(close(Site::AttentionOut, "norm1"), out, INPUT);
        // The second product is the one that is activated.
        let (gate, value) = (name("mlp.fc12"), name("mlp.fc11"));
        let wide = block.add(Linear::joined(d, &[(&gate, d_wide), (&value, d_wide)]), middle);
        let narrow = block.add(FeedForward::new(Activation::Silu, &name("mlp.fc2"), d_wide, d).gated(), wide);
        block.add_with(close(Site::FeedForwardOut, "norm2"), narrow, middle);
        block
    };
    fields.finish(|| {
        let mut embeddings = BlockGraph::new("embeddings", d);
        let sum =
            embeddings.add(Positions::none(d).typed("embeddings.token_type_embeddings.weight", types), INPUT);
        embeddings.add(Norm::new(NormSpec::layer("emb_ln", d, eps)).dropped(Site::Embedding), sum);
        let words = ("embeddings.word_embeddings.weight", vocab, d);
        let blocks = std::iter::once(embeddings).chain((0..n_layers).map(layer));
        Composition { graph: Graph::new(words, positions, blocks), dropout }
    })
}
