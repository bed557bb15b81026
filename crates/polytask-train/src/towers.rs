//! Networks on tables with texts or images: the encoders of these first, then the data, then the layers above all columns.

use std::sync::Arc;

use polytask_core::input::table::{ColumnForm, TABLE};
use polytask_core::input::{InputSpec, image::IMAGE, text::TEXT};
use polytask_core::{InputInfo, Problem, Suite};
use polytask_data::views::CellSymbols;
use polytask_data::{Dataset, EncodedTable, ImageSpec, Symbols};
use polytask_model::images_read_by;
use polytask_nn::encoder::Encoder;
use polytask_nn::towers::TowersConfig;
use polytask_nn::trunk::NetConfig;

use crate::Result;
use crate::columns::{has_images, has_texts, image_name};
use crate::load::load_encoder;
use crate::locate::locate_named;
use crate::observe::{Event, Observer};

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
    if let Some(column) =
        table.columns.iter().find(|column| column.form == ColumnForm::Image && table.image.is_none())
    {
        let what =
            format!("no row of train names an image in column `{}`, which `images` names", column.name);
        return Err(Problem::new(what)
            .try_this("rows that name one, or leave the column out of `images`")
            .into());
    }
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
            cells.images = images_read_by(&encoder)?;
            image = Some(encoder);
        }
    }
    Ok(Encoders { text, image, cells })
}

/// Refuses an encoder that reads something else than its columns hold.
fn check_reads(name: &str, encoder: &Encoder, expected: &InputInfo) -> Result<()> {
    let found = encoder.network.input();
    if found == expected {
        return Ok(());
    }
    let what = format!("encoder `{name}` reads {}, but its columns hold {}", found.plural, expected.plural);
    let remedy = if *found == TABLE {
        "leave `texts` and `images` out: the model knows its columns".to_owned()
    } else {
        format!("an encoder that reads {}", expected.plural)
    };
    Err(Problem::new(what).try_this(remedy).into())
}
