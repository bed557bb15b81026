//! Convolutions as blocked matrix products: patches are laid out as rows, a tile of rows at a time.
//!
//! With patches `A [rows, patch]`, weights `W [channels, patch]` and output gradients `G [rows, channels]`:
//! `Y = A Wᵀ`, `dW = Gᵀ A`, `dA = G W`, and `dX` sums `dA` back into the pixels each patch was read from. Patches are
//! laid out again in the backward: kept, they would take as many times the image as the kernel has places.

use std::ops::Range;

use rayon::prelude::*;

use super::graph::{Node, Op, Shape, Window};
use super::narrow::Narrow;
use super::patches::{Images, lay, scatter};
use super::stack::{Group, Stack};
use crate::trunk::elementwise;
use crate::trunk::kernels::{Mat, MatMut, Threads, matmul};
use crate::trunk::panels::{Panels, Start};
use crate::trunk::pool::{Buf, Pool};
use crate::trunk::simd;

/// Rows of patches at a time: few, so that they stay in the cache of a core that two threads share.
const TILE: usize = 96;

/// Values of a weight gradient that one row of patches may be added to for: a large one is read and written again for
/// every tile, so it gets tiles of more rows.
const PER_ROW: usize = 1024;

/// Partial sums of a weight gradient: fixed, so that sums do not depend on the number of threads.
const PARTS: usize = 8;

/// Images of many tasks that go through an affine map together.
const SHARE: usize = 512;

/// From so many columns on a product's right side is laid out in panels: they are wide, and filled up with zeros.
const WIDE: usize = 32;

/// A convolution and its weights.
pub(super) struct Conv<'a> {
    from: Shape,
    out: Shape,
    window: Window,
    relu: bool,
    /// `[channels, patch]`.
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
    pool: &'a Pool,
}

/// The right side of a product.
enum Right<'a> {
    Panels(Panels),
    Plain(Mat<'a>),
}

impl<'a> Right<'a> {
    fn new(pool: &Pool, rhs: Mat<'a>) -> Self {
        if rhs.n_cols() >= WIDE { Self::Panels(Panels::new(pool, rhs)) } else { Self::Plain(rhs) }
    }

    /// `dst = lhs · self`.
    fn multiply(&self, dst: MatMut<'_>, lhs: Mat<'_>, threads: Threads) {
        match self {
            Self::Panels(panels) => panels.multiply(dst, lhs, Start::Zero, threads),
            Self::Plain(rhs) => matmul(dst, false, lhs, *rhs, 1.0, threads),
        }
    }
}

/// Rows of patches: the value itself where a patch is a row of it, else laid out.
enum Patches<'a> {
    Same(&'a [f32]),
    Laid(Buf),
}

impl std::ops::Deref for Patches<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match self {
            Self::Same(values) => values,
            Self::Laid(values) => values,
        }
    }
}

impl<'a> Conv<'a> {
    /// The convolution of a node; `tensors` are its own.
    pub(super) fn new(node: &Node, weight: &'a [f32], bias: Option<&'a [f32]>, pool: &'a Pool) -> Self {
        let Op::Conv { window, .. } = node.op else { unreachable!("a convolution is made of its node") };
        Self { from: node.from, out: node.out, window, relu: node.relu, weight, bias, pool }
    }

    /// Values of a patch.
    fn patch(&self) -> usize {
        self.window.height * self.window.width * self.from.channels
    }

    /// Whether a patch is a row of the value as it lies: an affine map of the image, or of each place.
    fn is_plain(&self) -> bool {
        let Window { height, width, stride, padding } = self.window;
        let of_place = height == 1 && width == 1 && stride == 1;
        padding == 0 && (of_place || (height == self.from.height && width == self.from.width))
    }

    /// Whether there is one row per image: then rows are few, and one product is shared by all threads.
    pub(super) fn is_dense(&self) -> bool {
        self.is_plain() && self.out.places() == 1
    }

    /// The same convolution by planes, where channels are too few for a product.
    fn narrow(&self) -> Option<Narrow<'_>> {
        let Window { stride, padding, .. } = self.window;
        let is_narrow = self.out.channels < WIDE && stride == 1 && padding == 0 && !self.is_plain();
        let Self { from, out, window, weight, pool, .. } = *self;
        is_narrow.then_some(Narrow { from, out, window, weight, pool })
    }

    fn weight(&self) -> Mat<'a> {
        Mat::new(self.weight, self.out.channels, self.patch())
    }

    /// The patches of some rows (of all images, end to end).
    fn patches<'x>(&self, x: &Images<'x>, rows: Range<usize>) -> Patches<'x> {
        let patch = self.patch();
        if let (true, Some(values)) = (self.is_plain(), x.in_order()) {
            return Patches::Same(&values[rows.start * patch..rows.end * patch]);
        }
        let mut laid = self.pool.take(rows.len() * patch);
        lay(x, (self.from, self.out, self.window), rows, &mut laid);
        Patches::Laid(laid)
    }

    /// Outputs of `n` images.
    pub(super) fn forward(&self, x: &Images<'_>, n: usize) -> Buf {
        if let Some(narrow) = self.narrow() {
            let mut y = narrow.forward(x, n);
            y.par_chunks_mut(self.out.len()).for_each(|y| finish(y, self.bias, self.relu, self.out.channels));
            return y;
        }
        let (channels, patch) = (self.out.channels, self.patch());
        let mut y = self.pool.take(n * self.out.len());
        let (tile, threads) = if self.is_dense() { (n.max(1), Threads::All) } else { (TILE, Threads::One) };
        let weight = Right::new(self.pool, self.weight().t());
        let run = |(t, out): (usize, &mut [f32])| {
            let rows = out.len() / channels;
            let a = self.patches(x, t * tile..t * tile + rows);
            weight.multiply(MatMut::new(out, rows, channels), Mat::new(&a, rows, patch), threads);
            finish(out, self.bias, self.relu, channels);
        };
        y.par_chunks_mut(tile * channels).enumerate().for_each(run);
        y
    }

    /// Adds nothing: writes dL/dW (and dL/db) of each group of the stack to the front of `grads`.
    pub(super) fn weights_backward(
        &self,
        x: &Images<'_>,
        g: &[f32],
        stack: &Stack,
        grads: &mut [&mut [f32]],
    ) {
        let len = self.weight.len() + self.bias.map_or(0, <[f32]>::len);
        if self.is_dense() {
            for (group, grad) in stack.groups.iter().zip(grads) {
                self.weights_of(x, g, group.images.clone(), &mut grad[..len], Threads::All);
            }
            return;
        }
        let jobs: Vec<(usize, Range<usize>)> = (0..stack.groups.len())
            .flat_map(|group| in_parts(&stack.groups[group].images).map(move |part| (group, part)))
            .collect();
        let mut sums = self.pool.take(jobs.len() * len);
        let run = |(sum, (_, images)): (&mut [f32], &(usize, Range<usize>))| {
            self.weights_of(x, g, images.clone(), sum, Threads::One);
        };
        sums.par_chunks_mut(len).zip(&jobs).for_each(run);
        for (group, grad) in grads.iter_mut().enumerate() {
            let own = |(job, part): (&(usize, Range<usize>), _)| (job.0 == group).then_some(part);
            let parts: Vec<&[f32]> = jobs.iter().zip(sums.chunks(len)).filter_map(own).collect();
            add_up(&parts, &mut grad[..len]);
        }
    }

    /// The channels in at most `n` bands.
    pub(super) fn bands(&self, n: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let (channels, width) = (self.out.channels, self.out.channels.div_ceil(n).max(1));
        (0..channels).step_by(width).map(move |first| first..(first + width).min(channels))
    }

    /// dL/dW of a band of channels of an affine map of the image, for each group of the stack.
    pub(super) fn band_backward(
        &self,
        x: &Images<'_>,
        g: &[f32],
        stack: &Stack,
        band: &Range<usize>,
    ) -> Vec<Buf> {
        let (patch, g) = (self.patch(), Mat::new(g, stack.len(), self.out.channels));
        let of_group = |group: &Group| {
            let (images, a) = (group.images.clone(), self.patches(x, group.images.clone()));
            let mut grad = self.pool.take(band.len() * patch);
            let (dst, n) = (MatMut::new(&mut grad, band.len(), patch), images.len());
            let g = g.rows(images).cols(band.clone());
            matmul(dst, false, g.t(), Mat::new(&a, n, patch), 1.0, Threads::All);
            grad
        };
        stack.groups.iter().map(of_group).collect()
    }

    /// dL/db of an affine map of the image, for each group of the stack; empty without a bias.
    pub(super) fn bias_backward(&self, g: &[f32], stack: &Stack) -> Vec<Buf> {
        let (n, channels) = (self.bias.map_or(0, <[f32]>::len), self.out.channels);
        let of_group = |group: &Group| {
            let mut bias = self.pool.zeros(n);
            add_rows(&mut bias, &g[group.images.start * channels..group.images.end * channels]);
            bias
        };
        stack.groups.iter().map(of_group).collect()
    }

    /// Values of the weight: where the bias begins.
    pub(super) fn weight_len(&self) -> usize {
        self.weight.len()
    }

    /// As [`Self::input_backward`] of an affine map of the image; in place, a share of the images at a time, where
    /// outputs are as long as inputs.
    pub(super) fn input_backward_of_many(&self, mut g: Buf, n: usize) -> Buf {
        if self.from.len() != self.out.len() {
            return self.input_backward(&g, n);
        }
        let (size, weight) = (self.from.len(), Right::new(self.pool, self.weight()));
        let mut dx = self.pool.take(SHARE.min(n) * size);
        for g in g.chunks_mut(SHARE * size) {
            let dx = &mut dx[..g.len()];
            self.patches_backward(&weight, g, 0..g.len() / size, dx, Threads::All);
            g.copy_from_slice(dx);
        }
        g
    }

    /// dL/dW and dL/db over some stacked images.
    fn weights_of(&self, x: &Images<'_>, g: &[f32], images: Range<usize>, sum: &mut [f32], threads: Threads) {
        let (channels, patch, places) = (self.out.channels, self.patch(), self.out.places());
        let (weight, bias) = sum.split_at_mut(self.weight.len());
        bias.fill(0.0);
        if let Some(narrow) = self.narrow() {
            narrow.weights_backward(x, g, images.clone(), weight);
            let g = &g[images.start * self.out.len()..images.end * self.out.len()];
            return add_rows(bias, g);
        }
        let rows = images.start * places..images.end * places;
        let tile = if self.is_dense() { rows.len().max(1) } else { TILE.max(self.weight.len() / PER_ROW) };
        for first in rows.clone().step_by(tile) {
            let now = first..(first + tile).min(rows.end);
            let n = now.len();
            let g = &g[now.start * channels..now.end * channels];
            let a = self.patches(x, now);
            let dst = MatMut::new(weight, channels, patch);
            let add = first > rows.start;
            matmul(dst, add, Mat::new(g, n, channels).t(), Mat::new(&a, n, patch), 1.0, threads);
            add_rows(bias, g);
        }
    }

    /// dL/d input of the stacked images.
    pub(super) fn input_backward(&self, g: &[f32], n: usize) -> Buf {
        if let Some(narrow) = self.narrow() {
            return narrow.input_backward(g, n);
        }
        let (size, places) = (self.from.len(), self.out.places());
        let mut dx = self.pool.take(n * size);
        let weight = Right::new(self.pool, self.weight());
        let (per, threads) =
            if self.is_dense() { (n.max(1), Threads::All) } else { (TILE.div_ceil(places), Threads::One) };
        dx.par_chunks_mut(per * size).enumerate().for_each(|(i, dx)| {
            let rows = i * per * places..(i * per + dx.len() / size) * places;
            if self.is_plain() {
                self.patches_backward(&weight, g, rows, dx, threads);
            } else {
                self.scattered(&weight, g, rows, dx);
            }
        });
        dx
    }

    /// dL/d patches of some rows.
    fn patches_backward(
        &self,
        weight: &Right<'_>,
        g: &[f32],
        rows: Range<usize>,
        da: &mut [f32],
        threads: Threads,
    ) {
        let (channels, n) = (self.out.channels, rows.len());
        let g = Mat::new(&g[rows.start * channels..rows.end * channels], n, channels);
        weight.multiply(MatMut::new(da, n, self.patch()), g, threads);
    }

    /// dL/d patches summed into the pixels of whole images, a tile at a time.
    fn scattered(&self, weight: &Right<'_>, g: &[f32], rows: Range<usize>, dx: &mut [f32]) {
        dx.fill(0.0);
        for first in rows.clone().step_by(TILE) {
            let now = first..(first + TILE).min(rows.end);
            let mut da = self.pool.take(now.len() * self.patch());
            self.patches_backward(weight, g, now.clone(), &mut da, Threads::One);
            let from_start = now.start - rows.start..now.end - rows.start;
            scatter(&da, (self.from, self.out, self.window), from_start, dx);
        }
    }
}

/// The images of a group in parts that are summed apart.
fn in_parts(images: &Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
    let images = images.clone();
    let step = images.len().div_ceil(PARTS);
    images.clone().step_by(step.max(1)).map(move |first| first..(first + step).min(images.end))
}

/// Rows that are handled as one: rows of few values are shorter than a vector.
const TOGETHER: usize = 16;

/// Adds the bias and applies the ReLU.
fn finish(out: &mut [f32], bias: Option<&[f32]>, relu: bool, channels: usize) {
    let repeated = bias.map(|bias| bias.repeat(TOGETHER));
    simd::wide(
        #[inline(always)]
        || {
            if let (Some(bias), Some(repeated)) = (bias, &repeated) {
                let mut rows = out.chunks_exact_mut(TOGETHER * channels);
                rows.by_ref().for_each(|rows| elementwise::add(rows, repeated));
                rows.into_remainder().chunks_exact_mut(channels).for_each(|row| elementwise::add(row, bias));
            }
            if relu {
                out.iter_mut().for_each(|v| *v = if *v > 0.0 { *v } else { 0.0 });
            }
        },
    );
}

/// Adds every row to `sum`, if it has any values.
fn add_rows(sum: &mut [f32], rows: &[f32]) {
    if sum.is_empty() {
        return;
    }
    let mut sums = vec![0.0; TOGETHER * sum.len()];
    simd::wide(
        #[inline(always)]
        || {
            let rows = rows.chunks_exact(sums.len());
            rows.remainder().chunks_exact(sum.len()).for_each(|row| elementwise::add(sum, row));
            rows.for_each(|rows| elementwise::add(&mut sums, rows));
            sums.chunks_exact(sum.len()).for_each(|part| elementwise::add(sum, part));
        },
    );
}

/// Σ of some buffers, in their order.
fn add_up(parts: &[&[f32]], out: &mut [f32]) {
    const CHUNK: usize = 1 << 14;
    out.par_chunks_mut(CHUNK).enumerate().for_each(|(i, out)| {
        out.fill(0.0);
        for part in parts {
            let part = &part[i * CHUNK..][..out.len()];
            simd::wide(
                #[inline(always)]
                || elementwise::add(out, part),
            );
        }
    });
}
