//! CLIP (Radford et al. 2021, <https://arxiv.org/abs/2103.00020>): an encoder of texts that reads from left to right, and one
//! of images in patches, with the same pre-norm layers.
//!
//! Each is read by itself, as `CLIPTextModel` and `CLIPVisionModel` write it, before the projections into the space of both.
//! A text is pooled at its last token, an image at its first row.

use polytask_core::image::IMAGE;
use polytask_core::input::text::TEXT;

use super::EncoderFamily;
use super::fields::{Composition, Fields};
use super::vit::Rows;
use crate::pooling::PoolMode;
use crate::trunk::activation::Activation;
use crate::trunk::dropout::Site;
use crate::trunk::fronts::Patches;
use crate::trunk::graph::{BlockGraph, Graph, INPUT};
use crate::trunk::layers::{
    Attention, FeedForward, GridPositions, Interpolation, Linear, Norm, NormSpec, Positions, Relative,
    Residual, Start, TensorShape,
};

/// The encoder of texts.
pub(super) static TEXT_OF_CLIP: EncoderFamily = EncoderFamily {
    model_types: &[("clip_text_model", "CLIPTextModel")],
    examples: "the texts of clip-vit-base-patch32",
    input: &TEXT,
    pooled: PoolMode::LastToken,
    prefixes: &["text_model."],
    ties: &[],
    kept: &["embeddings.position_ids"],
    classifier: None,
    compose: texts,
};

/// The encoder of images.
pub(super) static VISION_OF_CLIP: EncoderFamily = EncoderFamily {
    model_types: &[("clip_vision_model", "CLIPVisionModel")],
    examples: "the images of clip-vit-base-patch32",
    input: &IMAGE,
    pooled: PoolMode::Cls,
    prefixes: &["vision_model."],
    ties: &[],
    kept: &["embeddings.position_ids"],
    classifier: None,
    compose: images,
};

/// What all layers share.
struct Shape {
    d: usize,
    d_wide: usize,
    heads: usize,
    eps: f64,
    act: Activation,
    n_layers: usize,
}

fn texts(fields: &mut Fields) -> Option<Composition> {
    let shape = Shape::read(fields);
    let (vocab, positions) = (fields.size(&["vocab_size"]), fields.size(&["max_position_embeddings"]));
    let dropout = fields.share(&["attention_dropout"]);
    fields.finish(|| {
        let mut embeddings = BlockGraph::new("embeddings", shape.d);
        let table = Positions::none(shape.d).learned("embeddings.position_embedding.weight", positions, 0);
        embeddings.add(table, INPUT);
        let causal = Attention { relative: Relative::causal(), ..shape.attention() };
        let blocks = shape.blocks(embeddings, &causal, "final_layer_norm");
        let words = ("embeddings.token_embedding.weight", vocab, shape.d);
        Composition { graph: Graph::new(words, positions, blocks), dropout }
    })
}

fn images(fields: &mut Fields) -> Option<Composition> {
    let shape = Shape::read(fields);
    let rows = Rows {
        side: fields.size_or("patch_size", 32),
        trained: fields.size_or("image_size", 224),
        channels: fields.size_or("num_channels", 3),
        n_registers: 0,
        interpolation: None,
    };
    let pixels = rows.pixels(fields);
    let dropout = fields.share(&["attention_dropout"]);
    fields.finish(|| {
        let symbols = pixels.size.len();
        let front = Patches {
            pixels,
            side: rows.side,
            width: shape.d,
            tokens: vec![TensorShape::vector("embeddings.class_embedding", shape.d, Start::Normal)],
            map: "embeddings.patch_embedding".into(),
            has_bias: false,
        };
        let n = rows.trained / rows.side;
        let (name, how) = ("embeddings.position_embedding.weight", (Interpolation::Cubic, 0));
        let positions = GridPositions::new(name, shape.d, ((n, n), front.grid()), how).matrix();
        let mut embeddings = BlockGraph::new("embeddings", shape.d);
        let placed = embeddings.add(positions, INPUT);
        // The published name is misspelt.
        embeddings.add(shape.norm("pre_layrnorm"), placed);
        let blocks = shape.blocks(embeddings, &shape.attention(), "post_layernorm");
        Composition { graph: Graph::above(front, symbols, blocks), dropout }
    })
}

impl Shape {
    fn read(fields: &mut Fields) -> Self {
        let (d, heads) = (fields.size(&["hidden_size"]), fields.size(&["num_attention_heads"]));
        fields.divides(("num_attention_heads", heads), ("hidden_size", d));
        Self {
            d,
            d_wide: fields.size(&["intermediate_size"]),
            heads,
            eps: fields.number(&["layer_norm_eps"], 1e-5),
            act: fields.activation(&["hidden_act"], Activation::QuickGelu),
            n_layers: fields.layers(&["num_hidden_layers"]),
        }
    }

    fn norm(&self, name: &str) -> Norm {
        Norm::new(NormSpec::layer(name, self.d, self.eps))
    }

    fn attention(&self) -> Attention {
        Attention::full(self.heads, self.d / self.heads)
    }

    /// The block of embeddings, all layers, and the norm at the end.
    fn blocks(&self, embeddings: BlockGraph, attention: &Attention, last: &str) -> Vec<BlockGraph> {
        let mut norm = BlockGraph::new("norm", self.d);
        norm.add(self.norm(last), INPUT);
        let layers = (0..self.n_layers).map(|i| self.layer(i, attention.clone()));
        std::iter::once(embeddings).chain(layers).chain([norm]).collect()
    }

    fn layer(&self, i: usize, attention: Attention) -> BlockGraph {
        let d = self.d;
        let name = |part: &str| format!("encoder.layers.{i}.{part}");
        let mut block = BlockGraph::new(format!("layer.{i}"), d);
        let normed = block.add(self.norm(&name("layer_norm1")), INPUT);
        let [q, k, v] = ["q_proj", "k_proj", "v_proj"].map(|part| name(&format!("self_attn.{part}")));
        let qkv = block.add(Linear::joined(d, &[(&q, d), (&k, d), (&v, d)]).biased(true), normed);
        let context = block.add(attention, qkv);
        let out = name("self_attn.out_proj");
        let attended = block.add(Linear::new(&out, d, d), context);
        let close = |site, map: &str| Residual::new(d, site).biased(&format!("{map}.bias"));
        let middle = block.add_with(close(Site::AttentionOut, &out), attended, INPUT);
        let normed = block.add(self.norm(&name("layer_norm2")), middle);
        let (up, down) = (name("mlp.fc1"), name("mlp.fc2"));
        let wide = block.add(Linear::new(&up, d, self.d_wide), normed);
        let feed = FeedForward::new(self.act, &down, self.d_wide, d).biased(&format!("{up}.bias"));
        let narrow = block.add(feed, wide);
        block.add_with(close(Site::FeedForwardOut, &down), narrow, middle);
        block
    }
}
