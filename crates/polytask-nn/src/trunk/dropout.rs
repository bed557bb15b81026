//! Dropout masks as a pure function of (seed, step, layer, site, row, column).
//!
//! Nothing is stored: forward, backward and repeated passes hash the same coordinates to the same mask, on any
//! number of threads. The stream of a row comes from the crate-wide counter-based generator; within a row a
//! 32-bit multiply–xorshift hash of the column is enough and fills vector registers.
#![allow(clippy::inline_always)] // code must land in the caller that was compiled for wide vectors

use polytask_core::rng::{self, Purpose};

use super::Mode;

/// The places of a layer where values are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Site {
    /// After the embeddings' norm.
    Embedding = 0,
    /// Attention probabilities.
    Attention = 1,
    /// Attention output, before the residual.
    AttentionOut = 2,
    /// Feed-forward output, before the residual.
    FeedForwardOut = 3,
    /// What an adapter reads.
    Adapter = 4,
}

/// Dropout at one site of one layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dropout {
    key: u64,
    /// A value is kept when its 32-bit hash is at least this.
    threshold: u32,
    scale: f32,
}

/// The mask of one row.
#[derive(Debug, Clone, Copy)]
struct RowMask {
    first: u32,
    second: u32,
    threshold: u32,
    scale: f32,
}

impl Dropout {
    /// Dropout of a site in parameter block `block`; `None` when nothing is dropped there.
    pub(crate) fn new(mode: &Mode, block: usize, site: Site) -> Option<Self> {
        if mode.dropout <= 0.0 || block < mode.lowest {
            return None;
        }
        let key = rng::key(mode.seed, Purpose::Dropout, &[mode.step, block as u64, site as u64]);
        Some(Self::at_rate(key, mode.dropout))
    }

    /// Dropout of what the adapter of a layer reads, at a rate of its own; none outside training.
    pub(crate) fn of_adapter(mode: &Mode, block: usize, node: u64, rate: f64) -> Option<Self> {
        if rate <= 0.0 || !mode.train || block < mode.lowest {
            return None;
        }
        let site = Site::Adapter as u64;
        let key = rng::key(mode.seed, Purpose::Dropout, &[mode.step, block as u64, site, node]);
        Some(Self::at_rate(key, rate))
    }

    fn at_rate(key: u64, rate: f64) -> Self {
        let threshold = (rate * 2f64.powi(32)) as u32;
        let kept = 1.0 - f64::from(threshold) / 2f64.powi(32);
        Self { key, threshold, scale: (1.0 / kept) as f32 }
    }

    /// Drops values of a row in place and scales the kept ones by 1/(1−p).
    #[inline(always)]
    pub(crate) fn apply(&self, row: u64, values: &mut [f32]) {
        let mask = self.row(row);
        for (col, value) in values.iter_mut().enumerate() {
            *value *= mask.at(col as u32);
        }
    }

    /// The factors of a row.
    pub(crate) fn factors(&self, row: u64, width: usize) -> impl Iterator<Item = f32> + use<> {
        let mask = self.row(row);
        (0..width).map(move |col| mask.at(col as u32))
    }

    #[inline(always)]
    fn row(&self, row: u64) -> RowMask {
        let bits = rng::at(self.key, row);
        let (first, second) = (bits as u32, (bits >> 32) as u32);
        RowMask { first, second, threshold: self.threshold, scale: self.scale }
    }
}

impl RowMask {
    #[inline(always)]
    fn at(self, col: u32) -> f32 {
        let mut x = col.wrapping_mul(0x9e37_79b9) ^ self.first;
        x = (x ^ (x >> 16)).wrapping_mul(0x21f0_aaad);
        x = (x ^ (x >> 15) ^ self.second).wrapping_mul(0xd35a_2d97);
        x ^= x >> 15;
        if x >= self.threshold { self.scale } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dropout(rate: f64, step: u64) -> Dropout {
        let mode = Mode { dropout: rate, seed: 3, step, save: true, ..Mode::EVAL };
        Dropout::new(&mode, 2, Site::Attention).unwrap()
    }

    #[test]
    fn the_share_of_dropped_values_is_the_rate_in_rows_and_columns() {
        let (n, drop) = (1000, dropout(0.1, 0));
        let mut by_col = vec![0; n];
        let mut total = 0;
        for row in 0..n as u64 {
            let zeros: Vec<bool> = drop.factors(row, n).map(|f| f == 0.0).collect();
            let in_row = zeros.iter().filter(|z| **z).count();
            assert!((40..170).contains(&in_row), "row {row} drops {in_row} of {n}");
            total += in_row;
            by_col.iter_mut().zip(zeros).for_each(|(c, z)| *c += usize::from(z));
        }
        assert!(by_col.iter().all(|c| (40..170).contains(c)));
        assert!((total as f64 / 1e6 - 0.1).abs() < 0.002, "{total}");
    }

    #[test]
    fn neighbouring_values_are_dropped_independently() {
        let drop = dropout(0.5, 1);
        let masks: Vec<Vec<f32>> = (0..500).map(|row| drop.factors(row, 500).collect()).collect();
        let both = |f: &dyn Fn(usize, usize) -> bool| {
            (0..499 * 499).filter(|i| f(i / 499, i % 499)).count() as f64 / f64::from(499 * 499)
        };
        let zero = |r: usize, c: usize| masks[r][c] == 0.0;
        assert!((both(&|r, c| zero(r, c) && zero(r, c + 1)) - 0.25).abs() < 0.006);
        assert!((both(&|r, c| zero(r, c) && zero(r + 1, c)) - 0.25).abs() < 0.006);
    }

    #[test]
    fn the_mask_repeats_for_the_same_step_and_changes_with_it() {
        let row = |step| dropout(0.3, step).factors(7, 64).collect::<Vec<f32>>();
        assert_eq!(row(5), row(5));
        assert_ne!(row(5), row(6));
    }

    #[test]
    fn the_mean_of_a_dropped_row_of_ones_is_one() {
        let mut values = vec![1.0; 100_000];
        dropout(0.1, 2).apply(0, &mut values);
        assert!((values.iter().sum::<f32>() / 1e5 - 1.0).abs() < 0.01);
    }

    #[test]
    fn frozen_blocks_and_rate_zero_drop_nothing() {
        let mode = Mode { dropout: 0.1, save: true, lowest: 3, ..Mode::EVAL };
        assert!(Dropout::new(&mode, 2, Site::Embedding).is_none());
        assert!(Dropout::new(&mode, 3, Site::Embedding).is_some());
        assert!(Dropout::new(&Mode::EVAL, 3, Site::Embedding).is_none());
    }
}
