//! What a run works on, and where that comes from.

use std::collections::BTreeMap;

use polytask_core::input::InputSpec;
use polytask_core::report::{DataCard, Lineage};
use polytask_core::{Suite, hash, suite};
use polytask_data::{Dataset, Symbols};
use polytask_nn::Block;
use polytask_nn::encoder::Encoder;

use crate::cache::{FrozenStates, texts_hash};
use crate::columns;

/// What a run works on.
pub struct Prepared {
    /// The checked suite.
    pub suite: Suite,
    /// Its data.
    pub dataset: Dataset,
    /// The encoder as it was loaded, with its fresh adapters where it gets some.
    pub encoder: Encoder,
    /// The encoder without them, where its vectors are others with fresh ones.
    pub bare: Option<Encoder>,
    /// Heads that the encoder's folder has, by task, where training starts from them.
    pub kept_heads: BTreeMap<String, Block>,
    /// What turns its inputs into symbols.
    pub symbols: Symbols,
    /// What the data looks like.
    pub card: DataCard,
    /// States of the frozen part that earlier trainings computed.
    pub frozen: FrozenStates,
}

/// Whether the encoder is a network that starts from random weights and is made for the data.
pub(crate) fn is_fresh(suite: &Suite) -> bool {
    suite.input().nets.contains(&suite.model.encoder.as_str()) && !columns::has_image_encoder(suite)
}

/// Where a run comes from.
pub(crate) fn lineage(prepared: &Prepared) -> Lineage {
    let Prepared { suite, encoder, dataset, .. } = prepared;
    Lineage {
        version: env!("CARGO_PKG_VERSION").into(),
        suite: suite::hash(suite),
        data: data_hash(dataset),
        encoder: encoder.weights_hash(),
        seed: suite.seed,
        threads: rayon::current_num_threads(),
        machine: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
    }
}

/// One hash over the hashes of all files read; files of images, which rows name, are those of their pixels.
fn data_hash(dataset: &Dataset) -> String {
    let mut lines: Vec<String> = dataset.files.iter().map(|(file, hash)| format!("{hash} {file}")).collect();
    let has_images = match &dataset.input {
        InputSpec::Images(_) => true,
        InputSpec::Table(table) => table.image.is_some(),
        InputSpec::Any => false,
    };
    lines.extend(has_images.then(|| texts_hash(dataset)));
    hash::sha256(lines.join("\n").as_bytes())
}

/// One hash over what shapes a training in the encoder's folder beside its weights: tokenizer and settings.
pub(crate) fn encoder_settings(prepared: &Prepared) -> String {
    let Prepared { encoder, symbols, .. } = prepared;
    let files = symbols.files().iter().map(|(name, bytes)| format!("{name} {}", hash::sha256(bytes)));
    let settings = format!("{} {} {:?}", encoder.pooling, symbols.settings(), encoder.network);
    let bytes =
        |block: &Block| block.values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let heads =
        prepared.kept_heads.iter().map(|(task, block)| format!("{task} {}", hash::sha256(&bytes(block))));
    hash::sha256(files.chain([settings]).chain(heads).collect::<Vec<_>>().join("\n").as_bytes())
}
