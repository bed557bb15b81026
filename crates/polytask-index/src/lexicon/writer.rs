//! Rows come in one after the other; the postings are sorted by word at the end.

use std::collections::HashMap;
use std::path::Path;

use polytask_core::{Result, atomic};
use polytask_retrieve::terms::each_word;

/// The words of rows as they come in: six bytes in memory per word of a passage.
#[derive(Debug, Default)]
pub struct LexiconWriter {
    numbers: HashMap<String, u32>,
    words: Vec<u32>,
    counts: Vec<u16>,
    /// Where the words of each row end.
    ends: Vec<usize>,
    lengths: Vec<u32>,
    row: Vec<u32>,
}

impl LexiconWriter {
    /// Adds a row by its text.
    pub fn push(&mut self, text: &str) {
        let Self { numbers, row, .. } = self;
        row.clear();
        each_word(text, |word| {
            let next = numbers.len() as u32;
            row.push(match numbers.get(word) {
                Some(&number) => number,
                None => *numbers.entry(word.to_owned()).or_insert(next),
            });
        });
        self.lengths.push(row.len() as u32);
        row.sort_unstable();
        for same in row.chunk_by(|a, b| a == b) {
            self.words.push(same[0]);
            self.counts.push(u16::try_from(same.len()).unwrap_or(u16::MAX));
        }
        self.ends.push(self.words.len());
    }

    /// Writes the files of a [`super::Lexicon`].
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn finish(self, folder: &Path) -> Result<()> {
        let mut words: Vec<(&str, u32)> =
            self.numbers.iter().map(|(word, number)| (&**word, *number)).collect();
        words.sort_unstable();
        let mut place = vec![0; words.len()];
        words.iter().enumerate().for_each(|(at, (_, number))| place[*number as usize] = at);
        let starts = self.starts(&place);
        let (rows, counts) = self.sorted(&place, &starts);
        let mut word_starts = vec![0_u64];
        word_starts.extend(words.iter().scan(0, |end, (word, _)| {
            *end += word.len() as u64;
            Some(*end)
        }));
        let text: String = words.iter().map(|(word, _)| *word).collect();
        let files: [(&str, &[u8]); 6] = [
            ("words.txt", text.as_bytes()),
            ("words.u64", bytemuck::cast_slice(&word_starts)),
            ("postings.u64", bytemuck::cast_slice(&starts)),
            ("postings.u32", bytemuck::cast_slice(&rows)),
            ("postings.u16", bytemuck::cast_slice(&counts)),
            ("lengths.u32", bytemuck::cast_slice(&self.lengths)),
        ];
        files.into_iter().try_for_each(|(name, bytes)| atomic::write(&folder.join(name), bytes))
    }

    /// Where the postings of each word begin.
    fn starts(&self, place: &[usize]) -> Vec<u64> {
        let mut starts = vec![0_u64; place.len() + 1];
        self.words.iter().for_each(|word| starts[place[*word as usize] + 1] += 1);
        (0..place.len()).for_each(|at| starts[at + 1] += starts[at]);
        starts
    }

    /// The postings by word.
    fn sorted(&self, place: &[usize], starts: &[u64]) -> (Vec<u32>, Vec<u16>) {
        let (mut rows, mut counts) = (vec![0; self.words.len()], vec![0; self.words.len()]);
        let (mut next, mut first) = (starts.to_vec(), 0);
        for (row, &end) in self.ends.iter().enumerate() {
            for at in first..end {
                let next = &mut next[place[self.words[at] as usize]];
                (rows[*next as usize], counts[*next as usize]) = (row as u32, self.counts[at]);
                *next += 1;
            }
            first = end;
        }
        (rows, counts)
    }
}
