//! The best of many texts for each of some, by a score of token states, with bounded memory.

use std::ops::Range;

use super::pieces::pieces;
use super::{Ragged, TokenScoring, all_pairs};
use crate::{Result, topk};

/// Scores in memory at once.
const SCORES: usize = if cfg!(test) { 8 } else { 1 << 22 };

/// The `k` best texts for each of `queries`: (place, score), highest score first, equal scores by lower place. Texts come
/// piece by piece from `states`.
pub fn top_k<E: From<crate::Error>>(
    scoring: &dyn TokenScoring,
    queries: &Ragged,
    pieces: impl IntoIterator<Item = Range<usize>>,
    k: usize,
    mut states: impl FnMut(Range<usize>) -> std::result::Result<Ragged, E>,
) -> std::result::Result<Vec<Vec<(u32, f32)>>, E> {
    let mut found = vec![Vec::new(); queries.starts.len().saturating_sub(1)];
    for piece in pieces {
        let first = piece.start as u32;
        take_piece(scoring, queries, &states(piece)?, first, k, &mut found)?;
    }
    Ok(found)
}

/// Takes the scores of a piece's texts into the best so far, some queries at a time.
fn take_piece(
    scoring: &dyn TokenScoring,
    queries: &Ragged,
    texts: &Ragged,
    first: u32,
    k: usize,
    found: &mut [Vec<(u32, f32)>],
) -> Result<()> {
    let (queries, texts) = (queries.rows(), texts.rows());
    let n = texts.n_texts();
    for now in pieces((0..queries.n_texts()).map(|_| n), SCORES) {
        let scores = all_pairs(scoring, &queries.texts(&now), &texts)?;
        for (best, scores) in found[now].iter_mut().zip(scores.chunks(n.max(1))) {
            topk::merge(best, scores, first, k);
        }
    }
    Ok(())
}
