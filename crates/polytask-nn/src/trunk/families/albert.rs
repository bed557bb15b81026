//! ALBERT (Lan et al. 2020, <https://arxiv.org/abs/1909.11942>): BERT's layers, where all layers of a group are one, and
//! narrow word vectors that a linear map widens.

use polytask_core::input::text::TEXT;

use super::EncoderFamily;
use super::fields::{Composition, Fields};
use super::post_norm::PostNormLayer;
use crate::pooling::PoolMode;
use crate::trunk::activation::Activation;
use crate::trunk::dropout::Site;
use crate::trunk::graph::{BlockGraph, Graph, INPUT};
use crate::trunk::layers::{Attention, Linear, Norm, NormSpec, Positions};

/// ALBERT.
pub(super) static ALBERT: EncoderFamily = EncoderFamily {
    model_types: &[("albert", "AlbertModel")],
    examples: "ALBERT, paraphrase-albert-small-v2",
    input: &TEXT,
    pooled: PoolMode::Mean,
    prefixes: &["albert."],
    ties: &[],
    kept: &["embeddings.position_ids", "pooler.bias", "pooler.weight"],
    classifier: None,
    compose,
};

fn compose(fields: &mut Fields) -> Option<Composition> {
    let (vocab, d) = (fields.size(&["vocab_size"]), fields.size(&["hidden_size"]));
    let (d_words, d_wide) = (fields.size_or("embedding_size", 128), fields.size(&["intermediate_size"]));
    let (n_layers, heads) = (fields.layers(&["num_hidden_layers"]), fields.size(&["num_attention_heads"]));
    let groups = fields.size_or("num_hidden_groups", 1);
    let (positions, types) =
        (fields.size(&["max_position_embeddings"]), fields.size_or("type_vocab_size", 2));
    let act = fields.activation(&["hidden_act"], Activation::GeluTanh);
    let eps = fields.number(&["layer_norm_eps"], 1e-12);
    fields.divides(("num_attention_heads", heads), ("hidden_size", d));
    fields.divides(("num_hidden_groups", groups), ("num_hidden_layers", n_layers));
    if fields.size_or("inner_group_num", 1) != 1 {
        fields.wrong("inner_group_num", "1");
    }
    let layer = |group: usize| {
        let name = |part: &str| format!("encoder.albert_layer_groups.{group}.albert_layers.0.{part}");
        PostNormLayer {
            attention: Attention::full(heads, d / heads),
            qkv: ["query", "key", "value"].map(|part| name(&format!("attention.{part}"))),
            out: name("attention.dense"),
            attention_norm: name("attention.LayerNorm"),
            up: name("ffn"),
            down: name("ffn_output"),
            norm: name("full_layer_layer_norm"),
            d_wide,
            act,
            eps,
        }
        .block(group)
        .repeated(n_layers / groups)
    };
    let dropout = fields.share(&["hidden_dropout_prob"]);
    fields.finish(|| {
        let mut embeddings = BlockGraph::new("embeddings", d_words);
        let table = Positions::none(d_words)
            .learned("embeddings.position_embeddings.weight", positions, 0)
            .typed("embeddings.token_type_embeddings.weight", types);
        let sum = embeddings.add(table, INPUT);
        let norm = Norm::new(NormSpec::layer("embeddings.LayerNorm", d_words, eps));
        let normed = embeddings.add(norm.dropped(Site::Embedding), sum);
        embeddings.add(Linear::new("encoder.embedding_hidden_mapping_in", d_words, d).biased(true), normed);
        let blocks = std::iter::once(embeddings).chain((0..groups).map(layer));
        let words = ("embeddings.word_embeddings.weight", vocab, d_words);
        Composition { graph: Graph::new(words, positions, blocks), dropout }
    })
}
