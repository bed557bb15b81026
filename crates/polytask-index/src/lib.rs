//! Documents to answers: files are read ([`documents`]), cut into passages ([`chunk`]), kept with their vectors and words
//! ([`store`], [`vectors`], [`lexicon`]), changed by one writer at a time ([`IndexWriter`]) and searched by many
//! ([`OpenIndex`]).
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod change;
pub mod chunk;
pub mod documents;
pub mod encoder;
pub mod filter;
pub mod fuse;
pub mod index;
mod late;
pub mod lexicon;
pub mod store;
pub mod vectors;

pub use change::{Added, EmbeddedTexts, Embedding, IndexProgress, IndexWriter};
pub use chunk::{ChunkBy, Chunking, EndTopics, Passage};
pub use documents::{Document, RowColumns, Skipped};
pub use encoder::IndexEncoder;
pub use filter::Condition;
pub use fuse::{Found, SearchMode};
pub use index::{Explained, Hit, OpenIndex, Wanted};
pub use store::{IndexManifest, IndexSettings};
pub use vectors::{Flat, GraphParams, Hnsw, Index, VectorStore};
