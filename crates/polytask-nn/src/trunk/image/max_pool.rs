//! Max pooling over windows that do not overlap.

use rayon::prelude::*;

use super::graph::{Shape, Window};
use super::patches::Images;
use crate::trunk::pool::{Buf, Pool};

/// A max pooling.
#[derive(Clone, Copy)]
pub(super) struct MaxPool<'a> {
    pub(super) from: Shape,
    pub(super) out: Shape,
    pub(super) window: Window,
    pub(super) relu: bool,
    pub(super) pool: &'a Pool,
}

impl MaxPool<'_> {
    /// The largest values of `n` images.
    pub(super) fn forward(&self, x: &[f32], n: usize) -> Buf {
        let mut y = self.pool.take(n * self.out.len());
        let least = if self.relu { 0.0 } else { f32::NEG_INFINITY };
        y.par_chunks_mut(self.out.len()).zip(x.par_chunks(self.from.len())).for_each(|(y, x)| {
            for (place, y) in y.chunks_exact_mut(self.out.channels).enumerate() {
                y.fill(least);
                self.for_window(place, |at| {
                    y.iter_mut().zip(&x[at..]).for_each(|(y, x)| *y = if *x > *y { *x } else { *y });
                });
            }
        });
        y
    }

    /// dL/dx from dL/dy: all of it to the first of the largest values. Where a ReLU cut, `g` is 0 already.
    pub(super) fn backward(&self, x: &Images<'_>, g: &[f32], n: usize) -> Buf {
        let mut dx = self.pool.take(n * self.from.len());
        dx.par_chunks_mut(self.from.len()).zip(g.par_chunks(self.out.len())).enumerate().for_each(
            |(i, (dx, g))| {
                dx.fill(0.0);
                let x = x.get(i);
                for (place, g) in g.chunks_exact(self.out.channels).enumerate() {
                    for (channel, g) in g.iter().enumerate().filter(|(_, g)| **g != 0.0) {
                        let mut best = (f32::NEG_INFINITY, 0);
                        self.for_window(place, |at| {
                            if x[at + channel] > best.0 {
                                best = (x[at + channel], at + channel);
                            }
                        });
                        dx[best.1] += *g;
                    }
                }
            },
        );
        dx
    }

    /// Calls `visit` with where each pixel under a window starts.
    #[inline]
    fn for_window(&self, place: usize, mut visit: impl FnMut(usize)) {
        let (y, x) =
            (place / self.out.width * self.window.stride, place % self.out.width * self.window.stride);
        for row in y..y + self.window.height {
            for column in x..x + self.window.width {
                visit((row * self.from.width + column) * self.from.channels);
            }
        }
    }
}
