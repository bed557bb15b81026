//! Equal texts become one id and are tokenised once, in parallel batches whose order is that of first use.

use std::collections::HashMap;

use polytask_core::{Error, Result};

use crate::Tokenize;
use crate::pull::cache;
use crate::tokens::TokenWriter;
use crate::views::{Content, Encoded, Key};
use crate::{TextId, TokenStore};

/// Texts tokenised at a time: bounds the memory that waiting texts take.
const BATCH: usize = 8192;
/// Bytes of texts that wait, beyond which they are tokenised at once.
const BATCH_BYTES: usize = 1 << 26;

/// A content as symbols, with its folded hash.
type Folded = (Encoded, u64);

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

    /// The id of the content with a key, where it has been met.
    pub(super) fn known(&self, key: &Key) -> Option<TextId> {
        self.ids.get(key).copied()
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
        let chunks: Vec<Result<Vec<Folded>>> = std::thread::scope(|scope| {
            let parts = waiting.chunks(waiting.len().div_ceil(self.threads).max(64));
            let threads: Vec<_> = parts
                .map(|part| {
                    scope.spawn(move || part.iter().map(|c| Ok((c.encode(tokenizer)?, c.folded()))).collect())
                })
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

    fn push(&mut self, (Encoded { symbols, starts }, folded): Folded) -> Result<()> {
        let is_full = symbols.len() >= self.tokenizer.max_length();
        let id = self.store.push(&symbols, starts.as_deref())?;
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
