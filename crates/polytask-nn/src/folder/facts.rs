//! What a model's folder says beside its weights, for whoever works on the tensors of several models.

use std::path::{Path, PathBuf};

use polytask_core::hash;
use serde_json::Value;

use super::towers::is_towers;
use super::{ADAPTED_WEIGHTS, ADAPTERS, Dense, SCORE, SHARED_WEIGHTS, SHARING};
use super::{net_config, problem, read_folder};
use crate::Result;
use crate::trunk::NetConfig;
use crate::trunk::families::EncoderFamily;
use crate::weights::WeightFiles;

/// What a model's folder says beside its weights.
#[derive(Debug, Clone)]
pub struct FolderFacts {
    /// The folder.
    pub folder: PathBuf,
    /// Where the network's own files lie: the folder or one in it.
    pub transformer: PathBuf,
    /// Name of its architecture: a `model_type`, or the id of a network of ours.
    pub architecture: String,
    /// The fields of `config.json`.
    pub config: Value,
    /// What follows the network, in words: pooling, affine maps with their hash, normalisation.
    pub modules: Vec<String>,
    /// How texts are scored against each other, where vectors are not compared.
    pub score: Option<Value>,
    /// Why its tensors are not those of a plain network, where they are not.
    pub not_plain: Option<&'static str>,
    family: Option<&'static EncoderFamily>,
}

impl FolderFacts {
    /// Reads the small files of a folder.
    ///
    /// # Errors
    /// A folder that is no model's, or one that is not understood.
    pub fn read(folder: &Path) -> Result<Self> {
        let score = polytask_core::length::read_json(folder, SCORE)?;
        let has = |name: &str| folder.join(name).exists();
        let not_plain = match (has(SHARING) || has(SHARED_WEIGHTS), has(ADAPTERS) || has(ADAPTED_WEIGHTS)) {
            (true, _) => Some("its tasks share the encoder by copies, gates or masks"),
            (false, true) => Some("adapters stand within its network, which cannot be added to its weights"),
            (false, false) => None,
        };
        if is_towers(folder)? {
            let what = "the model reads columns of several types, by an encoder each, expected one network";
            return Err(problem(
                &folder.join("config.json"),
                what,
                "the folders in its `towers`, one by one",
            ));
        }
        let facts = match net_config(folder)? {
            Some(config) => Self::of_net(folder, &config),
            None => Self::of_encoder(folder)?,
        };
        Ok(Self { score, not_plain, ..facts })
    }

    fn of_net(folder: &Path, config: &NetConfig) -> Self {
        let config_json = serde_json::to_value(config).unwrap_or_default();
        let named = config_json.get("network").or_else(|| config_json.get("model_type"));
        let architecture = named.and_then(Value::as_str).unwrap_or("network").to_owned();
        Self {
            folder: folder.to_path_buf(),
            transformer: folder.to_path_buf(),
            architecture,
            config: config_json,
            modules: vec![format!("pooling {}", config.pooling())],
            score: None,
            not_plain: None,
            family: None,
        }
    }

    fn of_encoder(folder: &Path) -> Result<Self> {
        let parts = read_folder(folder)?;
        let pooled = format!("pooling {}", parts.pooling);
        let prompts = (!parts.notes.include_prompt).then(|| "prompts are not pooled".to_owned());
        let normalize = parts.normalize.then(|| "normalize".to_owned());
        let dense = parts.dense.iter().map(said);
        let modules = std::iter::once(pooled).chain(prompts).chain(dense).chain(normalize).collect();
        let config = parts.notes.config;
        let architecture = config.get("model_type").and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Self {
            folder: folder.to_path_buf(),
            transformer: parts.transformer,
            architecture,
            config,
            modules,
            score: None,
            not_plain: None,
            family: Some(parts.family),
        })
    }

    /// Its weights, not yet read.
    ///
    /// # Errors
    /// When there are none.
    pub fn weights(&self) -> Result<WeightFiles> {
        WeightFiles::open_folder(&self.transformer)
    }

    /// A tensor's name as its family has it.
    pub fn canonical(&self, name: &str) -> String {
        self.family.map_or_else(|| name.to_owned(), |family| family.canonical(name))
    }

    /// Whether a tensor, by its canonical name, belongs to the files without shaping any state.
    pub fn is_kept(&self, name: &str) -> bool {
        self.family.is_some_and(|family| family.kept.contains(&name))
    }

    /// What `architectures` of `config.json` says of the network alone, for a published encoder.
    pub fn class_name(&self) -> Option<&'static str> {
        self.family.map(|family| family.architecture(&self.architecture))
    }
}

fn said(dense: &Dense) -> String {
    let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let values = [bytes(&dense.weight), bytes(dense.bias.as_deref().unwrap_or(&[]))].concat();
    let hash = hash::sha256(&values);
    format!("dense {}→{} {:?} ({})", dense.d_in, dense.d_out, dense.activation, &hash[..8])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Encoder;

    #[test]
    fn a_saved_encoder_is_described_without_its_weights() {
        let folder = tempfile::tempdir().unwrap();
        let encoder = Encoder::tiny(50, 1).unwrap();
        encoder.save(&encoder.params, folder.path(), &[]).unwrap();
        let facts = FolderFacts::read(folder.path()).unwrap();
        assert_eq!((facts.architecture.as_str(), facts.not_plain), ("bert", None));
        assert_eq!(facts.modules, ["pooling mean", "normalize"]);
        assert_eq!(facts.canonical("bert.pooler.dense.weight"), "pooler.dense.weight");
        assert_eq!(facts.class_name(), Some("BertModel"));
        assert!(facts.weights().unwrap().entries().count() > 10);
        std::fs::write(folder.path().join(SHARING), "{}").unwrap();
        assert!(FolderFacts::read(folder.path()).unwrap().not_plain.unwrap().contains("gates"));
    }
}
