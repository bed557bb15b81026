//! What turns the inputs of a model into symbols: a tokenizer for texts, or the size of images.

use polytask_core::{Problem, Result};

use crate::images::reads_images;
use crate::{ImageSpec, Tokenize, Tokenizer};

/// What a model reads.
#[derive(Debug, Clone)]
pub enum Symbols {
    /// Texts, as tokens.
    Text(Box<Tokenizer>),
    /// Images, as bytes.
    Images(ImageSpec),
}

impl From<Tokenizer> for Symbols {
    fn from(tokenizer: Tokenizer) -> Self {
        Self::Text(Box::new(tokenizer))
    }
}

impl Symbols {
    /// The tokenizer.
    ///
    /// # Errors
    /// When images are read.
    pub fn text(&self) -> Result<&Tokenizer> {
        match self {
            Self::Text(tokenizer) => Ok(tokenizer),
            Self::Images(_) => Err(reads_images()),
        }
    }

    /// What images must be.
    ///
    /// # Errors
    /// When texts are read.
    pub fn images(&self) -> Result<ImageSpec> {
        match self {
            Self::Images(spec) => Ok(*spec),
            Self::Text(_) => {
                Err(Problem::new("the model reads texts, found an image").try_this("`--text TEXT`").into())
            }
        }
    }

    /// Files of a model folder that belong to it.
    pub fn files(&self) -> &[(String, Vec<u8>)] {
        match self {
            Self::Text(tokenizer) => tokenizer.files(),
            Self::Images(_) => &[],
        }
    }

    /// Whether another one gives every input the same symbols.
    pub fn same_ids(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a.same_ids(b),
            (Self::Images(a), Self::Images(b)) => a == b,
            _ => false,
        }
    }

    /// Settings that decide the symbols beside the files.
    pub fn settings(&self) -> String {
        match self {
            Self::Text(t) => format!("{} {} {}", t.max_length(), t.lowercase(), t.prompt()),
            Self::Images(spec) => format!("{spec:?}"),
        }
    }
}

impl Tokenize for Symbols {
    fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.text()?.encode(text)
    }

    fn encode_words(&self, words: &[&str]) -> Result<(Vec<u32>, Vec<u32>)> {
        self.text()?.encode_words(words)
    }

    fn max_length(&self) -> usize {
        self.text().map_or(usize::MAX, Tokenizer::max_length)
    }

    fn images(&self) -> Option<ImageSpec> {
        Self::images(self).ok()
    }
}
