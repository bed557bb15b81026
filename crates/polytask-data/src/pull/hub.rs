//! The Hugging Face hub: files under `resolve/main`, and its cache on this disk.

use std::fs;
use std::path::{Path, PathBuf};

use polytask_core::error::Problem;
use polytask_core::length::{inner_path, read_json};
use polytask_core::{Error, Result, atomic, files};
use serde_json::Value;

use super::http::{Client, Download};
use super::is_encoder;
use super::login::shown;
use super::options::PullOptions;

/// Files an encoder cannot do without.
const REQUIRED: [&str; 2] = ["config.json", "tokenizer.json"];
/// Files fetched when they are there.
const OPTIONAL: [&str; 9] = [
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_xlm-roberta_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "added_tokens.json",
];
const WEIGHTS: &str = "model.safetensors";
const SHARDS: &str = "model.safetensors.index.json";

/// The newest whole snapshot of a model in a cache of the hub.
pub(super) fn cached(cache: &Path, name: &str) -> Option<PathBuf> {
    let folder = cache.join(format!("models--{}", name.replace('/', "--")));
    let main = files::read_text(&folder.join("refs/main"), files::SMALL).ok();
    let snapshots = folder.join("snapshots");
    let named = main.map(|revision| snapshots.join(revision.trim()));
    let mut others: Vec<PathBuf> =
        fs::read_dir(&snapshots).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    others.sort();
    named.into_iter().chain(others).find(|folder| is_encoder(folder))
}

/// Fetches a model's files into `folder`; says from where.
pub(super) fn fetch(name: &str, folder: &Path, client: &Client, options: &PullOptions) -> Result<String> {
    let source = Source {
        base: format!("{}/{name}/resolve/main", options.hub.trim_end_matches('/')),
        client,
        options,
    };
    source.small("modules.json", folder)?;
    source.small("config_sentence_transformers.json", folder)?;
    let transformer = polytask_core::length::transformer_folder(folder)?;
    let prefix = prefix(folder, &transformer);
    for file in REQUIRED {
        source.required(&format!("{prefix}{file}"), folder)?;
    }
    for file in OPTIONAL {
        source.small(&format!("{prefix}{file}"), folder)?;
    }
    source.weights(&prefix, folder)?;
    source.modules(folder)?;
    Ok(format!("the Hugging Face hub ({})", shown(&options.hub)))
}

/// The transformer's path below the folder, as a prefix of file names.
fn prefix(folder: &Path, transformer: &Path) -> String {
    match transformer.strip_prefix(folder) {
        Ok(path) if !path.as_os_str().is_empty() => format!("{}/", path.display()),
        _ => String::new(),
    }
}

/// One model on the hub.
struct Source<'a> {
    base: String,
    client: &'a Client,
    options: &'a PullOptions,
}

impl Source<'_> {
    /// Fetches one file; whether it was there.
    fn small(&self, file: &str, folder: &Path) -> Result<bool> {
        let address = format!("{}/{file}", self.base);
        let page = self.client.page(&address, "*/*").map_err(Error::Network)?;
        let Some(page) = page else { return Ok(false) };
        let path = inner_path(folder, file)?;
        atomic::create_dir(path.parent().unwrap_or(folder))?;
        atomic::write(&path, &page.bytes)?;
        Ok(true)
    }

    fn required(&self, file: &str, folder: &Path) -> Result<()> {
        if self.small(file, folder)? { Ok(()) } else { Err(missing(file)) }
    }

    /// Fetches `model.safetensors`, or the shards its index names.
    fn weights(&self, prefix: &str, folder: &Path) -> Result<()> {
        if self.large(&format!("{prefix}{WEIGHTS}"), folder)? {
            return Ok(());
        }
        self.required(&format!("{prefix}{SHARDS}"), folder)?;
        let index = read_json(&folder.join(prefix), SHARDS)?.unwrap_or(Value::Null);
        let map = index.get("weight_map").and_then(Value::as_object).into_iter().flatten();
        let mut shards: Vec<&str> = map.filter_map(|(_, file)| file.as_str()).collect();
        shards.sort_unstable();
        shards.dedup();
        for shard in shards {
            let file = format!("{prefix}{shard}");
            if !self.large(&file, folder)? {
                return Err(missing(&file));
            }
        }
        Ok(())
    }

    /// Fetches a file of weights, continuing a part that came before; whether it was there.
    fn large(&self, file: &str, folder: &Path) -> Result<bool> {
        let path = inner_path(folder, file)?;
        let address = format!("{}/{file}", self.base);
        let sha256 = self.client.linked_sha256(&address);
        let download = Download { address: &address, what: file, sha256: sha256.as_deref() };
        let downloads = self.options.cache.join("downloads");
        let Some(arrived) = self.client.download(&download, &downloads, self.options)? else {
            return Ok(false);
        };
        atomic::create_dir(path.parent().unwrap_or(folder))?;
        fs::rename(&arrived, &path).map_err(Error::io("create", &path))?;
        Ok(true)
    }

    /// Fetches what the modules after the transformer need.
    fn modules(&self, folder: &Path) -> Result<()> {
        let modules = read_json(folder, "modules.json")?.unwrap_or(Value::Null);
        for module in modules.as_array().into_iter().flatten().skip(1) {
            let path = module.get("path").and_then(Value::as_str).unwrap_or("");
            let kind = module.get("type").and_then(Value::as_str).unwrap_or("");
            inner_path(folder, path)?;
            self.small(&format!("{path}/config.json"), folder)?;
            if kind.ends_with(".Dense") && !self.large(&format!("{path}/{WEIGHTS}"), folder)? {
                return Err(missing(&format!("{path}/{WEIGHTS}")));
            }
        }
        Ok(())
    }
}

fn missing(file: &str) -> Error {
    Problem::new(format!("no such model, or no {file} in it")).try_this("check the name on the hub").into()
}
