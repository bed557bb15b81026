//! A random order of a source's rows, pass after pass, each position computed on its own.
//!
//! A Feistel network over the next power of four, walked until it falls into the range, is a bijection of
//! 0..n (Black & Rogaway 2002, "Ciphers with arbitrary finite domains"); no permutation is stored.

use polytask_core::rng;
use polytask_core::{Purpose, Rng};

/// Rounds of the network; four are a pseudo-random permutation, the rest is for tiny ranges.
const ROUNDS: u64 = 8;

/// Rows of a source, endlessly repeated, each pass in its own order.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    /// The rows of a pass, ascending.
    pub(super) rows: Vec<u32>,
    seed: u64,
    source: u64,
}

impl Stream {
    pub(super) fn new(seed: u64, source: usize, rows: Vec<u32>) -> Self {
        Self { rows, seed, source: source as u64 }
    }

    /// The row at a position of the stream; there is at least one row.
    pub(super) fn row(&self, position: u64) -> u32 {
        let n = self.rows.len() as u64;
        let key = rng::key(self.seed, Purpose::Shuffle, &[self.source, position / n]);
        self.rows[permuted(key, n, position % n) as usize]
    }
}

/// Where a random permutation of 0..n puts `i`.
fn permuted(key: u64, n: u64, i: u64) -> u64 {
    if n <= SMALL {
        return shuffled(key, n as usize, i as usize);
    }
    let half = (64 - (n - 1).leading_zeros()).div_ceil(2);
    let mut at = i;
    loop {
        at = feistel(key, half, at);
        if at < n {
            return at;
        }
    }
}

/// Ranges in which a Feistel network has too few different orders.
const SMALL: u64 = 16;

fn shuffled(key: u64, n: usize, i: usize) -> u64 {
    let mut order = [0_u64; SMALL as usize];
    for (place, value) in order.iter_mut().zip(0..) {
        *place = value;
    }
    Rng::new(key, Purpose::Shuffle, &[]).shuffle(&mut order[..n]);
    order[i]
}

/// A bijection of 0..4^half.
fn feistel(key: u64, half: u32, x: u64) -> u64 {
    let mask = (1_u64 << half) - 1;
    let (mut left, mut right) = (x >> half, x & mask);
    for round in 0..ROUNDS {
        let mixed = rng::at(key ^ rng::mix(round + 1), right);
        (left, right) = (right, left ^ (mixed & mask));
    }
    (left << half) | right
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pass_is_a_permutation_for_every_size() {
        for n in (1..70).chain([255, 256, 257, 1000, 4097]) {
            let stream = Stream::new(3, 1, (0..n).collect());
            for pass in 0..3 {
                let mut rows: Vec<u32> = (0..n).map(|i| stream.row(u64::from(pass * n + i))).collect();
                rows.sort_unstable();
                assert_eq!(rows, (0..n).collect::<Vec<_>>(), "pass {pass} of {n}");
            }
        }
    }

    #[test]
    fn every_row_is_as_likely_at_every_place() {
        for n in [5_u32, 30] {
            let stream = Stream::new(11, 0, (0..n).collect());
            let passes = 6000;
            let mut counts = vec![0_f64; (n * n) as usize];
            for pass in 0..passes {
                for i in 0..n {
                    counts[(i * n + stream.row(u64::from(pass * n + i))) as usize] += 1.0;
                }
            }
            let expected = f64::from(passes) / f64::from(n);
            let chi2: f64 = counts.iter().map(|c| (c - expected).powi(2) / expected).sum();
            let freedom = f64::from((n - 1) * (n - 1));
            // Five standard deviations of a chi-squared distribution.
            assert!((chi2 - freedom).abs() < 5.0 * (2.0 * freedom).sqrt(), "n {n}: {chi2} of {freedom}");
        }
    }

    #[test]
    fn neighbours_of_one_pass_are_not_neighbours_of_the_next() {
        let stream = Stream::new(1, 0, (0..1000).collect());
        let place = |pass: u64| {
            let mut place = vec![0_u64; 1000];
            for i in 0..1000 {
                place[stream.row(pass * 1000 + i) as usize] = i;
            }
            place
        };
        let (first, second) = (place(0), place(1));
        let kept = (1..1000).filter(|&r| {
            let together = |p: &[u64]| p[r].abs_diff(p[r - 1]) <= 2;
            together(&first) && together(&second)
        });
        assert!(kept.count() < 5);
    }
}
