//! DistilBERT (Sanh et al. 2019, <https://arxiv.org/abs/1910.01108>): BERT's layers under other names, without token
//! types.

use polytask_core::input::text::TEXT;

use super::EncoderFamily;
use super::fields::{Composition, Fields};
use super::post_norm::PostNormLayer;
use crate::pooling::PoolMode;
use crate::trunk::activation::Activation;
use crate::trunk::dropout::Site;
use crate::trunk::graph::{BlockGraph, Graph, INPUT};
use crate::trunk::layers::{Attention, Norm, NormSpec, Positions};

/// The published code has it fixed.
const EPS: f64 = 1e-12;

/// DistilBERT.
pub(super) static DISTILBERT: EncoderFamily = EncoderFamily {
    model_types: &[("distilbert", "DistilBertModel")],
    examples: "DistilBERT, msmarco-distilbert",
    input: &TEXT,
    pooled: PoolMode::Mean,
    prefixes: &["distilbert."],
    ties: &[],
    kept: &["embeddings.position_ids"],
    classifier: None,
    compose,
};

fn compose(fields: &mut Fields) -> Option<Composition> {
    let (vocab, d, n_layers) =
        (fields.size(&["vocab_size"]), fields.size(&["dim"]), fields.layers(&["n_layers"]));
    let (heads, d_wide) = (fields.size(&["n_heads"]), fields.size(&["hidden_dim"]));
    let positions = fields.size(&["max_position_embeddings"]);
    let act = fields.activation(&["activation"], Activation::Gelu);
    fields.divides(("n_heads", heads), ("dim", d));
    let layer = |i: usize| {
        let name = |part: &str| format!("transformer.layer.{i}.{part}");
        PostNormLayer {
            attention: Attention::full(heads, d / heads),
            qkv: ["q_lin", "k_lin", "v_lin"].map(|part| name(&format!("attention.{part}"))),
            out: name("attention.out_lin"),
            attention_norm: name("sa_layer_norm"),
            up: name("ffn.lin1"),
            down: name("ffn.lin2"),
            norm: name("output_layer_norm"),
            d_wide,
            act,
            eps: EPS,
        }
        .block(i)
    };
    let dropout = fields.share(&["dropout"]);
    fields.finish(|| {
        let mut embeddings = BlockGraph::new("embeddings", d);
        let table = Positions::none(d).learned("embeddings.position_embeddings.weight", positions, 0);
        let sum = embeddings.add(table, INPUT);
        let norm = Norm::new(NormSpec::layer("embeddings.LayerNorm", d, EPS));
        embeddings.add(norm.dropped(Site::Embedding), sum);
        let blocks = std::iter::once(embeddings).chain((0..n_layers).map(layer));
        Composition {
            graph: Graph::new(("embeddings.word_embeddings.weight", vocab, d), positions, blocks),
            dropout,
        }
    })
}
