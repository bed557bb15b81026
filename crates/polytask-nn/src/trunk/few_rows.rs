//! The product of a few rows with a weight matrix: what one short text costs.
//!
//! A general product first copies both sides into tiles, which pays when every weight is used for many rows. Here
//! each weight is read once, in order, against rows that stay in the first-level cache; threads share the outputs.
#![allow(clippy::inline_always)] // code must land in the caller that was compiled for wide vectors

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::kernels::MatMut;
use super::simd;

/// Products of up to this many rows are faster here than in the general product.
pub(crate) const FEW_ROWS: usize = 16;

/// Rows of x, and of the weight, in one tile: their sums fit the registers.
const TILE: usize = 4;

/// Outputs per unit of parallel work.
const BAND: usize = 64;

/// `out = x · weightᵀ`.
///
/// # Shapes
/// `x`: `[rows, d_in]`, `weight`: `[d_out, d_in]` → `out`: `[rows, d_out]`.
pub(crate) fn product(out: &mut [f32], x: &[f32], weight: &[f32], d_in: usize) {
    let d_out = weight.len() / d_in;
    let mut rest = MatMut::new(out, x.len() / d_in, d_out);
    let mut bands = Vec::with_capacity(d_out.div_ceil(BAND));
    for weight in weight.chunks(BAND * d_in) {
        let (out, right) = rest.split_cols(weight.len() / d_in);
        rest = right;
        bands.push(Band { out, x, weight, d_in });
    }
    bands.into_par_iter().for_each(|band| simd::arch().dispatch(band));
}

/// Some columns of the product.
struct Band<'a> {
    out: MatMut<'a>,
    x: &'a [f32],
    weight: &'a [f32],
    d_in: usize,
}

impl WithSimd for Band<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        for (i, weight) in self.weight.chunks(TILE * self.d_in).enumerate() {
            for (j, x) in self.x.chunks(TILE * self.d_in).enumerate() {
                self.tile(simd, (j * TILE, x), (i * TILE, weight));
            }
        }
    }
}

impl Band<'_> {
    /// Products of up to [`TILE`] rows of x with as many of the weight.
    #[inline(always)]
    fn tile<S: Simd>(&mut self, simd: S, (row, x): (usize, &[f32]), (col, weight): (usize, &[f32])) {
        let d = self.d_in;
        let (n, m) = (x.len() / d, weight.len() / d);
        // A missing row repeats the last one; its sums are not written.
        let x: [&[f32]; TILE] = std::array::from_fn(|i| &x[i.min(n - 1) * d..][..d]);
        let weight: [&[f32]; TILE] = std::array::from_fn(|i| &weight[i.min(m - 1) * d..][..d]);
        let sums = dots(simd, x, weight);
        for (i, sums) in sums.iter().enumerate().take(n) {
            self.out.row(row + i)[col..col + m].copy_from_slice(&sums[..m]);
        }
    }
}

/// All inner products of two sets of rows of one length.
#[inline(always)]
fn dots<S: Simd>(simd: S, a: [&[f32]; TILE], b: [&[f32]; TILE]) -> [[f32; TILE]; TILE] {
    let (a, b) = (a.map(S::as_simd_f32s), b.map(S::as_simd_f32s));
    let n = a[0].0.len();
    let (whole_a, whole_b) = (a.map(|(whole, _)| &whole[..n]), b.map(|(whole, _)| &whole[..n]));
    let mut sums = [[simd.splat_f32s(0.0); TILE]; TILE];
    for k in 0..n {
        let b: [S::f32s; TILE] = std::array::from_fn(|j| whole_b[j][k]);
        for (sums, a) in sums.iter_mut().zip(whole_a) {
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum = simd.mul_add_e_f32s(a[k], b, *sum);
            }
        }
    }
    let rest = |i: usize, j: usize| a[i].1.iter().zip(b[j].1).map(|(a, b)| a * b).sum::<f32>();
    std::array::from_fn(|i| std::array::from_fn(|j| simd.reduce_sum_f32s(sums[i][j]) + rest(i, j)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_odd_sizes_equal_the_sums() {
        for (rows, d_in, d_out) in [(1, 1, 1), (3, 7, 5), (4, 16, 64), (7, 33, 66), (16, 100, 130)] {
            let x: Vec<f32> = (0..rows * d_in).map(|i| (i as f32 * 0.37).sin()).collect();
            let weight: Vec<f32> = (0..d_out * d_in).map(|i| (i as f32 * 0.11).cos()).collect();
            let mut out = vec![f32::NAN; rows * d_out];
            product(&mut out, &x, &weight, d_in);
            for (i, found) in out.iter().enumerate() {
                let (row, col) = (i / d_out, i % d_out);
                let exact: f64 =
                    (0..d_in).map(|k| f64::from(x[row * d_in + k]) * f64::from(weight[col * d_in + k])).sum();
                assert!((f64::from(*found) - exact).abs() < 1e-4, "{rows}x{d_in}x{d_out} at {row},{col}");
            }
        }
    }
}
