//! Images brought to a size and a number of channels.

use std::ops::Range;

use polytask_core::image::{Filter, ImageSize, ImageSpec, Resize};

use super::Image;

/// The image as a specification wants it; as it is where that says nothing.
pub(super) fn fit(image: Image, spec: &ImageSpec) -> Image {
    let image = match spec.channels {
        Some(channels) if channels != image.size.channels => recolour(&image, channels),
        _ => image,
    };
    match spec.resize.map(|to| Target::new(image.size, to)) {
        Some(target) if !target.is(image.size) => resize(&image, target),
        _ => image,
    }
}

/// A part of a resized image.
#[derive(Debug, Clone, Copy)]
struct Target {
    /// The whole of it, along each axis.
    rows: usize,
    columns: usize,
    /// The part that is wanted: its first row and column, and its size.
    top: usize,
    left: usize,
    height: usize,
    width: usize,
    filter: Filter,
}

impl Target {
    /// What becomes of an image of this size: all of it, or the middle of what its shorter side asks for.
    fn new(from: ImageSize, to: Resize) -> Self {
        let (rows, columns) = match to.shorter_side {
            None => (to.height, to.width),
            // The longer side is cut to a whole number of pixels, as torchvision does it.
            Some(side) if from.height <= from.width => (side, from.width * side / from.height.max(1)),
            Some(side) => (from.height * side / from.width.max(1), side),
        };
        let (rows, columns) = (rows.max(to.height), columns.max(to.width));
        let (top, left) = ((rows - to.height) / 2, (columns - to.width) / 2);
        Self { rows, columns, top, left, height: to.height, width: to.width, filter: to.filter }
    }

    /// Whether it is an image of this size as it is.
    fn is(self, size: ImageSize) -> bool {
        (self.rows, self.columns) == (size.height, size.width)
            && (self.height, self.width) == (size.height, size.width)
    }
}

/// Grey to three equal channels, or colours to their luma (ITU-R BT.601).
fn recolour(image: &Image, channels: usize) -> Image {
    let size = ImageSize { channels, ..image.size };
    let n = image.size.height * image.size.width;
    let bytes = if channels == 1 {
        let at = |channel: usize, i: usize| f64::from(image.bytes[channel * n + i]);
        (0..n).map(|i| (0.299 * at(0, i) + 0.587 * at(1, i) + 0.114 * at(2, i)).round() as u8).collect()
    } else {
        image.bytes.repeat(channels)
    };
    Image { size, bytes }
}

/// Interpolation with pixel centres at halves; a smaller image is the mean over what each pixel covers, so that nothing
/// is skipped. Across first, then down; only the part that is wanted is made.
fn resize(image: &Image, target: Target) -> Image {
    let ImageSize { channels, height: rows, width: columns } = image.size;
    let Target { top, left, height, width, filter, .. } = target;
    let down = weights((rows, target.rows), top..top + height, filter);
    let across = weights((columns, target.columns), left..left + width, filter);
    let mut bytes = Vec::with_capacity(channels * height * width);
    for plane in image.bytes.chunks_exact((rows * columns).max(1)) {
        let narrowed: Vec<f64> = plane
            .chunks_exact(columns)
            .flat_map(|row| {
                across.iter().map(|xs| xs.iter().map(|&(x, wx)| wx * f64::from(row[x])).sum::<f64>())
            })
            .collect();
        for ys in &down {
            bytes.extend((0..width).map(|x| {
                let sum: f64 = ys.iter().map(|&(y, wy)| wy * narrowed[y * width + x]).sum();
                sum.round().clamp(0.0, 255.0) as u8
            }));
        }
    }
    Image { size: ImageSize { channels, height, width }, bytes }
}

/// The value of a filter at a distance, in steps of the coarser grid.
fn kernel(filter: Filter, x: f64) -> f64 {
    let x = x.abs();
    match filter {
        Filter::Bilinear => (1.0 - x).max(0.0),
        Filter::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
        Filter::Bicubic if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
        Filter::Bicubic => 0.0,
    }
}

/// For some of `to` places, the places among `from` each is made of and their shares: the filter as wide as one step of
/// the coarser of the two grids.
fn weights((from, to): (usize, usize), wanted: Range<usize>, filter: Filter) -> Vec<Vec<(usize, f64)>> {
    let step = from as f64 / to as f64;
    let scale = step.max(1.0);
    let reach = match filter {
        Filter::Bilinear => scale,
        Filter::Bicubic => 2.0 * scale,
    };
    let of = |i: usize| {
        let centre = (i as f64 + 0.5) * step - 0.5;
        let first = (centre - reach).ceil().max(0.0) as usize;
        let last = ((centre + reach).floor() as usize).min(from - 1);
        let raw: Vec<(usize, f64)> =
            (first..=last).map(|j| (j, kernel(filter, (j as f64 - centre) / scale))).collect();
        let sum: f64 = raw.iter().map(|(_, w)| w).sum();
        raw.into_iter().map(|(j, w)| (j, w / sum)).collect()
    };
    wanted.map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(height: usize, width: usize, bytes: &[u8]) -> Image {
        Image { size: ImageSize { channels: 1, height, width }, bytes: bytes.to_vec() }
    }

    #[test]
    fn a_flat_image_stays_flat_at_every_size() {
        let sizes = [(1, 1), (2, 9), (7, 3), (40, 41)];
        for ((height, width), filter) in sizes.into_iter().zip([Filter::Bilinear, Filter::Bicubic].repeat(2))
        {
            let to = Resize { filter, ..Resize::to(height, width) };
            let resized = resize(&grey(5, 6, &[93; 30]), Target::new(grey(5, 6, &[93; 30]).size, to));
            assert_eq!(resized.bytes, vec![93; height * width]);
        }
    }

    #[test]
    fn enlarging_interpolates_between_pixel_centres() {
        // Centres of four pixels over two: -1/4, 1/4, 3/4, 5/4.
        let two = grey(1, 2, &[0, 100]);
        assert_eq!(resize(&two, Target::new(two.size, Resize::to(1, 4))).bytes, [0, 25, 75, 100]);
    }

    #[test]
    fn by_the_shorter_side_the_middle_is_cut_out() {
        let wide = grey(2, 6, &[0, 0, 7, 8, 0, 0, 0, 0, 9, 10, 0, 0]);
        let spec = |height, width, side| {
            let resize = Some(Resize { shorter_side: Some(side), ..Resize::to(height, width) });
            ImageSpec { resize, ..ImageSpec::default() }
        };
        assert_eq!(fit(wide.clone(), &spec(2, 2, 2)).bytes, [7, 8, 9, 10]);
        // Made alone, the middle of a very long image costs no more than that of a short one.
        let long = grey(1, 60_000, &vec![50; 60_000]);
        assert_eq!(fit(long, &spec(8, 8, 256)).bytes, [50; 64]);
    }

    #[test]
    fn colours_become_their_luma_and_grey_becomes_three_equal_channels() {
        let size = ImageSize { channels: 3, height: 1, width: 1 };
        let spec = ImageSpec { channels: Some(1), ..ImageSpec::default() };
        assert_eq!(fit(Image { size, bytes: vec![255, 0, 0] }, &spec).bytes, [76]);
        let spec = ImageSpec { channels: Some(3), ..ImageSpec::default() };
        assert_eq!(fit(grey(1, 2, &[1, 2]), &spec).bytes, [1, 2, 1, 2, 1, 2]);
    }
}
