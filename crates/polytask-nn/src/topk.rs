//! Exact search: the k corpus vectors with the largest inner product, for each query.
//!
//! Scores come from blocked matrix products (some queries × a block of the corpus) that stay in a thread's cache; only the
//! best k of each query live from block to block, so memory does not grow with the corpus. Threads share the queries, and
//! all go through a strip of the corpus before the next is read.

use std::cmp::Ordering;

use rayon::prelude::*;

use crate::trunk::kernels::{Mat, MatMut, Threads, matmul};
use crate::{Error, Result};

/// Queries that a thread scores at once, at most.
const QUERIES: usize = 128;
/// Corpus rows scored at once: 256 KiB of scores.
const ROWS: usize = 512;
/// Corpus rows that all queries are held against before the next are read.
const STRIP: usize = 16 * ROWS;
/// Scores that are compared with the worst of the best at once.
const LOOK: usize = 32;

/// Rows of `width` values brought to length 1; rows of zeros stay.
pub fn normalised(mut values: Vec<f32>, width: usize) -> Vec<f32> {
    for row in values.chunks_mut(width.max(1)) {
        let norm = row.iter().map(|v| v * v).sum::<f32>().sqrt();
        if norm > 0.0 {
            row.iter_mut().for_each(|v| *v /= norm);
        }
    }
    values
}

/// The `k` best corpus rows of each query as (row, score): highest score first, equal scores by lower row.
///
/// A score that is not a number ranks below all others.
///
/// # Shapes
/// `queries`: `[queries, width]`, `corpus`: `[rows, width]` → per query min(k, rows) pairs.
pub fn top_k(queries: &[f32], corpus: &[f32], width: usize, k: usize) -> Result<Vec<Vec<(u32, f32)>>> {
    if width == 0 || !queries.len().is_multiple_of(width) || !corpus.len().is_multiple_of(width) {
        return Err(Error::Shape {
            part: "search".into(),
            found: format!("{} and {} values", queries.len(), corpus.len()),
            expected: format!("[queries, {width}] and [corpus, {width}]"),
        });
    }
    let mut found = vec![Vec::new(); queries.len() / width];
    if k == 0 {
        return Ok(found);
    }
    let share = found.len().div_ceil(rayon::current_num_threads()).clamp(1, QUERIES);
    for (strip, rows) in corpus.chunks(STRIP * width).enumerate() {
        let parts = queries.par_chunks(share * width).zip(found.par_chunks_mut(share));
        parts.for_each_init(Vec::new, |scores, (queries, found)| {
            take_strip((queries, rows), width, (strip * STRIP, k), scores, found);
        });
    }
    Ok(found)
}

/// Takes the scores of a strip of the corpus, whose first row is given, into the best of some queries.
fn take_strip(
    (queries, corpus): (&[f32], &[f32]),
    width: usize,
    (first, k): (usize, usize),
    scores: &mut Vec<f32>,
    found: &mut [Vec<(u32, f32)>],
) {
    for (block, rows) in corpus.chunks(ROWS * width).enumerate() {
        let n_rows = rows.len() / width;
        scores.resize(found.len() * n_rows, 0.0);
        let (left, right) = (Mat::new(queries, found.len(), width), Mat::new(rows, n_rows, width).t());
        matmul(MatMut::new(scores, found.len(), n_rows), false, left, right, 1.0, Threads::One);
        for (best, scores) in found.iter_mut().zip(scores.chunks(n_rows)) {
            merge(best, scores, (first + block * ROWS) as u32, k);
        }
    }
}

/// Higher score first, then lower row; what is not a number last.
fn rank(a: (u32, f32), b: (u32, f32)) -> Ordering {
    let by_score = match (a.1.is_nan(), b.1.is_nan()) {
        (false, false) => b.1.partial_cmp(&a.1).unwrap_or(Ordering::Equal),
        (a_nan, b_nan) => a_nan.cmp(&b_nan),
    };
    by_score.then(a.0.cmp(&b.0))
}

/// Takes a block's scores into the `k` best so far, kept in order of rank.
pub fn merge(best: &mut Vec<(u32, f32)>, scores: &[f32], first: u32, k: usize) {
    let worst = if best.len() == k { best.last().copied() } else { None };
    if let Some(worst) = worst.filter(|worst| !worst.1.is_nan()) {
        // Most scores are below the worst: many are looked at in one comparison.
        let before = best.len();
        for (at, some) in (first..).step_by(LOOK).zip(scores.chunks(LOOK)) {
            // Counted without an early end, so that the loop is one of whole vectors.
            if some.iter().filter(|score| **score >= worst.1).count() > 0 {
                let all = (at..).zip(some.iter().copied());
                best.extend(all.filter(|item| rank(*item, worst) == Ordering::Less));
            }
        }
        if best.len() == before {
            return;
        }
    } else {
        let beats = |item: &(u32, f32)| worst.is_none_or(|worst| rank(*item, worst) == Ordering::Less);
        best.extend((first..).zip(scores.iter().copied()).filter(beats));
    }
    if best.len() > k {
        best.select_nth_unstable_by(k - 1, |a, b| rank(*a, *b));
        best.truncate(k);
    }
    best.sort_unstable_by(|a, b| rank(*a, *b));
}

#[cfg(test)]
mod tests {
    use super::*;
    use polytask_core::{Purpose, Rng};

    /// Small integers: exact in f32 in any order of sums, with many ties.
    fn integers(n: usize, seed: u64) -> Vec<f32> {
        let mut rng = Rng::new(seed, Purpose::Bench, &[]);
        (0..n).map(|_| rng.below(5) as f32 - 2.0).collect()
    }

    fn naive(query: &[f32], corpus: &[f32], k: usize) -> Vec<(u32, f32)> {
        let score = |row: &[f32]| row.iter().zip(query).map(|(a, b)| a * b).sum();
        let mut all: Vec<(u32, f32)> =
            corpus.chunks(query.len()).enumerate().map(|(i, row)| (i as u32, score(row))).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        all.truncate(k);
        all
    }

    #[test]
    fn found_rows_equal_a_full_sort_across_blocks() {
        let width = 6;
        let corpus = integers((2 * STRIP + ROWS + 77) * width, 1);
        let queries = integers(5 * width, 2);
        for k in [1, 10, 5000, 3 * STRIP] {
            let found = top_k(&queries, &corpus, width, k).unwrap();
            for (query, found) in queries.chunks(width).zip(&found) {
                let expected = naive(query, &corpus, k);
                assert!(*found == expected, "k = {k}");
            }
        }
    }

    #[test]
    fn queries_are_found_across_blocks_of_queries() {
        let corpus = [1.0, 0.0, 0.0, 1.0];
        let queries: Vec<f32> =
            (0..QUERIES + 3).flat_map(|i| if i % 2 == 0 { [1.0, 0.0] } else { [0.0, 1.0] }).collect();
        let found = top_k(&queries, &corpus, 2, 1).unwrap();
        assert!(found.iter().enumerate().all(|(i, best)| best[..] == [((i % 2) as u32, 1.0)]));
    }

    #[test]
    fn a_score_that_is_not_a_number_comes_last() {
        let found = top_k(&[1.0], &[f32::NAN, -3.0, f32::NEG_INFINITY, 2.0], 1, 4).unwrap();
        let rows: Vec<u32> = found[0].iter().map(|(row, _)| *row).collect();
        assert_eq!(rows, [3, 1, 2, 0]);
    }

    #[test]
    fn empty_queries_corpus_or_k_give_nothing() {
        assert!(top_k(&[], &[1.0], 1, 3).unwrap().is_empty());
        assert_eq!(top_k(&[1.0], &[], 1, 3).unwrap(), [vec![]]);
        assert_eq!(top_k(&[1.0], &[1.0], 1, 0).unwrap(), [vec![]]);
        assert!(top_k(&[1.0, 2.0, 3.0], &[1.0, 2.0], 2, 1).is_err());
    }
}
