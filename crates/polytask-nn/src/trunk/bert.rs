//! The BERT family (Devlin et al. 2019, <https://arxiv.org/abs/1810.04805>): its settings, the layout of its
//! parameters in blocks, and fresh weights.
//!
//! | block | tensors |
//! | --- | --- |
//! | `words` | word embeddings, `[vocab, d_hidden]`; its gradient is row-sparse |
//! | `embeddings` | position and token-type embeddings, norm |
//! | `layer.i` | query, key, value (weights side by side, then biases, so one product does all three), attention output, norm, feed-forward up and down, norm |
//!
//! Tensor names are those of the published weights files; every weight is `[d_out, d_in]`.

use polytask_core::error::Problem;
use polytask_core::rng::{Purpose, Rng};
use serde::{Deserialize, Serialize};

use crate::params::{Block, Params, Real};

/// Index of the block of word embeddings.
pub const WORDS: usize = 0;
/// Index of the block of the other embeddings.
pub const EMBEDDINGS: usize = 1;
/// Index of the block of layer 0.
pub const FIRST_LAYER: usize = 2;

/// The function between the two feed-forward products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activation {
    /// x·Φ(x), with the error function.
    #[serde(rename = "gelu")]
    Gelu,
    /// Its tanh approximation.
    #[serde(rename = "gelu_new", alias = "gelu_pytorch_tanh")]
    GeluTanh,
    /// max(x, 0).
    #[serde(rename = "relu")]
    Relu,
}

/// Settings of a BERT trunk: the fields of the published `config.json` that shape the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BertConfig {
    /// Number of token ids.
    pub vocab_size: usize,
    /// Values per state.
    pub hidden_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Attention heads per layer; divides `hidden_size`.
    pub num_attention_heads: usize,
    /// Width between the feed-forward products.
    pub intermediate_size: usize,
    /// The function there.
    #[serde(default = "default_act")]
    pub hidden_act: Activation,
    /// Longest sequence, in tokens.
    pub max_position_embeddings: usize,
    /// Number of token types; polytask reads every token as type 0.
    #[serde(default = "default_types")]
    pub type_vocab_size: usize,
    /// Added to the variance in every norm.
    #[serde(default = "default_eps")]
    pub layer_norm_eps: f64,
    /// Published dropout of states; a run's own setting decides.
    #[serde(default = "default_dropout")]
    pub hidden_dropout_prob: f64,
    /// Published dropout of attention probabilities; a run's own setting decides.
    #[serde(default = "default_dropout")]
    pub attention_probs_dropout_prob: f64,
    /// Id of the padding token, unused in packed batches.
    #[serde(default)]
    pub pad_token_id: u32,
}

fn default_act() -> Activation {
    Activation::Gelu
}
fn default_types() -> usize {
    2
}
fn default_eps() -> f64 {
    1e-12
}
fn default_dropout() -> f64 {
    0.1
}

impl BertConfig {
    /// A network small enough for finite differences and unit tests: 2 layers, 32 wide.
    pub fn tiny() -> Self {
        Self {
            vocab_size: 1000,
            hidden_size: 32,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            intermediate_size: 64,
            hidden_act: Activation::Gelu,
            max_position_embeddings: 128,
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
            hidden_dropout_prob: 0.1,
            attention_probs_dropout_prob: 0.1,
            pad_token_id: 0,
        }
    }

    /// The shape of MiniLM-L6: 22.7 million parameters, most of them word embeddings.
    pub fn mini_lm() -> Self {
        Self {
            vocab_size: 30522,
            hidden_size: 384,
            num_hidden_layers: 6,
            num_attention_heads: 12,
            intermediate_size: 1536,
            max_position_embeddings: 512,
            ..Self::tiny()
        }
    }

    /// All settings that cannot be: sizes of zero, heads that do not divide, shares outside [0, 1).
    pub fn problems(&self) -> Vec<Problem> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("type_vocab_size", self.type_vocab_size),
        ];
        let wrong = sizes.iter().filter(|(_, n)| *n == 0 || *n > MAX_SIZE);
        let mut problems: Vec<Problem> = wrong
            .map(|(name, n)| Problem::new(format!("`{name}` is {n}, expected 1 to {MAX_SIZE}")))
            .collect();
        if self.num_hidden_layers > MAX_LAYERS {
            let found = self.num_hidden_layers;
            problems
                .push(Problem::new(format!("`num_hidden_layers` is {found}, expected at most {MAX_LAYERS}")));
        }
        let (hidden, heads) = (self.hidden_size, self.num_attention_heads);
        if heads > 0 && !hidden.is_multiple_of(heads) {
            let what =
                format!("`num_attention_heads` is {heads}, expected a divisor of `hidden_size` {hidden}");
            problems.push(Problem::new(what));
        }
        if !(self.layer_norm_eps > 0.0 && self.layer_norm_eps < 1.0) {
            let found = self.layer_norm_eps;
            problems
                .push(Problem::new(format!("`layer_norm_eps` is {found}, expected a small positive number")));
        }
        problems
    }

    /// Itself when it can be built.
    ///
    /// # Errors
    /// [`polytask_core::Error::Invalid`] with everything [`BertConfig::problems`] found.
    pub fn checked(self) -> polytask_core::Result<Self> {
        let problems = self.problems();
        if problems.is_empty() { Ok(self) } else { Err(polytask_core::Error::Invalid(problems)) }
    }

    /// Values per attention head.
    pub fn d_head(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Number of parameter blocks.
    pub fn n_blocks(&self) -> usize {
        FIRST_LAYER + self.num_hidden_layers
    }
}

/// Sizes beyond this come from a broken file, and their products would overflow.
const MAX_SIZE: usize = 1 << 24;
/// As [`MAX_SIZE`], for the number of layers.
const MAX_LAYERS: usize = 1 << 10;

/// The parameter blocks of a configuration, all zero: names, shapes and offsets.
pub fn layout<T: Real>(config: &BertConfig) -> Params<T> {
    let mut blocks = vec![words_block(config), embeddings_block(config)];
    blocks.extend((0..config.num_hidden_layers).map(|i| layer_block(config, i)));
    Params { blocks }
}

fn words_block<T: Real>(config: &BertConfig) -> Block<T> {
    let shape = [config.vocab_size, config.hidden_size];
    Block::zeros("words", &[("embeddings.word_embeddings.weight", &shape, true)])
}

fn embeddings_block<T: Real>(config: &BertConfig) -> Block<T> {
    let d = config.hidden_size;
    Block::zeros(
        "embeddings",
        &[
            ("embeddings.position_embeddings.weight", &[config.max_position_embeddings, d], true),
            ("embeddings.token_type_embeddings.weight", &[config.type_vocab_size, d], true),
            ("embeddings.LayerNorm.weight", &[d], false),
            ("embeddings.LayerNorm.bias", &[d], false),
        ],
    )
}

fn layer_block<T: Real>(config: &BertConfig, i: usize) -> Block<T> {
    let (d, f) = (config.hidden_size, config.intermediate_size);
    let tensors: [(&str, &[usize], bool); 16] = [
        ("attention.self.query.weight", &[d, d], true),
        ("attention.self.key.weight", &[d, d], true),
        ("attention.self.value.weight", &[d, d], true),
        ("attention.self.query.bias", &[d], false),
        ("attention.self.key.bias", &[d], false),
        ("attention.self.value.bias", &[d], false),
        ("attention.output.dense.weight", &[d, d], true),
        ("attention.output.dense.bias", &[d], false),
        ("attention.output.LayerNorm.weight", &[d], false),
        ("attention.output.LayerNorm.bias", &[d], false),
        ("intermediate.dense.weight", &[f, d], true),
        ("intermediate.dense.bias", &[f], false),
        ("output.dense.weight", &[d, f], true),
        ("output.dense.bias", &[d], false),
        ("output.LayerNorm.weight", &[d], false),
        ("output.LayerNorm.bias", &[d], false),
    ];
    let names: Vec<String> = tensors.iter().map(|(name, ..)| format!("encoder.layer.{i}.{name}")).collect();
    let named: Vec<_> =
        names.iter().zip(tensors).map(|(name, (_, s, decays))| (name.as_str(), s, decays)).collect();
    Block::zeros(&format!("layer.{i}"), &named)
}

/// Fresh weights: matrices from N(0, 0.02²), norms the identity, biases 0; a function of the seed alone.
pub fn init<T: Real>(config: &BertConfig, seed: u64) -> Params<T> {
    let mut params = layout(config);
    for (b, block) in params.blocks.iter_mut().enumerate() {
        for i in 0..block.tensors.len() {
            let mut rng = Rng::new(seed, Purpose::Init, &[b as u64, i as u64]);
            let (matrix, norm) =
                (block.tensors[i].shape.len() > 1, block.tensors[i].name.ends_with("LayerNorm.weight"));
            let draw = || match (matrix, norm) {
                (true, _) => T::of(0.02 * rng.normal()),
                (false, true) => T::ONE,
                (false, false) => T::ZERO,
            };
            block.tensor_mut(i).fill_with(draw);
        }
    }
    params
}

/// The parts of an `embeddings` block.
#[derive(Debug)]
pub(crate) struct EmbeddingView<S> {
    /// `[positions, d_hidden]`.
    pub(crate) positions: S,
    /// `[types, d_hidden]`.
    pub(crate) types: S,
    /// `[d_hidden]`.
    pub(crate) norm_weight: S,
    /// `[d_hidden]`.
    pub(crate) norm_bias: S,
}

/// The parts of a `layer.i` block; query, key and value are one matrix `[3·d_hidden, d_hidden]`.
#[derive(Debug)]
pub(crate) struct LayerView<S> {
    pub(crate) qkv_weight: S,
    pub(crate) qkv_bias: S,
    pub(crate) out_weight: S,
    pub(crate) out_bias: S,
    pub(crate) norm1_weight: S,
    pub(crate) norm1_bias: S,
    pub(crate) up_weight: S,
    pub(crate) up_bias: S,
    pub(crate) down_weight: S,
    pub(crate) down_bias: S,
    pub(crate) norm2_weight: S,
    pub(crate) norm2_bias: S,
}

/// A slice that can be cut at its front: `&[T]` and `&mut [T]`.
pub(crate) trait Cut: Sized {
    /// Takes the first `n` values away.
    fn cut(&mut self, n: usize) -> Self;

    /// Whether values are left.
    fn has_any(&self) -> bool;
}

impl<T> Cut for &[T] {
    fn cut(&mut self, n: usize) -> Self {
        let (front, rest) = self.split_at(n);
        *self = rest;
        front
    }

    fn has_any(&self) -> bool {
        !self.is_empty()
    }
}

impl<T> Cut for &mut [T] {
    fn cut(&mut self, n: usize) -> Self {
        let (front, rest) = std::mem::take(self).split_at_mut(n);
        *self = rest;
        front
    }

    fn has_any(&self) -> bool {
        !self.is_empty()
    }
}

impl<S: Cut> EmbeddingView<S> {
    /// Cuts a block's values.
    pub(crate) fn new(config: &BertConfig, mut values: S) -> Self {
        let d = config.hidden_size;
        Self {
            positions: values.cut(config.max_position_embeddings * d),
            types: values.cut(config.type_vocab_size * d),
            norm_weight: values.cut(d),
            norm_bias: values.cut(d),
        }
    }
}

impl<S: Cut> LayerView<S> {
    /// Cuts a block's values.
    pub(crate) fn new(config: &BertConfig, mut values: S) -> Self {
        let [_, up, down] = Self::starts(config);
        let (attention, widening) = (values.cut(up), values.cut(down - up));
        Self::parts(config, [attention, widening, values])
    }

    /// Where a block's parts begin: the attention and what follows it up to its norm, the widening product of the
    /// feed-forward half, the narrowing one with the norm after it.
    pub(crate) fn starts(config: &BertConfig) -> [usize; 3] {
        let (d, f) = (config.hidden_size, config.intermediate_size);
        let attention = 4 * d * d + 6 * d;
        [0, attention, attention + f * d + f]
    }

    /// Cuts the values of a block's parts, see [`Self::starts`]; an empty one has empty tensors.
    pub(crate) fn parts(config: &BertConfig, [mut lower, mut widen, mut narrow]: [S; 3]) -> Self {
        let (d, f) = (config.hidden_size, config.intermediate_size);
        let [low, up, down] = [&lower, &widen, &narrow].map(|part| usize::from(part.has_any()));
        Self {
            qkv_weight: lower.cut(low * 3 * d * d),
            qkv_bias: lower.cut(low * 3 * d),
            out_weight: lower.cut(low * d * d),
            out_bias: lower.cut(low * d),
            norm1_weight: lower.cut(low * d),
            norm1_bias: lower.cut(low * d),
            up_weight: widen.cut(up * f * d),
            up_bias: widen.cut(up * f),
            down_weight: narrow.cut(down * d * f),
            down_bias: narrow.cut(down * d),
            norm2_weight: narrow.cut(down * d),
            norm2_bias: narrow.cut(down * d),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_configuration_is_read_and_its_other_fields_ignored() {
        let json = r#"{"architectures":["BertModel"],"hidden_act":"gelu","hidden_size":384,"vocab_size":30522,
            "num_hidden_layers":6,"num_attention_heads":12,"intermediate_size":1536,"layer_norm_eps":1e-12,
            "max_position_embeddings":512,"type_vocab_size":2,"pad_token_id":0,"position_embedding_type":"absolute"}"#;
        let config: BertConfig = serde_json::from_str(json).unwrap();
        assert_eq!(config.checked().unwrap(), BertConfig::mini_lm());
    }

    #[test]
    fn mini_lm_has_its_published_number_of_parameters() {
        // 22,713,216 with the pooler; without it 384·384 + 384 fewer.
        assert_eq!(layout::<f32>(&BertConfig::mini_lm()).len(), 22_713_216 - 384 * 385);
    }

    #[test]
    fn all_impossible_settings_are_named_at_once() {
        let config =
            BertConfig { vocab_size: 0, num_attention_heads: 5, layer_norm_eps: -1.0, ..BertConfig::tiny() };
        let message = config.checked().unwrap_err().to_string();
        for part in ["`vocab_size` is 0", "divisor of `hidden_size` 32", "`layer_norm_eps` is -1"] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn views_cut_blocks_where_the_tensors_lie() {
        let config = BertConfig::tiny();
        let params = init::<f32>(&config, 1);
        let block = &params.blocks[FIRST_LAYER + 1];
        let view = LayerView::new(&config, block.values.as_slice());
        let of = |name: &str| {
            let i = block.tensors.iter().position(|t| t.name == format!("encoder.layer.1.{name}")).unwrap();
            block.tensor(i)
        };
        assert_eq!(&view.qkv_weight[32 * 32..2 * 32 * 32], of("attention.self.key.weight"));
        assert_eq!(view.out_weight, of("attention.output.dense.weight"));
        assert_eq!(view.up_weight, of("intermediate.dense.weight"));
        assert_eq!(view.down_weight, of("output.dense.weight"));
        assert_eq!(view.norm2_weight, [1.0; 32]);
        let end = &block.values[block.values.len() - 32..];
        assert_eq!(view.norm2_bias, end);
    }

    #[test]
    fn fresh_weights_depend_on_the_seed_alone_and_have_deviation_two_percent() {
        let config = BertConfig::tiny();
        let (a, b) = (init::<f32>(&config, 1), init::<f32>(&config, 2));
        assert_eq!(a, init::<f32>(&config, 1));
        assert_ne!(a, b);
        let words = &a.blocks[WORDS].values;
        let square = words.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / words.len() as f64;
        assert!((square.sqrt() - 0.02).abs() < 0.0005);
    }
}
