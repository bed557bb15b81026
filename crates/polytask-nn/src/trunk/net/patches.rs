//! Patches under a moving window: laid out as rows, and summed back.

use std::ops::Range;

use super::graph::{Shape, Window};

/// Images of one value, perhaps picked from more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Images<'a> {
    /// All of them, `[images, size]`.
    pub(super) values: &'a [f32],
    /// Values per image.
    pub(super) size: usize,
    /// Which ones, in which order; `None` for all as they lie.
    pub(super) order: Option<&'a [u32]>,
}

impl<'a> Images<'a> {
    /// The `i`-th image.
    pub(super) fn get(&self, i: usize) -> &'a [f32] {
        let i = self.order.map_or(i, |order| order[i] as usize);
        &self.values[i * self.size..(i + 1) * self.size]
    }

    /// All values, when images are as they lie.
    pub(super) fn in_order(&self) -> Option<&'a [f32]> {
        self.order.is_none().then_some(self.values)
    }
}

/// What a window covers at one place along one direction: where it starts in the image, and which part of it lies inside.
fn span(place: usize, window: usize, stride: usize, padding: usize, size: usize) -> (usize, Range<usize>) {
    let start = place * stride;
    let first = padding.saturating_sub(start).min(window);
    let last = (size + padding).saturating_sub(start).min(window).max(first);
    ((start + first).saturating_sub(padding), first..last)
}

/// Calls `visit(row, image, y, x)` for each row of patches, rows counted from the start of the range.
fn for_rows(out: Shape, rows: Range<usize>, mut visit: impl FnMut(usize, usize, usize, usize)) {
    let (mut image, place) = (rows.start / out.places(), rows.start % out.places());
    let (mut y, mut x) = (place / out.width, place % out.width);
    for row in 0..rows.len() {
        visit(row, image, y, x);
        x += 1;
        if x == out.width {
            (x, y) = (0, y + 1);
        }
        if y == out.height {
            (y, image) = (0, image + 1);
        }
    }
}

/// Lays the patches of some rows out: `[rows, window height, window width, channels]`, zeros outside the image.
pub(super) fn lay(
    images: &Images<'_>,
    (from, out, window): (Shape, Shape, Window),
    rows: Range<usize>,
    to: &mut [f32],
) {
    let (c, line) = (from.channels, window.width * from.channels);
    let patch = window.height * line;
    let padded = window.padding > 0;
    for_rows(out, rows, |row, image, y, x| {
        let pixels = images.get(image);
        let (x0, xs) = span(x, window.width, window.stride, window.padding, from.width);
        let (y0, ys) = span(y, window.height, window.stride, window.padding, from.height);
        let to = &mut to[row * patch..(row + 1) * patch];
        if padded && (xs.len() < window.width || ys.len() < window.height) {
            to.fill(0.0);
        }
        for (i, ky) in ys.enumerate() {
            let source = &pixels[((y0 + i) * from.width + x0) * c..][..xs.len() * c];
            copy(&mut to[ky * line + xs.start * c..][..xs.len() * c], source);
        }
    });
}

/// A copy that needs no call for few values.
#[inline]
fn copy(to: &mut [f32], from: &[f32]) {
    if to.len() > 16 {
        return to.copy_from_slice(from);
    }
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
}

/// Sums rows of patches into the pixels of images, whose first is that of row 0.
pub(super) fn scatter(
    patches: &[f32],
    (from, out, window): (Shape, Shape, Window),
    rows: Range<usize>,
    to: &mut [f32],
) {
    let (c, line) = (from.channels, window.width * from.channels);
    let patch = window.height * line;
    for_rows(out, rows, |row, image, y, x| {
        let pixels = &mut to[image * from.len()..(image + 1) * from.len()];
        let (x0, xs) = span(x, window.width, window.stride, window.padding, from.width);
        let (y0, ys) = span(y, window.height, window.stride, window.padding, from.height);
        let patch = &patches[row * patch..(row + 1) * patch];
        for (i, ky) in ys.enumerate() {
            let target = &mut pixels[((y0 + i) * from.width + x0) * c..][..xs.len() * c];
            let source = &patch[ky * line + xs.start * c..][..xs.len() * c];
            target.iter_mut().zip(source).for_each(|(to, from)| *to += *from);
        }
    });
}
