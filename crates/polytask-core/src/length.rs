//! What tokenizer and network must read alike from an encoder's folder: where they lie in it, and the length
//! limit it states (the tokenizer cuts there, the network has that many positions).

use std::path::{Component, Path, PathBuf};

use crate::error::{Place, Problem};
use crate::{Error, Result, files};

/// Length limit of the built-in `tiny` encoder, in tokens.
pub const TINY_LENGTH: usize = 128;

/// Limits above this are the "no limit" markers of tokenizer files (they write 1e30), not lengths.
const LARGEST_MEANT: f64 = 1e9;

/// Longest input of the encoder in `folder`, in tokens including special ones.
///
/// The first that is stated: `max_seq_length` of `sentence_bert_config.json`, `model_max_length` of
/// `tokenizer_config.json`, the positions of `config.json`; never above the last, which is what the network has.
pub fn length_limit(folder: &Path) -> Result<usize> {
    let positions = positions(folder)?;
    let sentence = sentence_config(folder)?.map_or(SENTENCE[0], |(name, _)| name);
    let stated = match number(folder, sentence, "max_seq_length")? {
        Some(length) => Some(length),
        None => number(folder, "tokenizer_config.json", "model_max_length")?,
    };
    stated.into_iter().chain(positions).min().ok_or_else(|| {
        let what = format!("no length limit is stated in {}", folder.display());
        Problem::new(what).try_this("`max_position_embeddings` in config.json").into()
    })
}

/// Tokens of the texts that T5 was trained on; it has no table of positions that would end.
const T5_LENGTH: usize = 512;

/// Model types whose first position is the row after the padding id's: so many rows are never read.
const AFTER_PADDING: [&str; 3] = ["camembert", "roberta", "xlm-roberta"];

/// Positions that the network of `config.json` has: of T5, which has none of its own, those it was trained on.
pub fn positions(folder: &Path) -> Result<Option<usize>> {
    let Some(config) = read_json(folder, "config.json")? else { return Ok(None) };
    let model_type = config.get("model_type").and_then(serde_json::Value::as_str).unwrap_or_default();
    for key in ["max_position_embeddings", "n_positions"] {
        if let Some(n) = number(folder, "config.json", key)? {
            let padding = config.get("pad_token_id").and_then(serde_json::Value::as_u64);
            let skipped = match model_type {
                // The published code has its padding id fixed.
                "mpnet" => 2,
                _ if AFTER_PADDING.contains(&model_type) => (padding.unwrap_or(1) as usize).saturating_add(1),
                _ => 0,
            };
            return Ok(Some(n.saturating_sub(skipped).max(1)));
        }
    }
    Ok((model_type == "t5").then_some(T5_LENGTH))
}

/// What sentence-transformers called its settings of a transformer, in the order it looks for them.
const SENTENCE: [&str; 7] = [
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
];

/// sentence-transformers' settings of the transformer in `folder`, with the file's name.
pub fn sentence_config(folder: &Path) -> Result<Option<(&'static str, serde_json::Value)>> {
    for name in SENTENCE {
        if let Some(config) = read_json(folder, name)? {
            return Ok(Some((name, config)));
        }
    }
    Ok(None)
}

/// The file that makes a folder one of adapters.
const ADAPTER: &str = "adapter_config.json";

/// Whether a folder holds an encoder itself.
fn has_encoder(folder: &Path) -> bool {
    ["config.json", "modules.json"].iter().any(|name| folder.join(name).exists())
}

/// Whether a folder can be read as a model: an encoder, or adapters beside one.
pub fn is_encoder_folder(folder: &Path) -> bool {
    has_encoder(folder) || folder.join(ADAPTER).exists()
}

/// The encoder that a folder of adapters stands beside; `None` where the folder is none.
///
/// # Errors
/// When that encoder is not there.
pub fn adapter_base(folder: &Path) -> Result<Option<PathBuf>> {
    if has_encoder(folder) {
        return Ok(None);
    }
    let Some(config) = read_json(folder, ADAPTER)? else { return Ok(None) };
    let named = config.get("base_model_name_or_path").and_then(serde_json::Value::as_str).unwrap_or_default();
    let base = [folder.join(named), PathBuf::from(named)]
        .into_iter()
        .find(|base| !named.is_empty() && has_encoder(base));
    base.map(Some).ok_or_else(|| {
        let what = format!("these are adapters of `{named}`, which is no encoder's folder here");
        let remedy = "write the encoder's folder as `base_model_name_or_path` (`polytask pull` fetches one)";
        Problem::at(Place::file(&folder.join(ADAPTER)), what).try_this(remedy).into()
    })
}

/// Where the network and its tokenizer lie in an encoder's folder: the path of the first module of
/// `modules.json` (`0_Transformer` in the oldest folders), else the folder itself.
///
/// # Errors
/// When that path leads out of the folder.
pub fn transformer_folder(folder: &Path) -> Result<PathBuf> {
    if let Some(base) = adapter_base(folder)? {
        return transformer_folder(&base);
    }
    let modules = read_json(folder, "modules.json")?;
    let path = modules.as_ref().and_then(|m| m.get(0)?.get("path")?.as_str()).unwrap_or("");
    inner_path(folder, path)
}

/// `path` below `folder`; refused when it could lead elsewhere.
pub fn inner_path(folder: &Path, path: &str) -> Result<PathBuf> {
    if Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Ok(if path.is_empty() { folder.to_path_buf() } else { folder.join(path) });
    }
    let what = format!("module path `{path}` leads out of the folder");
    Err(Problem::at(Place::file(&folder.join("modules.json")), what)
        .try_this("fetch the folder again")
        .into())
}

/// A JSON file of a model folder; `None` when there is no such file.
pub fn read_json(folder: &Path, name: &str) -> Result<Option<serde_json::Value>> {
    let path = folder.join(name);
    let bytes = match files::read(&path, files::SMALL) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", &path)(error)),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        let what = format!("not valid JSON: {error}");
        Problem::at(Place::line(&path, error.line()), what).try_this("fetch the file again").into()
    })
}

/// A positive whole number under `key`, if the file states one that is meant.
fn number(folder: &Path, name: &str, key: &str) -> Result<Option<usize>> {
    let Some(json) = read_json(folder, name)? else { return Ok(None) };
    match json.get(key) {
        None | Some(serde_json::Value::Null) => Ok(None),
        Some(value) => match value.as_f64() {
            Some(x) if x > LARGEST_MEANT => Ok(None),
            Some(x) if x >= 1.0 && x.fract() == 0.0 => Ok(Some(x as usize)),
            _ => {
                let what = format!("`{key}` is {value}, expected a whole number above 0");
                Err(Problem::at(Place::file(&folder.join(name)), what).into())
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    const CONFIG: (&str, &str) = ("config.json", r#"{"max_position_embeddings": 512}"#);

    #[test]
    fn the_sentence_transformers_limit_comes_before_the_tokenizers_limit() {
        let both = [
            CONFIG,
            ("sentence_bert_config.json", r#"{"max_seq_length": 256}"#),
            ("tokenizer_config.json", r#"{"model_max_length": 128}"#),
        ];
        assert_eq!(length_limit(folder(&both).path()).unwrap(), 256);
        let without = [CONFIG, ("sentence_bert_config.json", r#"{"max_seq_length": null}"#), both[2]];
        assert_eq!(length_limit(folder(&without).path()).unwrap(), 128);
    }

    #[test]
    fn absurd_limits_and_limits_beyond_the_network_give_the_networks_limit() {
        let absurd = [CONFIG, ("tokenizer_config.json", r#"{"model_max_length": 1e30}"#)];
        assert_eq!(length_limit(folder(&absurd).path()).unwrap(), 512);
        let beyond = [CONFIG, ("sentence_bert_config.json", r#"{"max_seq_length": 4096}"#)];
        assert_eq!(length_limit(folder(&beyond).path()).unwrap(), 512);
    }

    #[test]
    fn the_first_modules_path_is_followed_but_not_out_of_the_folder() {
        let modules = |path: &str| {
            let text = format!("[{{\"idx\":0,\"path\":\"{path}\",\"type\":\"x.Transformer\"}}]");
            let folder = folder(&[("modules.json", &text)]);
            transformer_folder(folder.path()).map(|p| p.strip_prefix(folder.path()).unwrap().to_path_buf())
        };
        assert_eq!(modules("").unwrap(), Path::new(""));
        assert_eq!(modules("0_Transformer").unwrap(), Path::new("0_Transformer"));
        for path in ["../other", "/etc", "a/../../b"] {
            assert!(modules(path).unwrap_err().to_string().contains("leads out"), "{path}");
        }
    }

    #[test]
    fn wrong_limits_name_the_file_and_the_key() {
        for value in ["0", "-3", "1.5", "\"x\"", "[]"] {
            let text = format!("{{\"max_seq_length\": {value}}}");
            let folder = folder(&[CONFIG, ("sentence_bert_config.json", &text)]);
            let error = length_limit(folder.path()).unwrap_err().to_string();
            assert!(
                error.contains("sentence_bert_config.json") && error.contains("max_seq_length"),
                "{error}"
            );
        }
        let error = length_limit(folder(&[("config.json", "{")]).path()).unwrap_err().to_string();
        assert!(error.contains("config.json:1") && error.contains("not valid JSON"), "{error}");
    }

    #[test]
    fn adapters_beside_themselves_or_nothing_are_refused() {
        for base in [".", "", "no-such-folder"] {
            let text = format!(r#"{{"base_model_name_or_path": "{base}"}}"#);
            let folder = folder(&[("adapter_config.json", &text)]);
            let error = transformer_folder(folder.path()).unwrap_err().to_string();
            assert!(error.contains("adapters of") && error.contains("base_model_name_or_path"), "{error}");
        }
    }

    #[test]
    fn positions_before_the_first_one_are_not_counted() {
        let limit = |config: &str| length_limit(folder(&[("config.json", config)]).path()).unwrap();
        assert_eq!(
            limit(r#"{"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}"#),
            512
        );
        assert_eq!(
            limit(r#"{"model_type": "mpnet", "max_position_embeddings": 514, "pad_token_id": 7}"#),
            512
        );
        assert_eq!(
            limit(r#"{"model_type": "bert", "max_position_embeddings": 514, "pad_token_id": 1}"#),
            514
        );
        assert_eq!(limit(r#"{"model_type": "nomic_bert", "n_positions": 8192}"#), 8192);
        assert_eq!(limit(r#"{"model_type": "t5"}"#), 512);
        let files = [
            ("config.json", r#"{"model_type": "roberta", "max_position_embeddings": 514}"#),
            ("sentence_roberta_config.json", r#"{"max_seq_length": 128}"#),
        ];
        assert_eq!(length_limit(folder(&files).path()).unwrap(), 128);
    }
}
