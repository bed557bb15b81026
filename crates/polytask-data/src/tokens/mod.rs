//! The tokens of all distinct texts, end to end: in memory, or in a file that is mapped into it.

mod mapped;
mod writer;

use std::ops::Deref;

use mapped::MappedIds;
pub(crate) use writer::TokenWriter;

/// Index of a text in [`TokenStore`]; equal texts have equal ids.
pub type TextId = u32;

/// All distinct texts as token ids, end to end.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenStore {
    ids: Ids,
    /// Where each text starts, and where the last one ends.
    starts: Vec<usize>,
    words: WordStarts,
}

/// Where the ids lie.
#[derive(Debug, Clone)]
enum Ids {
    Memory(Vec<u32>),
    Mapped(MappedIds),
}

impl Deref for Ids {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        match self {
            Self::Memory(ids) => ids,
            Self::Mapped(ids) => ids,
        }
    }
}

impl PartialEq for Ids {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

/// Positions of the first tokens of words, of the texts that were given as words.
#[derive(Debug, Clone, PartialEq, Default)]
struct WordStarts {
    /// These texts, ascending.
    texts: Vec<TextId>,
    /// Where the words of each end in `starts`.
    ends: Vec<usize>,
    starts: Vec<u32>,
}

impl WordStarts {
    fn push(&mut self, text: TextId, starts: &[u32]) {
        self.texts.push(text);
        self.starts.extend_from_slice(starts);
        self.ends.push(self.starts.len());
    }

    fn of(&self, text: TextId) -> Option<&[u32]> {
        let place = self.texts.binary_search(&text).ok()?;
        let first = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.starts[first..self.ends[place]])
    }
}

impl Default for TokenStore {
    fn default() -> Self {
        Self { ids: Ids::Memory(Vec::new()), starts: vec![0], words: WordStarts::default() }
    }
}

impl TokenStore {
    /// Appends a text's tokens in memory and gives its id.
    #[cfg(test)]
    pub(crate) fn push(&mut self, tokens: &[u32]) -> TextId {
        let Ids::Memory(ids) = &mut self.ids else { panic!("a store in memory") };
        ids.extend_from_slice(tokens);
        self.starts.push(ids.len());
        (self.starts.len() - 2) as TextId
    }

    /// The tokens of a text.
    pub fn tokens(&self, text: TextId) -> &[u32] {
        &self.ids[self.starts[text as usize]..self.starts[text as usize + 1]]
    }

    /// The positions of the first tokens of a text's words, `u32::MAX` where the word was cut off by the length limit;
    /// `None` for a text that was not given as words.
    pub fn word_starts(&self, text: TextId) -> Option<&[u32]> {
        self.words.of(text)
    }

    /// Number of texts.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there are no texts.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether they lie in a file.
    pub fn is_mapped(&self) -> bool {
        matches!(self.ids, Ids::Mapped(_))
    }

    /// Number of tokens of all texts.
    pub fn n_tokens(&self) -> usize {
        self.ids.len()
    }
}
