//! What turns the inputs of an encoder into symbols.

use std::path::Path;
use std::sync::Arc;

use polytask_core::Problem;
use polytask_core::image::Resize;
use polytask_data::views::CellSymbols;
use polytask_data::{ImageSpec, Symbols, Tokenizer};
use polytask_nn::Encoder;
use polytask_nn::encoder::{Network, TowersNet};
use polytask_nn::folder::tower_folder;
use polytask_nn::trunk::{ImageConfig, NetConfig};

use crate::Result;

/// What turns the inputs of an encoder's folder into symbols, texts cut at `max_length` or the folder's own limit.
pub fn symbols_of(folder: &Path, encoder: &Encoder, max_length: Option<usize>) -> Result<Symbols> {
    if let Some(spec) = encoder.images()? {
        return Ok(Symbols::Images(spec));
    }
    match &encoder.network {
        Network::Net(NetConfig::Image(config)) => return Ok(Symbols::Images(images_of(config))),
        Network::Net(NetConfig::Table(config)) => return Ok(Symbols::Table(config.table.clone())),
        Network::Towers(net) => return of_towers(folder, net),
        Network::Published { .. } => {}
    }
    let tokenizer = Tokenizer::load(folder, max_length)?;
    check_vocabulary(folder, &tokenizer, encoder)?;
    Ok(tokenizer.into())
}

/// What images must be that an encoder of images reads.
///
/// # Errors
/// As [`Encoder::images`].
pub fn images_read_by(encoder: &Encoder) -> Result<ImageSpec> {
    if let Network::Net(NetConfig::Image(config)) = &encoder.network {
        return Ok(images_of(config));
    }
    Ok(encoder.images()?.unwrap_or_default())
}

/// What images must be that a fresh network reads.
fn images_of(config: &ImageConfig) -> ImageSpec {
    let size = Some(config.size());
    let resize = config.resize.then_some(Resize::to(config.height, config.width));
    let channels = config.recolour.then_some(config.channels);
    ImageSpec { size, resize, channels }
}

/// What turns rows of a table into symbols that several encoders read.
fn of_towers(folder: &Path, net: &TowersNet) -> Result<Symbols> {
    let mut cells = CellSymbols::default();
    if let Some(text) = &net.text {
        let place = tower_folder(folder, "text");
        let tokenizer = Tokenizer::load(&place, None)?;
        check_vocabulary(&place, &tokenizer, text)?;
        cells.tokenizer = Some(Arc::new(tokenizer));
    }
    if let Some(image) = &net.image {
        cells.images = images_read_by(image)?;
    }
    Ok(Symbols::Towers(net.config.table.clone(), cells))
}

/// Refuses a tokenizer that gives ids the encoder has no vectors for.
fn check_vocabulary(folder: &Path, tokenizer: &Tokenizer, encoder: &Encoder) -> Result<()> {
    let (tokens, rows) = (tokenizer.vocab_size(), encoder.trunk.vocab_size());
    if tokens <= rows {
        return Ok(());
    }
    let what = format!(
        "{}: the tokenizer has {tokens} tokens but the encoder only {rows} word vectors",
        folder.display()
    );
    Err(Problem::new(what).try_this("put the tokenizer.json of this very encoder into the folder").into())
}
