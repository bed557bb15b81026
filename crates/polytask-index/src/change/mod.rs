//! Changes of an index: documents added, removed, segments made one. Each is one commit of the manifest, made under the
//! lock of the one writer; a process that is ended before it leaves the index as it was.

mod adding;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use polytask_core::{Problem, atomic, files};
use polytask_model::Result;
use polytask_nn::scores::Ragged;

use crate::documents::{FoundFile, MANIFEST, RowColumns};
use crate::filter::Condition;
use crate::index::OpenIndex;
use crate::store::{
    EncoderStamp, IndexLock, IndexManifest, IndexSettings, LOCK, RemovedEntry, Segment, SegmentEntry,
    SegmentWriter, TextHash, VectorCache, partial_folders, text_hash,
};
use crate::vectors::VECTORS;
pub use adding::{Added, EmbeddedTexts, Embedding, IndexProgress};
use adding::{Adding, PIECE, remove_if_full};

/// Segments above which they are made one.
const MOST_SEGMENTS: usize = 8;

/// An index that is being changed; no other process can change it meanwhile.
pub struct IndexWriter {
    folder: PathBuf,
    manifest: IndexManifest,
    _lock: IndexLock,
}

impl IndexWriter {
    /// Begins a new index. Where there is one already, `overwrite` says that it may be replaced; it stays until the new
    /// one is whole.
    ///
    /// # Errors
    /// When something else is in the folder, or another process writes there.
    pub fn create(
        folder: &Path,
        stamp: EncoderStamp,
        settings: IndexSettings,
        overwrite: bool,
    ) -> Result<Self> {
        let is_index = folder.join(MANIFEST).exists();
        if is_index && !overwrite {
            let what = format!("index {} exists already", folder.display());
            let remedy = "`polytask index add` adds to it, `--overwrite` builds it anew";
            return Err(Problem::new(what).try_this(remedy).into());
        }
        let is_ours = |name: &str| name == LOCK || is_part(&folder.join(name));
        if !is_index
            && files::names_in(folder).iter().any(|name| !is_ours(name) && atomic::unfinished(name).is_none())
        {
            let what = format!("folder {} holds something else than an index", folder.display());
            return Err(Problem::new(what).try_this("the name of a new folder").into());
        }
        let lock = IndexLock::of(folder)?;
        let mut manifest = IndexManifest::new(stamp, settings);
        if let (true, Ok(old)) = (is_index, IndexManifest::read(folder)) {
            manifest.generation = old.generation;
        }
        Ok(Self { folder: folder.to_path_buf(), manifest, _lock: lock })
    }

    /// The same, with passages that end where the heads of another model say.
    #[must_use]
    pub fn with_segmenter(mut self, source: Option<String>) -> Self {
        self.manifest.segmenter = source;
        self
    }

    /// Begins a change of an index.
    ///
    /// # Errors
    /// When there is none, or another process changes it.
    pub fn open(folder: &Path) -> Result<Self> {
        IndexManifest::read(folder)?;
        let lock = IndexLock::of(folder)?;
        // Read under the lock: it may have been changed since.
        let manifest = IndexManifest::read(folder)?;
        Ok(Self { folder: folder.to_path_buf(), manifest, _lock: lock })
    }

    /// What the index consists of.
    pub fn manifest(&self) -> &IndexManifest {
        &self.manifest
    }

    /// Adds the documents of some files. Those that are there already, word for word, stay; others of the same name are
    /// replaced.
    ///
    /// # Errors
    /// When the encoder is another one, or nothing can be written; the index is then what it was.
    pub fn add(
        &mut self,
        found: &[FoundFile],
        columns: &RowColumns,
        embedding: &Embedding<'_>,
        progress: &mut dyn FnMut(IndexProgress),
    ) -> Result<Added> {
        let open = self.opened()?;
        open.check_encoder(embedding.stamp)?;
        let cached = self.cached_from(embedding.stamp);
        let cache = VectorCache::open(&self.folder, &cached, &partial_folders(&self.folder))?;
        let mut adding = Adding::new(&open, cache, embedding, progress)?;
        adding.files(found, columns)?;
        let (writer, removed, added) = adding.into_parts();
        let entry = self.finish(writer)?;
        self.manifest.columns = columns.clone();
        let is_changed = entry.is_some() || added.replaced > 0;
        self.mark_removed(&open.segments, removed)?;
        self.manifest.segments.extend(entry);
        drop(open);
        if is_changed {
            self.manifest.commit(&self.folder)?;
            self.tidy();
        } else {
            self.leave();
        }
        Ok(added)
    }

    /// Removes the folder of an index that came to nothing.
    fn leave(&self) {
        if !self.folder.join(MANIFEST).exists() && self.manifest.segments.is_empty() {
            // Refused by the system unless nothing else is in it.
            let _ = fs::remove_file(self.folder.join(LOCK)).and_then(|()| fs::remove_dir(&self.folder));
        }
    }

    /// Finishes a segment; what a full disk leaves of it is removed, what another end leaves is used again.
    fn finish(&self, writer: Option<SegmentWriter>) -> Result<Option<SegmentEntry>> {
        let Some(writer) = writer else { return Ok(None) };
        let partial = writer.folder().to_path_buf();
        let name = next_name(&self.folder);
        let finished = writer.finish(&self.folder, &name, &self.manifest.settings);
        finished.map(Some).map_err(|error| {
            remove_if_full(&error, &partial);
            error.into()
        })
    }

    /// The manifest whose segments have vectors of this encoder: also those of an index that is being replaced.
    fn cached_from(&self, stamp: &EncoderStamp) -> IndexManifest {
        let old = IndexManifest::read(&self.folder).ok().filter(|old| old.encoder.is_same(stamp));
        old.unwrap_or_else(|| self.manifest.clone())
    }

    /// Removes documents by their names or by conditions (all of which must hold); how many, and the names that were
    /// not there.
    ///
    /// # Errors
    /// When nothing can be written.
    pub fn remove(&mut self, ids: &[String], conditions: &[Condition]) -> Result<(usize, Vec<String>)> {
        let open = self.opened()?;
        open.check_fields(conditions)?;
        let mut missing: HashSet<&str> = ids.iter().map(String::as_str).collect();
        let mut removed = vec![Vec::new(); open.segments.len()];
        for (segment, removed) in open.segments.iter().zip(&mut removed) {
            for document in segment.live_documents() {
                let (number, document) = document?;
                let is_named = ids.contains(&document.id);
                missing.remove(document.id.as_str());
                let is_met = !conditions.is_empty() && conditions.iter().all(|of| of.meets(&document));
                if is_named || is_met {
                    removed.push(number);
                }
            }
        }
        let n = removed.iter().map(Vec::len).sum();
        let mut missing: Vec<String> = missing.into_iter().map(str::to_owned).collect();
        missing.sort_unstable();
        if n > 0 {
            self.mark_removed(&open.segments, removed)?;
            self.manifest.commit(&self.folder)?;
            drop(open);
            self.tidy();
        }
        Ok((n, missing))
    }

    /// Makes one segment of all, without what was removed.
    ///
    /// # Errors
    /// When it cannot be written; the index is then what it was.
    pub fn compact(&mut self) -> Result<()> {
        let open = self.opened()?;
        // What is copied gets hashes of its own: damage must be found before.
        open.verify()?;
        let mut writer = SegmentWriter::create(&self.folder, &self.manifest.encoder)?;
        let partial = writer.folder().to_path_buf();
        let copied =
            open.segments.iter().try_for_each(|segment| copy(segment, &mut writer, &self.manifest.encoder));
        let entry = copied.and_then(|()| {
            Ok(writer.finish(&self.folder, &next_name(&self.folder), &self.manifest.settings)?)
        });
        let entry = entry.inspect_err(|error| {
            if let polytask_model::Error::Core(error) = error {
                remove_if_full(error, &partial);
            }
        })?;
        self.manifest.segments = if entry.rows > 0 { vec![entry] } else { Vec::new() };
        self.manifest.commit(&self.folder)?;
        drop(open);
        self.sweep();
        Ok(())
    }

    /// The index as it is; one that is being built has nothing.
    fn opened(&self) -> Result<OpenIndex> {
        Ok(OpenIndex::of(&self.folder, self.manifest.clone())?)
    }

    /// Notes that documents are removed, beside those that were before.
    fn mark_removed(&mut self, segments: &[Segment], removed: Vec<Vec<u32>>) -> Result<()> {
        let generation = self.manifest.generation + 1;
        for ((entry, segment), new) in self.manifest.segments.iter_mut().zip(segments).zip(removed) {
            if new.is_empty() {
                continue;
            }
            let mut numbers = [&segment.removed[..], &new].concat();
            numbers.sort_unstable();
            let file = format!("removed-{generation:06}.u32");
            atomic::write(&self.folder.join(&entry.name).join(&file), bytemuck::cast_slice(&numbers))?;
            let mut rows = 0;
            for &number in &numbers {
                rows += segment.document(number)?.rows;
            }
            entry.removed = Some(RemovedEntry { file, documents: numbers.len(), rows });
        }
        Ok(())
    }

    /// Compacts where that is worth it, and removes what no one needs.
    fn tidy(&mut self) {
        let rows: usize = self.manifest.segments.iter().map(|entry| entry.rows).sum();
        let is_mostly_gone = 2 * self.manifest.live_rows() < rows;
        let is_due = self.manifest.segments.len() > MOST_SEGMENTS || is_mostly_gone;
        // The change itself stands; where there is no room for compaction, the next change tries again.
        if !is_due || self.compact().is_err() {
            self.sweep();
        }
    }

    /// Removes what the manifest does not name: older segments and lists, builds that were ended.
    fn sweep(&self) {
        let of = |name: &str| self.manifest.segments.iter().find(|entry| entry.name == name);
        for name in files::names_in(&self.folder) {
            let path = self.folder.join(&name);
            // Best effort: what stays is removed by the next change.
            if atomic::unfinished(&name).is_some() {
                let _ = fs::remove_file(&path);
            } else if let Some(entry) = of(&name) {
                let current = entry.removed.as_ref().map(|removed| removed.file.as_str());
                let lists = files::names_in(&path).into_iter();
                let old = lists.filter(|list| list.starts_with("removed-") && Some(list.as_str()) != current);
                old.for_each(|list| drop(fs::remove_file(path.join(list))));
            } else if is_part(&path) {
                let _ = fs::remove_dir_all(&path);
            }
        }
    }
}

/// Whether a folder is one that an index made, finished or not: by its name, and by what it holds.
fn is_part(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let number = name.strip_prefix("segment-").or_else(|| name.strip_prefix("partial-"));
    let is_number = number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    let holds_ours = || {
        let names = files::names_in(path);
        names.is_empty() || names.iter().any(|file| file == VECTORS)
    };
    is_number && path.is_dir() && holds_ours()
}

/// A name that no segment in a folder has.
fn next_name(folder: &Path) -> String {
    let names = files::names_in(folder);
    let numbers = names.iter().filter_map(|name| name.strip_prefix("segment-")?.parse::<u64>().ok());
    format!("segment-{:06}", numbers.max().unwrap_or(0) + 1)
}

/// Copies what lives of a segment.
fn copy(segment: &Segment, writer: &mut SegmentWriter, encoder: &EncoderStamp) -> Result<()> {
    let no_tokens = || Ragged::new(encoder.tokens.as_ref().map_or(0, |tokens| tokens.width));
    let mut tokens = no_tokens();
    let (mut passages, mut hashes, mut vectors) = (Vec::new(), Vec::<TextHash>::new(), Vec::new());
    for document in segment.live_documents() {
        let (_, document) = document?;
        let rows = document.first..document.first + document.rows;
        writer.stored(document)?;
        for row in rows {
            let passage = segment.passage(row as u32)?;
            hashes.push(text_hash(&passage.indexed()));
            passages.push(passage);
            vectors.extend_from_slice(segment.vector(row as u32, encoder.width));
            if let Some(states) = &segment.tokens {
                states.push_to(row, &mut tokens);
            }
            if passages.len() == PIECE {
                writer.rows(&passages, &hashes, (&vectors, &tokens))?;
                tokens = no_tokens();
                passages.clear();
                hashes.clear();
                vectors.clear();
            }
        }
    }
    Ok(writer.rows(&passages, &hashes, (&vectors, &tokens))?)
}
