//! Vision transformers (Dosovitskiy et al. 2021, <https://arxiv.org/abs/2010.11929>) and DINOv2 (Oquab et al. 2023,
//! <https://arxiv.org/abs/2304.07193>): patches as rows, pre-norm layers, in DINOv2 with a learned scale per branch.

use polytask_core::Problem;
use polytask_core::image::{IMAGE, ImageSize};

use super::EncoderFamily;
use super::fields::{Composition, Fields};
use crate::pooling::PoolMode;
use crate::trunk::activation::Activation;
use crate::trunk::dropout::Site;
use crate::trunk::fronts::{Patches, Pixels};
use crate::trunk::graph::{BlockGraph, Graph, INPUT};
use crate::trunk::layers::{
    Attention, FeedForward, GridPositions, Interpolation, Linear, Norm, NormSpec, Residual, Scale, Start,
    TensorShape,
};

/// ViT.
pub(super) static VIT: EncoderFamily = EncoderFamily {
    model_types: &[("vit", "ViTModel")],
    examples: "vit-base-patch16-224",
    input: &IMAGE,
    pooled: PoolMode::Cls,
    prefixes: &["vit."],
    ties: &[],
    kept: &["embeddings.mask_token", "pooler.dense.bias", "pooler.dense.weight"],
    classifier: None,
    compose: |fields| compose(fields, &VIT_NAMES),
};

/// DINOv2, with register tokens or without.
pub(super) static DINOV2: EncoderFamily = EncoderFamily {
    model_types: &[("dinov2", "Dinov2Model"), ("dinov2_with_registers", "Dinov2WithRegistersModel")],
    examples: "dinov2-small, dinov2-with-registers-base",
    input: &IMAGE,
    pooled: PoolMode::Cls,
    prefixes: &["dinov2.", "dinov2_with_registers."],
    ties: &[],
    kept: &["embeddings.mask_token"],
    classifier: None,
    compose: |fields| compose(fields, &DINOV2_NAMES),
};

/// What the tensors of a layer are called.
struct Names {
    /// The norm before attention.
    first_norm: &'static str,
    /// The norm before the feed-forward half.
    second_norm: &'static str,
    up: &'static str,
    down: &'static str,
    /// Whether each half ends in a learned scale.
    is_scaled: bool,
}

const VIT_NAMES: Names = Names {
    first_norm: "layernorm_before",
    second_norm: "layernorm_after",
    up: "intermediate.dense",
    down: "output.dense",
    is_scaled: false,
};

const DINOV2_NAMES: Names =
    Names { first_norm: "norm1", second_norm: "norm2", up: "mlp.fc1", down: "mlp.fc2", is_scaled: true };

/// Sizes of a network's layers.
struct Shape {
    d: usize,
    d_wide: usize,
    heads: usize,
    eps: f64,
    act: Activation,
    has_bias: bool,
    /// Whether the feed-forward half is gated by SiLU.
    is_gated: bool,
}

/// How images become rows.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    /// Pixels along the side of a patch.
    pub(super) side: usize,
    /// Pixels along the side of the images that positions were trained on.
    pub(super) trained: usize,
    pub(super) channels: usize,
    /// Register tokens behind the class token.
    pub(super) n_registers: usize,
    /// How positions are fitted to images of another size; `None` where there are none of another.
    pub(super) interpolation: Option<Interpolation>,
}

fn compose(fields: &mut Fields, names: &Names) -> Option<Composition> {
    let shape = Shape::read(fields, names);
    let n_layers = fields.layers(&["num_hidden_layers"]);
    let rows = Rows::read(fields, names);
    let pixels = rows.pixels(fields);
    let dropout = fields.share(&["hidden_dropout_prob"]);
    fields.finish(|| {
        let symbols = pixels.size.len();
        let front = rows.front(pixels, shape.d);
        let embeddings = rows.embeddings(&front);
        let layers = (0..n_layers).map(|i| shape.layer(names, i));
        let mut last = BlockGraph::new("norm", shape.d);
        last.add(Norm::new(NormSpec::layer("layernorm", shape.d, shape.eps)), INPUT);
        let blocks = std::iter::once(embeddings).chain(layers).chain([last]);
        Composition { graph: Graph::above(front, symbols, blocks), dropout }
    })
}

/// What is added to variances where a file says nothing.
fn norm_eps(names: &Names) -> f64 {
    if names.is_scaled { 1e-6 } else { 1e-12 }
}

/// Width of DINOv2's feed-forward half; with a gate two thirds of it, as a multiple of 8.
fn wide(d: usize, ratio: usize, is_gated: bool) -> usize {
    let wide = d.saturating_mul(ratio);
    if is_gated { (wide * 2 / 3).div_ceil(8) * 8 } else { wide }
}

impl Rows {
    fn read(fields: &mut Fields, names: &Names) -> Self {
        let is_registered = fields.get("model_type").is_some_and(|name| name == "dinov2_with_registers");
        let how = if is_registered { Interpolation::Antialiased } else { Interpolation::Cubic };
        Self {
            side: fields.size_or("patch_size", 16),
            trained: fields.size_or("image_size", 224),
            channels: fields.size_or("num_channels", 3),
            n_registers: if is_registered { fields.size_or("num_register_tokens", 4) } else { 0 },
            interpolation: names.is_scaled.then_some(how),
        }
    }

    /// The images of the network; notes what does not fit.
    pub(super) fn pixels(self, fields: &mut Fields) -> Pixels {
        let Some(mut pixels) = fields.pixels() else {
            if fields.problems.is_empty() {
                let what = "`preprocessor_config.json` says nothing of images, expected their size, mean and deviation";
                fields.problems.push(Problem::new(what).try_this("the file the encoder was published with"));
            }
            // Nothing is built of it.
            let size = ImageSize { channels: self.channels, height: self.side, width: self.side };
            return Pixels { size, mean: Vec::new(), std: Vec::new() };
        };
        // One value stands for all channels where images are not standardised.
        for values in [&mut pixels.mean, &mut pixels.std] {
            if let [one] = values[..] {
                values.resize(self.channels, one);
            }
        }
        pixels.size.channels = self.channels;
        self.check(fields, &pixels);
        pixels
    }

    fn check(self, fields: &mut Fields, pixels: &Pixels) {
        let Self { side, trained, channels, .. } = self;
        if trained < side {
            fields.wrong("image_size", "at least `patch_size`");
        }
        if ![1, 3].contains(&channels) {
            fields.wrong("num_channels", "1 or 3");
        }
        let (height, width) = (pixels.size.height, pixels.size.width);
        let is_other = self.interpolation.is_none() && (height, width) != (trained, trained);
        if is_other || height < side || width < side {
            let expected = match self.interpolation {
                Some(_) => format!("at least {side} x {side}"),
                None => format!("{trained} x {trained}"),
            };
            let what =
                format!("images are made {height} x {width} (preprocessor_config.json), expected {expected}");
            fields.problems.push(Problem::new(what));
        }
        if pixels.mean.len() != channels || pixels.std.len() != channels {
            let what = format!(
                "`image_mean` and `image_std` of preprocessor_config.json must have {channels} values"
            );
            fields.problems.push(Problem::new(what));
        }
    }

    fn front(self, pixels: Pixels, width: usize) -> Patches {
        let tokens = |name: &str, n: usize| TensorShape {
            name: format!("embeddings.{name}"),
            shape: vec![1, n, width],
            start: Start::Normal,
        };
        let registers = (self.n_registers > 0).then(|| tokens("register_tokens", self.n_registers));
        let tokens = std::iter::once(tokens("cls_token", 1)).chain(registers).collect();
        let map = "embeddings.patch_embeddings.projection".to_owned();
        Patches { pixels, side: self.side, width, tokens, map, has_bias: true }
    }

    /// The block that adds positions.
    fn embeddings(self, front: &Patches) -> BlockGraph {
        let n = self.trained / self.side;
        let grids = ((n, n), front.grid());
        let how = (self.interpolation.unwrap_or(Interpolation::Cubic), self.n_registers);
        let mut block = BlockGraph::new("embeddings", front.width);
        block.add(GridPositions::new("embeddings.position_embeddings", front.width, grids, how), INPUT);
        block
    }
}

impl Shape {
    fn read(fields: &mut Fields, names: &Names) -> Self {
        let d = fields.size(&["hidden_size"]);
        let heads = fields.size(&["num_attention_heads"]);
        fields.divides(("num_attention_heads", heads), ("hidden_size", d));
        let is_gated = names.is_scaled && fields.flag("use_swiglu_ffn", false);
        let d_wide = if names.is_scaled {
            wide(d, fields.size_or("mlp_ratio", 4), is_gated)
        } else {
            fields.size(&["intermediate_size"])
        };
        let has_bias = fields.flag("qkv_bias", true);
        let act = fields.activation(&["hidden_act"], Activation::Gelu);
        let eps = fields.number(&["layer_norm_eps"], norm_eps(names));
        Self { d, d_wide, heads, eps, act, has_bias, is_gated }
    }

    fn layer(&self, names: &Names, i: usize) -> BlockGraph {
        let d = self.d;
        let name = |part: &str| format!("encoder.layer.{i}.{part}");
        let norm = |part: &str| Norm::new(NormSpec::layer(&name(part), d, self.eps));
        let mut block = BlockGraph::new(format!("layer.{i}"), d);
        let normed = block.add(norm(names.first_norm), INPUT);
        let [q, k, v] = ["query", "key", "value"].map(|part| name(&format!("attention.attention.{part}")));
        let qkv = Linear::joined(d, &[(&q, d), (&k, d), (&v, d)]).biased(self.has_bias);
        let qkv = block.add(qkv, normed);
        let context = block.add(Attention::full(self.heads, d / self.heads), qkv);
        let out = name("attention.output.dense");
        let attended = block.add(Linear::new(&out, d, d), context);
        let scale = |i: u8| names.is_scaled.then(|| name(&format!("layer_scale{i}.lambda1")));
        let middle = self.close(&mut block, (attended, INPUT), (&out, scale(1)), Site::AttentionOut);
        let normed = block.add(norm(names.second_norm), middle);
        let (narrow, down) = self.feed_forward(&mut block, normed, (names, &name));
        self.close(&mut block, (narrow, middle), (&down, scale(2)), Site::FeedForwardOut);
        block
    }

    /// The feed-forward half but for its bias; its node and the name of its last map.
    fn feed_forward(
        &self,
        block: &mut BlockGraph,
        normed: usize,
        (names, name): (&Names, &dyn Fn(&str) -> String),
    ) -> (usize, String) {
        let (up, down) =
            if self.is_gated { ("mlp.weights_in", "mlp.weights_out") } else { (names.up, names.down) };
        let (up, down) = (name(up), name(down));
        let wide = if self.is_gated { 2 * self.d_wide } else { self.d_wide };
        let widened = block.add(Linear::new(&up, self.d, wide), normed);
        let act = if self.is_gated { Activation::Silu } else { self.act };
        let feed = FeedForward::new(act, &down, self.d_wide, self.d);
        let feed = if self.is_gated { feed.gated() } else { feed };
        (block.add(feed.biased(&format!("{up}.bias")), widened), down)
    }

    /// The end of a half: bias, scale if there is one, dropout, the residual.
    fn close(
        &self,
        block: &mut BlockGraph,
        (branch, residual): (usize, usize),
        (map, scale): (&str, Option<String>),
        site: Site,
    ) -> usize {
        let bias = format!("{map}.bias");
        match scale {
            None => block.add_with(Residual::new(self.d, site).biased(&bias), branch, residual),
            Some(name) => {
                let scaled = block.add(Scale { name, bias, width: self.d }, branch);
                block.add_with(Residual::new(self.d, site), scaled, residual)
            }
        }
    }
}
