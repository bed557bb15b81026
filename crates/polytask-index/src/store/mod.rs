//! An index on the disk: segments that never change, a manifest whose renaming makes a change true, a lock for writers.
//!
//! | file | holds |
//! | --- | --- |
//! | `index.json` | the manifest: encoder, settings, segments with length and hash of every file |
//! | `segment-N/vectors.f32` | the exact vectors, and beside it small codes and the graph |
//! | `segment-N/tokens.*` | states of all tokens, where the encoder compares these |
//! | `segment-N/words.*`, `postings.*`, `lengths.u32` | BM25 |
//! | `segment-N/passages.*`, `documents.*`, `owners.u32` | texts, places, stored fields |
//! | `segment-N/removed-G.u32` | numbers of removed documents, as of change G |
//! | `partial-N/` | a segment that was not finished: its vectors are used again |
//! | `.lock` | locked by the one process that writes |

mod cache;
mod lines;
mod lock;
mod manifest;
mod segment;
mod writer;

pub(crate) use cache::{VectorCache, partial_folders};
pub use lock::IndexLock;
pub(crate) use lock::LOCK;
pub use manifest::{
    EncoderStamp, FileStamp, IndexManifest, IndexSettings, RemovedEntry, SegmentEntry, TokenStamp,
};
pub(crate) use segment::verify;
pub use segment::{Segment, StoredDocument};
pub(crate) use writer::{SegmentWriter, TextHash, text_hash};
