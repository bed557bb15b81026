//! Vectors that were computed before, by the hash of their text: those of the index, and those of a build that was ended
//! before it was done.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use polytask_core::{Error, Result, files};
use polytask_nn::scores::Ragged;

use super::manifest::{EncoderStamp, IndexManifest};
use super::writer::{ENCODER, HASHES, PARTIAL, SEGMENT, TextHash, vector_hash};
use crate::vectors::{COUNTS, STATES, StoredNumbers, TokenStates, VECTORS};

/// Rows of a folder.
struct CachedRows {
    vectors: StoredNumbers<f32>,
    hashes: StoredNumbers<u64>,
    tokens: Option<TokenStates>,
}

/// Vectors by text.
#[derive(Default)]
pub(crate) struct VectorCache {
    width: usize,
    /// Numbers of a token's state, where these are kept.
    token_width: Option<usize>,
    sources: Vec<CachedRows>,
    places: HashMap<TextHash, (u32, u32)>,
}

impl VectorCache {
    /// The vectors of an index and of builds that were ended.
    pub(crate) fn open(index: &Path, manifest: &IndexManifest, partial: &[PathBuf]) -> Result<Self> {
        let token_width = manifest.encoder.tokens.as_ref().map(|tokens| tokens.width);
        let mut cache = Self { width: manifest.encoder.width, token_width, ..Self::default() };
        let of_index = |folder: &&PathBuf| {
            let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
            manifest.segments.iter().any(|entry| Some(&entry.name) == name.as_ref())
        };
        for folder in partial.iter().filter(|folder| !of_index(folder)) {
            if stamp(folder).is_some_and(|of| of.is_same(&manifest.encoder)) {
                cache.add(folder)?;
            }
        }
        for entry in &manifest.segments {
            cache.add(&index.join(&entry.name))?;
        }
        Ok(cache)
    }

    fn add(&mut self, folder: &Path) -> Result<()> {
        let (vectors, hashes) = (folder.join(VECTORS), folder.join(HASHES));
        if !vectors.exists() || !hashes.exists() {
            return Ok(());
        }
        let (row, source) = (4 * self.width as u64, self.sources.len() as u32);
        cut_to_rows(&vectors, row)?;
        cut_to_rows(&hashes, 24)?;
        let (vectors, hashes) = (StoredNumbers::<f32>::open(&vectors)?, StoredNumbers::<u64>::open(&hashes)?);
        let tokens = match self.token_width {
            Some(width) => {
                cut_to_rows(&folder.join(STATES), 2)?;
                cut_to_rows(&folder.join(COUNTS), 4)?;
                Some(TokenStates::open(folder, width)?)
            }
            None => None,
        };
        let n = (vectors.len() / self.width).min(hashes.len() / 3);
        let n = tokens.as_ref().map_or(n, |tokens| n.min(tokens.len()));
        for (row, hash) in hashes.as_chunks::<3>().0.iter().take(n).enumerate() {
            self.places.entry([hash[0], hash[1]]).or_insert((source, row as u32));
        }
        self.sources.push(CachedRows { vectors, hashes, tokens });
        Ok(())
    }

    /// The vector of a text, where it was computed before and is whole.
    pub(crate) fn get(&self, hash: TextHash) -> Option<&[f32]> {
        let &(source, row) = self.places.get(&hash)?;
        let CachedRows { vectors, hashes, .. } = &self.sources[source as usize];
        let vector = &vectors[row as usize * self.width..][..self.width];
        (hashes[3 * row as usize + 2] == vector_hash(vector)).then_some(vector)
    }

    /// Adds the token states of a text that is known, where these are kept.
    pub(crate) fn push_tokens(&self, hash: TextHash, to: &mut Ragged) {
        let Some(&(source, row)) = self.places.get(&hash) else { return };
        if let Some(tokens) = &self.sources[source as usize].tokens {
            tokens.push_to(row as usize, to);
        }
    }
}

/// Cuts off the part of a row that an ended process left at the end of a file.
fn cut_to_rows(path: &Path, row: u64) -> Result<()> {
    let length = std::fs::metadata(path).map_err(Error::io("read", path))?.len();
    if length.is_multiple_of(row) {
        return Ok(());
    }
    let file = File::options().write(true).open(path).map_err(Error::io("write", path))?;
    file.set_len(length - length % row).map_err(Error::io("write", path))
}

fn stamp(folder: &Path) -> Option<EncoderStamp> {
    serde_json::from_slice(&files::read(&folder.join(ENCODER), files::SMALL).ok()?).ok()
}

/// Folders of segments, finished or not, which builds that were ended may have left.
pub(crate) fn partial_folders(index: &Path) -> Vec<PathBuf> {
    let is_segment = |name: &String| name.starts_with(PARTIAL) || name.starts_with(SEGMENT);
    let names = files::names_in(index).into_iter().filter(is_segment);
    names.map(|name| index.join(name)).filter(|path| path.is_dir()).collect()
}
