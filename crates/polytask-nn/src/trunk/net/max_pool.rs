//! Max pooling over squares of two that do not overlap; a last odd row or column is left out.

#![allow(clippy::inline_always)] // code must land in the caller that was compiled for wide vectors
#![allow(clippy::needless_range_loop)] // iterators and array maps are calls here: only counted loops surely land there

use rayon::prelude::*;

use super::graph::Shape;
use super::patches::Images;
use crate::trunk::pool::{Buf, Pool};
use crate::trunk::simd;

/// A max pooling.
#[derive(Clone, Copy)]
pub(super) struct MaxPool<'a> {
    pub(super) from: Shape,
    pub(super) out: Shape,
    pub(super) relu: bool,
    pub(super) pool: &'a Pool,
}

/// Channels handled at once: a full vector. Where a pixel has fewer left, what lies behind them is read too; outputs
/// behind them are written and then overwritten in their turn, gradients are left as they are.
const LANES: usize = 16;

/// Some channels of a pixel.
type Lanes = [f32; LANES];

impl MaxPool<'_> {
    /// The largest values of `n` images.
    pub(super) fn forward(&self, x: &[f32], n: usize) -> Buf {
        let mut y = self.pool.take(n * self.out.len());
        y.par_chunks_mut(self.out.len()).zip(x.par_chunks(self.from.len())).for_each(|(y, x)| {
            simd::wide(
                #[inline(always)]
                || self.largest(x, y),
            );
        });
        y
    }

    #[inline(always)]
    fn largest(&self, x: &[f32], y: &mut [f32]) {
        let least = if self.relu { 0.0 } else { f32::NEG_INFINITY };
        let c = self.out.channels;
        for place in 0..self.out.places() {
            let starts = self.starts(place);
            for k in (0..c).step_by(LANES) {
                let at = place * c + k;
                let [a, b, d, e] = four(x, starts, k);
                let mut most = [least; LANES];
                for l in 0..LANES {
                    most[l] = larger(larger(larger(larger(most[l], a[l]), b[l]), d[l]), e[l]);
                }
                store(y, at, LANES.min(y.len() - at), &most);
            }
        }
    }

    /// dL/dx from dL/dy: all of it to the first of the largest values. Where a ReLU cut, `g` is 0 already.
    pub(super) fn backward(&self, x: &Images<'_>, g: &[f32], n: usize) -> Buf {
        let mut dx = self.pool.take(n * self.from.len());
        dx.par_chunks_mut(self.from.len()).zip(g.par_chunks(self.out.len())).enumerate().for_each(
            |(i, (dx, g))| {
                simd::wide(
                    #[inline(always)]
                    || self.send_back(x.get(i), g, dx),
                );
            },
        );
        dx
    }

    #[inline(always)]
    fn send_back(&self, x: &[f32], g: &[f32], dx: &mut [f32]) {
        // Windows cover all but a last odd row or column.
        if self.from.places() > 4 * self.out.places() {
            dx.fill(0.0);
        }
        let c = self.out.channels;
        for place in 0..self.out.places() {
            let starts = self.starts(place);
            for k in (0..c).step_by(LANES) {
                let own = LANES.min(c - k);
                let to_each = shares(four(x, starts, k), load(g, place * c + k));
                for at in 0..4 {
                    blend(dx, starts[at] + k, own, &to_each[at]);
                }
            }
        }
    }

    /// Where the pixels under a window start.
    #[inline(always)]
    fn starts(&self, place: usize) -> [usize; 4] {
        let (y, x) = (place / self.out.width * 2, place % self.out.width * 2);
        let at = |y: usize, x: usize| (y * self.from.width + x) * self.from.channels;
        [at(y, x), at(y, x + 1), at(y + 1, x), at(y + 1, x + 1)]
    }
}

/// What each of the four pixels under a window gets of `g`.
#[inline(always)]
fn shares([a, b, d, e]: [Lanes; 4], g: Lanes) -> [Lanes; 4] {
    let mut to_each = [[0.0; LANES]; 4];
    for l in 0..LANES {
        let most = larger(larger(larger(a[l], b[l]), d[l]), e[l]);
        let g = g[l];
        let (is_a, is_b, is_d) = (a[l] == most, b[l] == most, d[l] == most);
        to_each[0][l] = if is_a { g } else { 0.0 };
        to_each[1][l] = if is_b && !is_a { g } else { 0.0 };
        to_each[2][l] = if is_d && !is_a && !is_b { g } else { 0.0 };
        to_each[3][l] = if is_a || is_b || is_d { 0.0 } else { g };
    }
    to_each
}

/// The same channels of the four pixels under a window.
#[inline(always)]
fn four(x: &[f32], starts: [usize; 4], k: usize) -> [Lanes; 4] {
    [load(x, starts[0] + k), load(x, starts[1] + k), load(x, starts[2] + k), load(x, starts[3] + k)]
}

/// Values from `at` on; zeros behind the last.
#[inline(always)]
fn load(values: &[f32], at: usize) -> Lanes {
    if let Some(lanes) = values[at..].first_chunk() {
        return *lanes;
    }
    let mut lanes = [0.0; LANES];
    lanes[..values.len() - at].copy_from_slice(&values[at..]);
    lanes
}

/// Writes the first `n` lanes.
#[inline(always)]
fn store(values: &mut [f32], at: usize, n: usize, lanes: &Lanes) {
    match values[at..].first_chunk_mut() {
        Some(to) if n == LANES => *to = *lanes,
        _ => values[at..at + n].copy_from_slice(&lanes[..n]),
    }
}

/// Writes the first `n` lanes and leaves what lies behind them as it is: another pixel's.
#[inline(always)]
fn blend(values: &mut [f32], at: usize, n: usize, lanes: &Lanes) {
    match values[at..].first_chunk_mut::<LANES>() {
        Some(to) => {
            for l in 0..LANES {
                to[l] = if l < n { lanes[l] } else { to[l] };
            }
        }
        None => values[at..at + n].copy_from_slice(&lanes[..n]),
    }
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rule, pixel by pixel.
    fn plain(pool: &MaxPool<'_>, x: &[f32], g: &[f32]) -> Vec<f32> {
        let mut dx = vec![0.0; x.len()];
        for (i, g) in g.iter().enumerate() {
            let (place, k) = (i / pool.out.channels, i % pool.out.channels);
            let starts = pool.starts(place).map(|start| start + k);
            let most = starts.iter().map(|&at| x[at]).fold(f32::NEG_INFINITY, f32::max);
            dx[starts.into_iter().find(|&at| x[at] == most).unwrap()] += g;
        }
        dx
    }

    #[test]
    fn gradients_go_to_the_first_largest_pixel_whatever_the_number_of_channels() {
        let buffers = Pool::default();
        for channels in [1, 10, 16, 20, 33] {
            for (height, width) in [(4, 6), (5, 7), (2, 2)] {
                let from = Shape { height, width, channels };
                let out = Shape { height: height / 2, width: width / 2, channels };
                let pool = MaxPool { from, out, relu: false, pool: &buffers };
                // Few values, so that there are ties.
                let x: Vec<f32> = (0..2 * from.len()).map(|i| (i * 7919 % 5) as f32 - 2.0).collect();
                let g: Vec<f32> = (0..2 * out.len()).map(|i| i as f32 + 1.0).collect();
                let dx = pool.backward(&Images { values: &x, size: from.len(), order: None }, &g, 2);
                for image in 0..2 {
                    let of = |values: &[f32], n: usize| values[image * n..(image + 1) * n].to_vec();
                    let expected = plain(&pool, &of(&x, from.len()), &of(&g, out.len()));
                    assert_eq!(of(&dx, from.len()), expected, "{channels} channels, {height} x {width}");
                }
                let y = pool.forward(&x, 2);
                let largest = |i: usize| {
                    let (place, k) = (i % out.len() / channels, i % channels);
                    let image = i / out.len() * from.len();
                    pool.starts(place)
                        .into_iter()
                        .map(|at| x[image + at + k])
                        .fold(f32::NEG_INFINITY, f32::max)
                };
                assert_eq!(y.to_vec(), (0..y.len()).map(largest).collect::<Vec<_>>());
            }
        }
    }
}
