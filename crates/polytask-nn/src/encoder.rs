//! The encoder: trunk, pooling and what follows it, as one folder on disk and one function on symbols (token ids, or
//! the bytes of images).

use std::path::Path;
use std::sync::Arc;

use polytask_core::input::text::TEXT;
use polytask_core::method::Choice;
use polytask_core::{InputInfo, PackedBatch, Problem, hash};

use crate::folder::{self, Dense, FolderParts, Notes};
use crate::params::{Block, Params};
use crate::pooling::{PoolMode, Pooling};
use crate::sharing::{self, SharedBy, SharingSetup};
use crate::trunk::Packed;
use crate::trunk::bert::{self, BertConfig};
use crate::trunk::{Mode, NetConfig, NetTrunk, States, Trunk};
use crate::weights::{RawTensor, WeightFiles};
use crate::{Error, Result};

/// Tensors of a BERT file that no vector depends on; they go back into the saved file as they came.
const KEPT: [&str; 3] = ["pooler.dense.weight", "pooler.dense.bias", "embeddings.position_ids"];

/// Norms shorter than this divide as if they were this long, as in PyTorch's `normalize`.
const SHORTEST: f64 = 1e-12;

/// Which network a trunk is.
#[derive(Debug, Clone, PartialEq)]
pub enum Network {
    /// A transformer on tokens.
    Bert(BertConfig),
    /// One that started from random weights, on images or tables.
    Net(NetConfig),
}

impl Network {
    /// Share of values dropped in training, where the suite says nothing.
    pub fn dropout(&self) -> f64 {
        match self {
            Self::Bert(config) => config.hidden_dropout_prob,
            Self::Net(_) => 0.0,
        }
    }

    /// What it reads.
    pub fn input(&self) -> &'static InputInfo {
        match self {
            Self::Bert(_) => &TEXT,
            Self::Net(config) => config.input(),
        }
    }
}

/// An encoder: the symbols of a text or an image to one vector.
#[derive(Clone)]
pub struct Encoder {
    /// Settings of the trunk.
    pub network: Network,
    /// The network.
    pub trunk: Arc<dyn Trunk>,
    /// Its weights.
    pub params: Params,
    /// How a text's states become one vector.
    pub pooling: Pooling,
    /// Affine maps after pooling.
    pub dense: Vec<Dense>,
    /// Whether vectors get length 1.
    pub normalize: bool,
    /// Longest input, in tokens including special ones.
    pub max_length: usize,
    /// Tensors of the source that are not parameters, kept as they came.
    pub kept: Vec<RawTensor>,
    /// How tasks share it, when not plainly: then its vectors are those of a task.
    pub sharing: Option<SharedBy>,
    pub(crate) notes: Notes,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder")
            .field("network", &self.network)
            .field("pooling", &self.pooling)
            .field("dense", &self.dense.len())
            .field("normalize", &self.normalize)
            .field("max_length", &self.max_length)
            .finish_non_exhaustive()
    }
}

impl Encoder {
    /// Reads a sentence-transformers folder, a plain BERT folder, or a network of ours.
    ///
    /// # Errors
    /// When a part is unsupported, or any weight is missing, misshapen or not finite (all named at once).
    pub fn load(folder: &Path) -> Result<Self> {
        if let Some(config) = folder::net_config(folder)? {
            return Self::load_net(folder, config);
        }
        let parts = folder::read_folder(folder)?;
        let sharing = folder::read_sharing(folder)?;
        let weights = match &sharing {
            Some(_) => WeightFiles::open(&parts.transformer.join(folder::SHARED_WEIGHTS))?,
            None => WeightFiles::open_folder(&parts.transformer)?,
        };
        check_size(&parts.config, &weights)?;
        let max_length = polytask_core::length::length_limit(&parts.transformer)?;
        let FolderParts { config, pooling, dense, normalize, notes, .. } = parts;
        let (trunk, params) = (Arc::new(Packed::new(config.clone())?), bert::layout(&config));
        let plain = Self {
            network: Network::Bert(config),
            trunk,
            params,
            pooling,
            dense,
            normalize,
            max_length,
            kept: Vec::new(),
            sharing: None,
            notes,
        };
        let mut encoder = match sharing {
            Some(by) => plain.shared_by(by)?,
            None => plain,
        };
        let mut report = weights.load_into(&mut encoder.params, canonical)?;
        encoder.kept = take_kept(&weights, &mut report.unused)?;
        report.require_all(weights.path())?;
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

    /// A network with fresh weights.
    ///
    /// # Errors
    /// When the network cannot be built or its pooling is none.
    pub fn net(config: NetConfig, seed: u64) -> Result<Self> {
        let trunk = Arc::new(NetTrunk::new(config.clone())?);
        Ok(Self {
            params: trunk.init(seed),
            pooling: config.pooling().parse()?,
            dense: Vec::new(),
            normalize: false,
            max_length: config.n_symbols(),
            kept: Vec::new(),
            notes: folder::no_notes(),
            sharing: None,
            network: Network::Net(config),
            trunk,
        })
    }

    /// The same encoder with its upper blocks shared by an architecture.
    ///
    /// # Errors
    /// [`crate::Error::Core`] when the architecture does not fit the encoder.
    pub fn share(&self, choice: &Choice, setup: &SharingSetup) -> Result<Self> {
        let (trunk, params) = sharing::make(choice, self.trunk.clone(), &self.params, setup)?;
        let by = SharedBy { choice: choice.clone(), tasks: setup.tasks.to_vec() };
        Ok(Self { trunk: Arc::new(trunk), params, sharing: Some(by), ..self.clone() })
    }

    /// As [`Encoder::share`], for weights that are read afterwards.
    fn shared_by(&self, by: SharedBy) -> Result<Self> {
        let SharedBy { choice, tasks } = by;
        self.share(&choice, &SharingSetup { tasks: &tasks, seed: 0, steps: 1, epochs: 1.0 })
    }

    /// The view of a task's states; every task has view 0 of a plain encoder.
    pub fn view_of(&self, task: &str) -> Option<usize> {
        match &self.sharing {
            Some(by) => by.tasks.iter().position(|name| name == task),
            None => Some(0),
        }
    }

    /// A small encoder with fresh weights, for tests and `encoder = "tiny"`.
    pub fn tiny(vocab_size: usize, seed: u64) -> Result<Self> {
        let config = BertConfig { vocab_size, ..BertConfig::tiny() };
        let trunk = Arc::new(Packed::new(config.clone())?);
        Ok(Self {
            params: bert::init(&config, seed),
            pooling: Pooling::from(PoolMode::Mean),
            dense: Vec::new(),
            normalize: true,
            max_length: config.max_position_embeddings,
            kept: Vec::new(),
            sharing: None,
            notes: folder::fresh_notes(&config),
            trunk,
            network: Network::Bert(config),
        })
    }

    /// Values per vector.
    pub fn d_embedding(&self) -> usize {
        let pooled = self.pooling.width(&*self.trunk);
        self.dense.last().map_or(pooled, |dense| dense.d_out)
    }

    /// Whether the tokens of a prompt are pooled with those of the text.
    pub fn includes_prompt(&self) -> bool {
        self.notes.include_prompt
    }

    /// One vector per sequence: trunk, pooling, affine maps, normalisation.
    ///
    /// # Shapes
    /// `batch`: `[rows]` ids → `[sequences, d_embedding]`.
    pub fn embed(&self, batch: &PackedBatch) -> Result<States> {
        self.embed_with(&self.params, batch)
    }

    /// As [`Encoder::embed`] with other weights of the same layout.
    pub fn embed_with(&self, params: &Params, batch: &PackedBatch) -> Result<States> {
        let (states, _) = self.trunk.forward(params, batch, Mode::EVAL)?;
        let pooled = self.pooling.forward(&states, &self.trunk.layout(batch));
        Ok(self.finish(pooled))
    }

    /// Pooled vectors to final ones: affine maps, normalisation.
    ///
    /// # Shapes
    /// `[vectors, pooling width]` → `[vectors, d_embedding]`.
    pub fn finish(&self, pooled: States) -> States {
        let mut vectors = self.dense.iter().fold(pooled, |x, dense| dense.forward(&x));
        if self.normalize {
            vectors.values.chunks_exact_mut(vectors.width.max(1)).for_each(normalize);
        }
        vectors
    }

    /// Writes `params` and everything else as a folder that sentence-transformers loads unchanged; `tokenizer`
    /// is the tokenizer's files as (name, content). The same encoder gives the same bytes.
    pub fn save(&self, params: &Params, folder: &Path, tokenizer: &[(String, Vec<u8>)]) -> Result<()> {
        folder::write_folder(self, params, folder, tokenizer)
    }

    /// SHA-256 over names and values of all weights a vector depends on.
    pub fn weights_hash(&self) -> String {
        let mut lines = block_lines(&self.params.blocks);
        for dense in &self.dense {
            let values = [dense.weight.as_slice(), dense.bias.as_deref().unwrap_or(&[])].concat();
            lines.push(format!("dense {} {}", dense.d_out, hash::sha256(&bytes(&values))));
        }
        hash::sha256(lines.join("\n").as_bytes())
    }

    /// The same of the blocks below `lowest`.
    pub fn hash_below(&self, lowest: usize) -> String {
        hash::sha256(block_lines(&self.params.blocks[..lowest]).join("\n").as_bytes())
    }
}

/// Names and hash of the values of each block.
fn block_lines(blocks: &[Block]) -> Vec<String> {
    let line = |block: &Block| {
        let names: Vec<&str> = block.tensors.iter().map(|spec| spec.name.as_str()).collect();
        format!("{} {}", names.join(" "), hash::sha256(&bytes(&block.values)))
    };
    blocks.iter().map(line).collect()
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn normalize(vector: &mut [f32]) {
    let square: f64 = vector.iter().map(|v| f64::from(*v) * f64::from(*v)).sum();
    let scale = 1.0 / square.sqrt().max(SHORTEST);
    vector.iter_mut().for_each(|v| *v = (f64::from(*v) * scale) as f32);
}

/// A tensor's name without the prefix of heads' checkpoints, and with today's names for norms.
fn canonical(name: &str) -> String {
    let name = name.strip_prefix("bert.").unwrap_or(name);
    match name.rsplit_once('.') {
        Some((norm, "gamma")) => format!("{norm}.weight"),
        Some((norm, "beta")) => format!("{norm}.bias"),
        _ => name.to_owned(),
    }
}

/// A configuration that promises more than its file holds is refused before memory is taken for it.
fn check_size(config: &BertConfig, weights: &WeightFiles) -> Result<()> {
    let (d, f) = (config.hidden_size as u128, config.intermediate_size as u128);
    let rows = (config.vocab_size + config.max_position_embeddings) as u128;
    let needed = rows * d + config.num_hidden_layers as u128 * (4 * d * d + 2 * d * f);
    let found: u128 = weights.entries().map(|entry| entry.len() as u128).sum();
    if needed <= found {
        return Ok(());
    }
    let what = format!(
        "{found} values, but config.json describes a network of at least {needed}; \
         try: the config.json and model.safetensors of one and the same model"
    );
    Err(Error::Weights { path: weights.path().to_path_buf(), what })
}

/// Moves tensors that belong to the model without shaping its vectors from `unused` to the result.
fn take_kept(weights: &WeightFiles, unused: &mut Vec<String>) -> Result<Vec<RawTensor>> {
    let (known, rest): (Vec<String>, Vec<String>) =
        std::mem::take(unused).into_iter().partition(|name| KEPT.contains(&canonical(name).as_str()));
    *unused = rest;
    known.iter().map(|name| Ok(RawTensor { name: canonical(name), ..weights.raw(name)? })).collect()
}

/// Which blocks these freeze names cover, one flag per block.
///
/// # Errors
/// All names that fit no block, with those that do.
pub fn freeze_blocks(params: &Params, names: &[String]) -> Result<Vec<bool>> {
    let mut frozen = vec![false; params.blocks.len()];
    let mut problems = Vec::new();
    for name in names {
        match covered(params, name) {
            Some(blocks) => blocks.into_iter().for_each(|block| frozen[block] = true),
            None => problems.push(unknown_block(params, name)),
        }
    }
    if problems.is_empty() { Ok(frozen) } else { Err(polytask_core::Error::Invalid(problems).into()) }
}

/// Blocks one freeze name covers: a block's own name, `layer.0-3`, or `embeddings` with the words in it; each with
/// all its copies.
fn covered(params: &Params, name: &str) -> Option<Vec<usize>> {
    let all = |names: Vec<String>| {
        let found = names.iter().map(|name| copies(params, name)).collect::<Option<Vec<_>>>()?;
        Some(found.concat())
    };
    if name == "embeddings" {
        return all(vec!["words".into(), "embeddings".into()]);
    }
    let Some((first, last)) = name.strip_prefix("layer.").and_then(|range| range.split_once('-')) else {
        return copies(params, name);
    };
    let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
    if first > last || last >= params.blocks.len() {
        return None;
    }
    all((first..=last).map(|i| format!("layer.{i}")).collect())
}

/// The blocks of this name: the block itself, or every copy of it.
fn copies(params: &Params, name: &str) -> Option<Vec<usize>> {
    let is_copy = |block: &str| block.strip_suffix(name).is_some_and(|label| label.ends_with('.'));
    let named = |block: &str| block == name || is_copy(block);
    let blocks = params.blocks.iter().enumerate().filter(|(_, block)| named(&block.name));
    let found: Vec<usize> = blocks.map(|(i, _)| i).collect();
    (!found.is_empty()).then_some(found)
}

fn unknown_block(params: &Params, name: &str) -> Problem {
    let n_layers =
        (0..params.blocks.len()).take_while(|i| copies(params, &format!("layer.{i}")).is_some()).count();
    let last = n_layers.saturating_sub(1);
    let what = format!(
        "freeze names `{name}`, expected `embeddings`, `words`, `layer.0` to `layer.{last}` or a range as `layer.0-{last}`"
    );
    Problem::new(what).try_this("count layers from 0, the lowest")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::{self, TensorOut, Values};
    use std::fs;

    fn batch() -> PackedBatch {
        PackedBatch::pack([&[2, 7, 9, 3][..], &[2, 3], &[2, 11, 3]])
    }

    fn saved(encoder: &Encoder) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        encoder.save(&encoder.params, folder.path(), &[("tokenizer.json".into(), b"{}".to_vec())]).unwrap();
        folder
    }

    /// Every file below a folder with its content.
    fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
        let mut all = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                all.extend(
                    contents(&path).into_iter().map(|(file, bytes)| (format!("{name}/{file}"), bytes)),
                );
                all.push((name, Vec::new()));
            } else {
                all.push((name, fs::read(path).unwrap()));
            }
        }
        all.sort();
        all
    }

    #[test]
    fn an_encoder_survives_saving_and_the_same_bytes_are_written_again() {
        let mut encoder = Encoder::tiny(20, 5).unwrap();
        encoder.pooling = "cls+mean".parse().unwrap();
        let activation = folder::DenseActivation::Tanh;
        let weight = (0..3 * 64).map(|i| (i as f32 * 0.37).sin()).collect();
        encoder.dense = vec![Dense { d_in: 64, d_out: 3, weight, bias: Some(vec![0.1; 3]), activation }];
        encoder.max_length = 77;
        let kept = RawTensor {
            name: "embeddings.position_ids".into(),
            dtype: safetensors::Dtype::I64,
            shape: vec![1, 1],
            bytes: vec![0; 8],
        };
        encoder.kept = vec![kept];
        let first = saved(&encoder);
        let loaded = Encoder::load(first.path()).unwrap();
        assert_eq!(loaded.params, encoder.params);
        assert_eq!((&loaded.dense, &loaded.kept), (&encoder.dense, &encoder.kept));
        assert_eq!((loaded.max_length, loaded.normalize, loaded.d_embedding()), (77, true, 3));
        assert_eq!(loaded.weights_hash(), encoder.weights_hash());
        assert_eq!(loaded.embed(&batch()).unwrap(), encoder.embed(&batch()).unwrap());
        assert_eq!(contents(first.path()), contents(saved(&loaded).path()));
    }

    #[test]
    fn vectors_have_length_one_and_do_not_depend_on_their_neighbours() {
        let encoder = Encoder::tiny(20, 5).unwrap();
        let (batch, together) = (batch(), encoder.embed(&batch()).unwrap());
        for s in 0..batch.n_sequences() {
            let alone = encoder.embed(&PackedBatch::pack([&batch.ids[batch.rows(s)]])).unwrap();
            let norm: f32 = alone.values.iter().map(|v| v * v).sum();
            assert!((norm - 1.0).abs() < 1e-5);
            assert!(alone.values.iter().zip(together.row(s)).all(|(a, b)| (a - b).abs() < 1e-5));
        }
    }

    #[test]
    fn prefixed_and_old_names_are_accepted_and_foreign_tensors_left_out() {
        let encoder = Encoder::tiny(20, 5).unwrap();
        let folder = saved(&encoder);
        let old = |name: &str| {
            let name = format!("bert.{name}");
            name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        };
        let tensors = weights::tensors_of(&encoder.params);
        let names: Vec<String> = tensors.iter().map(|tensor| old(tensor.name)).collect();
        let mut renamed: Vec<_> =
            tensors.iter().zip(&names).map(|(tensor, name)| TensorOut { name, ..*tensor }).collect();
        let head = |name| TensorOut { name, shape: &[2], values: Values::F32(&[1.0, 2.0]) };
        renamed.extend([head("cls.predictions.bias"), head("bert.pooler.dense.bias")]);
        weights::write(&folder.path().join(weights::FILE), &renamed, &[]).unwrap();
        let loaded = Encoder::load(folder.path()).unwrap();
        assert_eq!(loaded.params, encoder.params);
        let kept: Vec<&str> = loaded.kept.iter().map(|raw| raw.name.as_str()).collect();
        assert_eq!(kept, ["pooler.dense.bias"]);
    }

    #[test]
    fn weights_of_another_network_are_refused_before_and_after_reading() {
        let folder = saved(&Encoder::tiny(20, 5).unwrap());
        let config = folder.path().join("config.json");
        let text = fs::read_to_string(&config).unwrap();
        let with = |from: &str, to: &str| {
            fs::write(&config, text.replace(from, to)).unwrap();
            Encoder::load(folder.path()).unwrap_err().to_string()
        };
        let huge = with("\"vocab_size\": 20", "\"vocab_size\": 16000000");
        assert!(huge.contains("describes a network"), "{huge}");
        let other = with("\"vocab_size\": 20", "\"vocab_size\": 19");
        assert!(
            other.contains("word_embeddings") && other.contains("[20, 32], expected [19, 32]"),
            "{other}"
        );
    }

    #[test]
    fn truncated_weights_are_refused() {
        let folder = saved(&Encoder::tiny(20, 5).unwrap());
        let path = folder.path().join(weights::FILE);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
        let message = Encoder::load(folder.path()).unwrap_err().to_string();
        assert!(message.contains("truncated"), "{message}");
    }

    #[test]
    fn freeze_names_cover_blocks_and_unknown_ones_are_all_named() {
        let params = Encoder::tiny(20, 5).unwrap().params;
        let blocks = |names: &[&str]| {
            freeze_blocks(&params, &names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(blocks(&[]).unwrap(), [false; 4]);
        assert_eq!(blocks(&["embeddings"]).unwrap(), [true, true, false, false]);
        assert_eq!(blocks(&["words", "layer.1"]).unwrap(), [true, false, false, true]);
        assert_eq!(blocks(&["layer.0-1"]).unwrap(), [false, false, true, true]);
        let message =
            blocks(&["layer.2", "layer.1-0", "layer.0-9", "pooler", "layer.x-y"]).unwrap_err().to_string();
        for name in ["`layer.2`", "`layer.1-0`", "`layer.0-9`", "`pooler`", "`layer.x-y`"] {
            assert!(message.contains(name), "{message}");
        }
    }
}
