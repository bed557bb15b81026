//! Exact search: the k corpus vectors with the largest inner product, for each query.
//!
//! Scores come from blocked matrix products (queries × a block of the corpus); only the best k of each query
//! live from block to block, so memory does not grow with the corpus.

use std::cmp::Ordering;

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use crate::{Error, Result};

/// Queries scored at once.
const QUERIES: usize = 1024;
/// Corpus rows scored at once.
const ROWS: usize = 4096;

/// The `k` best corpus rows of each query as (row, score): highest score first, equal scores by lower row.
///
/// A score that is not a number ranks below all others.
///
/// # Shapes
/// `queries`: `[queries, width]`, `corpus`: `[rows, width]` → per query min(k, rows) pairs.
pub fn top_k(queries: &[f32], corpus: &[f32], width: usize, k: usize) -> Result<Vec<Vec<(u32, f32)>>> {
    if width == 0 || queries.len() % width != 0 || corpus.len() % width != 0 {
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
    for (queries, found) in queries.chunks(QUERIES * width).zip(found.chunks_mut(QUERIES)) {
        let queries = matrix(queries, width)?;
        for (b, rows) in corpus.chunks(ROWS * width).enumerate() {
            let n_rows = rows.len() / width;
            let scores = queries.matmul(&matrix(rows, width)?.t()?)?; // [queries, rows]
            let scores = scores.flatten_all()?.to_vec1::<f32>()?;
            found.par_iter_mut().zip(scores.par_chunks(n_rows)).for_each(|(best, scores)| {
                merge(best, scores, (b * ROWS) as u32, k);
            });
        }
    }
    Ok(found)
}

fn matrix(values: &[f32], width: usize) -> Result<Tensor> {
    Ok(Tensor::from_slice(values, (values.len() / width, width), &Device::Cpu)?)
}

/// Higher score first, then lower row; what is not a number last.
fn rank(a: &(u32, f32), b: &(u32, f32)) -> Ordering {
    let by_score = match (a.1.is_nan(), b.1.is_nan()) {
        (false, false) => b.1.partial_cmp(&a.1).unwrap_or(Ordering::Equal),
        (a_nan, b_nan) => a_nan.cmp(&b_nan),
    };
    by_score.then(a.0.cmp(&b.0))
}

/// Takes a block's scores into the `k` best so far, kept in order of rank.
fn merge(best: &mut Vec<(u32, f32)>, scores: &[f32], first: u32, k: usize) {
    let worst = if best.len() == k { best.last().copied() } else { None };
    let beats = |item: &(u32, f32)| worst.is_none_or(|worst| rank(item, &worst) == Ordering::Less);
    best.extend(scores.iter().enumerate().map(|(i, &score)| (first + i as u32, score)).filter(beats));
    if best.len() > k {
        best.select_nth_unstable_by(k - 1, rank);
        best.truncate(k);
    }
    best.sort_unstable_by(rank);
}
