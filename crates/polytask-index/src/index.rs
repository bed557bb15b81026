//! An index that is open for searching.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use polytask_core::{Error, Problem, Result, near};
use rayon::prelude::*;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::filter::Condition;
use crate::fuse::{DEPTH, Found, SearchMode, best_per, fuse};
use crate::lexicon::{LexicalPart, LexicalScratch, WordWeight, search as search_words, weights};
use crate::store::{EncoderStamp, IndexManifest, Segment, StoredDocument, verify};
use crate::vectors::{Index, RowSet, SearchScratch};
use polytask_nn::scores::Ragged;

/// Most often that an index is read again whose files were replaced meanwhile.
const TRIES: usize = 5;
/// Where fewer than this part of the rows may be found, all of them are looked at instead of the graph.
const FEW: usize = 10;

/// What a search wants.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// By what passages are found.
    pub mode: SearchMode,
    /// Passages, or documents, per query.
    pub k: usize,
    /// Conditions that documents must meet, all of them.
    pub conditions: &'a [Condition],
    /// Whether a document is found once, by its best passage.
    pub once_per_document: bool,
    /// Whether all rows are looked at where a graph, or a first ranking by vectors and words, could be used.
    pub exact: bool,
    /// The states of the queries' tokens, where what is found first is then ranked by these.
    pub tokens: Option<&'a Ragged>,
}

/// A passage that was found, with everything known of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hit {
    /// Its document.
    pub id: String,
    /// The file it comes from.
    pub source: String,
    /// Its first character in the document's text.
    pub start: usize,
    /// The character after its last.
    pub end: usize,
    /// The headings it stands below.
    pub titles: Vec<String>,
    /// By which it was ranked.
    pub score: f32,
    /// Its text.
    pub text: String,
    /// What is stored with its document.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
}

/// Why a passage was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    /// Rank and cosine among vectors.
    pub dense: Option<(usize, f32)>,
    /// Rank and score by BM25.
    pub bm25: Option<(usize, f32)>,
    /// The words of the query that stand in it, and what each adds.
    pub words: Vec<WordWeight>,
}

/// An open index.
pub struct OpenIndex {
    folder: PathBuf,
    /// What it consists of.
    pub manifest: IndexManifest,
    /// Its segments, oldest first.
    pub segments: Vec<Segment>,
}

impl OpenIndex {
    /// Opens an index; its files are mapped, not read.
    ///
    /// # Errors
    /// When the folder is no index, or a file of it is not as it was written.
    pub fn open(folder: &Path) -> Result<Self> {
        for _ in 1..TRIES {
            match Self::try_open(folder) {
                // A writer may have replaced segments after we read which there are.
                Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
                opened => return opened,
            }
        }
        Self::try_open(folder)
    }

    fn try_open(folder: &Path) -> Result<Self> {
        Self::of(folder, IndexManifest::read(folder)?)
    }

    /// The index that a manifest says.
    pub(crate) fn of(folder: &Path, manifest: IndexManifest) -> Result<Self> {
        let segments: Result<Vec<Segment>> =
            manifest.segments.iter().map(|entry| Segment::open(folder, &manifest, entry)).collect();
        Ok(Self { folder: folder.to_path_buf(), segments: segments?, manifest })
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Holds every file against its hash.
    ///
    /// # Errors
    /// When one is damaged.
    pub fn verify(&self) -> Result<()> {
        self.manifest.segments.iter().try_for_each(|entry| verify(&self.folder.join(&entry.name), entry))
    }

    /// Refuses vectors of another encoder.
    ///
    /// # Errors
    /// When the encoder is not the one the index was built with.
    pub fn check_encoder(&self, stamp: &EncoderStamp) -> Result<()> {
        let own = &self.manifest.encoder;
        if own.is_same(stamp) {
            return Ok(());
        }
        let describe = |of: &EncoderStamp| {
            let task = of.task.as_ref().map_or(String::new(), |task| format!(", task `{task}`"));
            format!("{} (width {}{task}, hash {})", of.source, of.width, &of.hash[..of.hash.len().min(12)])
        };
        let what = format!(
            "index {} has vectors of encoder {}, found {}",
            self.folder.display(),
            describe(own),
            describe(stamp)
        );
        let remedy = "the model it was built with (`--model`), or `polytask index build` with this one";
        Err(Problem::new(what).try_this(remedy).into())
    }

    /// The best passages of each query, best first. `vectors` are those of the queries; with [`SearchMode::Bm25`] they
    /// are not looked at. With [`Wanted::tokens`] what is found so is ranked by these.
    ///
    /// # Shapes
    /// `vectors`: `[queries, width]`.
    ///
    /// # Errors
    /// When vectors have another width, or the index is damaged.
    pub fn search<S: AsRef<str> + Sync>(
        &self,
        queries: &[S],
        vectors: &[f32],
        wanted: &Wanted<'_>,
    ) -> polytask_model::Result<Vec<Vec<Found>>> {
        let among = self.among(wanted.conditions)?;
        let wanted = &Wanted { k: wanted.k.min(self.manifest.live_rows().max(1)), ..*wanted };
        let depth = if wanted.once_per_document { 10 * wanted.k } else { wanted.k };
        let is_deep = wanted.mode == SearchMode::Hybrid || wanted.tokens.is_some();
        let depth = if is_deep { depth.max(DEPTH) } else { depth };
        let none = || vec![Vec::new(); queries.len()];
        let dense = if wanted.mode == SearchMode::Bm25 {
            none()
        } else {
            self.dense(vectors, depth, among.as_deref(), wanted.exact)?
        };
        let words = if wanted.mode == SearchMode::Dense {
            none()
        } else {
            self.words(queries, depth, among.as_deref())
        };
        let of_document =
            |found: &Found| (found.place.0, self.segments[found.place.0 as usize].owner(found.place.1));
        let one = |(query, (dense, words)): (usize, (Vec<_>, Vec<_>))| -> polytask_model::Result<Vec<Found>> {
            let mut found = fuse(wanted.mode, &dense, &words);
            if let Some(tokens) = wanted.tokens {
                if wanted.exact {
                    self.add_all(&mut found, among.as_deref());
                }
                self.rank_by_tokens(&mut found, tokens, query)?;
            }
            if wanted.once_per_document {
                best_per(&mut found, of_document);
            }
            found.truncate(wanted.k);
            Ok(found)
        };
        dense.into_iter().zip(words).enumerate().map(one).collect()
    }

    /// The rows of each segment that may be found; `None` where nothing is asked of documents.
    fn among(&self, conditions: &[Condition]) -> Result<Option<Vec<RowSet>>> {
        if conditions.is_empty() {
            return Ok(None);
        }
        self.check_fields(conditions)?;
        let of_segment = |segment: &Segment| {
            let mut rows = RowSet::none(segment.n_rows());
            for document in segment.live_documents() {
                let (_, document) = document?;
                if conditions.iter().all(|condition| condition.meets(&document)) {
                    rows.insert_all(document.first..document.first + document.rows);
                }
            }
            Ok(rows)
        };
        self.segments.iter().map(of_segment).collect::<Result<_>>().map(Some)
    }

    /// Refuses conditions on fields that no document has.
    ///
    /// # Errors
    /// When a field is unknown, or documents cannot be read.
    pub(crate) fn check_fields(&self, conditions: &[Condition]) -> Result<()> {
        if conditions.is_empty() || self.segments.is_empty() {
            return Ok(());
        }
        let mut known: BTreeSet<String> = ["id", "source"].map(str::to_owned).into();
        for segment in &self.segments {
            for document in segment.live_documents() {
                known.extend(document?.1.fields.keys().cloned());
            }
        }
        let Some(condition) = conditions.iter().find(|condition| !known.contains(condition.field())) else {
            return Ok(());
        };
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let what = format!("no document has the field `{}`", condition.field());
        Err(Problem::new(what).try_this(near::advice(condition.field(), &known)).into())
    }

    /// The nearest rows of each query by vectors: segment, row, cosine.
    fn dense(
        &self,
        vectors: &[f32],
        k: usize,
        among: Option<&[RowSet]>,
        exact: bool,
    ) -> polytask_model::Result<Vec<Vec<(u32, u32, f32)>>> {
        let width = self.manifest.encoder.width;
        let mut all = vec![Vec::new(); vectors.len() / width.max(1)];
        for (number, segment) in (0_u32..).zip(&self.segments) {
            let rows = among.map(|among| &among[number as usize]).or(segment.alive.as_ref());
            let is_few = rows.is_some_and(|rows| rows.len() < segment.n_rows() / FEW);
            let found = match &segment.graph {
                Some(graph) if !exact && !is_few => walk(graph, vectors, width, k, rows),
                _ => segment.flat.search_all(vectors, k, rows)?,
            };
            for (all, found) in all.iter_mut().zip(found) {
                all.extend(found.into_iter().map(|(row, score)| (number, row, score)));
            }
        }
        for found in &mut all {
            found.sort_unstable_by(|a, b| b.2.total_cmp(&a.2).then((a.0, a.1).cmp(&(b.0, b.1))));
            found.truncate(k);
        }
        Ok(all)
    }

    /// The best rows of each query by words.
    fn words<S: AsRef<str> + Sync>(
        &self,
        queries: &[S],
        k: usize,
        among: Option<&[RowSet]>,
    ) -> Vec<Vec<(u32, u32, f32)>> {
        let parts = self.parts(among);
        queries
            .par_iter()
            .map_init(LexicalScratch::default, |scratch, query| {
                search_words(&parts, query.as_ref(), k, scratch)
            })
            .collect()
    }

    fn parts<'a>(&'a self, among: Option<&'a [RowSet]>) -> Vec<LexicalPart<'a>> {
        let part = |(number, segment): (usize, &'a Segment)| LexicalPart {
            lexicon: &segment.lexicon,
            alive: segment.alive.as_ref(),
            among: among.map(|among| &among[number]),
        };
        self.segments.iter().enumerate().map(part).collect()
    }

    /// The document of something found.
    ///
    /// # Errors
    /// When the index is damaged.
    pub fn document(&self, found: &Found) -> Result<StoredDocument> {
        let segment = &self.segments[found.place.0 as usize];
        segment.document(segment.owner(found.place.1))
    }

    /// Everything known of what was found.
    ///
    /// # Errors
    /// When the index is damaged.
    pub fn hit(&self, found: &Found) -> Result<Hit> {
        let StoredDocument { id, source, fields, .. } = self.document(found)?;
        let passage = self.segments[found.place.0 as usize].passage(found.place.1)?;
        Ok(Hit {
            id,
            source,
            start: passage.start,
            end: passage.end,
            titles: passage.titles,
            score: found.score,
            text: passage.text,
            fields,
        })
    }

    /// Why something was found.
    pub fn explain(&self, query: &str, found: &Found) -> Explained {
        let words = weights(&self.parts(None), query, found.place);
        Explained { dense: found.dense, bm25: found.bm25, words }
    }
}

/// Queries along a graph, side by side.
fn walk(
    graph: &dyn Index,
    vectors: &[f32],
    width: usize,
    k: usize,
    rows: Option<&RowSet>,
) -> Vec<Vec<(u32, f32)>> {
    let one = |scratch: &mut SearchScratch, query: &[f32]| {
        let mut best = Vec::new();
        graph.search(query, k, rows, scratch, &mut best);
        best
    };
    vectors.par_chunks(width).map_init(SearchScratch::default, one).collect()
}
