//! Writing the tokens of all texts: beyond a limit of memory they go to a file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use polytask_core::{Error, Result};

use super::mapped::MappedIds;
use super::{Ids, TokenStore, WordStarts};
use crate::TextId;

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
    /// Where the file is to lie.
    folder: PathBuf,
    file: Option<File>,
    /// What the user should know of it.
    notes: Vec<String>,
}

impl TokenWriter {
    /// Keeps at most so many MiB of tokens in memory, and the others in a file in `folder`.
    pub(crate) fn new(most_mb: usize, folder: PathBuf) -> Self {
        let most = most_mb.saturating_mul(1 << 20) / size_of::<u32>();
        Self {
            ids: Vec::new(),
            starts: vec![0],
            words: WordStarts::default(),
            most,
            folder,
            file: None,
            notes: Vec::new(),
        }
    }

    /// Number of texts.
    pub(crate) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Appends a text's tokens and gives its id; for a text of words also where these start.
    ///
    /// # Errors
    /// When the file can neither be written nor read again.
    pub(crate) fn push(&mut self, tokens: &[u32], words: Option<&[u32]>) -> Result<TextId> {
        let id = self.len() as TextId;
        let most = if self.file.is_some() { PIECE } else { self.most };
        if self.ids.len() + tokens.len() > most {
            self.spill()?;
        }
        self.reserve(tokens.len());
        self.ids.extend_from_slice(tokens);
        self.starts.push(self.starts[self.len()] + tokens.len());
        if let Some(starts) = words {
            self.words.push(id, starts);
        }
        Ok(id)
    }

    /// The tokens of all texts, and what the user should know of where they lie.
    ///
    /// # Errors
    /// As [`TokenWriter::push`].
    pub(crate) fn finish(mut self) -> Result<(TokenStore, Vec<String>)> {
        if self.file.is_some() {
            self.spill()?;
        }
        let mapped = self.file.take().map(|file| (MappedIds::new(&file), file));
        let ids = match mapped {
            None => Ids::Memory(self.ids),
            Some((Ok(ids), _)) => Ids::Mapped(ids),
            Some((Err(error), file)) => {
                self.take_back(file, &error)?;
                Ids::Memory(self.ids)
            }
        };
        Ok((TokenStore { ids, starts: self.starts, words: self.words }, self.notes))
    }

    /// Makes room for more ids, never for more than the limit: doubling would need it twice.
    fn reserve(&mut self, more: usize) {
        let need = self.ids.len() + more;
        if need > self.ids.capacity() {
            let doubled = (2 * self.ids.capacity()).min(self.most);
            self.ids.reserve_exact(doubled.max(need) - self.ids.len());
        }
    }

    /// Moves the ids of the memory to the file. Where that fails, all stay in memory: a run that needs more of it than
    /// was wished is better than none.
    fn spill(&mut self) -> Result<()> {
        if self.ids.is_empty() {
            return Ok(());
        }
        let opened = self.file.take().map_or_else(|| open(&self.folder), Ok);
        let mut file = match opened {
            Ok(file) => file,
            Err(error) => {
                self.stay_in_memory(&error);
                return Ok(());
            }
        };
        match write(&mut file, &self.ids) {
            Ok(()) => {
                self.ids = Vec::with_capacity(PIECE);
                self.file = Some(file);
                Ok(())
            }
            Err(error) => self.take_back(file, &error),
        }
    }

    /// Reads what is in the file before the ids that are not.
    fn take_back(&mut self, mut file: File, error: &io::Error) -> Result<()> {
        let in_memory = std::mem::take(&mut self.ids);
        let n_written = self.starts[self.len()] - in_memory.len();
        self.ids =
            read(&mut file, n_written).map_err(Error::io("read the tokens of the data in", &self.folder))?;
        self.ids.extend(in_memory);
        self.stay_in_memory(error);
        Ok(())
    }

    fn stay_in_memory(&mut self, error: &io::Error) {
        self.most = usize::MAX;
        self.notes.push(format!(
            "the tokens of the data stay in memory, beyond `data_mb`: no file of them in {}: {error}; \
             POLYTASK_CACHE names another folder",
            self.folder.display()
        ));
    }
}

/// A file that nobody else can open.
fn open(folder: &Path) -> io::Result<File> {
    std::fs::create_dir_all(folder)?;
    tempfile::tempfile_in(folder)
}

fn write(file: &mut File, ids: &[u32]) -> io::Result<()> {
    for piece in ids.chunks(PIECE) {
        let bytes: Vec<u8> = piece.iter().flat_map(|id| id.to_ne_bytes()).collect();
        file.write_all(&bytes)?;
    }
    Ok(())
}

/// The first `n` ids of a file.
fn read(file: &mut File, n: usize) -> io::Result<Vec<u32>> {
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = vec![0; n * size_of::<u32>()];
    file.read_exact(&mut bytes)?;
    Ok(bytes.as_chunks().0.iter().map(|id| u32::from_ne_bytes(*id)).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn store(most_mb: usize, texts: &[Vec<u32>]) -> TokenStore {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = TokenWriter::new(most_mb, folder.path().join("tokens"));
        for (i, text) in texts.iter().enumerate() {
            let words: Vec<u32> = (0..text.len() as u32).step_by(2).collect();
            let id = writer.push(text, (i % 3 == 1).then_some(&words[..])).unwrap();
            assert_eq!(id as usize, i);
        }
        let (store, notes) = writer.finish().unwrap();
        assert!(notes.is_empty(), "{notes:?}");
        store
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn texts_in_a_file_are_those_in_memory(
            texts in prop::collection::vec(prop::collection::vec(any::<u32>(), 0..9), 0..40)
        ) {
            let (memory, mapped) = (store(1, &texts), store(0, &texts));
            prop_assert_eq!(&memory, &mapped);
            for (i, text) in texts.iter().enumerate() {
                prop_assert_eq!(mapped.tokens(i as u32), &text[..]);
                prop_assert_eq!(mapped.word_starts(i as u32).is_some(), i % 3 == 1);
                prop_assert_eq!(memory.word_starts(i as u32), mapped.word_starts(i as u32));
            }
            // The first text with tokens stays in memory until another one comes.
            let first = texts.iter().position(|text| !text.is_empty());
            prop_assert_eq!(mapped.is_mapped(), first.is_some_and(|first| first + 1 < texts.len()));
        }
    }

    #[test]
    fn more_than_a_piece_goes_to_the_file_in_order_and_memory_stays_below_the_limit() {
        let half = PIECE as u32 / 2;
        let folder = tempfile::tempdir().unwrap();
        let mut writer = TokenWriter::new(1, folder.path().to_path_buf());
        for i in 0..7 * half / 64 {
            writer.push(&(64 * i..64 * (i + 1)).collect::<Vec<_>>(), None).unwrap();
            assert!(writer.ids.capacity() <= PIECE);
        }
        let (store, _) = writer.finish().unwrap();
        assert!(store.is_mapped());
        assert_eq!(store.ids[..], (0..7 * half).collect::<Vec<_>>());
    }

    #[test]
    fn what_cannot_be_written_stays_in_memory_and_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a file");
        std::fs::write(&file, "").unwrap();
        let mut writer = TokenWriter::new(0, file);
        for text in [[1, 2], [3, 4], [5, 6]] {
            writer.push(&text, None).unwrap();
        }
        let (store, notes) = writer.finish().unwrap();
        assert!(!store.is_mapped() && store.tokens(2) == [5, 6]);
        assert!(notes.len() == 1 && notes[0].contains("POLYTASK_CACHE"), "{notes:?}");
    }

    #[test]
    fn what_was_written_before_the_disk_was_full_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = TokenWriter::new(0, folder.path().to_path_buf());
        for text in [[1, 2], [3, 4]] {
            writer.push(&text, None).unwrap();
        }
        writer.spill().unwrap();
        writer.push(&[5], None).unwrap();
        let file = writer.file.take().unwrap();
        writer.take_back(file, &io::ErrorKind::StorageFull.into()).unwrap();
        writer.push(&[6], None).unwrap();
        let (store, notes) = writer.finish().unwrap();
        assert_eq!((&store.ids[..], notes.len()), (&[1, 2, 3, 4, 5, 6][..], 1));
    }
}
