//! What turns texts into token ids.

use std::sync::Arc;

use polytask_core::Result;
use polytask_core::input::KnownInput;

use crate::Tokenizer;
use crate::readers::TextVectors;
use crate::views::CellSymbols;

/// What turns texts into token ids.
pub trait Tokenize: Sync {
    /// Token ids of a text with special tokens, at most [`Tokenize::max_length`].
    fn encode(&self, text: &str) -> Result<Vec<u32>>;
    /// The same with a prompt before it, in the place of the tokenizer's own.
    fn encode_after(&self, prompt: &str, text: &str) -> Result<Vec<u32>>;
    /// Token ids of two texts as one sequence; those of the second carry [`polytask_core::SECOND_TEXT`] where the tokenizer
    /// tells them apart.
    fn encode_pair(&self, first: &str, second: &str) -> Result<Vec<u32>>;
    /// Token ids of given words, and the position of each word's first token, `[words]` (`u32::MAX` if cut).
    fn encode_words(&self, words: &[&str]) -> Result<(Vec<u32>, Vec<u32>)>;
    /// Longest sequence it gives, in tokens including special ones.
    fn max_length(&self) -> usize;
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
}
