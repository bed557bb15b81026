//! The papers, a file each. A file begins with the same headings everywhere, from which its page is made.

// Headers name papers, authors and venues in prose.
#![allow(clippy::doc_markdown)]

pub mod atlas;
pub mod codiemb;
pub mod crosstune;
pub mod dse;
pub mod flat_mtl;
pub mod rep_mtl;
pub mod rmtgb;
pub mod self_positioning;
pub mod text_methods;
pub mod topic_segmentation;
pub mod trans_encoder;
pub mod unified_ranker;
