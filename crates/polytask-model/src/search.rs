//! Exact search by cosine.

use polytask_nn::{States, topk};

use crate::Result;

/// The best `k` of `corpus` for each of `queries`, by cosine, best first: (row of the corpus, cosine).
pub fn search(queries: States, corpus: States, k: usize) -> Result<Vec<Vec<(u32, f32)>>> {
    let width = corpus.width;
    let (queries, corpus) = (topk::normalised(queries.values, width), topk::normalised(corpus.values, width));
    topk::top_k(&queries, &corpus, width, k)
}
