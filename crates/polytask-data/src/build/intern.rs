//! Equal texts become one id and are tokenised once, in parallel batches whose order is that of first use.

use std::collections::HashMap;

use polytask_core::hash::{bytes64, text64};
use polytask_core::{Error, Result};
use sha2::{Digest, Sha256};

use super::Tokenize;
use crate::pull::cache;
use crate::tokens::TokenWriter;
use crate::{TextId, TokenStore};

/// Texts tokenised at a time: bounds the memory that waiting texts take.
const BATCH: usize = 8192;
/// Bytes of texts that wait, beyond which they are tokenised at once.
const BATCH_BYTES: usize = 1 << 26;

/// 128 bits of SHA-256, as bytes: a table of millions of them has no room between them.
type Key = [u8; 16];

/// A text as it will be tokenised.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    /// Running text.
    Text(String),
    /// Words that carry tags.
    Words(Vec<String>),
    /// The bytes of an image.
    Image(Vec<u8>),
}

impl Content {
    /// A key that no two different contents share (128 bits of SHA-256), so that texts need not be kept.
    fn key(&self) -> Key {
        let mut hasher = Sha256::new();
        match self {
            Self::Text(text) => hasher.update(text.as_bytes()),
            Self::Words(words) => {
                for word in words {
                    hasher.update([0xff]);
                    hasher.update(word.as_bytes());
                }
                // 0xff stands in no UTF-8 text, so words never collide with a running text.
                hasher.update([0xff]);
            }
            Self::Image(bytes) => {
                hasher.update([0xff, 0xfe]);
                hasher.update(bytes);
            }
        }
        let digest = hasher.finalize();
        std::array::from_fn(|i| digest[i])
    }

    /// Bytes of its texts.
    pub(super) fn n_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Words(words) => words.iter().map(String::len).sum(),
            Self::Image(bytes) => bytes.len(),
        }
    }

    /// A stable 64-bit hash, which decides about splits and limits.
    pub(super) fn hash(&self) -> u64 {
        match self {
            Self::Text(text) => text64(text),
            Self::Words(words) => text64(&words.join(" ")),
            Self::Image(bytes) => bytes64(bytes),
        }
    }

    /// Hash of the text in lower case with its white space folded.
    fn folded(&self) -> u64 {
        let fold = |text: &str| {
            let mut folded = String::with_capacity(text.len());
            for word in text.split_whitespace() {
                folded.extend((!folded.is_empty()).then_some(' '));
                folded.push_str(&word.to_lowercase());
            }
            folded
        };
        match self {
            Self::Text(text) => text64(&fold(text)),
            Self::Words(words) => text64(&fold(&words.join(" "))),
            Self::Image(bytes) => bytes64(bytes),
        }
    }
}

/// What tokenising a content gives: tokens, word starts, folded hash.
type Encoded = (Vec<u32>, Option<Vec<u32>>, u64);

/// All texts, tokenised.
pub(super) struct Interned {
    pub(super) texts: TokenStore,
    /// Texts that fill the length limit.
    pub(super) truncated: Vec<TextId>,
    /// Hash of each text in lower case with its white space folded.
    pub(super) folded: Vec<u64>,
    /// What the user should know.
    pub(super) notes: Vec<String>,
}

/// Gives ids to contents.
pub(super) struct Interner<'a> {
    tokenizer: &'a dyn Tokenize,
    threads: usize,
    ids: HashMap<Key, TextId>,
    waiting: Vec<Content>,
    /// Bytes of those.
    waiting_bytes: usize,
    store: TokenWriter,
    truncated: Vec<TextId>,
    folded: Vec<u64>,
}

impl<'a> Interner<'a> {
    /// `threads`: 0 means all cores; at most `most_mb` MiB of tokens are kept in memory.
    pub(super) fn new(tokenizer: &'a dyn Tokenize, threads: usize, most_mb: usize) -> Self {
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            tokenizer,
            threads: if threads == 0 { all() } else { threads },
            ids: HashMap::new(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            store: TokenWriter::new(most_mb, cache()),
            truncated: Vec::new(),
            folded: Vec::new(),
        }
    }

    /// Number of distinct texts.
    pub(super) fn len(&self) -> usize {
        self.store.len() + self.waiting.len()
    }

    /// The id of a content.
    pub(super) fn id(&mut self, content: Content) -> Result<TextId> {
        let next = self.len() as TextId;
        let id = *self.ids.entry(content.key()).or_insert(next);
        if id == next {
            self.waiting_bytes += content.n_bytes();
            self.waiting.push(content);
            if self.waiting.len() == BATCH || self.waiting_bytes > BATCH_BYTES {
                self.tokenize()?;
            }
        }
        Ok(id)
    }

    /// What all texts came to.
    pub(super) fn finish(mut self) -> Result<Interned> {
        self.tokenize()?;
        let (texts, notes) = self.store.finish()?;
        Ok(Interned { texts, truncated: self.truncated, folded: self.folded, notes })
    }

    fn tokenize(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        if waiting.is_empty() {
            return Ok(());
        }
        let tokenizer = self.tokenizer;
        let chunks: Vec<Result<Vec<Encoded>>> = std::thread::scope(|scope| {
            let parts = waiting.chunks(waiting.len().div_ceil(self.threads).max(64));
            let threads: Vec<_> = parts
                .map(|part| scope.spawn(move || part.iter().map(|c| encode(tokenizer, c)).collect()))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(panicked()))).collect()
        });
        for chunk in chunks {
            for encoded in chunk? {
                self.push(encoded)?;
            }
        }
        Ok(())
    }

    fn push(&mut self, (tokens, word_starts, folded): Encoded) -> Result<()> {
        let is_full = tokens.len() >= self.tokenizer.max_length();
        let id = self.store.push(&tokens, word_starts.as_deref())?;
        if is_full {
            self.truncated.push(id);
        }
        self.folded.push(folded);
        Ok(())
    }
}

fn panicked() -> Error {
    Error::Bug("a thread of the tokenizer panicked".into())
}

fn encode(tokenizer: &dyn Tokenize, content: &Content) -> Result<Encoded> {
    let folded = content.folded();
    Ok(match content {
        Content::Text(text) => (tokenizer.encode(text)?, None, folded),
        Content::Words(words) => {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let (tokens, starts) = tokenizer.encode_words(&words)?;
            (tokens, Some(starts), folded)
        }
        Content::Image(bytes) => (bytes.iter().map(|&byte| u32::from(byte)).collect(), None, folded),
    })
}
