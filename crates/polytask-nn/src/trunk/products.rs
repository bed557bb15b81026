//! Inner products in f64 of vectors of f32, and of all pairs of rows: what Gramians are made of.
//!
//! Sums have fixed lanes, tiles and chunks, so the same values give the same bits on any number of threads and with
//! any vector instructions.

#![allow(clippy::inline_always)] // code must land in the caller that was compiled for wide vectors

use rayon::prelude::*;

use super::simd;
use crate::params::Real;
use crate::params::num_like::Float;

/// Values per unit of parallel work.
const CHUNK: usize = 1 << 14;
/// Values of every row at a time: as f64 they stay in a core's own cache, and each row is converted once.
const TILE: usize = 256;
/// Sums side by side: as many as hide the latency of an addition.
const LANES: usize = 32;

/// Σ aᵢ·bᵢ.
pub fn dot<T: Real>(a: &[T], b: &[T]) -> f64 {
    if a.len() <= CHUNK {
        return dot_of_chunk(a, b);
    }
    let chunks = a.par_chunks(CHUNK).zip(b.par_chunks(CHUNK));
    let parts: Vec<f64> = chunks.map(|(a, b)| dot_of_chunk(a, b)).collect();
    parts.iter().sum()
}

/// Inner products of all pairs of equally long rows, row-major `[rows, rows]`.
pub fn pairs<T: Real>(rows: &[&[T]]) -> Vec<f64> {
    let (n, len) = (rows.len(), rows.first().map_or(0, |row| row.len()));
    let chunks: Vec<usize> = (0..len).step_by(CHUNK).collect();
    let parts: Vec<Vec<f64>> =
        chunks.par_iter().map(|&first| pairs_of_chunk(rows, first, (first + CHUNK).min(len))).collect();
    let mut products = vec![0.0; n * n];
    for part in &parts {
        products.iter_mut().zip(part).for_each(|(p, part)| *p += part);
    }
    for i in 0..n {
        (0..i).for_each(|j| products[j * n + i] = products[i * n + j]);
    }
    products
}

fn dot_of_chunk<T: Real>(a: &[T], b: &[T]) -> f64 {
    simd::wide(
        #[inline(always)]
        || {
            let (a, a_rest) = a.as_chunks::<LANES>();
            let (b, b_rest) = b.as_chunks::<LANES>();
            let mut sums = [0.0; LANES];
            for (a, b) in a.iter().zip(b) {
                for k in 0..LANES {
                    sums[k] += Float::f64(a[k]) * Float::f64(b[k]);
                }
            }
            let rest = a_rest.iter().zip(b_rest).map(|(a, b)| Float::f64(*a) * Float::f64(*b));
            sums.iter().sum::<f64>() + rest.sum::<f64>()
        },
    )
}

/// The products over some columns: the lower triangle, zeros above it.
fn pairs_of_chunk<T: Real>(rows: &[&[T]], first: usize, end: usize) -> Vec<f64> {
    let n = rows.len();
    let (mut products, mut wide) = (vec![0.0; n * n], vec![0.0; n * TILE]);
    for start in (first..end).step_by(TILE) {
        let tile = start..(start + TILE).min(end);
        simd::wide(
            #[inline(always)]
            || {
                for (wide, row) in wide.chunks_exact_mut(TILE).zip(rows) {
                    widen(wide, &row[tile.clone()]);
                }
                for i in 0..n {
                    for j in 0..=i {
                        products[i * n + j] +=
                            dot_of_tile(&wide[i * TILE..][..TILE], &wide[j * TILE..][..TILE]);
                    }
                }
            },
        );
    }
    products
}

/// A part of a row in f64, filled up with zeros.
#[inline(always)]
fn widen<T: Real>(wide: &mut [f64], row: &[T]) {
    let (values, rest) = wide.split_at_mut(row.len());
    values.iter_mut().zip(row).for_each(|(w, v)| *w = Float::f64(*v));
    rest.fill(0.0);
}

#[inline(always)]
fn dot_of_tile(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        for k in 0..LANES {
            sums[k] += a[k] * b[k];
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(seed: u64, n: usize) -> Vec<f32> {
        use polytask_core::{Purpose, Rng};
        let mut rng = Rng::new(seed, Purpose::Bench, &[]);
        (0..n).map(|_| rng.normal() as f32).collect()
    }

    fn plain(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    }

    #[test]
    fn products_are_those_of_a_plain_sum_at_every_length() {
        for n in [0, 1, 31, 32, 33, TILE, TILE + 5, CHUNK, 2 * CHUNK + 77] {
            let rows = [row(1, n), row(2, n), row(3, n)];
            let found = pairs(&rows.each_ref().map(Vec::as_slice));
            for (k, product) in found.iter().enumerate() {
                let (a, b) = (&rows[k / 3], &rows[k % 3]);
                let bound = 1e-12 * (plain(a, a) * plain(b, b)).sqrt();
                assert!((product - plain(a, b)).abs() <= bound, "{n}: {product}");
                assert!((dot(a, b) - plain(a, b)).abs() <= bound, "{n}");
            }
        }
    }

    #[test]
    fn huge_values_do_not_overflow() {
        let rows = [vec![1e30_f32; 100], vec![-1e30_f32; 100]];
        assert_eq!(pairs(&rows.each_ref().map(Vec::as_slice))[1], -100.0 * f64::from(1e30_f32).powi(2));
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let rows = [row(1, 5 * CHUNK), row(2, 5 * CHUNK)];
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| (pairs(&rows.each_ref().map(Vec::as_slice)), dot(&rows[0], &rows[1])))
        };
        assert_eq!(with(1), with(3));
    }
}
