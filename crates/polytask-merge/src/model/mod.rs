//! A model to be merged: its folder opened, and held against the others.

mod compare;
mod heads;
mod tokenizer;

use std::path::{Path, PathBuf};

use polytask_core::hash;
use polytask_core::length::{adapter_base, transformer_folder};
use polytask_model::{TaskInfo, tasks_in};
use polytask_nn::Encoder;
use polytask_nn::folder::FolderFacts;
use polytask_nn::weights::{OpenWeights, TensorEntry};
use rayon::prelude::*;
use tempfile::TempDir;

pub(crate) use self::compare::{compare, is_real};
pub(crate) use self::heads::{Head, choose_heads};
use crate::Result;

/// A model to be merged.
#[derive(Debug)]
pub(crate) struct ModelInput {
    /// As written.
    pub(crate) name: String,
    pub(crate) facts: FolderFacts,
    pub(crate) weights: OpenWeights,
    pub(crate) tasks: Vec<TaskInfo>,
    /// The folder that was given.
    pub(crate) given: PathBuf,
    /// Where adapters were added to their encoder's weights; goes away with this.
    _added: Option<TempDir>,
}

impl ModelInput {
    /// Opens a folder.
    ///
    /// # Errors
    /// A folder that is no model's; weights that are none.
    pub(crate) fn open(name: &str, folder: &Path) -> Result<Self> {
        let given = folder.to_path_buf();
        let added = if adapter_base(folder)?.is_some() { Some(add_adapters(folder)?) } else { None };
        let folder = added.as_ref().map_or(folder, TempDir::path);
        let facts = FolderFacts::read(folder)?;
        if let Some(why) = facts.not_plain {
            let what = format!("model `{name}` cannot be merged tensor by tensor: {why}");
            let problem = polytask_core::Problem::new(what).try_this(
                "models with `sharing = \"hard\"`, and adapters that can be added (`tune = \"lora\"`)",
            );
            return Err(polytask_core::Error::from(problem).into());
        }
        let weights = OpenWeights::new(facts.weights()?)?;
        Ok(Self { name: name.to_owned(), tasks: tasks_in(folder)?, facts, weights, given, _added: added })
    }

    /// The tensor of a canonical name.
    pub(crate) fn entry(&self, canonical: &str) -> Option<&TensorEntry> {
        let weights = self.weights.weights();
        let plain = weights.find(canonical).filter(|entry| self.facts.canonical(&entry.name) == canonical);
        plain.or_else(|| weights.entries().find(|entry| self.facts.canonical(&entry.name) == canonical))
    }

    /// Its tensors under their canonical names, in the order of the files.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut entries: Vec<&TensorEntry> = self.weights.weights().entries().collect();
        entries.sort_by_key(|entry| (entry.begin, entry.name.clone()));
        entries.iter().map(|entry| self.facts.canonical(&entry.name)).collect()
    }

    /// SHA-256 of its weights' files, in their order.
    pub(crate) fn hashes(&self) -> Result<Vec<String>> {
        let paths: Vec<PathBuf> = self.weights.paths().map(Path::to_path_buf).collect();
        paths.par_iter().map(|path| Ok(hash::sha256_file(path)?)).collect()
    }
}

/// A folder of adapters as that of the encoder they change.
fn add_adapters(folder: &Path) -> Result<TempDir> {
    let place = TempDir::new().map_err(polytask_core::Error::io("create", &std::env::temp_dir()))?;
    let encoder = Encoder::load(folder)?;
    encoder.save(&encoder.params, place.path(), &tokenizer::read(&transformer_folder(folder)?)?)?;
    Ok(place)
}
