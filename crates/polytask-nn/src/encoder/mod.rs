//! The encoder: trunk, pooling and what follows it, as one folder on disk and one function on symbols (token ids, or
//! the bytes of images).

mod adapted;
mod freeze;
mod load;
mod scored;
#[cfg(test)]
mod tests;
mod towers;

use std::collections::BTreeMap;
use std::sync::Arc;

use polytask_core::image::{ImageSize, ImageSpec};
use polytask_core::input::table::TABLE;
use polytask_core::method::Choice;
use polytask_core::{InputInfo, PackedBatch, hash};
use serde_json::{Map, Value};

use crate::folder::{self, Dense, Images, Notes};
use crate::params::{Block, Params};
use crate::pooling::{PoolMode, Pooling};
use crate::scores::ScoredBy;
use crate::sharing::{self, SharedBy, SharingSetup};
use crate::towers::TowersConfig;
use crate::trunk::Packed;
use crate::trunk::families::EncoderFamily;
use crate::trunk::{BertConfig, Mode, NetConfig, NetTrunk, States, Trunk};
use crate::weights::RawTensor;
use crate::{Error, Result};

pub(crate) use adapted::Adapted;
pub use freeze::freeze_blocks;

/// Norms shorter than this divide as if they were this long, as in PyTorch's `normalize`.
const SHORTEST: f64 = 1e-12;

/// Which network a trunk is.
#[derive(Debug, Clone, PartialEq)]
pub enum Network {
    /// A published transformer.
    Published {
        /// Its family.
        family: &'static EncoderFamily,
        /// Published dropout of states.
        dropout: f64,
        /// The fields of its files: what tells it from another of the same sizes.
        config: serde_json::Value,
    },
    /// One that started from random weights, on images or tables.
    Net(NetConfig),
    /// Encoders of columns of a table, and layers above them.
    Towers(TowersNet),
}

impl Network {
    /// Share of values dropped in training, where the suite says nothing.
    pub fn dropout(&self) -> f64 {
        match self {
            Self::Published { dropout, .. } => *dropout,
            Self::Net(_) => 0.0,
            Self::Towers(net) => net.named().next().map_or(0.0, |(_, encoder)| encoder.network.dropout()),
        }
    }

    /// What it reads.
    pub fn input(&self) -> &'static InputInfo {
        match self {
            Self::Published { family, .. } => family.input,
            Self::Net(config) => config.input(),
            Self::Towers(_) => &TABLE,
        }
    }
}

/// A model of towers: its columns, and the encoders that read them.
#[derive(Debug, Clone)]
pub struct TowersNet {
    /// Columns and layers.
    pub config: TowersConfig,
    /// What reads texts; its weights lie with those of the whole.
    pub text: Option<Arc<Encoder>>,
    /// What reads images; its weights lie with those of the whole.
    pub image: Option<Arc<Encoder>>,
}

impl PartialEq for TowersNet {
    fn eq(&self, other: &Self) -> bool {
        let networks = |net: &Self| [&net.text, &net.image].map(|e| e.as_ref().map(|e| e.network.clone()));
        self.config == other.config && networks(self) == networks(other)
    }
}

impl TowersNet {
    /// The towers with their names, lowest first.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&'static str, &Arc<Encoder>)> {
        let image = self.image.as_ref().map(|encoder| ("image", encoder));
        self.text.as_ref().map(|encoder| ("text", encoder)).into_iter().chain(image)
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
    /// How texts are scored against each other; `None` for the cosine of their vectors.
    pub score: Option<ScoredBy>,
    /// How tasks share it, when not plainly: then its vectors are those of a task.
    pub sharing: Option<SharedBy>,
    /// Its network with adapters, where these alone are trained.
    pub(crate) adapted: Option<Arc<Adapted>>,
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
    /// A network with fresh weights.
    ///
    /// # Errors
    /// When the network cannot be built or its pooling is none.
    pub fn net(config: NetConfig, seed: u64) -> Result<Self> {
        let trunk = Arc::new(NetTrunk::new(config.clone())?);
        let (params, n_symbols) = (trunk.init(seed), config.n_symbols());
        let pooling = config.pooling().parse()?;
        Ok(Self { pooling, ..Self::fresh(Network::Net(config), (trunk, params), n_symbols) })
    }

    /// A network that was made here.
    pub(crate) fn fresh(
        network: Network,
        (trunk, params): (Arc<dyn Trunk>, Params),
        max_length: usize,
    ) -> Self {
        Self {
            network,
            trunk,
            params,
            pooling: Pooling::from(PoolMode::Mean),
            dense: Vec::new(),
            normalize: false,
            max_length,
            kept: Vec::new(),
            notes: folder::no_notes(),
            score: None,
            sharing: None,
            adapted: None,
        }
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

    /// Number of blocks without those of adapters.
    pub(crate) fn n_base(&self) -> usize {
        self.adapted.as_ref().map_or(self.params.blocks.len(), |adapted| adapted.graph.n_base())
    }

    /// What images must be that a published encoder reads; `None` for all others.
    ///
    /// # Errors
    /// As [`Encoder::load`].
    pub fn images(&self) -> Result<Option<ImageSpec>> {
        if self.notes.preprocessor.is_null() {
            return Ok(None);
        }
        let Images { resize, .. } = Images::parse(&self.notes.preprocessor).map_err(Error::Core)?;
        let channels = self.max_length / (resize.height * resize.width).max(1);
        let size = ImageSize { channels, height: resize.height, width: resize.width };
        Ok(Some(ImageSpec { size: Some(size), resize: Some(resize), channels: Some(size.channels) }))
    }

    /// A tensor's name as this encoder's family has it.
    pub(crate) fn canonical(&self, name: &str) -> String {
        match &self.network {
            Network::Published { family, .. } => family.canonical(name),
            Network::Net(_) | Network::Towers(_) => name.to_owned(),
        }
    }

    /// Its adapters, where they cannot be added to its weights.
    pub(crate) fn unmerged(&self) -> Option<&Adapted> {
        self.adapted.as_deref().filter(|adapted| !adapted.spec.merges())
    }

    /// Whether adapters stand beside its weights, which alone are trained.
    pub fn is_adapted(&self) -> bool {
        self.adapted.is_some()
    }

    /// Which blocks are not trained: those that `freeze` names, and beside adapters all others.
    ///
    /// # Errors
    /// As [`freeze_blocks`].
    pub fn frozen(&self, freeze: &[String]) -> Result<Vec<bool>> {
        let mut frozen = freeze_blocks(&self.params, freeze)?;
        if self.adapted.is_some() {
            frozen[..self.n_base()].fill(true);
        }
        Ok(frozen)
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
        let graph = config.graph();
        let params = graph.init(seed);
        Ok(Self {
            params,
            pooling: Pooling::from(PoolMode::Mean),
            dense: Vec::new(),
            normalize: true,
            max_length: config.max_position_embeddings,
            kept: Vec::new(),
            score: None,
            sharing: None,
            adapted: None,
            notes: folder::fresh_notes(&config),
            trunk: Arc::new(Packed::new(graph)),
            network: Network::Published {
                family: &crate::trunk::families::bert::BERT,
                dropout: config.hidden_dropout_prob,
                config: folder::fresh_notes(&config).config,
            },
        })
    }

    /// Values per vector.
    pub fn d_embedding(&self) -> usize {
        let pooled = self.pooling.width(&*self.trunk);
        self.dense.last().map_or(pooled, |dense| dense.d_out)
    }

    /// Adds prompts by name to those its folder has; one of a name takes the place of the other.
    pub fn name_prompts(&mut self, named: BTreeMap<String, String>) {
        let Some(sentence) = self.notes.sentence.as_object_mut() else { return };
        let prompts = sentence.entry("prompts").or_insert_with(|| Value::Object(Map::new()));
        if let Some(prompts) = prompts.as_object_mut() {
            prompts.extend(named.into_iter().map(|(name, text)| (name, Value::String(text))));
        }
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
