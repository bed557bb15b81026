//! The BERT family (Devlin et al. 2019, <https://arxiv.org/abs/1810.04805>): BERT, ELECTRA, and RoBERTa with its kin
//! (XLM-R, CamemBERT), which count positions from the row after the padding id's.
//!
//! | block | tensors |
//! | --- | --- |
//! | `words` | word embeddings, `[vocab, d_hidden]`; its gradient is row-sparse |
//! | `embeddings` | position and token-type embeddings, norm |
//! | `layer.i` | query, key, value (weights side by side, then biases, so one product does all three), attention output, norm, feed-forward up and down, norm |

use polytask_core::error::Problem;
use polytask_core::input::text::TEXT;
use serde::{Deserialize, Serialize};

use super::fields::{Composition, Fields};
use super::post_norm::PostNormLayer;
use super::{Classifier, EncoderFamily, MAX_LAYERS, MAX_SIZE};
use crate::pooling::PoolMode;
use crate::trunk::activation::Activation;
use crate::trunk::dropout::Site;
use crate::trunk::graph::{BlockGraph, Graph, INPUT};
use crate::trunk::layers::{Attention, Linear, Norm, NormSpec, Positions};

/// BERT, and what has its layers.
pub static BERT: EncoderFamily = EncoderFamily {
    model_types: &[("bert", "BertModel")],
    examples: "MiniLM, BGE, E5, GTE-small",
    input: &TEXT,
    pooled: PoolMode::Mean,
    prefixes: &["bert."],
    ties: &[],
    kept: &["pooler.dense.weight", "pooler.dense.bias", "embeddings.position_ids"],
    classifier: Some(Classifier { dense: "pooler.dense", output: "classifier" }),
    compose: |fields| compose(fields, 0),
};

/// ELECTRA's discriminator.
pub(super) static ELECTRA: EncoderFamily = EncoderFamily {
    model_types: &[("electra", "ElectraModel")],
    examples: "ELECTRA",
    input: &TEXT,
    pooled: PoolMode::Mean,
    prefixes: &["electra."],
    ties: &[],
    kept: &["embeddings.position_ids"],
    classifier: None,
    compose: |fields| compose(fields, 0),
};

/// RoBERTa and its kin (Liu et al. 2019, <https://arxiv.org/abs/1907.11692>).
pub(super) static ROBERTA: EncoderFamily = EncoderFamily {
    model_types: &[
        ("roberta", "RobertaModel"),
        ("xlm-roberta", "XLMRobertaModel"),
        ("camembert", "CamembertModel"),
    ],
    examples: "RoBERTa, XLM-R, multilingual E5, BGE-M3",
    input: &TEXT,
    pooled: PoolMode::Mean,
    prefixes: &["roberta."],
    ties: &[],
    kept: &["pooler.dense.weight", "pooler.dense.bias", "embeddings.position_ids"],
    classifier: Some(Classifier { dense: "classifier.dense", output: "classifier.out_proj" }),
    compose: |fields| {
        let pad = fields.size_or("pad_token_id", 1);
        compose(fields, pad + 1)
    },
};

fn compose(fields: &mut Fields, offset: usize) -> Option<Composition> {
    fields.expect("position_embedding_type", &["absolute"]);
    fields.expect_not("is_decoder", "an encoder");
    fields.expect_not("add_cross_attention", "an encoder");
    let config: BertConfig = fields.parse()?;
    let problems = config.problems();
    if !problems.is_empty() {
        fields.problems.extend(problems);
        return None;
    }
    if config.max_position_embeddings <= offset {
        fields.wrong(
            "max_position_embeddings",
            &format!("more than the {offset} rows before the first position"),
        );
        return None;
    }
    Some(Composition { graph: config.graph_from(offset), dropout: config.hidden_dropout_prob })
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
    /// Values per word vector, where a linear map widens them to states (ELECTRA).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding_size: Option<usize>,
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
            embedding_size: None,
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
            ("embedding_size", self.embedding_size.unwrap_or(1)),
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
        for (name, share) in [
            ("hidden_dropout_prob", self.hidden_dropout_prob),
            ("attention_probs_dropout_prob", self.attention_probs_dropout_prob),
        ] {
            if !(0.0..1.0).contains(&share) {
                problems.push(Problem::new(format!(
                    "`{name}` is {share}, expected a share of at least 0 and below 1"
                )));
            }
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

    /// The network.
    pub fn graph(&self) -> Graph {
        self.graph_from(0)
    }

    /// The network whose first position is a row of the table of positions.
    fn graph_from(&self, offset: usize) -> Graph {
        let embedding = self.embedding_size.unwrap_or(self.hidden_size);
        let words = ("embeddings.word_embeddings.weight", self.vocab_size, embedding);
        let layers = (0..self.num_hidden_layers).map(|i| self.layer(i));
        let blocks = std::iter::once(self.embeddings(embedding, offset)).chain(layers);
        Graph::new(words, self.max_position_embeddings - offset, blocks)
    }

    fn embeddings(&self, width: usize, offset: usize) -> BlockGraph {
        let mut block = BlockGraph::new("embeddings", width);
        let positions = Positions::none(width)
            .learned("embeddings.position_embeddings.weight", self.max_position_embeddings, offset)
            .typed("embeddings.token_type_embeddings.weight", self.type_vocab_size);
        let sum = block.add(positions, INPUT);
        let norm = Norm::new(NormSpec::layer("embeddings.LayerNorm", width, self.layer_norm_eps));
        let normed = block.add(norm.dropped(Site::Embedding), sum);
        if width != self.hidden_size {
            block.add(Linear::new("embeddings_project", width, self.hidden_size).biased(true), normed);
        }
        block
    }

    fn layer(&self, i: usize) -> BlockGraph {
        let name = |part: &str| format!("encoder.layer.{i}.{part}");
        let qkv = ["query", "key", "value"].map(|part| name(&format!("attention.self.{part}")));
        PostNormLayer {
            attention: Attention::full(self.num_attention_heads, self.hidden_size / self.num_attention_heads),
            qkv,
            out: name("attention.output.dense"),
            attention_norm: name("attention.output.LayerNorm"),
            up: name("intermediate.dense"),
            down: name("output.dense"),
            norm: name("output.LayerNorm"),
            d_wide: self.intermediate_size,
            act: self.hidden_act,
            eps: self.layer_norm_eps,
        }
        .block(i)
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
        assert_eq!(BertConfig::mini_lm().graph().layout::<f32>().len(), 22_713_216 - 384 * 385);
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
}
