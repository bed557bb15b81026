//! What turns the inputs of a model into symbols: a tokenizer for texts, the size of images, the columns of a table.

use std::sync::Arc;

use polytask_core::input::table::TableSpec;
use polytask_core::input::{self, KnownInput, image::ImageSpec};
use polytask_core::{InputInfo, Result};

use crate::cells::CellSymbols;
use crate::readers::TextVectors;
use crate::tokenize::reads;
use crate::{Tokenize, Tokenizer};

/// What a model reads.
#[derive(Debug, Clone)]
pub enum Symbols {
    /// Texts, as tokens.
    Text(Box<Tokenizer>),
    /// Images, as bytes.
    Images(ImageSpec),
    /// Rows of a table, as numbers and places of categories.
    Table(TableSpec),
    /// Rows of a table with texts or images, as tokens and bytes beside these.
    Towers(TableSpec, CellSymbols),
}

impl From<Tokenizer> for Symbols {
    fn from(tokenizer: Tokenizer) -> Self {
        Self::Text(Box::new(tokenizer))
    }
}

impl Symbols {
    /// What it reads.
    pub fn input(&self) -> &'static InputInfo {
        match self {
            Self::Text(_) => &input::text::TEXT,
            Self::Images(_) => &input::image::IMAGE,
            Self::Table(_) | Self::Towers(..) => &input::table::TABLE,
        }
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// When something else is read.
    pub fn text(&self) -> Result<&Tokenizer> {
        match self {
            Self::Text(tokenizer) => Ok(tokenizer),
            _ => Err(reads(self.input(), &input::text::TEXT)),
        }
    }

    /// What images must be.
    ///
    /// # Errors
    /// When something else is read.
    pub fn images(&self) -> Result<ImageSpec> {
        match self {
            Self::Images(spec) => Ok(*spec),
            _ => Err(reads(self.input(), &input::image::IMAGE)),
        }
    }

    /// The columns of a table.
    ///
    /// # Errors
    /// When something else is read.
    pub fn table(&self) -> Result<&TableSpec> {
        match self {
            Self::Table(spec) | Self::Towers(spec, _) => Ok(spec),
            _ => Err(reads(self.input(), &input::table::TABLE)),
        }
    }

    /// Files of a model folder that belong to it.
    pub fn files(&self) -> &[(String, Vec<u8>)] {
        match self {
            Self::Text(tokenizer) => tokenizer.files(),
            Self::Towers(_, cells) => cells.tokenizer.as_ref().map_or(&[], |tokenizer| tokenizer.files()),
            Self::Images(_) | Self::Table(_) => &[],
        }
    }

    /// Whether another one gives every input the same symbols.
    pub fn same_ids(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a.same_ids(b),
            (Self::Images(a), Self::Images(b)) => a == b,
            (Self::Table(a), Self::Table(b)) => a == b,
            (Self::Towers(a, cells), Self::Towers(b, others)) => a == b && cells == others,
            _ => false,
        }
    }

    /// Settings that decide the symbols beside the files.
    pub fn settings(&self) -> String {
        match self {
            Self::Text(tokenizer) => of_tokenizer(tokenizer),
            Self::Images(spec) => format!("{spec:?}"),
            Self::Table(spec) => format!("{spec:?}"),
            Self::Towers(spec, CellSymbols { tokenizer, images }) => {
                format!("{spec:?} {:?} {images:?}", tokenizer.as_deref().map(of_tokenizer))
            }
        }
    }
}

fn of_tokenizer(tokenizer: &Tokenizer) -> String {
    format!("{} {} {}", tokenizer.max_length(), tokenizer.lowercase(), tokenizer.prompt())
}

impl Tokenize for Symbols {
    fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.text()?.encode(text)
    }

    fn encode_after(&self, prompt: &str, text: &str) -> Result<Vec<u32>> {
        self.text()?.encode_after(prompt, text)
    }

    fn encode_pair(&self, first: &str, second: &str) -> Result<Vec<u32>> {
        self.text()?.encode_pair(first, second)
    }

    fn encode_words(&self, words: &[&str]) -> Result<(Vec<u32>, Vec<u32>)> {
        self.text()?.encode_words(words)
    }

    fn max_length(&self) -> usize {
        self.text().map_or(usize::MAX, Tokenizer::max_length)
    }

    fn reads(&self) -> &'static InputInfo {
        Self::input(self)
    }

    fn input(&self) -> KnownInput {
        match self {
            Self::Text(_) => KnownInput::Nothing,
            Self::Images(spec) => KnownInput::Images(*spec),
            Self::Table(spec) | Self::Towers(spec, _) => KnownInput::Table(spec.clone()),
        }
    }

    fn cells(&self) -> Option<CellSymbols> {
        let Self::Towers(_, cells) = self else { return None };
        Some(cells.clone())
    }
}

/// Reads inputs that are no texts, and of which nothing is known but what the suite says.
#[derive(Debug, Clone, Copy)]
pub struct NoTexts(pub &'static InputInfo);

impl Tokenize for NoTexts {
    fn reads(&self) -> &'static InputInfo {
        self.0
    }
}

/// Reads rows of a table with columns of texts and images, of which nothing is known but what the suite says.
pub struct EncodedTable(pub CellSymbols);

impl Tokenize for EncodedTable {
    fn cells(&self) -> Option<CellSymbols> {
        Some(self.0.clone())
    }
}

/// Reads rows of a table with columns of texts, of which a trained model may say what is read.
pub struct TextTable {
    /// The columns of a trained model.
    pub known: Option<TableSpec>,
    /// What gives the vectors of the texts.
    pub vectors: Arc<dyn TextVectors>,
}

impl Tokenize for TextTable {
    fn input(&self) -> KnownInput {
        self.known.clone().map_or(KnownInput::Nothing, KnownInput::Table)
    }

    fn text_vectors(&self) -> Option<Arc<dyn TextVectors>> {
        Some(Arc::clone(&self.vectors))
    }
}
