//! Large matrix products: the right side is laid out once in panels as wide as a tile of registers, and threads
//! share the rows of the left side.
//!
//! The same panels serve every thread and every group of rows, which a general product copies anew for each call;
//! biases are added while sums are in registers. Every output is summed in one order, fixed by [`DEPTH`] alone:
//! neither threads nor other rows change its bits.
#![allow(clippy::inline_always)] // code must land in the caller that was compiled for wide vectors

use std::cell::RefCell;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::kernels::{Mat, MatMut, Threads};
use super::pool::{Buf, Pool};
use super::simd;

/// Rows of a tile of registers.
const ROWS: usize = 6;

/// Most columns of a tile, over all instruction sets.
const MOST_COLS: usize = 64;

/// Terms summed in registers before they go to memory: a panel of that depth stays in the second-level cache.
const DEPTH: usize = 512;

/// Left rows that a thread takes at a time; a multiple of [`ROWS`].
const BAND: usize = 48;

/// From here on threads share rows alone.
const ENOUGH_ROWS: usize = 4 * BAND;

thread_local! {
    /// Left tiles of the band at work.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// The right side of a product, `[k, n]`, as `[depth blocks, panels, depth, panel width]`; the last panel is
/// filled up with zeros.
#[derive(Debug)]
pub(crate) struct Panels {
    values: Buf,
    k: usize,
    n: usize,
    width: usize,
    /// What the width was chosen for.
    arch: Arch,
}

/// What a product adds to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Start<'a> {
    /// Nothing.
    Zero,
    /// A row `[n]`, to every row.
    Bias(&'a [f32]),
    /// What the destination holds.
    Old,
}

impl Panels {
    /// Lays out `rhs` for the instructions in use.
    pub(crate) fn new(pool: &Pool, rhs: Mat<'_>) -> Self {
        Self::of(simd::arch(), pool, rhs)
    }

    fn of(arch: Arch, pool: &Pool, rhs: Mat<'_>) -> Self {
        let (k, n, width) = (rhs.n_rows(), rhs.n_cols(), arch.dispatch(Width));
        let padded = n.div_ceil(width) * width;
        let mut values = pool.take(k * padded);
        let panels: Vec<_> = blocks(k)
            .scan(&mut *values, |rest, block| {
                let (front, after) = std::mem::take(rest).split_at_mut(block.len() * padded);
                *rest = after;
                Some(front.chunks_mut(block.len() * width).enumerate().map(move |p| (block.clone(), p)))
            })
            .flatten()
            .collect();
        panels.into_par_iter().for_each(|(block, (p, panel))| {
            let cols = p * width..((p + 1) * width).min(n);
            fill(panel, width, rhs.rows(block).cols(cols));
        });
        Self { values, k, n, width, arch }
    }

    /// `dst = start + lhs · self`.
    pub(crate) fn multiply(&self, dst: MatMut<'_>, lhs: Mat<'_>, start: Start<'_>, threads: Threads) {
        assert!(
            lhs.n_cols() == self.k && dst.n_cols() == self.n && dst.n_rows() == lhs.n_rows(),
            "matrix product of fitting shapes: this is a bug"
        );
        let stripe = self.stripe(dst.n_rows(), threads);
        let mut bands = Vec::new();
        for (i, rows) in dst.bands(BAND).enumerate() {
            let lhs = lhs.rows(i * BAND..i * BAND + rows.n_rows());
            let stripes = rows.stripes(stripe).enumerate();
            bands.extend(stripes.map(|(j, dst)| Band {
                panels: self,
                dst,
                first_col: j * stripe,
                lhs,
                start,
            }));
        }
        bands.into_par_iter().with_min_len(threads.least()).for_each(|band| self.arch.dispatch(band));
    }

    /// Columns that a thread takes at a time: all of them, unless there are too few rows to share.
    fn stripe(&self, rows: usize, threads: Threads) -> usize {
        if threads == Threads::One || rows > ENOUGH_ROWS {
            return self.n.max(1);
        }
        let panels = self.n.div_ceil(self.width);
        panels.div_ceil(rayon::current_num_threads()) * self.width
    }
}

/// Even ranges of at most [`DEPTH`] terms.
fn blocks(k: usize) -> impl Iterator<Item = Range<usize>> + Clone {
    let depth = k.div_ceil(k.div_ceil(DEPTH).max(1)).max(1);
    (0..k).step_by(depth).map(move |from| from..(from + depth).min(k))
}

/// Terms of all columns that are written in turn: few, so that they stay in the first-level cache.
const STEP: usize = 64;

/// Writes `[depth, cols]` as rows of `width` values, the missing ones zero.
fn fill(panel: &mut [f32], width: usize, from: Mat<'_>) {
    let n = from.n_cols();
    if let Some(rows) = from.contiguous_rows() {
        for (to, row) in panel.chunks_exact_mut(width).zip(rows) {
            to[..n].copy_from_slice(row);
            to[n..].fill(0.0);
        }
        return;
    }
    for (i, part) in panel.chunks_mut(STEP * width).enumerate() {
        let terms = i * STEP..i * STEP + part.len() / width;
        let columns = from.rows(terms).t().contiguous_rows().expect("one of the strides is 1");
        part.chunks_exact_mut(width).for_each(|to| to[n..].fill(0.0));
        for (col, column) in columns.enumerate() {
            part[col..].iter_mut().step_by(width).zip(column).for_each(|(to, value)| *to = *value);
        }
    }
}

/// Vectors per row of a tile: as many as leave registers for both sides.
const fn vectors<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 4 } else { 2 }
}

/// Columns of a tile.
struct Width;

impl WithSimd for Width {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES * vectors::<S>()
    }
}

/// Some rows of a product, and all or some of their columns.
struct Band<'a> {
    panels: &'a Panels,
    dst: MatMut<'a>,
    first_col: usize,
    lhs: Mat<'a>,
    start: Start<'a>,
}

impl WithSimd for Band<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if vectors::<S>() == 4 { self.run::<S, 4>(simd) } else { self.run::<S, 2>(simd) }
    }
}

impl Band<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize>(mut self, simd: S) {
        if self.panels.k == 0 {
            return self.only_start();
        }
        let padded = self.panels.n.div_ceil(self.panels.width) * self.panels.width;
        // Taken out: code inside a closure of the thread's store would not be compiled for `S`.
        let mut scratch = SCRATCH.take();
        for (i, block) in blocks(self.panels.k).enumerate() {
            let start = if i == 0 { self.start } else { Start::Old };
            let from = block.start * padded + self.first_col * block.len();
            let panels = &self.panels.values[from..block.end * padded];
            let tiles = fill_tiles(&mut scratch, self.lhs.cols(block.clone()));
            self.block::<S, V>(simd, (block.len(), tiles, panels), start);
        }
        SCRATCH.set(scratch);
    }

    /// A sum of no terms.
    fn only_start(&mut self) {
        let cols = self.dst.n_cols();
        for i in 0..self.dst.n_rows() {
            match self.start.at_col(self.first_col) {
                Start::Zero => self.dst.row(i).fill(0.0),
                Start::Bias(bias) => self.dst.row(i).copy_from_slice(&bias[..cols]),
                Start::Old => {}
            }
        }
    }

    /// Adds the products of one depth block: tiles `[tiles, depth, ROWS]` with panels `[panels, depth, width]`.
    #[inline(always)]
    fn block<S: Simd, const V: usize>(
        &mut self,
        simd: S,
        (depth, tiles, panels): (usize, &[f32], &[f32]),
        start: Start<'_>,
    ) {
        let width = S::F32_LANES * V;
        let n_panels = self.dst.n_cols().div_ceil(width);
        for (p, panel) in panels.chunks_exact(depth * width).take(n_panels).enumerate() {
            let (col, cols) = (p * width, width.min(self.dst.n_cols() - p * width));
            let panel = S::as_simd_f32s(panel).0.as_chunks::<V>().0;
            for (t, tile) in tiles.chunks_exact(depth * ROWS).enumerate() {
                let (place, tile) = ((t * ROWS, col..col + cols), tile.as_chunks::<ROWS>().0);
                match self.dst.n_rows() - t * ROWS {
                    1 | 2 => self.tile(simd, place, sums::<S, V, 2>(simd, tile, panel), start),
                    3 | 4 => self.tile(simd, place, sums::<S, V, 4>(simd, tile, panel), start),
                    _ => self.tile(simd, place, sums::<S, V, ROWS>(simd, tile, panel), start),
                }
            }
        }
    }

    /// Writes the sums of a tile.
    #[inline(always)]
    fn tile<S: Simd, const V: usize, const R: usize>(
        &mut self,
        simd: S,
        (row, cols): (usize, Range<usize>),
        sums: [[S::f32s; V]; R],
        start: Start<'_>,
    ) {
        for (row, sums) in (row..self.dst.n_rows()).zip(sums) {
            let dst = &mut self.dst.row(row)[cols.clone()];
            store(simd, dst, sums, start.at_col(self.first_col + cols.start));
        }
    }
}

impl Start<'_> {
    #[inline(always)]
    fn at_col(self, col: usize) -> Self {
        match self {
            Self::Bias(bias) => Self::Bias(&bias[col..]),
            other => other,
        }
    }
}

/// Copies the left side to `[tiles, depth, ROWS]`; rows beyond the last are zero.
fn fill_tiles<'a>(scratch: &'a mut Vec<f32>, lhs: Mat<'_>) -> &'a [f32] {
    let (n, depth) = (lhs.n_rows(), lhs.n_cols());
    let len = n.div_ceil(ROWS) * depth * ROWS;
    if scratch.len() < len {
        scratch.resize(len, 0.0);
    }
    for (t, tile) in scratch[..len].chunks_exact_mut(depth * ROWS).enumerate() {
        let rows = lhs.rows(t * ROWS..((t + 1) * ROWS).min(n));
        match rows.contiguous_rows() {
            Some(rows) if t * ROWS + ROWS <= n => interleave(tile, rows),
            _ => fill(tile, ROWS, rows.t()),
        }
    }
    &scratch[..len]
}

/// Writes [`ROWS`] rows value by value in turn.
#[inline(always)]
fn interleave<'a>(tile: &mut [f32], mut rows: impl Iterator<Item = &'a [f32]>) {
    let rows: [&[f32]; ROWS] = std::array::from_fn(|_| rows.next().expect("a whole tile has all its rows"));
    let (tile, _) = tile.as_chunks_mut::<ROWS>();
    let rows = rows.map(|row| &row[..tile.len()]);
    for (k, tile) in tile.iter_mut().enumerate() {
        for (to, row) in tile.iter_mut().zip(rows) {
            *to = row[k];
        }
    }
}

/// A tile of registers: Σₖ tileₖ·panelₖ of the first `R` rows.
#[inline(always)]
fn sums<S: Simd, const V: usize, const R: usize>(
    simd: S,
    tile: &[[f32; ROWS]],
    panel: &[[S::f32s; V]],
) -> [[S::f32s; V]; R] {
    let mut sums = [[simd.splat_f32s(0.0); V]; R];
    let tile = &tile[..panel.len()];
    for k in 0..panel.len() {
        let (left, right) = (tile[k], panel[k]);
        for (sums, left) in sums.iter_mut().zip(left) {
            let left = simd.splat_f32s(left);
            for (sum, right) in sums.iter_mut().zip(right) {
                *sum = simd.mul_add_e_f32s(left, right, *sum);
            }
        }
    }
    sums
}

/// Writes the sums of one row of a tile.
#[inline(always)]
fn store<S: Simd, const V: usize>(simd: S, dst: &mut [f32], sums: [S::f32s; V], start: Start<'_>) {
    if dst.len() == V * S::F32_LANES {
        let (dst, _) = S::as_mut_simd_f32s(dst);
        for (v, (dst, sum)) in dst.iter_mut().zip(sums).enumerate() {
            *dst = match start {
                Start::Zero => sum,
                Start::Bias(bias) => simd.add_f32s(sum, S::as_simd_f32s(bias).0[v]),
                Start::Old => simd.add_f32s(sum, *dst),
            };
        }
        return;
    }
    let mut values = [0.0; MOST_COLS];
    let (whole, _) = S::as_mut_simd_f32s(&mut values);
    whole[..V].copy_from_slice(&sums);
    match start {
        Start::Zero => dst.copy_from_slice(&values[..dst.len()]),
        Start::Bias(bias) => dst.iter_mut().zip(values).zip(bias).for_each(|((d, v), b)| *d = v + b),
        Start::Old => dst.iter_mut().zip(values).for_each(|(d, v)| *d += v),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(n: usize, step: f32) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * step).sin()).collect()
    }

    /// Largest error of `start + lhs · rhs` with either side stored by rows or by columns.
    fn error(arch: Arch, (m, k, n): (usize, usize, usize), start: Start<'_>, threads: Threads) -> f64 {
        let (a, b, pool) = (values(m * k, 0.37), values(k * n, 0.11), Pool::default());
        let by_col = |v: &[f32], rows: usize, cols: usize| -> Vec<f32> {
            (0..rows * cols).map(|i| v[i % rows * cols + i / rows]).collect()
        };
        let (a_cols, b_cols) = (by_col(&a, m, k), by_col(&b, k, n));
        let mut worst = 0.0_f64;
        for lhs in [Mat::new(&a, m, k), Mat::new(&a_cols, k, m).t()] {
            for rhs in [Mat::new(&b, k, n), Mat::new(&b_cols, n, k).t()] {
                let mut out = vec![3.0; m * n];
                Panels::of(arch, &pool, rhs).multiply(MatMut::new(&mut out, m, n), lhs, start, threads);
                for (i, found) in out.iter().enumerate() {
                    let first = match start {
                        Start::Zero => 0.0,
                        Start::Bias(bias) => f64::from(bias[i % n]),
                        Start::Old => 3.0,
                    };
                    let terms = (0..k).map(|t| f64::from(a[i / n * k + t]) * f64::from(b[t * n + i % n]));
                    worst = worst.max((f64::from(*found) - first - terms.sum::<f64>()).abs());
                }
            }
        }
        worst
    }

    #[test]
    fn products_of_odd_sizes_equal_the_sums() {
        let bias = values(200, 0.7);
        let shapes = [(1, 1, 1), (5, 3, 7), (6, 16, 64), (50, 513, 200), (200, 40, 130), (3, 1030, 16)];
        for (arch, shape) in simd::known().into_iter().flat_map(|arch| shapes.map(|shape| (arch, shape))) {
            for start in [Start::Zero, Start::Bias(&bias[..shape.2]), Start::Old] {
                for threads in [Threads::One, Threads::All] {
                    let error = error(arch, shape, start, threads);
                    assert!(error < 2e-4, "{arch:?} {shape:?} {start:?}: {error}");
                }
            }
        }
    }

    #[test]
    fn a_product_over_nothing_is_its_start() {
        for (start, expected) in [(Start::Zero, 0.0), (Start::Old, 7.0), (Start::Bias(&[2.0; 3]), 2.0)] {
            let mut out = vec![7.0; 6];
            let panels = Panels::new(&Pool::default(), Mat::new(&[], 0, 3));
            panels.multiply(MatMut::new(&mut out, 2, 3), Mat::new(&[], 2, 0), start, Threads::All);
            assert_eq!(out, [expected; 6]);
        }
    }

    #[test]
    fn a_row_has_the_same_bits_alone_and_among_others() {
        let (a, b, pool) = (values(70 * 600, 0.3), values(600 * 90, 0.2), Pool::default());
        let panels = Panels::new(&pool, Mat::new(&b, 600, 90));
        let (mut all, mut one) = (vec![0.0; 70 * 90], vec![0.0; 90]);
        panels.multiply(MatMut::new(&mut all, 70, 90), Mat::new(&a, 70, 600), Start::Zero, Threads::All);
        let row = Mat::new(&a[55 * 600..56 * 600], 1, 600);
        panels.multiply(MatMut::new(&mut one, 1, 90), row, Start::Zero, Threads::One);
        assert_eq!(all[55 * 90..56 * 90], one);
    }
}
