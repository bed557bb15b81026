//! What an index consists of: one small file, whose renaming is the moment at which a change becomes true.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use polytask_core::{Error, Place, Problem, Result, atomic, files};
use polytask_nn::scores::ScoredBy;
use serde::{Deserialize, Serialize};

use crate::chunk::Chunking;
use crate::documents::MANIFEST;
use crate::documents::RowColumns;

use crate::vectors::{GraphParams, VectorStore};

/// The form of index this version writes and reads.
const FORM: u32 = 1;

/// The token states that an encoder compares in the place of vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenStamp {
    /// How they are compared.
    pub score: ScoredBy,
    /// Numbers of a state.
    pub width: usize,
}

/// Which encoder the vectors are of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EncoderStamp {
    /// Where it was found: a folder, or an encoder's name.
    pub source: String,
    /// SHA-256 of everything a vector depends on.
    pub hash: String,
    /// Length of a vector.
    pub width: usize,
    /// The task whose vectors they are, where each has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The prompt before every passage, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corpus_prompt: Option<String>,
    /// The states of tokens that are kept beside the vectors, where it compares these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenStamp>,
}

impl EncoderStamp {
    /// Whether vectors of both may be compared.
    pub fn is_same(&self, other: &Self) -> bool {
        let all = |of: &Self| {
            (of.hash.clone(), of.width, of.task.clone(), of.corpus_prompt.clone(), of.tokens.clone())
        };
        all(self) == all(other)
    }
}

/// How documents become rows, and rows are searched.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct IndexSettings {
    /// How documents are cut.
    pub chunking: Chunking,
    /// How vectors are searched.
    pub store: VectorStore,
    /// The graph of neighbours, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph: Option<GraphParams>,
}

/// A file of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStamp {
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of its content.
    pub sha256: String,
}

/// The documents of a segment that were removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedEntry {
    /// The file of their numbers, in the segment's folder.
    pub file: String,
    /// How many they are.
    pub documents: usize,
    /// The rows they had.
    pub rows: usize,
}

/// Rows that were added together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentEntry {
    /// Its folder.
    pub name: String,
    /// Its rows, removed ones too.
    pub rows: usize,
    /// Its documents, removed ones too.
    pub documents: usize,
    /// Its files.
    pub files: BTreeMap<String, FileStamp>,
    /// What was removed of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<RemovedEntry>,
}

impl SegmentEntry {
    /// Rows that live.
    pub fn live_rows(&self) -> usize {
        self.rows - self.removed.as_ref().map_or(0, |removed| removed.rows)
    }

    /// Documents that live.
    pub fn live_documents(&self) -> usize {
        self.documents - self.removed.as_ref().map_or(0, |removed| removed.documents)
    }
}

/// What an index consists of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IndexManifest {
    /// The form of index.
    polytask_index: u32,
    /// Number of changes so far.
    pub generation: u64,
    /// Which encoder the vectors are of.
    pub encoder: EncoderStamp,
    /// How it is made.
    pub settings: IndexSettings,
    /// The model whose heads say where passages end, where it is not the encoder: a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segmenter: Option<String>,
    /// Which columns of rows held what in the last change.
    #[serde(default)]
    pub columns: RowColumns,
    /// Its rows, oldest first.
    pub segments: Vec<SegmentEntry>,
}

impl IndexManifest {
    /// An index of nothing.
    pub fn new(encoder: EncoderStamp, settings: IndexSettings) -> Self {
        let columns = RowColumns::default();
        Self {
            polytask_index: FORM,
            generation: 0,
            encoder,
            settings,
            segmenter: None,
            columns,
            segments: Vec::new(),
        }
    }

    /// Reads that of an index.
    ///
    /// # Errors
    /// When the folder is no index, or one of another version.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(MANIFEST);
        let broken =
            |what: String| Problem::at(Place::file(&path), what).try_this("`polytask index build` again");
        let bytes = match files::read(&path, files::LARGE) {
            Ok(bytes) => bytes,
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                ) =>
            {
                return Err(no_index(folder));
            }
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        let value: serde_json::Value = serde_json::from_slice(&bytes)
            .map_err(|error| broken(format!("no manifest of an index: {error}")))?;
        match value.get("polytask_index").and_then(serde_json::Value::as_u64) {
            Some(form) if form == u64::from(FORM) => {}
            Some(form) => return Err(broken(format!("an index of form {form}, expected form {FORM}")).into()),
            None => return Err(broken("no manifest of an index".into()).into()),
        }
        Ok(serde_json::from_value(value).map_err(|error| broken(format!("a broken manifest: {error}")))?)
    }

    /// Writes it: from here on the index is what it says.
    ///
    /// # Errors
    /// When it cannot be written; the index is then what it was.
    pub fn commit(&mut self, folder: &Path) -> Result<()> {
        self.generation += 1;
        atomic::write_json(&folder.join(MANIFEST), self)?;
        sync_folder(folder)
    }

    /// Rows that live.
    pub fn live_rows(&self) -> usize {
        self.segments.iter().map(SegmentEntry::live_rows).sum()
    }

    /// Documents that live.
    pub fn live_documents(&self) -> usize {
        self.segments.iter().map(SegmentEntry::live_documents).sum()
    }
}

fn no_index(folder: &Path) -> Error {
    let what = if folder.exists() {
        format!("{} is no index: there is no {MANIFEST} in it", folder.display())
    } else {
        format!("index {} does not exist", folder.display())
    };
    Problem::new(what).try_this("`polytask index build MODEL DOCS --out INDEX` makes one").into()
}

/// Makes sure that names in a folder outlast a loss of power.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    // Folders cannot be opened everywhere; where they cannot, there is nothing to sync.
    match File::open(folder) {
        Ok(open) => open.sync_all().or_else(|error| match error.kind() {
            std::io::ErrorKind::InvalidInput | std::io::ErrorKind::Unsupported => Ok(()),
            _ => Err(Error::io("write", folder)(error)),
        }),
        Err(_) => Ok(()),
    }
}
