//! Convolutions of few channels, one plane per channel: no patches are laid out, no product is half empty.
//!
//! A plane is an image's channel as it lies, row after row. The places of the output are numbered by the pixel their
//! window starts at, so a tap of the kernel is the same plane read from further on, and a vector of places meets a
//! vector of pixels. Places at the end of a row whose window would not fit are computed too and left out; in gradients
//! they are zero. Three kernels: outputs, and dL/d input, are correlations; dL/dW is a sum of products of planes.
#![allow(clippy::inline_always)] // code must land in the caller that was compiled for wide vectors
#![allow(clippy::needless_range_loop)] // pairs of iterators are calls here: only counted loops surely land there

use std::ops::Range;

use pulp::bytemuck::cast_slice;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::graph::{Shape, Window};
use super::patches::Images;
use crate::trunk::pool::{Buf, Pool};
use crate::trunk::simd;

/// Outputs of a tile of registers.
const OUT: usize = 5;

/// Planes are filled up to a multiple of this: the most lanes of a vector.
const LANES: usize = 16;

/// Images per unit of parallel work.
const PER: usize = 4;

/// A convolution of few channels: stride 1, no padding.
#[derive(Clone, Copy)]
pub(super) struct Narrow<'a> {
    pub(super) from: Shape,
    pub(super) out: Shape,
    pub(super) window: Window,
    /// `[channels, window height, window width, channels below]`.
    pub(super) weight: &'a [f32],
    pub(super) pool: &'a Pool,
}

/// Where planes lie.
#[derive(Debug, Clone, Copy)]
struct Planes {
    /// Values of a row.
    width: usize,
    /// Values of a plane.
    stride: usize,
    /// Zeros before the first pixel.
    front: usize,
}

fn filled(n: usize) -> usize {
    n.div_ceil(LANES) * LANES
}

impl Narrow<'_> {
    /// Number of places, those at the ends of rows included.
    fn places(&self) -> usize {
        (self.out.height - 1) * self.from.width + self.out.width
    }

    /// How far the last tap of the kernel reaches.
    fn reach(&self) -> usize {
        (self.window.height - 1) * self.from.width + self.window.width - 1
    }

    /// Planes of the input.
    fn inputs(&self) -> Planes {
        let pixels = self.from.places().max(filled(self.places()) + self.reach());
        Planes { width: self.from.width, stride: filled(pixels), front: 0 }
    }

    /// Planes of the output.
    fn outputs(&self) -> Planes {
        Planes { width: self.from.width, stride: filled(self.places()), front: 0 }
    }

    /// Planes of gradients at the output, with room for a kernel that begins before them.
    fn gradients(&self) -> Planes {
        let stride = filled(filled(self.from.places()) + self.reach());
        Planes { width: self.from.width, stride, front: self.reach() }
    }

    /// A weight by output, tap and input.
    fn weight(&self, o: usize, (ky, kx): (usize, usize), c: usize) -> f32 {
        let Window { height, width, .. } = self.window;
        self.weight[((o * height + ky) * width + kx) * self.from.channels + c]
    }

    /// Weights as a tile reads them: `[groups of outputs, inputs, taps, OUT]`.
    fn pack(
        &self,
        n_out: usize,
        n_in: usize,
        weight: impl Fn(usize, usize, (usize, usize)) -> f32,
    ) -> Vec<f32> {
        let Window { height, width, .. } = self.window;
        let mut packed = Vec::with_capacity(n_out.div_ceil(OUT) * OUT * n_in * height * width);
        for first in (0..n_out).step_by(OUT) {
            for c in 0..n_in {
                for tap in (0..height).flat_map(|ky| (0..width).map(move |kx| (ky, kx))) {
                    let of = |o: usize| if o < n_out { weight(o, c, tap) } else { 0.0 };
                    packed.extend((first..first + OUT).map(of));
                }
            }
        }
        packed
    }

    /// Outputs of `n` images.
    pub(super) fn forward(&self, x: &Images<'_>, n: usize) -> Buf {
        let weights = self.pack(self.out.channels, self.from.channels, |o, c, tap| self.weight(o, tap, c));
        let planes = (self.inputs(), self.outputs());
        self.correlate(&weights, (self.from, self.out), planes, n, self.places(), |i| x.get(i))
    }

    /// dL/d input of `n` images.
    pub(super) fn input_backward(&self, g: &[f32], n: usize) -> Buf {
        let Window { height, width, .. } = self.window;
        let flipped = |c: usize, o: usize, (ky, kx): (usize, usize)| {
            self.weight(o, (height - 1 - ky, width - 1 - kx), c)
        };
        let weights = self.pack(self.from.channels, self.out.channels, flipped);
        let pixels = Planes { width: self.from.width, stride: filled(self.from.places()), front: 0 };
        let planes = (self.gradients(), pixels);
        let size = self.out.len();
        self.correlate(&weights, (self.out, self.from), planes, n, self.from.places(), |i| {
            &g[i * size..(i + 1) * size]
        })
    }

    /// Runs the kernel over planes, image by image.
    fn correlate<'x>(
        &self,
        weights: &[f32],
        (from, to): (Shape, Shape),
        (read, write): (Planes, Planes),
        n: usize,
        places: usize,
        image: impl Fn(usize) -> &'x [f32] + Sync,
    ) -> Buf {
        let mut y = self.pool.take(n * to.len());
        y.par_chunks_mut(PER * to.len()).enumerate().for_each(|(i, y)| {
            let mut x = self.pool.zeros(from.channels * read.stride);
            let mut out = self.pool.take(to.channels.div_ceil(OUT) * OUT * write.stride);
            for (j, y) in y.chunks_exact_mut(to.len()).enumerate() {
                to_planes(image(i * PER + j), from, read, &mut x);
                simd::arch().dispatch(Correlate {
                    x: &x,
                    stride: read.stride,
                    width: read.width,
                    window: self.window,
                    channels: from.channels,
                    weights,
                    out: &mut out,
                    out_stride: write.stride,
                    places,
                });
                from_planes(&out, to, write, y);
            }
        });
        y
    }

    /// dL/dW over some stacked images, in the order of the weights.
    pub(super) fn weights_backward(&self, x: &Images<'_>, g: &[f32], images: Range<usize>, sum: &mut [f32]) {
        let (read, write) = (self.inputs(), self.outputs());
        let (n_in, n_out) =
            (self.from.channels * read.stride, self.out.channels.div_ceil(OUT) * OUT * write.stride);
        let mut xs = self.pool.zeros(images.len() * n_in);
        let mut gs = self.pool.zeros(images.len() * n_out);
        let size = self.out.len();
        for ((image, x_planes), g_planes) in
            images.zip(xs.chunks_exact_mut(n_in)).zip(gs.chunks_exact_mut(n_out))
        {
            to_planes(x.get(image), self.from, read, x_planes);
            to_planes(&g[image * size..(image + 1) * size], self.out, write, g_planes);
        }
        simd::arch().dispatch(Products { narrow: self, xs: &xs, gs: &gs, read, write, sum });
    }
}

/// An image as planes.
fn to_planes(image: &[f32], shape: Shape, planes: Planes, to: &mut [f32]) {
    for (channel, plane) in to.chunks_exact_mut(planes.stride).take(shape.channels).enumerate() {
        for y in 0..shape.height {
            let row = &mut plane[planes.front + y * planes.width..][..shape.width];
            let from = image[y * shape.width * shape.channels + channel..].iter().step_by(shape.channels);
            row.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        }
    }
}

/// Planes as an image.
fn from_planes(planes: &[f32], shape: Shape, of: Planes, to: &mut [f32]) {
    for (channel, plane) in planes.chunks_exact(of.stride).take(shape.channels).enumerate() {
        for y in 0..shape.height {
            let row = &plane[y * of.width..][..shape.width];
            let to = to[y * shape.width * shape.channels + channel..].iter_mut().step_by(shape.channels);
            to.zip(row).for_each(|(to, from)| *to = *from);
        }
    }
}

/// `out[o][p] = Σ weights[o][c][ky][kx] · x[c][p + ky · width + kx]`.
struct Correlate<'a> {
    x: &'a [f32],
    stride: usize,
    width: usize,
    window: Window,
    channels: usize,
    weights: &'a [f32],
    out: &'a mut [f32],
    out_stride: usize,
    places: usize,
}

impl WithSimd for Correlate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::REGISTER_COUNT >= 32 { self.run::<S, 4>(simd) } else { self.run::<S, 2>(simd) }
    }
}

impl Correlate<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize>(mut self, simd: S) {
        let per_group = self.channels * self.window.height * self.window.width * OUT;
        for group in 0..self.weights.len() / per_group {
            let weights = &self.weights[group * per_group..(group + 1) * per_group];
            let mut place = 0;
            while place < self.places {
                let left = (self.places - place).div_ceil(S::F32_LANES);
                place += S::F32_LANES
                    * if left >= V {
                        self.tile::<S, V>(simd, weights, group, place)
                    } else if left >= 2 {
                        self.tile::<S, 2>(simd, weights, group, place)
                    } else {
                        self.tile::<S, 1>(simd, weights, group, place)
                    };
            }
        }
    }

    /// [`OUT`] outputs of `V` vectors of places; gives `V`.
    #[inline(always)]
    fn tile<S: Simd, const V: usize>(
        &mut self,
        simd: S,
        weights: &[f32],
        group: usize,
        place: usize,
    ) -> usize {
        let n = V * S::F32_LANES;
        let mut sums = [[simd.splat_f32s(0.0); V]; OUT];
        let (taps, mut tap) = (weights.as_chunks::<OUT>().0, 0);
        for c in 0..self.channels {
            let plane = &self.x[c * self.stride..(c + 1) * self.stride];
            for ky in 0..self.window.height {
                let row = &plane[place + ky * self.width..][..n + self.window.width - 1];
                for kx in 0..self.window.width {
                    let weights = taps[tap];
                    tap += 1;
                    // As an array: its length is known, so sums stay in registers.
                    let x: &[S::f32s; V] =
                        S::as_simd_f32s(&row[kx..kx + n]).0.first_chunk().expect("a tile has its vectors");
                    for o in 0..OUT {
                        let weight = simd.splat_f32s(weights[o]);
                        for v in 0..V {
                            sums[o][v] = simd.mul_add_e_f32s(weight, x[v], sums[o][v]);
                        }
                    }
                }
            }
        }
        let done = sums;
        let out = &mut self.out[group * OUT * self.out_stride + place..];
        spread(cast_slice(done.as_flattened()), n, out, self.out_stride);
        V
    }
}

/// `sum[o][ky][kx][c] = Σ g[o][p] · x[c][p + ky · width + kx]` over images and places.
struct Products<'a> {
    narrow: &'a Narrow<'a>,
    xs: &'a [f32],
    gs: &'a [f32],
    read: Planes,
    write: Planes,
    sum: &'a mut [f32],
}

impl WithSimd for Products<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::REGISTER_COUNT >= 32 { self.run::<S, 5>(simd) } else { self.run::<S, 2>(simd) }
    }
}

impl Products<'_> {
    #[inline(always)]
    fn run<S: Simd, const K: usize>(mut self, simd: S) {
        let Window { height, width, .. } = self.narrow.window;
        for first in (0..self.narrow.out.channels).step_by(OUT) {
            for c in 0..self.narrow.from.channels {
                for ky in 0..height {
                    let mut kx = 0;
                    while kx < width {
                        kx += match width - kx {
                            left if left >= K => self.taps::<S, K>(simd, first, c, (ky, kx)),
                            4 => self.taps::<S, 4>(simd, first, c, (ky, kx)),
                            3 => self.taps::<S, 3>(simd, first, c, (ky, kx)),
                            2 => self.taps::<S, 2>(simd, first, c, (ky, kx)),
                            _ => self.taps::<S, 1>(simd, first, c, (ky, kx)),
                        };
                    }
                }
            }
        }
    }

    /// [`OUT`] outputs and `K` taps of a row of the kernel, for one input; gives `K`.
    #[inline(always)]
    fn taps<S: Simd, const K: usize>(
        &mut self,
        simd: S,
        first: usize,
        c: usize,
        (ky, kx): (usize, usize),
    ) -> usize {
        let (from, out, window) = (self.narrow.from, self.narrow.out, self.narrow.window);
        let (n_in, n_out) =
            (from.channels * self.read.stride, out.channels.div_ceil(OUT) * OUT * self.write.stride);
        let mut sums = [[simd.splat_f32s(0.0); K]; OUT];
        for (x, g) in self.xs.chunks_exact(n_in).zip(self.gs.chunks_exact(n_out)) {
            let x = &x[c * self.read.stride + ky * self.read.width + kx..];
            let g: [&[S::f32s]; OUT] = std::array::from_fn(|o| {
                let at = (first + o) * self.write.stride;
                S::as_simd_f32s(&g[at..at + self.write.stride]).0
            });
            let x: [&[S::f32s]; K] = std::array::from_fn(|k| S::as_simd_f32s(&x[k..k + self.write.stride]).0);
            let n = g[0].len();
            let (g, x) = (g.map(|g| &g[..n]), x.map(|x| &x[..n]));
            for p in 0..n {
                for k in 0..K {
                    let x = x[k][p];
                    for o in 0..OUT {
                        sums[o][k] = simd.mul_add_e_f32s(g[o][p], x, sums[o][k]);
                    }
                }
            }
        }
        let done = sums;
        let lanes: &[f32] = cast_slice(done.as_flattened());
        let taps = ((0..OUT).flat_map(|o| (0..K).map(move |k| (o, k)))).zip(lanes.chunks_exact(S::F32_LANES));
        total(taps.filter(|((o, _), _)| first + o < out.channels), |(o, k), sum| {
            let at = (((first + o) * window.height + ky) * window.width + kx + k) * from.channels + c;
            self.sum[at] = sum;
        });
        K
    }
}

/// Sums go through memory once, in functions of their own: read in a loop where they were made, they would be written
/// to memory after every multiplication.
#[inline(never)]
fn spread(sums: &[f32], n: usize, out: &mut [f32], stride: usize) {
    for (o, sums) in sums.chunks_exact(n).enumerate() {
        out[o * stride..][..n].copy_from_slice(sums);
    }
}

/// Adds up the lanes of sums; see [`spread`].
#[inline(never)]
fn total<'a, P>(sums: impl Iterator<Item = (P, &'a [f32])>, mut put: impl FnMut(P, f32)) {
    sums.for_each(|(place, lanes)| put(place, lanes.iter().sum()));
}
