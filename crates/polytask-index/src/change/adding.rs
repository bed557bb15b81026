//! Documents on their way into a segment: read, cut, embedded where their vectors are not known yet.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use polytask_core::Error;
use polytask_model::Result;
use polytask_nn::scores::Ragged;
use serde::Serialize;

use crate::chunk::{CountTokens, EndTopics, Passage, cut};
use crate::documents::{Document, FoundFile, RowColumns, Skipped, read};
use crate::index::OpenIndex;
use crate::store::{EncoderStamp, IndexSettings, SegmentWriter, TextHash, VectorCache, text_hash};
use crate::vectors::RowSet;

/// Passages embedded and written at once.
pub(super) const PIECE: usize = 1024;

/// What was added.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Added {
    /// Documents that are new.
    pub documents: usize,
    /// Documents that took the place of older ones of their name.
    pub replaced: usize,
    /// Documents that were there already, word for word.
    pub unchanged: usize,
    /// Passages of new and replaced documents.
    pub passages: usize,
    /// Passages that were embedded; the vectors of others were there already.
    pub embedded: usize,
    /// What is not in the index, and why.
    pub skipped: Vec<Skipped>,
}

/// How far a change has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IndexProgress {
    /// Bytes of files that were read.
    pub bytes: u64,
    /// Documents that were read.
    pub documents: usize,
    /// Passages that have their vectors.
    pub passages: usize,
}

/// What an encoder makes of some texts.
#[derive(Debug, Clone, Default)]
pub struct EmbeddedTexts {
    /// Vectors of length 1, end to end.
    pub vectors: Vec<f32>,
    /// The states of their tokens, where the encoder compares these.
    pub tokens: Option<Ragged>,
}

impl From<Vec<f32>> for EmbeddedTexts {
    fn from(vectors: Vec<f32>) -> Self {
        Self { vectors, tokens: None }
    }
}

/// What makes rows of documents.
pub struct Embedding<'a> {
    /// Which encoder it is.
    pub stamp: &'a EncoderStamp,
    /// Embeds texts.
    pub embed: &'a dyn Fn(&[String]) -> Result<EmbeddedTexts>,
    /// Counts tokens.
    pub count: &'a CountTokens<'a>,
    /// Says where topics end, where passages end with them.
    pub topics: Option<&'a EndTopics<'a>>,
}

/// Documents on their way into a new segment.
pub(super) struct Adding<'a> {
    known: HashMap<String, KnownDocument>,
    /// Names that came in this change.
    taken: HashSet<String>,
    /// Documents of each old segment that are replaced.
    removed: Vec<Vec<u32>>,
    cache: VectorCache,
    embedding: &'a Embedding<'a>,
    settings: IndexSettings,
    index: &'a Path,
    writer: Option<SegmentWriter>,
    /// Passages without vectors yet.
    passages: Vec<Passage>,
    added: Added,
    progress: IndexProgress,
    tell: &'a mut dyn FnMut(IndexProgress),
}

impl<'a> Adding<'a> {
    pub(super) fn new(
        open: &'a OpenIndex,
        cache: VectorCache,
        embedding: &'a Embedding<'a>,
        tell: &'a mut dyn FnMut(IndexProgress),
    ) -> Result<Self> {
        Ok(Self {
            known: known(open)?,
            taken: HashSet::new(),
            removed: vec![Vec::new(); open.segments.len()],
            cache,
            embedding,
            settings: open.manifest.settings,
            index: open.folder(),
            writer: None,
            passages: Vec::new(),
            added: Added::default(),
            progress: IndexProgress::default(),
            tell,
        })
    }

    /// The new segment, if there is one; the documents of each old one that are replaced; what was added.
    pub(super) fn into_parts(self) -> (Option<SegmentWriter>, Vec<Vec<u32>>, Added) {
        (self.writer, self.removed, self.added)
    }

    /// Reads the documents of some files.
    pub(super) fn files(&mut self, found: &[FoundFile], columns: &RowColumns) -> Result<()> {
        let result = found.iter().try_for_each(|file| {
            read(file, columns, &mut |item| match item {
                Ok(document) => self.document(&document),
                Err(skipped) => {
                    self.added.skipped.push(skipped);
                    Ok(())
                }
            })?;
            self.progress.bytes += file.length;
            (self.tell)(self.progress);
            Ok(())
        });
        let result = result.and_then(|()| self.flush());
        if let (Err(polytask_model::Error::Core(error)), Some(writer)) = (&result, &self.writer) {
            remove_if_full(error, writer.folder());
        }
        result
    }

    fn document(&mut self, document: &Document) -> Result<()> {
        self.progress.documents += 1;
        let skip = |reason: &str| Skipped { source: document.source.clone(), reason: reason.to_owned() };
        if !self.taken.insert(document.id.clone()) {
            self.added.skipped.push(skip(&format!("another document is called `{}`", document.id)));
            return Ok(());
        }
        let hash = document.hash();
        let known = self.known.get(&document.id).cloned();
        if known.as_ref().is_some_and(|known| known.hash == hash) {
            self.added.unchanged += 1;
            return Ok(());
        }
        if let Some(other) =
            known.as_ref().filter(|known| file_of(&known.source) != file_of(&document.source))
        {
            let reason = format!("`{}` of {} is in the index: remove that first", document.id, other.source);
            self.added.skipped.push(skip(&reason));
            return Ok(());
        }
        let n = self.cut(document)?;
        if n == 0 {
            self.added.skipped.push(skip("no text in it"));
            return Ok(());
        }
        match known {
            Some(known) => {
                self.removed[known.segment].push(known.number);
                self.added.replaced += 1;
            }
            None => self.added.documents += 1,
        }
        self.added.passages += n;
        self.writer()?.document(document, hash, n).map_err(Into::into)
    }

    /// Cuts a document; gives the number of its passages.
    fn cut(&mut self, document: &Document) -> Result<usize> {
        let (chunking, mut n) = (self.settings.chunking, 0);
        let Embedding { count, topics, .. } = *self.embedding;
        cut(document, chunking, count, topics, &mut |passage| {
            n += 1;
            self.passages.push(passage);
            if self.passages.len() == PIECE { self.flush() } else { Ok(()) }
        })?;
        Ok(n)
    }

    fn writer(&mut self) -> Result<&mut SegmentWriter> {
        if self.writer.is_none() {
            self.writer = Some(SegmentWriter::create(self.index, self.embedding.stamp)?);
        }
        Ok(self.writer.as_mut().expect("was just made"))
    }

    /// Token states of no text.
    fn no_tokens(&self) -> Ragged {
        Ragged::new(self.embedding.stamp.tokens.as_ref().map_or(0, |tokens| tokens.width))
    }

    /// Embeds the passages that wait, but for those whose vectors are known, and writes them.
    fn flush(&mut self) -> Result<()> {
        if self.passages.is_empty() {
            return Ok(());
        }
        let passages = std::mem::take(&mut self.passages);
        let texts: Vec<String> = passages.iter().map(Passage::indexed).collect();
        let hashes: Vec<TextHash> = texts.iter().map(|text| text_hash(text)).collect();
        let mut unknown = RowSet::none(texts.len());
        for (row, hash) in hashes.iter().enumerate() {
            if self.cache.get(*hash).is_none() {
                unknown.insert(row);
            }
        }
        let new: Vec<String> = texts
            .into_iter()
            .enumerate()
            .filter(|(row, _)| unknown.has(*row))
            .map(|(_, text)| text)
            .collect();
        let (width, embedded) = (
            self.embedding.stamp.width,
            if new.is_empty() { EmbeddedTexts::default() } else { (self.embedding.embed)(&new)? },
        );
        let mut next = embedded.vectors.chunks(width);
        let (mut tokens, mut n_new) = (self.no_tokens(), 0);
        let mut vectors = Vec::with_capacity(passages.len() * width);
        for (row, hash) in hashes.iter().enumerate() {
            let known = if unknown.has(row) { next.next() } else { self.cache.get(*hash) };
            let vector = known.ok_or_else(|| Error::Bug("fewer vectors than texts".into()))?;
            vectors.extend_from_slice(vector);
            match &embedded.tokens {
                Some(new) if unknown.has(row) => tokens.push(new.text(n_new)),
                _ => self.cache.push_tokens(*hash, &mut tokens),
            }
            n_new += usize::from(unknown.has(row));
        }
        self.added.embedded += unknown.len();
        self.progress.passages += passages.len();
        self.writer()?.rows(&passages, &hashes, (&vectors, &tokens))?;
        (self.tell)(self.progress);
        Ok(())
    }
}

/// A document that is in the index.
#[derive(Clone)]
struct KnownDocument {
    segment: usize,
    number: u32,
    hash: String,
    source: String,
}

/// The file of a source, which names a row by its line.
fn file_of(source: &str) -> &str {
    match source.rsplit_once(':') {
        Some((file, line)) if line.bytes().all(|byte| byte.is_ascii_digit()) => file,
        _ => source,
    }
}

/// The documents of an index: segment, number and hash, by name.
fn known(open: &OpenIndex) -> Result<HashMap<String, KnownDocument>> {
    let mut known = HashMap::new();
    for (segment, of) in open.segments.iter().enumerate() {
        for document in of.live_documents() {
            let (number, document) = document?;
            let place = KnownDocument { segment, number, hash: document.hash, source: document.source };
            known.insert(document.id, place);
        }
    }
    Ok(known)
}

/// Removes a folder where the disk is full: what is in it only takes space.
pub(super) fn remove_if_full(error: &Error, folder: &Path) {
    use std::io::ErrorKind::{FileTooLarge, StorageFull};
    let is_full =
        matches!(error, Error::Io { source, .. } if matches!(source.kind(), StorageFull | FileTooLarge));
    if is_full {
        let _ = fs::remove_dir_all(folder);
    }
}
