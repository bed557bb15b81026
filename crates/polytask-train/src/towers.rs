//! Networks on tables with texts or images: the encoders of these first, then the data, then the layers above all columns.

use std::sync::Arc;

use polytask_core::input::{InputSpec, image::IMAGE, text::TEXT};
use polytask_core::{InputInfo, Problem, Suite};
use polytask_data::views::CellSymbols;
use polytask_data::{Dataset, EncodedTable, ImageSpec, Symbols};
use polytask_nn::encoder::{Encoder, Network};
use polytask_nn::towers::TowersConfig;
use polytask_nn::trunk::NetConfig;

use crate::Result;
use crate::locate::locate_named;
use crate::observe::{Event, Observer};
use crate::prepare::load_encoder;

/// What reads images where a suite says nothing.
const IMAGE_NET: &str = "convnet";

/// Whether a suite's network reads texts or images in columns of a table.
pub(crate) fn are_in(suite: &Suite) -> bool {
    suite.model.trees.is_none() && (has_texts(suite) || has_images(suite))
}

fn has_texts(suite: &Suite) -> bool {
    suite.sources.iter().any(|source| !source.texts.is_empty())
}

fn has_images(suite: &Suite) -> bool {
    suite.sources.iter().any(|source| !source.images.is_empty())
}

/// What is known of texts and images before the data are read.
struct Encoders {
    text: Option<Encoder>,
    /// Unless it starts from random weights, and is made when the size of images is known.
    image: Option<Encoder>,
    cells: CellSymbols,
}

/// What reads the cells of a suite's rows.
///
/// # Errors
/// An encoder that is nowhere, or reads something else.
pub(crate) fn reader(suite: &Suite, observer: &mut dyn Observer) -> Result<EncodedTable> {
    Ok(EncodedTable(encoders(suite, observer)?.cells))
}

/// The network of a suite, what turns its inputs into symbols, and its data.
///
/// # Errors
/// As [`reader`]; rows that cannot be read.
pub(crate) fn load(suite: &Suite, observer: &mut dyn Observer) -> Result<(Encoder, Symbols, Dataset)> {
    let Encoders { text, image, mut cells } = encoders(suite, observer)?;
    observer.event(Event::Note("reading the rows, their texts and images"));
    let dataset = polytask_data::build(suite, &EncodedTable(cells.clone()))?;
    let InputSpec::Table(table) = &dataset.input else {
        return Err(Problem::new("the rows have no columns to read").try_this("rows that have one").into());
    };
    let image = match (image, table.image) {
        (None, Some(size)) => {
            let mut model = suite.model.clone();
            (model.encoder, model.widths, model.pooling) = (image_name(suite).to_owned(), None, None);
            Some(Encoder::net(NetConfig::new(&model, &InputSpec::Images(size))?, suite.seed)?)
        }
        (image, _) => image,
    };
    cells.images.size = table.image;
    let config = TowersConfig::new(table, suite.model.widths.as_deref());
    let encoder = Encoder::towers(config, (text, image), suite.seed)?;
    Ok((encoder, Symbols::Towers(table.clone(), cells), dataset))
}

fn encoders(suite: &Suite, observer: &mut dyn Observer) -> Result<Encoders> {
    let (mut text, mut image, mut cells) = (None, None, CellSymbols::default());
    if has_texts(suite) {
        let (encoder, symbols) = load_encoder(suite, observer)?;
        check_reads(&suite.model.encoder, &encoder, &TEXT)?;
        cells.tokenizer = Some(Arc::new(symbols.text()?.clone()));
        text = Some(encoder);
    }
    if has_images(suite) {
        cells.images = ImageSpec::of(suite);
        let name = image_name(suite);
        if !IMAGE.nets.contains(&name) {
            let encoder = Encoder::load(&locate_named(suite, name, observer)?)?;
            check_reads(name, &encoder, &IMAGE)?;
            cells.images = images_of(&encoder)?;
            image = Some(encoder);
        }
    }
    Ok(Encoders { text, image, cells })
}

fn image_name(suite: &Suite) -> &str {
    suite.model.image_encoder.as_deref().unwrap_or(IMAGE_NET)
}

/// What images an encoder reads.
fn images_of(encoder: &Encoder) -> Result<ImageSpec> {
    if let Network::Net(NetConfig::Image(config)) = &encoder.network {
        return Ok(ImageSpec { size: Some(config.size()), ..ImageSpec::default() });
    }
    Ok(encoder.images()?.unwrap_or_default())
}

/// Refuses an encoder that reads something else than its columns hold.
fn check_reads(name: &str, encoder: &Encoder, expected: &InputInfo) -> Result<()> {
    let found = encoder.network.input();
    if found == expected {
        return Ok(());
    }
    let what = format!("encoder `{name}` reads {}, but its columns hold {}", found.plural, expected.plural);
    let remedy = format!("an encoder that reads {}", expected.plural);
    Err(Problem::new(what).try_this(remedy).into())
}
