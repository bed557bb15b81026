//! sentence-transformers folders: read in the old and the 6.x layout, written in the old one.
//!
//! `modules.json` lists the modules a text runs through: Transformer, Pooling, then any Dense, then perhaps
//! Normalize. Module types are dispatched on the last segment of their dotted path, which all versions share.
//! A plain transformer folder without `modules.json` means mean pooling, as sentence-transformers has it.
//!
//! The old layout is written because every version reads it: 6.x maps the old module paths and pooling keys to
//! its own, while versions before 6 know neither its paths nor its keys.

mod classifier;
mod dense;
mod facts;
mod images;
mod pooling;
mod towers;
mod write;

use std::path::{Path, PathBuf};

use polytask_core::Problem;
use polytask_core::error::Place;
use polytask_core::length::{self, inner_path, read_json, transformer_folder};
use polytask_core::method::Choice;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::classifier::{PublishedHead, is_publishable, read_classifier, write_classifier};
pub use self::dense::{Dense, DenseActivation};
pub use self::facts::FolderFacts;
pub(crate) use self::images::Images;
pub(crate) use self::towers::load_towers;
pub use self::towers::tower_folder;
pub(crate) use self::write::write_folder;
use crate::pooling::Pooling;
use crate::scores::ScoredBy;
use crate::sharing::SharedBy;
use crate::trunk::families::{Composition, EncoderFamily};
use crate::trunk::{BertConfig, NetConfig};
use crate::{Error, Result};

/// File that says how tasks share the encoder, in a model folder of ours.
pub(crate) const SHARING: &str = "sharing.json";
/// How texts are scored against each other, where vectors are not compared.
pub(crate) const SCORE: &str = "score.json";
/// Folder of the adapters that were added to a model's weights.
pub(crate) const ADAPTER: &str = "adapter";
/// File that says which adapters stand in an encoder that they cannot be added to.
pub(crate) const ADAPTERS: &str = "adapters.json";
/// Weights of such an encoder, with those of the adapters.
pub(crate) const ADAPTED_WEIGHTS: &str = "adapted.safetensors";
/// Weights of an encoder that tasks do not share plainly.
pub(crate) const SHARED_WEIGHTS: &str = "shared.safetensors";

/// Module types that are understood.
const MODULES: [&str; 4] = ["Transformer", "Pooling", "Dense", "Normalize"];

/// What a folder says beside its weights.
#[derive(Debug)]
pub(crate) struct FolderParts {
    /// Where the network's own files lie.
    pub(crate) transformer: PathBuf,
    pub(crate) family: &'static EncoderFamily,
    pub(crate) network: Composition,
    pub(crate) pooling: Pooling,
    pub(crate) dense: Vec<Dense>,
    pub(crate) normalize: bool,
    pub(crate) notes: Notes,
}

/// Settings that only travel through: read, kept, written back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Notes {
    /// `config.json` with all its fields.
    pub(crate) config: Value,
    /// `preprocessor_config.json` of encoders that read images.
    pub(crate) preprocessor: Value,
    /// `config_sentence_transformers.json`: prompts and similarity.
    pub(crate) sentence: Value,
    /// `do_lower_case` of `sentence_bert_config.json`.
    pub(crate) lower_case: bool,
    /// Whether the prompt's tokens are pooled.
    pub(crate) include_prompt: bool,
}

impl Notes {
    /// All fields that tell the network from another of the same sizes.
    pub(crate) fn identity(&self) -> Value {
        match &self.preprocessor {
            Value::Null => self.config.clone(),
            preprocessor => serde_json::json!({"config": self.config, "preprocessor": preprocessor}),
        }
    }

    /// The prompt every text gets unless told otherwise.
    pub(crate) fn default_prompt(&self) -> Option<&str> {
        let name = self.sentence.get("default_prompt_name")?.as_str()?;
        self.sentence.get("prompts")?.get(name)?.as_str()
    }
}

/// The configuration of a network of ours, where a folder is one of those.
pub(crate) fn net_config(folder: &Path) -> Result<Option<NetConfig>> {
    let read = read_json(folder, "config.json")?.map_or(Ok(None), NetConfig::read);
    read.map_err(|error| in_file(error, &folder.join("config.json")))
}

/// A mistake of a configuration with the file it stands in.
pub(crate) fn in_file(error: Error, path: &Path) -> Error {
    let Error::Core(polytask_core::Error::Invalid(problems)) = error else { return error };
    let place = |problem: Problem| Problem { place: Some(Place::file(path)), ..problem };
    Error::Core(polytask_core::Error::Invalid(problems.into_iter().map(place).collect()))
}

/// How tasks share the encoder; none for a plain one.
pub(crate) fn read_sharing(folder: &Path) -> Result<Option<SharedBy>> {
    read_of_run(folder, SHARING)
}

/// How texts are scored against each other; none where vectors are compared.
pub(crate) fn read_score(folder: &Path) -> Result<Option<ScoredBy>> {
    read_of_run(folder, SCORE)
}

/// The adapters within an encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct AdaptedBy {
    pub(crate) choice: Choice,
    /// Name of the encoder they stand in.
    pub(crate) base: String,
}

/// The adapters within a folder's encoder; none in most.
pub(crate) fn read_adapters(folder: &Path) -> Result<Option<AdaptedBy>> {
    read_of_run(folder, ADAPTERS)
}

/// A file that runs write; none in most folders.
fn read_of_run<T: DeserializeOwned>(folder: &Path, file: &str) -> Result<Option<T>> {
    let Some(json) = read_json(folder, file)? else { return Ok(None) };
    let wrong = |error| {
        let what = format!("not what a run writes: {error}");
        problem(&folder.join(file), &what, "restore the file the run wrote")
    };
    serde_json::from_value(json).map(Some).map_err(wrong)
}

/// Reads everything but the weights of the trunk.
pub(crate) fn read_folder(folder: &Path) -> Result<FolderParts> {
    let modules = read_modules(folder)?;
    let transformer = transformer_folder(folder)?;
    let (family, raw) = read_config(&transformer)?;
    let preprocessor = images::read(&transformer, family)?;
    let network = family.network(&raw, &preprocessor).map_err(|problems| {
        let place = |problem: Problem| Problem {
            place: Some(Place::file(&transformer.join("config.json"))),
            ..problem
        };
        Error::Core(polytask_core::Error::Invalid(problems.into_iter().map(place).collect()))
    })?;
    let sentence_bert = length::sentence_config(&transformer)?.map_or(Value::Null, |(_, config)| config);
    let notes = Notes {
        config: raw,
        preprocessor,
        sentence: read_json(folder, "config_sentence_transformers.json")?.unwrap_or_else(default_sentence),
        lower_case: sentence_bert.get("do_lower_case").and_then(Value::as_bool).unwrap_or(false),
        include_prompt: true,
    };
    let pooling = Pooling::from(family.pooled);
    let (dense, normalize) = (Vec::new(), false);
    let mut parts = FolderParts { transformer, family, network, pooling, dense, normalize, notes };
    for (name, path) in modules {
        parts.add_module(folder, &name, &path)?;
    }
    parts.check_prompt(folder)?;
    Ok(parts)
}

impl FolderParts {
    fn add_module(&mut self, folder: &Path, name: &str, path: &Path) -> Result<()> {
        match name {
            "Pooling" => {
                (self.pooling, self.notes.include_prompt) =
                    pooling::read(path, self.network.graph.d_hidden())?;
            }
            "Dense" if self.normalize => {
                return Err(unsupported(folder, "a Dense module after Normalize", "Dense before Normalize"));
            }
            "Dense" => {
                let width = self.pooling.columns(self.network.graph.d_hidden(), 1);
                let d_in = self.dense.last().map_or(width, |dense| dense.d_out);
                self.dense.push(Dense::load(path, d_in)?);
            }
            "Normalize" => {
                on_sentence_vectors(path, &read_json(path, "config.json")?.unwrap_or(Value::Null))?;
                self.normalize = true;
            }
            _ => {}
        }
        Ok(())
    }

    /// A prompt that is read but not pooled would need its length beside every text.
    fn check_prompt(&self, folder: &Path) -> Result<()> {
        if self.notes.include_prompt || self.notes.default_prompt().is_none() {
            return Ok(());
        }
        let expected = "a model without default prompt, or with `include_prompt` true";
        Err(unsupported(folder, "a default prompt left out of pooling", expected))
    }
}

/// Names of the modules' types and their folders; the implied ones for a plain transformer folder.
fn read_modules(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let file = folder.join("modules.json");
    let Some(json) = read_json(folder, "modules.json")? else { return Ok(Vec::new()) };
    let malformed =
        || problem(&file, "expected a list of modules with `type` and `path`", "fetch the folder again");
    let mut modules = Vec::new();
    for (i, module) in json.as_array().ok_or_else(malformed)?.iter().enumerate() {
        let text = |key: &str| module.get(key).and_then(Value::as_str);
        let kind = text("type").ok_or_else(malformed)?;
        let name = kind.rsplit('.').next().unwrap_or(kind);
        if !MODULES.contains(&name) {
            return Err(unsupported(&file, &format!("module `{kind}`"), &MODULES.join(", ")));
        }
        if (i == 0) != (name == "Transformer") || (i == 1) != (name == "Pooling") {
            let order = "Transformer, Pooling, then Dense or Normalize";
            return Err(unsupported(&file, &format!("`{name}` as module {i}"), order));
        }
        modules.push((name.to_owned(), inner_path(folder, text("path").unwrap_or(""))?));
    }
    Ok(modules)
}

/// The family of `config.json`, and all its fields.
fn read_config(folder: &Path) -> Result<(&'static EncoderFamily, Value)> {
    let path = folder.join("config.json");
    let Some(raw) = read_json(folder, "config.json")? else {
        return Err(problem(
            &path,
            "no such file, so not an encoder's folder",
            "`polytask pull` the encoder",
        ));
    };
    let model_type = raw.get("model_type").and_then(Value::as_str).unwrap_or("(none)");
    let Some(family) = EncoderFamily::of(model_type) else {
        return Err(unsupported(&path, &format!("model_type `{model_type}`"), &EncoderFamily::known()));
    };
    Ok((family, raw))
}

/// Refuses a module that works on anything but the pooled vector.
fn on_sentence_vectors(path: &Path, config: &Value) -> Result<()> {
    for key in ["module_input_name", "module_output_name"] {
        if let Some(name) =
            config.get(key).and_then(Value::as_str).filter(|name| *name != "sentence_embedding")
        {
            return Err(unsupported(path, &format!("`{key}` = `{name}`"), "`sentence_embedding`"));
        }
    }
    Ok(())
}

fn default_sentence() -> Value {
    serde_json::json!({"prompts": {}, "default_prompt_name": null, "similarity_fn_name": "cosine"})
}

/// The notes of an encoder of images.
pub(crate) fn no_notes() -> Notes {
    Notes {
        config: Value::Null,
        preprocessor: Value::Null,
        sentence: Value::Null,
        lower_case: false,
        include_prompt: true,
    }
}

/// The notes of an encoder that was made here.
pub(crate) fn fresh_notes(config: &BertConfig) -> Notes {
    let mut raw = serde_json::to_value(config).unwrap_or(Value::Null);
    raw["model_type"] = "bert".into();
    raw["position_embedding_type"] = "absolute".into();
    let preprocessor = Value::Null;
    Notes { config: raw, preprocessor, sentence: default_sentence(), lower_case: false, include_prompt: true }
}

/// An error at a file of the folder.
pub(crate) fn problem(path: &Path, what: &str, remedy: &str) -> Error {
    polytask_core::Error::from(Problem::at(Place::file(path), what).try_this(remedy)).into()
}

fn unsupported(path: &Path, what: &str, supported: &str) -> Error {
    problem(path, &format!("{what} is not supported, expected {supported}"), "another encoder")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pooling::PoolMode;
    use std::fs;

    const BERT: &str = r#"{"model_type":"bert","hidden_size":8,"vocab_size":20,"num_hidden_layers":1,
        "num_attention_heads":2,"intermediate_size":16,"max_position_embeddings":32}"#;

    /// A folder with these modules as (type, path) and these files.
    fn folder(modules: &[(&str, &str)], files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let list: Vec<Value> = modules
            .iter()
            .enumerate()
            .map(|(i, (kind, path))| serde_json::json!({"idx": i, "name": i.to_string(), "path": path, "type": kind}))
            .collect();
        let list = Value::from(list).to_string();
        let all = [("config.json", BERT), ("modules.json", &list)];
        for (name, text) in all.iter().chain(files) {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    const OLD: [(&str, &str); 3] = [
        ("sentence_transformers.models.Transformer", ""),
        ("sentence_transformers.models.Pooling", "1_Pooling"),
        ("sentence_transformers.models.Normalize", "2_Normalize"),
    ];
    const NEW: [(&str, &str); 3] = [
        ("sentence_transformers.base.modules.transformer.Transformer", ""),
        ("sentence_transformers.sentence_transformer.modules.pooling.Pooling", "1_Pooling"),
        ("sentence_transformers.base.modules.normalize.Normalize", "2_Normalize"),
    ];

    #[test]
    fn old_and_new_layouts_say_the_same() {
        let old = r#"{"word_embedding_dimension":8,"pooling_mode_cls_token":true,"pooling_mode_mean_tokens":false}"#;
        let new = r#"{"embedding_dimension":8,"pooling_mode":"cls","include_prompt":true}"#;
        let input = r#"{"module_input_name":"sentence_embedding","module_output_name":"sentence_embedding"}"#;
        let old = read_folder(folder(&OLD, &[("1_Pooling/config.json", old)]).path()).unwrap();
        let files = [("1_Pooling/config.json", new), ("2_Normalize/config.json", input)];
        let new = read_folder(folder(&NEW, &files).path()).unwrap();
        assert_eq!((&old.pooling, old.normalize), (&Pooling::from(PoolMode::Cls), true));
        assert_eq!((new.pooling, new.normalize), (old.pooling, old.normalize));
    }

    #[test]
    fn a_plain_transformer_folder_means_mean_pooling_without_normalisation() {
        let folder = folder(&[], &[]);
        fs::remove_file(folder.path().join("modules.json")).unwrap();
        let parts = read_folder(folder.path()).unwrap();
        assert_eq!((&parts.pooling, parts.normalize), (&Pooling::from(PoolMode::Mean), false));
        assert_eq!(parts.network.graph.d_hidden(), 8);
        let unset = BERT.replace('{', r#"{"pad_token_id":null,"hidden_act":null,"#);
        fs::write(folder.path().join("config.json"), unset).unwrap();
        let sizes = |parts: &FolderParts| parts.network.graph.layout::<f32>();
        assert_eq!(sizes(&read_folder(folder.path()).unwrap()), sizes(&parts));
    }

    #[test]
    fn a_transformer_in_a_folder_of_its_own_is_found() {
        let modules = [("sentence_transformers.models.Transformer", "0_Transformer"), OLD[1]];
        let pooling = r#"{"word_embedding_dimension":8,"pooling_mode_mean_tokens":true}"#;
        let files = [("0_Transformer/config.json", BERT), ("1_Pooling/config.json", pooling)];
        let folder = folder(&modules, &files);
        fs::remove_file(folder.path().join("config.json")).unwrap();
        assert!(read_folder(folder.path()).unwrap().transformer.ends_with("0_Transformer"));
    }

    #[test]
    fn what_is_not_supported_is_named_with_what_is() {
        let pooling = ("1_Pooling/config.json", r#"{"word_embedding_dimension":8}"#);
        let error = |modules: &[(&str, &str)], files: &[(&str, &str)]| {
            let files: Vec<_> = std::iter::once(&pooling).chain(files).copied().collect();
            read_folder(folder(modules, &files).path()).unwrap_err().to_string()
        };
        let message = error(&[OLD[0], OLD[1], ("x.models.LSTM", "2")], &[]);
        assert!(message.contains("x.models.LSTM") && message.contains("Dense, Normalize"), "{message}");
        let message = error(&OLD, &[("config.json", r#"{"model_type":"reformer"}"#)]);
        assert!(message.contains("`reformer`") && message.contains("`mpnet`"), "{message}");
        let message = error(&OLD, &[("config.json", &BERT.replace("8,", "7,"))]);
        assert!(message.contains("divisor"), "{message}");
        let message = error(&OLD, &[("config.json", &BERT.replace('{', r#"{"hidden_act":"mish","#))]);
        assert!(message.contains("mish") && message.contains("gelu"), "{message}");
        assert!(error(&[OLD[1], OLD[0]], &[]).contains("Transformer, Pooling, then"));
        assert!(error(&[OLD[0], (OLD[1].0, "../1_Pooling")], &[]).contains("leads out"));
        let tokens = ("2_Normalize/config.json", r#"{"module_input_name":"token_embeddings"}"#);
        assert!(error(&NEW, &[tokens]).contains("token_embeddings"));
        let narrow = ("1_Pooling/config.json", r#"{"word_embedding_dimension":9}"#);
        assert!(error(&OLD, &[narrow]).contains('9'));
        assert!(error(&OLD, &[("modules.json", "{}")]).contains("modules.json"));
    }
}
