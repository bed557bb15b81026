//! A segment: rows that were added together, as files that are mapped and never change.

use std::path::{Path, PathBuf};

use polytask_core::{Place, Problem, Result, hash};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::lines::Lines;
use super::manifest::{IndexManifest, SegmentEntry};
use crate::chunk::Passage;

use crate::lexicon::Lexicon;
use crate::vectors::{Flat, Hnsw, RowSet, StoredNumbers, TokenStates};

/// Files of a segment beside those of vectors and words.
pub(super) const PASSAGES: &str = "passages";
pub(super) const DOCUMENTS: &str = "documents";
/// The document of each row.
pub(super) const OWNERS: &str = "owners.u32";

/// What is kept of a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredDocument {
    /// What it is called.
    pub id: String,
    /// The file it comes from.
    pub source: String,
    /// Hash of its content.
    pub hash: String,
    /// Its first row.
    pub first: usize,
    /// Number of its rows.
    pub rows: usize,
    /// What may be shown and filtered by.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
}

/// An open segment.
pub struct Segment {
    folder: PathBuf,
    /// All vectors.
    pub flat: Flat,
    /// The graph of neighbours, if there is one.
    pub graph: Option<Hnsw>,
    /// The states of all tokens, where the encoder compares these.
    pub tokens: Option<TokenStates>,
    /// Its words.
    pub lexicon: Lexicon,
    /// The rows that live, where some do not.
    pub alive: Option<RowSet>,
    /// Numbers of the documents that were removed, sorted.
    pub(crate) removed: Vec<u32>,
    passages: Lines,
    documents: Lines,
    owners: StoredNumbers<u32>,
}

impl Segment {
    /// Maps the files of a segment.
    ///
    /// # Errors
    /// When a file is not there, or shorter or longer than it was.
    pub fn open(index: &Path, manifest: &IndexManifest, entry: &SegmentEntry) -> Result<Self> {
        let folder = index.join(&entry.name);
        check_lengths(&folder, entry)?;
        let (width, settings) = (manifest.encoder.width, &manifest.settings);
        let flat = Flat::open(&folder, width, settings.store)?;
        let graph = match settings.graph {
            Some(params) => Some(Hnsw::open(&folder, width, params)?),
            None => None,
        };
        let tokens = manifest.encoder.tokens.as_ref();
        let tokens =
            tokens.map(|stamp| TokenStates::open_whole(&folder, stamp.width, entry.rows)).transpose()?;
        let mut segment = Self {
            lexicon: Lexicon::open(&folder)?,
            passages: Lines::open(&folder, PASSAGES)?,
            documents: Lines::open(&folder, DOCUMENTS)?,
            owners: StoredNumbers::open(&folder.join(OWNERS))?,
            alive: None,
            removed: Vec::new(),
            folder,
            flat,
            graph,
            tokens,
        };
        segment.check_rows(entry, width)?;
        if let Some(removed) = &entry.removed {
            let path = segment.folder.join(&removed.file);
            let numbers = StoredNumbers::<u32>::open(&path)?;
            if numbers.len() != removed.documents {
                let what = format!(
                    "{} documents, expected {}: the index is damaged",
                    numbers.len(),
                    removed.documents
                );
                return Err(Problem::at(Place::file(&path), what).try_this("build the index again").into());
            }
            segment.set_removed(numbers.to_vec())?;
        }
        Ok(segment)
    }

    fn check_rows(&self, entry: &SegmentEntry, width: usize) -> Result<()> {
        let counts = [
            self.flat.vectors().len() / width,
            self.lexicon.n_rows(),
            self.passages.len(),
            self.owners.len(),
        ];
        let are_owned = self.owners.iter().all(|owner| (*owner as usize) < entry.documents);
        if counts.iter().all(|n| *n == entry.rows) && self.documents.len() == entry.documents && are_owned {
            return Ok(());
        }
        let what = format!("rows of its files are {counts:?}, expected {}", entry.rows);
        Err(Problem::at(Place::file(&self.folder), what).try_this("build the index again").into())
    }

    fn set_removed(&mut self, numbers: Vec<u32>) -> Result<()> {
        let mut alive = RowSet::all(self.n_rows());
        for &number in &numbers {
            if number as usize >= self.documents.len() {
                let what =
                    format!("document {number} was removed, expected one below {}", self.documents.len());
                return Err(Problem::at(Place::file(&self.folder), what)
                    .try_this("build the index again")
                    .into());
            }
            let document = self.document(number)?;
            alive.remove_all(document.first..document.first + document.rows);
        }
        (self.alive, self.removed) = (Some(alive), numbers);
        Ok(())
    }

    /// Number of rows, removed ones too.
    pub fn n_rows(&self) -> usize {
        self.owners.len()
    }

    /// The passage of a row.
    ///
    /// # Errors
    /// When its line is broken.
    pub fn passage(&self, row: u32) -> Result<Passage> {
        self.passages.get(row as usize)
    }

    /// A document by its number.
    ///
    /// # Errors
    /// When its line is broken.
    pub fn document(&self, number: u32) -> Result<StoredDocument> {
        let document: StoredDocument = self.documents.get(number as usize)?;
        if document.first.checked_add(document.rows).is_some_and(|end| end <= self.n_rows()) {
            return Ok(document);
        }
        let what = format!("document {number} has rows beyond the last: the index is damaged");
        Err(Problem::at(Place::file(&self.folder), what).try_this("build the index again").into())
    }

    /// The number of the document a row is of.
    pub fn owner(&self, row: u32) -> u32 {
        self.owners[row as usize]
    }

    /// The vector of a row.
    pub fn vector(&self, row: u32, width: usize) -> &[f32] {
        &self.flat.vectors()[row as usize * width..][..width]
    }

    /// Documents that live: their number and what is kept of them.
    ///
    /// # Errors
    /// When a line is broken.
    pub fn live_documents(&self) -> impl Iterator<Item = Result<(u32, StoredDocument)>> {
        let numbers = 0..self.documents.len() as u32;
        numbers
            .filter(|number| self.removed.binary_search(number).is_err())
            .map(|number| Ok((number, self.document(number)?)))
    }
}

/// Refuses a file that is not as long as it was when it was written.
fn check_lengths(folder: &Path, entry: &SegmentEntry) -> Result<()> {
    for (name, stamp) in &entry.files {
        let path = folder.join(name);
        let found = std::fs::metadata(&path).map_err(polytask_core::Error::io("read", &path))?.len();
        if found != stamp.bytes {
            let what = format!("{found} bytes, expected {}: the index is damaged", stamp.bytes);
            let remedy = "`polytask index build` again, or restore the file from a copy";
            return Err(Problem::at(Place::file(&path), what).try_this(remedy).into());
        }
    }
    Ok(())
}

/// Holds every file of a segment against its hash.
///
/// # Errors
/// When one differs.
pub(crate) fn verify(folder: &Path, entry: &SegmentEntry) -> Result<()> {
    check_lengths(folder, entry)?;
    for (name, stamp) in &entry.files {
        let path = folder.join(name);
        if hash::sha256_file(&path)? != stamp.sha256 {
            let what = "its content is not what was written: the index is damaged";
            let remedy = "`polytask index build` again, or restore the file from a copy";
            return Err(Problem::at(Place::file(&path), what).try_this(remedy).into());
        }
    }
    Ok(())
}
