//! Families of published encoders. One file each: from the fields of `config.json` to a graph of layers, under
//! the tensor names of the published weights.

mod albert;
pub mod bert;
mod clip;
mod distilbert;
pub mod fields;
mod llama;
mod modernbert;
mod mpnet;
mod nomic;
mod post_norm;
mod rope;
mod t5;
mod vit;

use polytask_core::{InputInfo, Problem};
use serde_json::Value;

pub use fields::{Composition, Fields};

use crate::pooling::PoolMode;

/// Sizes beyond this come from a broken file, and their products would overflow.
pub(crate) const MAX_SIZE: usize = 1 << 24;
/// As [`MAX_SIZE`], for the number of layers.
pub(crate) const MAX_LAYERS: usize = 1 << 10;

/// All families.
pub static FAMILIES: &[&EncoderFamily] = &[
    &albert::ALBERT,
    &bert::BERT,
    &clip::TEXT_OF_CLIP,
    &clip::VISION_OF_CLIP,
    &vit::DINOV2,
    &distilbert::DISTILBERT,
    &bert::ELECTRA,
    &llama::EUROBERT,
    &llama::LLAMA,
    &llama::MISTRAL,
    &modernbert::MODERNBERT,
    &mpnet::MPNET,
    &nomic::NOMIC,
    &llama::QWEN2,
    &llama::QWEN3,
    &bert::ROBERTA,
    &t5::T5,
    &vit::VIT,
];

/// A family of published encoders.
pub struct EncoderFamily {
    /// What its files say as `model_type`, and as `architectures`.
    pub model_types: &'static [(&'static str, &'static str)],
    /// Models people know.
    pub examples: &'static str,
    /// What it reads.
    pub input: &'static InputInfo,
    /// How its states become one vector where its folder says nothing.
    pub pooled: PoolMode,
    /// What stands before tensor names in checkpoints of heads.
    pub prefixes: &'static [&'static str],
    /// Other names under which files hold the word table, tied to it.
    pub ties: &'static [&'static str],
    /// Tensors of published files that no state depends on; they go back into the saved file as they came.
    pub kept: &'static [&'static str],
    /// The head of its published classifiers, where that is a layer with tanh and a linear map of the first state.
    pub classifier: Option<Classifier>,
    /// The network of a configuration; what is wrong stays in the fields.
    pub compose: fn(&mut Fields) -> Option<Composition>,
}

/// Names of the two affine maps of a family's classifiers, without `.weight` and `.bias`.
#[derive(Debug, Clone, Copy)]
pub struct Classifier {
    /// Before tanh.
    pub dense: &'static str,
    /// After it.
    pub output: &'static str,
}

impl std::fmt::Debug for EncoderFamily {
    // Without the address of a function, which differs from one process to the next.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("EncoderFamily").field(&self.model_types).finish()
    }
}

impl PartialEq for EncoderFamily {
    fn eq(&self, other: &Self) -> bool {
        self.model_types == other.model_types
    }
}

impl EncoderFamily {
    /// The family of a `model_type`.
    pub fn of(model_type: &str) -> Option<&'static Self> {
        FAMILIES.iter().copied().find(|family| family.types().any(|name| name == model_type))
    }

    /// What its files may say as `model_type`.
    pub fn types(&self) -> impl Iterator<Item = &'static str> {
        self.model_types.iter().map(|(name, _)| *name)
    }

    /// What files of a `model_type` say as `architectures`.
    pub fn architecture(&self, model_type: &str) -> &'static str {
        self.model_types.iter().find(|(name, _)| *name == model_type).unwrap_or(&self.model_types[0]).1
    }

    /// All that are known, with examples.
    pub fn known() -> String {
        let one = |family: &&Self| {
            let types: Vec<String> = family.types().map(|name| format!("`{name}`")).collect();
            format!("{} ({})", types.join(", "), family.examples)
        };
        FAMILIES.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// The network of a configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn network(&self, config: &Value, preprocessor: &Value) -> Result<Composition, Vec<Problem>> {
        let mut fields = Fields::new(config).with_images(preprocessor);
        match (self.compose)(&mut fields) {
            Some(composition) => Ok(composition),
            None => Err(fields.into_problems()),
        }
    }

    /// Whether a tensor, by its canonical name, belongs to the layers of a network.
    pub(crate) fn is_of_layers(name: &str) -> bool {
        const LAYERS: [&str; 6] = [
            "encoder.layer.",
            "encoder.layers.",
            "encoder.block.",
            "encoder.albert_layer_groups.",
            "layers.",
            "transformer.layer.",
        ];
        // Old files keep tables that are computed.
        LAYERS.iter().any(|front| name.starts_with(front)) && !name.ends_with("inv_freq")
    }

    /// A tensor's name without what checkpoints of heads put before it, and with today's names for norms.
    pub fn canonical(&self, name: &str) -> String {
        let name = self.prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
        match name.rsplit_once('.') {
            Some((norm, "gamma")) => format!("{norm}.weight"),
            Some((norm, "beta")) => format!("{norm}.bias"),
            _ => name.to_owned(),
        }
    }
}

#[cfg(test)]
mod parity;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_sorted_and_a_model_type_belongs_to_one() {
        let mut names: Vec<&str> = FAMILIES.iter().flat_map(|family| family.types()).collect();
        let firsts: Vec<&str> = FAMILIES.iter().map(|family| family.model_types[0].0).collect();
        assert!(firsts.is_sorted(), "{firsts:?}");
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
    }

    #[test]
    fn the_page_of_encoders_names_every_model_type() {
        let page = include_str!("../../../../../docs/encoders.md");
        let rows: Vec<&str> =
            page.lines().filter(|line| line.starts_with("| `") && !line.contains("`model_type`")).collect();
        for name in FAMILIES.iter().flat_map(|family| family.types()) {
            assert!(rows.iter().any(|row| row.contains(&format!("`{name}`"))), "{name}");
        }
        assert_eq!(rows.len(), FAMILIES.len());
    }

    #[test]
    fn all_mistakes_of_a_configuration_are_told_at_once() {
        let json = r#"{"hidden_size": 10, "vocab_size": 0, "num_hidden_layers": 2, "num_attention_heads": 4,
            "intermediate_size": 8, "max_position_embeddings": 16, "hidden_act": "mish",
            "rope_scaling": {"rope_type": "yarn", "factor": 2.0}}"#;
        let problems = EncoderFamily::of("llama")
            .unwrap()
            .network(&serde_json::from_str(json).unwrap(), &Value::Null)
            .unwrap_err();
        let told = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        for part in ["`vocab_size` is 0", "divisor of `hidden_size` 10", "mish", "yarn"] {
            assert!(told.contains(part), "{told}");
        }
    }
}
