//! An encoder as a folder: read in the layouts people have, written in one that all versions read.

use std::path::Path;
use std::sync::Arc;

use polytask_core::image::IMAGE;
use polytask_core::length;

use super::{Encoder, Network};
use crate::folder::{self, FolderParts};
use crate::params::Params;
use crate::trunk::families::EncoderFamily;
use crate::trunk::{Graph, NetConfig, Packed};
use crate::weights::{RawTensor, WeightFiles};
use crate::{Error, Result, tune};

impl Encoder {
    /// Reads a sentence-transformers folder, the folder of an encoder or of adapters beside one, or a network of ours.
    ///
    /// # Errors
    /// When a part is unsupported, or any weight is missing, misshapen or not finite (all named at once).
    pub fn load(folder: &Path) -> Result<Self> {
        if let Some(base) = length::adapter_base(folder)? {
            return tune::read_folder(&Self::load(&base)?, folder);
        }
        if let Some(encoder) = folder::load_towers(folder)? {
            return Ok(encoder);
        }
        if let Some(config) = folder::net_config(folder)? {
            return Self::load_net(folder, config);
        }
        let parts = folder::read_folder(folder)?;
        let sharing = folder::read_sharing(folder)?;
        let adapters = folder::read_adapters(folder)?;
        let weights = match (&sharing, &adapters) {
            (Some(_), _) => WeightFiles::open(&parts.transformer.join(folder::SHARED_WEIGHTS))?,
            (None, Some(_)) => WeightFiles::open(&parts.transformer.join(folder::ADAPTED_WEIGHTS))?,
            (None, None) => WeightFiles::open_folder(&parts.transformer)?,
        };
        check_size(&parts.network.graph, &weights)?;
        let most = parts.network.graph.max_positions();
        let max_length = match parts.family.input {
            input if *input == IMAGE => most,
            _ => length::length_limit(&parts.transformer)?.min(most),
        };
        let FolderParts { family, network, pooling, dense, normalize, notes, .. } = parts;
        let params = network.graph.layout();
        let trunk = Arc::new(Packed::new(network.graph));
        let plain = Self {
            network: Network::Published { family, dropout: network.dropout, config: notes.identity() },
            trunk,
            params,
            pooling,
            dense,
            normalize,
            max_length,
            kept: Vec::new(),
            score: folder::read_score(folder)?,
            sharing: None,
            adapted: None,
            notes,
        };
        plain.scoring().map_err(|error| folder::in_file(error, &folder.join(folder::SCORE)))?;
        let mut encoder = match (sharing, adapters) {
            (Some(by), _) => plain.shared_by(by)?,
            (None, Some(by)) => tune::apply(&by.choice, plain, (&by.base, 0))?,
            (None, None) => plain,
        };
        let tied = tied_words(family, &weights, &encoder.params)?;
        let words = encoder.params.blocks[0].tensors[0].name.clone();
        let name =
            |name: &str| if tied.as_deref() == Some(name) { words.clone() } else { family.canonical(name) };
        let mut report = weights.load_into(&mut encoder.params, name)?;
        encoder.kept = take_kept(family, &weights, &mut report.unused)?;
        report.require_all(weights.path())?;
        refuse_more(family, &weights, &report.unused)?;
        Ok(encoder)
    }

    fn load_net(folder: &Path, config: NetConfig) -> Result<Self> {
        let plain = Self::net(config, 0)?;
        let (mut encoder, weights) = match folder::read_sharing(folder)? {
            Some(by) => (plain.shared_by(by)?, WeightFiles::open(&folder.join(folder::SHARED_WEIGHTS))?),
            None => (plain, WeightFiles::open_folder(folder)?),
        };
        let report = weights.load_into(&mut encoder.params, ToString::to_string)?;
        report.require_all(weights.path())?;
        Ok(encoder)
    }

    /// Writes `params` and everything else as a folder that sentence-transformers loads unchanged; `tokenizer`
    /// is the tokenizer's files as (name, content). The same encoder gives the same bytes.
    pub fn save(&self, params: &Params, folder: &Path, tokenizer: &[(String, Vec<u8>)]) -> Result<()> {
        let Some(adapted) = &self.adapted else {
            return folder::write_folder(self, params, folder, tokenizer);
        };
        if adapted.spec.merges() {
            folder::write_folder(self, &adapted.graph.merged(params), folder, tokenizer)?;
        } else {
            folder::write_folder(self, params, folder, tokenizer)?;
        }
        tune::write_folder(adapted, params, &self.hash_below(self.n_base()), &folder.join(folder::ADAPTER))
    }
}

/// A configuration that promises more than its file holds is refused before memory is taken for it.
fn check_size(graph: &Graph, weights: &WeightFiles) -> Result<()> {
    let needed = graph.n_parameters();
    let found: u128 = weights.entries().map(|entry| entry.len() as u128).sum();
    if needed <= found {
        return Ok(());
    }
    let what = format!(
        "{found} values, but config.json describes a network of {needed}; \
         try: the config.json and model.safetensors of one and the same model"
    );
    Err(Error::Weights { path: weights.path().to_path_buf(), what })
}

/// The tensor that stands for the word table where the file has it under a tied name alone.
///
/// # Errors
/// When both are there and disagree.
fn tied_words(family: &EncoderFamily, weights: &WeightFiles, params: &Params) -> Result<Option<String>> {
    let words = &params.blocks[0].tensors[0].name;
    let is = |name: &str, wanted: &str| family.canonical(name) == wanted;
    let of = |wanted: &str| weights.entries().map(|entry| &entry.name).find(|name| is(name, wanted)).cloned();
    let Some(tied) = family.ties.iter().find_map(|tie| of(tie)) else { return Ok(None) };
    let Some(own) = of(words) else { return Ok(Some(tied)) };
    if weights.raw(&own)?.bytes == weights.raw(&tied)?.bytes {
        return Ok(None);
    }
    let what = format!(
        "`{own}` and `{tied}` are one table, but hold different values; try: the files as they were published"
    );
    Err(Error::Weights { path: weights.path().to_path_buf(), what })
}

/// Refuses a file that has more of the network than its configuration says.
fn refuse_more(family: &EncoderFamily, weights: &WeightFiles, unused: &[String]) -> Result<()> {
    let more: Vec<&String> =
        unused.iter().filter(|name| EncoderFamily::is_of_layers(&family.canonical(name))).collect();
    let Some(first) = more.first() else { return Ok(()) };
    let what = format!(
        "`{first}`{} of the layers, which config.json does not describe; \
         try: the config.json and model.safetensors of one and the same model",
        if more.len() > 1 {
            format!(" and {} more tensors are", more.len() - 1)
        } else {
            " is a tensor".into()
        }
    );
    Err(Error::Weights { path: weights.path().to_path_buf(), what })
}

/// Moves tensors that belong to the model without shaping its vectors from `unused` to the result.
fn take_kept(
    family: &EncoderFamily,
    weights: &WeightFiles,
    unused: &mut Vec<String>,
) -> Result<Vec<RawTensor>> {
    let is_kept = |name: &String| family.kept.contains(&family.canonical(name).as_str());
    let (known, rest): (Vec<String>, Vec<String>) = std::mem::take(unused).into_iter().partition(is_kept);
    *unused = rest;
    known.iter().map(|name| Ok(RawTensor { name: family.canonical(name), ..weights.raw(name)? })).collect()
}
