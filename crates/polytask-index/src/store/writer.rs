//! A segment while it is written: in a folder of another name, which is renamed when all of it is on the disk.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use polytask_core::{Error, Result, atomic, hash};

use super::lines::LineWriter;
use super::manifest::{EncoderStamp, FileStamp, IndexSettings, SegmentEntry, sync_folder};
use super::segment::{DOCUMENTS, OWNERS, PASSAGES, StoredDocument};
use crate::chunk::Passage;
use crate::documents::Document;

use crate::lexicon::LexiconWriter;
use polytask_nn::scores::Ragged;

use crate::vectors::{Flat, Hnsw, StoredNumbers, TokenWriter, VECTORS};

/// How names of folders begin whose segment is not whole.
pub(super) const PARTIAL: &str = "partial-";
/// How the name of a finished one begins.
pub(super) const SEGMENT: &str = "segment-";
/// The encoder of a partial segment.
pub(super) const ENCODER: &str = "encoder.json";
/// Of each row, the hash of its text and that of its vector.
pub(super) const HASHES: &str = "texts.u64";

/// A text by its hash.
pub(crate) type TextHash = [u64; 2];

/// The hash of a text that is embedded.
pub(crate) fn text_hash(text: &str) -> TextHash {
    let hash = hash::sha256(text.as_bytes());
    let part = |from: usize| u64::from_str_radix(&hash[from..from + 16], 16).unwrap_or_default();
    [part(0), part(16)]
}

/// The hash of a vector.
pub(super) fn vector_hash(vector: &[f32]) -> u64 {
    hash::bytes64(bytemuck::cast_slice(vector))
}

/// A segment that is being written.
pub(crate) struct SegmentWriter {
    folder: PathBuf,
    width: usize,
    vectors: File,
    /// Where the encoder compares states of tokens.
    tokens: Option<TokenWriter>,
    hashes: File,
    passages: LineWriter,
    documents: LineWriter,
    owners: Vec<u32>,
    lexicon: LexiconWriter,
}

impl SegmentWriter {
    /// Begins one in the folder of an index.
    pub(crate) fn create(index: &Path, encoder: &EncoderStamp) -> Result<Self> {
        let mut names = (0..u32::MAX).map(|n| index.join(format!("{PARTIAL}{n:03}")));
        let folder = names.find(|folder| !folder.exists());
        let folder = folder.ok_or_else(|| Error::Bug("no free name for a segment".into()))?;
        atomic::create_dir(&folder)?;
        atomic::write_json(&folder.join(ENCODER), encoder)?;
        let create = |name: &str| {
            let path = folder.join(name);
            File::create(&path).map_err(Error::io("write", &path))
        };
        Ok(Self {
            width: encoder.width,
            vectors: create(VECTORS)?,
            tokens: encoder.tokens.is_some().then(|| TokenWriter::create(&folder)).transpose()?,
            hashes: create(HASHES)?,
            passages: LineWriter::create(&folder, PASSAGES)?,
            documents: LineWriter::create(&folder, DOCUMENTS)?,
            owners: Vec::new(),
            lexicon: LexiconWriter::default(),
            folder,
        })
    }

    /// Where it is written.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Adds a document whose `rows` passages come next.
    pub(crate) fn document(&mut self, document: &Document, hash: String, rows: usize) -> Result<()> {
        self.stored(StoredDocument {
            id: document.id.clone(),
            source: document.source.clone(),
            hash,
            first: 0,
            rows,
            fields: document.fields.clone(),
        })
    }

    /// The same of one that was stored before.
    pub(crate) fn stored(&mut self, document: StoredDocument) -> Result<()> {
        let (number, first, rows) = (self.documents.len() as u32, self.owners.len(), document.rows);
        self.owners.extend(std::iter::repeat_n(number, rows));
        self.documents.push(&StoredDocument { first, ..document })
    }

    /// Adds passages with their vectors and token states, which are on the disk when this returns.
    pub(crate) fn rows(
        &mut self,
        passages: &[Passage],
        hashes: &[TextHash],
        (vectors, tokens): (&[f32], &Ragged),
    ) -> Result<()> {
        for passage in passages {
            self.lexicon.push(&passage.indexed());
            self.passages.push(passage)?;
        }
        let own: Vec<[u64; 3]> = hashes
            .iter()
            .zip(vectors.chunks(self.width))
            .map(|(text, vector)| [text[0], text[1], vector_hash(vector)])
            .collect();
        let write = |file: &mut File, name: &str, bytes: &[u8]| {
            let written = file.write_all(bytes).and_then(|()| file.sync_data());
            written.map_err(Error::io("write", &self.folder.join(name)))
        };
        // Vectors first: a hash says that its vector is there.
        write(&mut self.vectors, VECTORS, bytemuck::cast_slice(vectors))?;
        if let Some(writer) = &mut self.tokens {
            writer.rows(tokens)?;
        }
        write(&mut self.hashes, HASHES, bytemuck::cast_slice(own.as_flattened()))
    }

    /// Completes the segment and gives it its name; the manifest makes it part of the index.
    pub(crate) fn finish(self, index: &Path, name: &str, settings: &IndexSettings) -> Result<SegmentEntry> {
        let Self { folder, width, vectors, passages, documents, owners, lexicon, .. } = self;
        let n_documents = documents.len();
        passages.finish()?;
        documents.finish()?;
        lexicon.finish(&folder)?;
        atomic::write(&folder.join(OWNERS), bytemuck::cast_slice(&owners))?;
        vectors.sync_all().map_err(Error::io("write", &folder))?;
        let mapped = StoredNumbers::open(&folder.join(VECTORS))?;
        Flat::of(width, mapped.clone(), settings.store).save_codes(&folder)?;
        if let Some(params) = settings.graph {
            Hnsw::of(width, mapped, params).save_graph(&folder)?;
        }
        let files = stamps(&folder)?;
        let target = index.join(name);
        // What a process that was ended had renamed and no manifest names.
        if target.exists() {
            fs::remove_dir_all(&target).map_err(Error::io("replace", &target))?;
        }
        sync_folder(&folder)?;
        fs::rename(&folder, &target).map_err(Error::io("write", &target))?;
        sync_folder(index)?;
        Ok(SegmentEntry {
            name: name.to_owned(),
            rows: owners.len(),
            documents: n_documents,
            files,
            removed: None,
        })
    }
}

fn stamps(folder: &Path) -> Result<BTreeMap<String, FileStamp>> {
    let mut files = BTreeMap::new();
    // Which encoder made the vectors stays, too, for a process that finds the folder before a manifest names it.
    for name in polytask_core::files::names_in(folder) {
        let path = folder.join(&name);
        let bytes = fs::metadata(&path).map_err(Error::io("read", &path))?.len();
        files.insert(name, FileStamp { bytes, sha256: hash::sha256_file(&path)? });
    }
    Ok(files)
}
