//! Max pooling over squares of two that do not overlap; a last odd row or column is left out.

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

/// The channels of the four pixels under a window.
type Four<'a> = [&'a [f32]; 4];

impl MaxPool<'_> {
    /// The largest values of `n` images.
    pub(super) fn forward(&self, x: &[f32], n: usize) -> Buf {
        let mut y = self.pool.take(n * self.out.len());
        let least = if self.relu { 0.0 } else { f32::NEG_INFINITY };
        let c = self.out.channels;
        y.par_chunks_mut(self.out.len()).zip(x.par_chunks(self.from.len())).for_each(|(y, x)| {
            simd::wide(
                #[inline(always)]
                || {
                    for (place, y) in y.chunks_exact_mut(c).enumerate() {
                        let x: Four<'_> = self.starts(place).map(|at| &x[at..at + c]);
                        for (k, y) in y.iter_mut().enumerate() {
                            *y = larger(larger(larger(larger(least, x[0][k]), x[1][k]), x[2][k]), x[3][k]);
                        }
                    }
                },
            );
        });
        y
    }

    /// dL/dx from dL/dy: all of it to the first of the largest values. Where a ReLU cut, `g` is 0 already.
    pub(super) fn backward(&self, x: &Images<'_>, g: &[f32], n: usize) -> Buf {
        let mut dx = self.pool.take(n * self.from.len());
        let c = self.out.channels;
        dx.par_chunks_mut(self.from.len()).zip(g.par_chunks(self.out.len())).enumerate().for_each(
            |(i, (dx, g))| {
                let x = x.get(i);
                // Windows cover all but a last odd row or column.
                dx.fill(0.0);
                simd::wide(
                    #[inline(always)]
                    || {
                        for (place, g) in g.chunks_exact(c).enumerate() {
                            let starts = self.starts(place);
                            let x: Four<'_> = starts.map(|at| &x[at..at + c]);
                            let (above, below) = dx.split_at_mut(starts[2]);
                            let (a, b) = above[starts[0]..starts[0] + 2 * c].split_at_mut(c);
                            let (d, e) = below[..2 * c].split_at_mut(c);
                            for k in 0..c {
                                let most = larger(larger(larger(x[0][k], x[1][k]), x[2][k]), x[3][k]);
                                let is_0 = x[0][k] == most;
                                let is_1 = x[1][k] == most && !is_0;
                                let is_2 = x[2][k] == most && !is_0 && !is_1;
                                a[k] = if is_0 { g[k] } else { 0.0 };
                                b[k] = if is_1 { g[k] } else { 0.0 };
                                d[k] = if is_2 { g[k] } else { 0.0 };
                                e[k] = if is_0 || is_1 || is_2 { 0.0 } else { g[k] };
                            }
                        }
                    },
                );
            },
        );
        dx
    }

    /// Where the pixels under a window start.
    #[inline]
    fn starts(&self, place: usize) -> [usize; 4] {
        let (y, x) = (place / self.out.width * 2, place % self.out.width * 2);
        let at = |y: usize, x: usize| (y * self.from.width + x) * self.from.channels;
        [at(y, x), at(y, x + 1), at(y + 1, x), at(y + 1, x + 1)]
    }
}

#[inline(always)]
#[allow(clippy::inline_always)] // it must land in code compiled for wide vectors
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}
