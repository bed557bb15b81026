//! Views: how the cells of a row become what a network reads. One file per input, with its line in the table of views.
//!
//! A view gives *contents*: texts and words still to be tokenised, or the symbols themselves as bytes. Equal contents
//! are one sequence, whatever view they come from. Reading a suite and reading rows for a trained model differ only in
//! what is known of the input beforehand ([`crate::Tokenize::input`]).

mod image;
mod table;
mod text;

use std::collections::HashSet;
use std::path::Path;

use polytask_core::hash::{bytes64, text64};
use polytask_core::input::{InputSpec, image::IMAGE, table::TABLE, text::TEXT};
use polytask_core::suite::SourceSpec;
use polytask_core::target::CellMistake;
use polytask_core::{Error, InputInfo, Problem, Result, Split, Suite};
use sha2::{Digest, Sha256};

pub use crate::cells::CellSymbols;
use crate::readers::{Cell, Record};
use crate::{Dataset, Tokenize};
pub use table::{CellReader, RowReader};

/// Words before a text; all texts of a role share them.
pub(crate) type Prompt = std::sync::Arc<str>;

/// What reads an input.
pub(crate) struct ViewEntry {
    input: &'static InputInfo,
    open: Open,
}

type Open = fn(&Suite, &dyn Tokenize) -> Box<dyn View>;

/// All views, by the name of their input.
static VIEWS: &[ViewEntry] = &[
    ViewEntry { input: &IMAGE, open: image::open },
    ViewEntry { input: &TABLE, open: table::open },
    ViewEntry { input: &TEXT, open: text::open },
];

/// Reads the inputs of rows.
pub(crate) trait View {
    /// The columns an input is made of, where these are not the one of its role, or what is wrong with them.
    fn columns(&mut self, _of: &SourceColumns<'_>) -> Option<std::result::Result<Vec<String>, Vec<Problem>>> {
        None
    }

    /// The contents of a row's inputs; what is wrong with a cell goes to `wrong`, and leaves its content out.
    fn read(&mut self, cells: &InputCells<'_>, wrong: &mut dyn FnMut(usize, Fault)) -> Vec<Content>;

    /// What tells a row of a split from others, where that is more than its inputs; it decides where the row goes.
    fn identity(&mut self, _split: Split, _record: &Record) -> Option<u64> {
        None
    }

    /// Whether rows may lack a column of those they are made of: it is unknown then.
    fn may_lack(&self, _split: Split) -> bool {
        false
    }

    /// What a network must be made for, and what the user should know of it, once all rows are read.
    ///
    /// # Errors
    /// Mistakes that only all rows show.
    fn finish(&mut self, _dataset: &Dataset) -> Result<Finished> {
        Ok(Finished::default())
    }
}

/// What is known of the columns of a source when its first file is opened.
pub(crate) struct SourceColumns<'a> {
    pub(crate) suite: &'a Suite,
    pub(crate) source: &'a SourceSpec,
    pub(crate) file: &'a Path,
    /// The columns of the file.
    pub(crate) names: &'a [String],
    /// Whether these are all there are.
    pub(crate) is_complete: bool,
    /// Those that no task of the source reads otherwise.
    pub(crate) rest: &'a [String],
    /// Targets, weights and ids of the tasks of the source.
    pub(crate) targets: &'a [String],
    /// The column of ids, where there is one.
    pub(crate) id: Option<&'a str>,
}

/// What all rows came to.
#[derive(Debug, Default)]
pub(crate) struct Finished {
    /// What a network must be made for.
    pub(crate) input: InputSpec,
    /// What the user should know.
    pub(crate) notes: Vec<String>,
}

/// The view of a suite's inputs, as a reader with `tokenizer` sees them.
pub(crate) fn open(suite: &Suite, tokenizer: &dyn Tokenize) -> Box<dyn View> {
    let entry = VIEWS.iter().find(|entry| entry.input == suite.input());
    let entry = entry.expect("every input has a view, which a test walks");
    (entry.open)(suite, tokenizer)
}

/// The cells of a row that its inputs are made of.
pub(crate) struct InputCells<'a> {
    /// The file the row stands in.
    pub(crate) file: &'a Path,
    /// In the order of the columns; `None` where the row lacks one.
    pub(crate) cells: Vec<Option<&'a Cell>>,
    /// Whether texts are words that carry tags.
    pub(crate) as_words: bool,
    /// Whether the row is one of train, which shows what there is.
    pub(crate) is_train: bool,
    /// The whole row.
    pub(crate) record: &'a Record,
    /// The keys of the first rows, in a file that declares no columns.
    pub(crate) first_keys: Option<&'a HashSet<String>>,
}

/// Why an input cannot be read.
pub enum Fault {
    /// Its cell is wrong.
    Cell(CellMistake),
    /// What the cell names is.
    Named(Error),
}

/// An input as it is told apart from others.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    /// Running text, to be tokenised.
    Text(String),
    /// The same with a prompt before it, in the place of the tokenizer's own.
    Prompted(Prompt, String),
    /// Two running texts that are one sequence, to be tokenised, with their prompts before them.
    Pair(Box<[Prompted; 2]>),
    /// Words that carry tags, to be tokenised.
    Words(Vec<String>),
    /// Symbols.
    Symbols(SymbolBytes),
}

/// A text and what stands before it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Prompted {
    prompt: Option<Prompt>,
    text: String,
}

impl Prompted {
    fn whole(&self) -> String {
        format!("{}{}", self.prompt.as_deref().unwrap_or_default(), self.text)
    }
}

/// Symbols of so many bytes each, little-endian, end to end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SymbolBytes {
    pub(crate) bytes: Vec<u8>,
    pub(crate) width: usize,
}

impl SymbolBytes {
    /// The symbols.
    pub(crate) fn symbols(&self) -> Vec<u32> {
        let symbol = |bytes: &[u8]| bytes.iter().rev().fold(0, |symbol, &byte| symbol << 8 | u32::from(byte));
        self.bytes.chunks(self.width).map(symbol).collect()
    }
}

/// 128 bits of SHA-256, as bytes: a table of millions of them has no room between them.
pub(crate) type Key = [u8; 16];

impl Content {
    /// The content with a prompt before it, where there is one; only running text has one.
    pub(crate) fn after(self, prompt: Option<&Prompt>) -> Self {
        match (self, prompt) {
            (Self::Text(text), Some(prompt)) => Self::Prompted(prompt.clone(), text),
            (content, _) => content,
        }
    }

    /// Two running texts as one sequence.
    pub(crate) fn joined(first: Self, second: Self) -> Self {
        let part = |content| match content {
            Self::Text(text) => Prompted { prompt: None, text },
            Self::Prompted(prompt, text) => Prompted { prompt: Some(prompt), text },
            _ => unreachable!("texts alone are joined, and words have no kind that joins them"),
        };
        Self::Pair(Box::new([part(first), part(second)]))
    }

    /// A key that no two different contents share (128 bits of SHA-256), so that texts need not be kept.
    pub(crate) fn key(&self) -> Key {
        let mut hasher = Sha256::new();
        match self {
            Self::Text(text) => hasher.update(text.as_bytes()),
            Self::Prompted(prompt, text) => {
                hasher.update([0xff, 0xfd]);
                hasher.update(prompt.as_bytes());
                hasher.update([0xff]);
                hasher.update(text.as_bytes());
            }
            Self::Pair(parts) => {
                for part in &**parts {
                    hasher.update([0xff, 0xfc]);
                    hasher.update(part.prompt.as_deref().unwrap_or_default().as_bytes());
                    hasher.update([0xff]);
                    hasher.update(part.text.as_bytes());
                }
            }
            Self::Words(words) => {
                for word in words {
                    hasher.update([0xff]);
                    hasher.update(word.as_bytes());
                }
                // 0xff stands in no UTF-8 text, so words never collide with a running text.
                hasher.update([0xff]);
            }
            Self::Symbols(SymbolBytes { bytes, .. }) => {
                hasher.update([0xff, 0xfe]);
                hasher.update(bytes);
            }
        }
        let digest = hasher.finalize();
        std::array::from_fn(|i| digest[i])
    }

    /// Bytes it takes.
    pub(crate) fn n_bytes(&self) -> usize {
        match self {
            Self::Text(text) | Self::Prompted(_, text) => text.len(),
            Self::Pair(parts) => parts.iter().map(|part| part.text.len()).sum(),
            Self::Words(words) => words.iter().map(String::len).sum(),
            Self::Symbols(SymbolBytes { bytes, .. }) => bytes.len(),
        }
    }

    /// A stable 64-bit hash, which decides about splits and limits, whatever prompt stands before a text.
    pub(crate) fn hash(&self) -> u64 {
        match self {
            Self::Text(text) | Self::Prompted(_, text) => text64(text),
            Self::Pair(parts) => {
                bytes64(&parts.each_ref().map(|part| text64(&part.text).to_le_bytes()).concat())
            }
            Self::Words(words) => text64(&words.join(" ")),
            Self::Symbols(SymbolBytes { bytes, .. }) => bytes64(bytes),
        }
    }

    /// Hash of the text, without its prompt, in lower case with its white space folded; of two texts in either order.
    pub(crate) fn folded(&self) -> u64 {
        let fold = |text: &str| {
            let mut folded = String::with_capacity(text.len());
            for word in text.split_whitespace() {
                folded.extend((!folded.is_empty()).then_some(' '));
                folded.push_str(&word.to_lowercase());
            }
            folded
        };
        match self {
            Self::Text(text) | Self::Prompted(_, text) => text64(&fold(text)),
            Self::Pair(parts) => {
                let mut both = parts.each_ref().map(|part| text64(&fold(&part.text)));
                both.sort_unstable();
                bytes64(&both.map(u64::to_le_bytes).concat())
            }
            Self::Words(words) => text64(&fold(&words.join(" "))),
            Self::Symbols(SymbolBytes { bytes, .. }) => bytes64(bytes),
        }
    }
}

/// What a content is as symbols.
pub(crate) struct Encoded {
    pub(crate) symbols: Vec<u32>,
    /// Of words: where each begins.
    pub(crate) starts: Option<Vec<u32>>,
}

impl Content {
    /// Its symbols; texts are tokenised.
    pub(crate) fn encode(&self, tokenizer: &dyn Tokenize) -> Result<Encoded> {
        Ok(match self {
            Self::Text(text) => Encoded { symbols: tokenizer.encode(text)?, starts: None },
            Self::Prompted(prompt, text) => {
                Encoded { symbols: tokenizer.encode_after(prompt, text)?, starts: None }
            }
            Self::Pair(parts) => {
                let [first, second] = parts.each_ref().map(Prompted::whole);
                Encoded { symbols: tokenizer.encode_pair(&first, &second)?, starts: None }
            }
            Self::Words(words) => {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                let (symbols, starts) = tokenizer.encode_words(&words)?;
                Encoded { symbols, starts: Some(starts) }
            }
            Self::Symbols(bytes) => Encoded { symbols: bytes.symbols(), starts: None },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_has_a_view() {
        let inputs: Vec<&str> = polytask_core::input::INPUTS.iter().map(|input| input.name).collect();
        let views: Vec<&str> = VIEWS.iter().map(|entry| entry.input.name).collect();
        assert_eq!(inputs, views);
    }

    #[test]
    fn symbols_are_read_from_their_bytes() {
        let of = |bytes: &[u8], width| SymbolBytes { bytes: bytes.to_vec(), width }.symbols();
        assert_eq!(of(&[1, 2, 255], 1), [1, 2, 255]);
        assert_eq!(of(&1.5_f32.to_bits().to_le_bytes(), 4), [1.5_f32.to_bits()]);
    }
}
