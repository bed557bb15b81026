//! Words and the passages they stand in, as files: BM25 over all segments of an index, as if they were one.

mod search;
mod writer;

use std::ops::Range;
use std::path::Path;

use polytask_core::{Place, Problem, Result};

use crate::vectors::StoredNumbers;

pub(crate) use search::weights;
pub use search::{LexicalHit, LexicalPart, LexicalScratch, WordWeight, search};
pub use writer::LexiconWriter;

/// The words of a segment, sorted, and their postings.
#[derive(Debug)]
pub struct Lexicon {
    words: StoredNumbers<u8>,
    /// Where each word begins, `[words + 1]`.
    word_starts: StoredNumbers<u64>,
    /// Where the postings of each word begin, `[words + 1]`.
    starts: StoredNumbers<u64>,
    rows: StoredNumbers<u32>,
    counts: StoredNumbers<u16>,
    /// Number of words of each row.
    lengths: StoredNumbers<u32>,
    /// The sum of these.
    total: u64,
}

impl Lexicon {
    /// Maps the files that [`LexiconWriter::finish`] wrote.
    ///
    /// # Errors
    /// When a file is not there or does not fit the others.
    pub fn open(folder: &Path) -> Result<Self> {
        let lexicon = Self {
            words: StoredNumbers::open(&folder.join("words.txt"))?,
            word_starts: StoredNumbers::open(&folder.join("words.u64"))?,
            starts: StoredNumbers::open(&folder.join("postings.u64"))?,
            rows: StoredNumbers::open(&folder.join("postings.u32"))?,
            counts: StoredNumbers::open(&folder.join("postings.u16"))?,
            lengths: StoredNumbers::open(&folder.join("lengths.u32"))?,
            total: 0,
        };
        if lexicon.is_whole() {
            let total = lexicon.lengths.iter().map(|length| u64::from(*length)).sum();
            return Ok(Self { total, ..lexicon });
        }
        let what = "the files of words do not fit each other";
        Err(Problem::at(Place::file(folder), what).try_this("build the index again").into())
    }

    fn is_whole(&self) -> bool {
        let ends = |starts: &[u64], length: usize| starts.last() == Some(&(length as u64));
        self.word_starts.len() == self.starts.len()
            && self.rows.len() == self.counts.len()
            && ends(&self.word_starts, self.words.len())
            && ends(&self.starts, self.rows.len())
            && self.word_starts.is_sorted()
            && self.starts.is_sorted()
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.lengths.len()
    }

    /// Number of different words.
    pub fn n_words(&self) -> usize {
        self.starts.len() - 1
    }

    fn word(&self, number: usize) -> &[u8] {
        &self.words[self.word_starts[number] as usize..self.word_starts[number + 1] as usize]
    }

    /// Where the postings of a word lie.
    fn postings(&self, word: &str) -> Range<usize> {
        let (mut low, mut high) = (0, self.n_words());
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.word(middle).cmp(word.as_bytes()) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    return self.starts[middle] as usize..self.starts[middle + 1] as usize;
                }
            }
        }
        0..0
    }
}
