//! Columns of texts as trees read them: vectors of an encoder that stays as it is, kept between runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use polytask_boost::suite::{BoostModel, TextColumns};
use polytask_core::input::text::TEXT;
use polytask_core::target::CellMistake;
use polytask_core::{Cell, Error, Problem, Result, Suite, atomic, files, hash};
use polytask_data::readers::{TextVectors, text_column, text_of};
use polytask_data::{NoTexts, PullOptions, TextTable, Tokenize};
use polytask_model::{InputRow, Model};
use polytask_train::observe::{Event, Observer};
use polytask_train::prepare::load_encoder;

use crate::lines::Row;

/// The encoder beside the trees in a model's folder.
const FOLDER: &str = "encoder";

/// An encoder whose vectors are kept.
pub(crate) struct Encoded {
    model: Model,
    /// Where the vectors of whole tables are kept, so that a further run encodes nothing; rows that are only asked about are
    /// other ones each time, and would fill the disk.
    cache: Option<PathBuf>,
    /// What they hang on beside the texts.
    key: String,
}

impl Encoded {
    fn new(model: Model, cache: Option<PathBuf>) -> anyhow::Result<Self> {
        if *model.input() != TEXT {
            let what =
                format!("the encoder reads {}, but `texts` names columns of texts", model.input().plural);
            let problem = Problem::new(what).try_this("`encoder` in [model] with one of texts");
            return Err(Error::from(problem).into());
        }
        let key = model.fingerprint(model.prompt(None)?)?;
        Ok(Self { model, cache, key })
    }

    /// The encoder of a suite, where it has columns of texts.
    pub(crate) fn of_suite(suite: &Suite, observer: &mut dyn Observer) -> anyhow::Result<Option<Self>> {
        if suite.sources.iter().all(|source| source.texts.is_empty()) {
            return Ok(None);
        }
        let (encoder, symbols) = load_encoder(suite, observer)?;
        observer.event(Event::Note(&format!("encoding the columns of texts by {}", suite.model.encoder)));
        let cache = PullOptions::from_environment().cache.join("text-vectors");
        Ok(Some(Self::new(Model::new(encoder, symbols, Vec::new()), Some(cache))?))
    }

    /// The encoder of a model of trees, where it reads texts.
    pub(crate) fn of_model(model: &BoostModel, folder: &Path) -> anyhow::Result<Option<Self>> {
        match &model.texts {
            Some(_) => Ok(Some(Self::new(Model::load(&folder.join(FOLDER))?, None)?)),
            None => Ok(None),
        }
    }

    /// Writes the encoder beside the trees.
    pub(crate) fn save(&self, folder: &Path) -> anyhow::Result<()> {
        Ok(self.model.save(&self.model.encoder.params, &folder.join(FOLDER))?)
    }
}

impl TextVectors for Encoded {
    fn width(&self) -> usize {
        self.model.encoder.d_embedding()
    }

    fn vectors(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let place =
            self.cache.as_ref().map(|folder| Ok::<_, Error>((folder, self.file_of(texts)?))).transpose()?;
        let size = 4 * texts.len() * self.width();
        let kept = place.as_ref().and_then(|(_, file)| files::read(file, size as u64).ok());
        let values: Vec<f32> = if let Some(bytes) = kept.filter(|bytes| bytes.len() == size) {
            bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
        } else {
            let values = self.encode(texts)?;
            if let Some((folder, file)) = place {
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                // Without a cache the vectors are made again.
                let _ = atomic::create_dir(folder).and_then(|()| atomic::write(&file, &bytes));
            }
            values
        };
        Ok(values.chunks_exact(self.width()).map(<[f32]>::to_vec).collect())
    }
}

impl Encoded {
    /// The file of the vectors of a table's texts.
    fn file_of(&self, texts: &[&str]) -> Result<PathBuf> {
        let all = serde_json::to_vec(&(&self.key, texts)).map_err(|error| Error::Bug(error.to_string()))?;
        let folder = self.cache.as_deref().unwrap_or(Path::new(""));
        Ok(folder.join(format!("{}.f32", hash::sha256(&all))))
    }

    fn encode(&self, texts: &[&str]) -> Result<Vec<f32>> {
        let states = self.model.embed(texts, None, None).map_err(|error| match error {
            polytask_model::Error::Core(error) => error,
            other => Problem::new(format!("texts cannot be encoded: {other}"))
                .try_this("another `encoder` in [model]")
                .into(),
        })?;
        Ok(states.values)
    }
}

/// What turns a suite's tables into symbols, texts among them where there is an encoder.
pub(crate) fn symbols(
    suite: &Suite,
    known: Option<&BoostModel>,
    vectors: Option<&Arc<Encoded>>,
) -> Box<dyn Tokenize> {
    let spec = known.map(|model| model.table.clone());
    match (vectors, spec) {
        (Some(vectors), known) => {
            let vectors: Arc<dyn TextVectors> = vectors.clone();
            Box::new(TextTable { known, vectors })
        }
        (None, Some(table)) => Box::new(polytask_data::Symbols::Table(table)),
        (None, None) => Box::new(NoTexts(suite.input())),
    }
}

/// A row with the vectors of its texts.
pub(crate) struct TextRow<'a> {
    row: &'a Row,
    texts: &'a [String],
    vectors: BTreeMap<&'a str, Vec<f32>>,
}

/// Rows with the vectors of the texts that a model reads.
pub(crate) fn with_vectors<'a>(
    rows: &'a [Row],
    texts: Option<&'a TextColumns>,
    encoded: Option<&Encoded>,
) -> Result<Vec<TextRow<'a>>> {
    let columns = texts.map_or(&[][..], |texts| &texts.columns);
    let mut found: Vec<TextRow<'a>> =
        rows.iter().map(|row| TextRow { row, texts: columns, vectors: BTreeMap::new() }).collect();
    let Some(encoded) = encoded else { return Ok(found) };
    for column in columns {
        let of_row = |(at, row): (usize, &Row)| Some((at, text_of(row.cell(column).as_ref())?));
        let known: Vec<(usize, String)> = rows.iter().enumerate().filter_map(of_row).collect();
        let texts: Vec<&str> = known.iter().map(|(_, text)| text.as_str()).collect();
        let vectors = if texts.is_empty() { Vec::new() } else { encoded.vectors(&texts)? };
        for ((at, _), vector) in known.iter().zip(vectors) {
            found[*at].vectors.insert(column, vector);
        }
    }
    Ok(found)
}

impl InputRow for TextRow<'_> {
    fn text_of(&self, names: &[&str]) -> polytask_model::Result<String> {
        InputRow::text_of(self.row, names)
    }

    fn words_of(&self, names: &[&str]) -> polytask_model::Result<Vec<String>> {
        InputRow::words_of(self.row, names)
    }

    fn cell_of(&self, name: &str) -> Option<Cell> {
        match text_column(name, self.texts) {
            Some((text, number)) => {
                self.vectors.get(text)?.get(number).map(|value| Cell::Number(f64::from(*value)))
            }
            None => self.row.cell(name),
        }
    }

    fn beside(&self, file: &str) -> String {
        self.row.beside(file)
    }

    fn has(&self, name: &str) -> bool {
        self.row.has(text_column(name, self.texts).map_or(name, |(text, _)| text))
    }

    fn none_of(&self, names: &[String]) -> polytask_model::Error {
        self.row.none_of(&shown(names, self.texts))
    }

    fn mistake(&self, name: &str, mistake: CellMistake) -> polytask_model::Error {
        self.row.mistake(name, mistake)
    }
}

/// Names of columns as a user knows them: a text once, in the place of its numbers.
pub(crate) fn shown(names: &[String], texts: &[String]) -> Vec<String> {
    let of = |name: &String| text_column(name, texts).map_or(name.as_str(), |(text, _)| text).to_owned();
    let mut shown: Vec<String> = names.iter().map(of).collect();
    shown.dedup();
    shown
}
