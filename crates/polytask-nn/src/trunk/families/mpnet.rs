//! MPNet (Song et al. 2020, <https://arxiv.org/abs/2004.09297>): BERT's layers, with scores that also depend on the
//! distance of tokens by a table shared by all layers.

use polytask_core::input::text::TEXT;

use super::fields::{Composition, Fields};
use super::post_norm::PostNormLayer;
use super::{Classifier, EncoderFamily};
use crate::pooling::PoolMode;
use crate::trunk::activation::Activation;
use crate::trunk::dropout::Site;
use crate::trunk::graph::{BlockGraph, Graph, INPUT};
use crate::trunk::layers::{Attention, Buckets, Norm, NormSpec, Positions, Relative, RelativeTable};

/// Positions are counted from the row after the padding id's, which the published code has fixed.
const OFFSET: usize = 2;

/// The published code has both fixed.
const BUCKETS: Buckets = Buckets { count: 32, most: 128 };

/// MPNet.
pub(super) static MPNET: EncoderFamily = EncoderFamily {
    model_types: &[("mpnet", "MPNetModel")],
    examples: "all-mpnet-base-v2, multi-qa-mpnet",
    input: &TEXT,
    pooled: PoolMode::Mean,
    prefixes: &["mpnet."],
    ties: &[],
    kept: &["pooler.dense.weight", "pooler.dense.bias", "embeddings.position_ids"],
    classifier: Some(Classifier { dense: "classifier.dense", output: "classifier.out_proj" }),
    compose,
};

fn compose(fields: &mut Fields) -> Option<Composition> {
    let (vocab, d) = (fields.size(&["vocab_size"]), fields.size(&["hidden_size"]));
    let (n_layers, heads) = (fields.layers(&["num_hidden_layers"]), fields.size(&["num_attention_heads"]));
    let (d_wide, positions) =
        (fields.size(&["intermediate_size"]), fields.size(&["max_position_embeddings"]));
    let act = fields.activation(&["hidden_act"], Activation::Gelu);
    let eps = fields.number(&["layer_norm_eps"], 1e-12);
    fields.divides(("num_attention_heads", heads), ("hidden_size", d));
    if fields.size_or("relative_attention_num_buckets", BUCKETS.count) != BUCKETS.count {
        fields.wrong("relative_attention_num_buckets", "32, which the published code always uses");
    }
    if positions <= OFFSET {
        fields.wrong("max_position_embeddings", "more than 2");
    }
    let layer = |i: usize| {
        let name = |part: &str| format!("encoder.layer.{i}.{part}");
        let relative = Relative { buckets: Some(BUCKETS), ..Relative::default() };
        PostNormLayer {
            attention: Attention { relative, ..Attention::full(heads, d / heads) },
            qkv: ["q", "k", "v"].map(|part| name(&format!("attention.attn.{part}"))),
            out: name("attention.attn.o"),
            attention_norm: name("attention.LayerNorm"),
            up: name("intermediate.dense"),
            down: name("output.dense"),
            norm: name("output.LayerNorm"),
            d_wide,
            act,
            eps,
        }
        .block(i)
    };
    let dropout = fields.share(&["hidden_dropout_prob"]);
    fields.finish(|| {
        let mut embeddings = BlockGraph::new("embeddings", d);
        let table = Positions::none(d).learned("embeddings.position_embeddings.weight", positions, OFFSET);
        let sum = embeddings.add(table, INPUT);
        let norm = Norm::new(NormSpec::layer("embeddings.LayerNorm", d, eps));
        let normed = embeddings.add(norm.dropped(Site::Embedding), sum);
        embeddings
            .add(RelativeTable::new("encoder.relative_attention_bias.weight", BUCKETS, heads, d), normed);
        let words = ("embeddings.word_embeddings.weight", vocab, d);
        let blocks = std::iter::once(embeddings).chain((0..n_layers).map(layer));
        Composition { graph: Graph::new(words, positions - OFFSET, blocks), dropout }
    })
}
