//! Writing the tokens of all texts: beyond a limit of memory they go to a file.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use polytask_core::{Error, Problem, Result};

use super::mapped::MappedIds;
use super::{Ids, TokenStore, WordStarts};
use crate::TextId;
use crate::pull::cache;

/// Ids that are written at a time, once there is a file.
const PIECE: usize = 1 << 20;

/// Takes texts one after another.
pub(crate) struct TokenWriter {
    /// Ids that are in no file.
    ids: Vec<u32>,
    starts: Vec<usize>,
    words: WordStarts,
    /// Ids that are kept in memory before there is a file.
    most: usize,
    file: Option<Spill>,
}

/// A file without a name, and the folder it lies in.
struct Spill {
    file: File,
    folder: PathBuf,
}

impl TokenWriter {
    /// Keeps at most so many MiB of tokens in memory.
    pub(crate) fn new(most_mb: usize) -> Self {
        let most = most_mb.saturating_mul(1 << 20) / size_of::<u32>();
        Self { ids: Vec::new(), starts: vec![0], words: WordStarts::default(), most, file: None }
    }

    /// Number of texts.
    pub(crate) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Appends a text's tokens and gives its id; for a text of words also where these start.
    ///
    /// # Errors
    /// When the file of tokens cannot be written.
    pub(crate) fn push(&mut self, tokens: &[u32], words: Option<&[u32]>) -> Result<TextId> {
        let id = self.len() as TextId;
        self.ids.extend_from_slice(tokens);
        self.starts.push(self.starts[self.len()] + tokens.len());
        if let Some(starts) = words {
            self.words.push(id, starts);
        }
        let most = if self.file.is_some() { PIECE } else { self.most };
        if self.ids.len() > most {
            self.spill()?;
        }
        Ok(id)
    }

    /// The tokens of all texts.
    ///
    /// # Errors
    /// When the file of tokens cannot be written or mapped.
    pub(crate) fn finish(mut self) -> Result<TokenStore> {
        if self.file.is_some() && !self.ids.is_empty() {
            self.spill()?;
        }
        let Self { mut ids, starts, words, file, .. } = self;
        let ids = match file {
            None => {
                ids.shrink_to_fit();
                Ids::Memory(ids)
            }
            Some(spill) => Ids::Mapped(MappedIds::new(&spill.file).map_err(|error| spill.failed(&error))?),
        };
        Ok(TokenStore { ids, starts, words })
    }

    /// Moves the ids of the memory to the file.
    fn spill(&mut self) -> Result<()> {
        let mut spill = match self.file.take() {
            Some(spill) => spill,
            None => Spill::open()?,
        };
        for piece in self.ids.chunks(PIECE) {
            let bytes: Vec<u8> = piece.iter().flat_map(|id| id.to_ne_bytes()).collect();
            spill.file.write_all(&bytes).map_err(|error| spill.failed(&error))?;
        }
        self.ids = Vec::with_capacity(PIECE);
        self.file = Some(spill);
        Ok(())
    }
}

impl Spill {
    /// A file in the cache, or in the system's temporary folder where the cache cannot be written.
    fn open() -> Result<Self> {
        let folder = cache();
        let made = std::fs::create_dir_all(&folder).and_then(|()| tempfile::tempfile_in(&folder));
        if let Ok(file) = made {
            return Ok(Self { file, folder });
        }
        let folder = std::env::temp_dir();
        let file = tempfile::tempfile_in(&folder).map_err(|error| failed(&folder, &error))?;
        Ok(Self { file, folder })
    }

    fn failed(&self, error: &io::Error) -> Error {
        failed(&self.folder, error)
    }
}

fn failed(folder: &std::path::Path, error: &io::Error) -> Error {
    let what = format!("cannot keep the tokens of the data in a file in {}: {error}", folder.display());
    let remedy = "room there, another folder as POLYTASK_CACHE, or a larger `data_mb` in [train] to keep them in memory";
    Problem::new(what).try_this(remedy).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn store(most_mb: usize, texts: &[Vec<u32>]) -> TokenStore {
        let mut writer = TokenWriter::new(most_mb);
        for (i, text) in texts.iter().enumerate() {
            let words: Vec<u32> = (0..text.len() as u32).step_by(2).collect();
            let id = writer.push(text, (i % 3 == 1).then_some(&words[..])).unwrap();
            assert_eq!(id as usize, i);
        }
        writer.finish().unwrap()
    }

    proptest! {
        #[test]
        fn texts_in_a_file_are_those_in_memory(texts in prop::collection::vec(prop::collection::vec(any::<u32>(), 0..9), 0..40)) {
            let (memory, mapped) = (store(1, &texts), store(0, &texts));
            prop_assert_eq!(&memory, &mapped);
            for (i, text) in texts.iter().enumerate() {
                prop_assert_eq!(mapped.tokens(i as u32), &text[..]);
                prop_assert_eq!(mapped.word_starts(i as u32).is_some(), i % 3 == 1);
                prop_assert_eq!(memory.word_starts(i as u32), mapped.word_starts(i as u32));
            }
            let has_tokens = texts.iter().any(|text| !text.is_empty());
            prop_assert_eq!(matches!(mapped.ids, Ids::Mapped(_)), has_tokens);
        }
    }

    #[test]
    fn more_than_a_piece_goes_to_the_file_in_order() {
        let texts: Vec<Vec<u32>> =
            (0..5).map(|i| (i * PIECE as u32 / 2..(i + 1) * PIECE as u32 / 2).collect()).collect();
        let mapped = store(1, &texts);
        assert!(matches!(mapped.ids, Ids::Mapped(_)));
        assert_eq!(
            mapped.ids.iter().copied().collect::<Vec<u32>>(),
            (0..5 * PIECE as u32 / 2).collect::<Vec<_>>()
        );
    }
}
