//! What turns texts into token ids.

use std::sync::Arc;

use polytask_core::input::{KnownInput, table::TABLE, text::TEXT};
use polytask_core::{Error, InputInfo, Problem, Result};

use crate::Tokenizer;
use crate::cells::CellSymbols;
use crate::readers::TextVectors;

/// What turns texts into token ids, and says what is known of other inputs. One that reads no texts refuses them.
pub trait Tokenize: Sync {
    /// Token ids of a text with special tokens, at most [`Tokenize::max_length`].
    fn encode(&self, _text: &str) -> Result<Vec<u32>> {
        Err(reads(self.reads(), &TEXT))
    }
    /// The same with a prompt before it, in the place of the tokenizer's own.
    fn encode_after(&self, _prompt: &str, _text: &str) -> Result<Vec<u32>> {
        Err(reads(self.reads(), &TEXT))
    }
    /// Token ids of two texts as one sequence; those of the second carry [`polytask_core::SECOND_TEXT`] where the tokenizer
    /// tells them apart.
    fn encode_pair(&self, _first: &str, _second: &str) -> Result<Vec<u32>> {
        Err(reads(self.reads(), &TEXT))
    }
    /// Token ids of given words, and the position of each word's first token, `[words]` (`u32::MAX` if cut).
    fn encode_words(&self, _words: &[&str]) -> Result<(Vec<u32>, Vec<u32>)> {
        Err(reads(self.reads(), &TEXT))
    }
    /// Longest sequence it gives, in tokens including special ones.
    fn max_length(&self) -> usize {
        usize::MAX
    }
    /// What it reads.
    fn reads(&self) -> &'static InputInfo {
        &TABLE
    }
    /// What is known of inputs that are no texts; else the suite alone says it.
    fn input(&self) -> KnownInput {
        KnownInput::Nothing
    }
    /// What reads texts and images in columns of a table; without it such columns are not read.
    fn cells(&self) -> Option<CellSymbols> {
        None
    }
    /// What gives the vectors of texts in columns of a table; without it such columns are not read.
    fn text_vectors(&self) -> Option<Arc<dyn TextVectors>> {
        None
    }
}

/// The error of whoever gives a model another input than it reads.
pub(crate) fn reads(own: &InputInfo, found: &InputInfo) -> Error {
    let what = format!("the model reads {}, found {} {}", own.plural, article(found.name), found.name);
    Problem::new(what).try_this(format!("`polytask predict` with `{}`", own.flag)).into()
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

impl Tokenize for Tokenizer {
    fn encode(&self, text: &str) -> Result<Vec<u32>> {
        Self::encode(self, text)
    }

    fn encode_after(&self, prompt: &str, text: &str) -> Result<Vec<u32>> {
        Self::encode_after(self, prompt, text)
    }

    fn encode_pair(&self, first: &str, second: &str) -> Result<Vec<u32>> {
        Self::encode_pair(self, first, second)
    }

    fn encode_words(&self, words: &[&str]) -> Result<(Vec<u32>, Vec<u32>)> {
        Self::encode_words(self, words)
    }

    fn max_length(&self) -> usize {
        Self::max_length(self)
    }

    fn reads(&self) -> &'static InputInfo {
        &TEXT
    }
}
