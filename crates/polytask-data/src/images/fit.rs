//! Images brought to a size and a number of channels.

use polytask_core::image::{Filter, ImageSize, ImageSpec, Resize};

use super::Image;

/// The image as a specification wants it; as it is where that says nothing.
pub(super) fn fit(image: Image, spec: &ImageSpec) -> Image {
    let image = match spec.channels {
        Some(channels) if channels != image.size.channels => recolour(&image, channels),
        _ => image,
    };
    spec.resize.map_or_else(|| image.clone(), |to| bring_to(&image, to))
}

/// The image at a size.
fn bring_to(image: &Image, to: Resize) -> Image {
    let ImageSize { height, width, .. } = image.size;
    let (rows, columns) = match to.shorter_side {
        None => (to.height, to.width),
        // The longer side is cut to a whole number of pixels, as torchvision does it.
        Some(side) if height <= width => (side, width * side / height.max(1)),
        Some(side) => (height * side / width.max(1), side),
    };
    let image = if (rows, columns) == (height, width) {
        image.clone()
    } else {
        resize(image, (rows, columns), to.filter)
    };
    if (rows, columns) == (to.height, to.width) { image } else { middle(&image, to.height, to.width) }
}

/// The middle of an image, black beyond its borders.
fn middle(image: &Image, height: usize, width: usize) -> Image {
    let ImageSize { channels, height: rows, width: columns } = image.size;
    let start = |from: usize, to: usize| (from as i64 - to as i64).div_euclid(2);
    let (top, left) = (start(rows, height), start(columns, width));
    let pixel = |plane: &[u8], y: i64, x: i64| {
        let is_inside = (0..rows as i64).contains(&y) && (0..columns as i64).contains(&x);
        if is_inside { plane[y as usize * columns + x as usize] } else { 0 }
    };
    let mut bytes = Vec::with_capacity(channels * height * width);
    for plane in image.bytes.chunks_exact((rows * columns).max(1)) {
        for y in 0..height as i64 {
            bytes.extend((0..width as i64).map(|x| pixel(plane, top + y, left + x)));
        }
    }
    Image { size: ImageSize { channels, height, width }, bytes }
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
/// is skipped.
fn resize(image: &Image, (height, width): (usize, usize), filter: Filter) -> Image {
    let ImageSize { channels, height: rows, width: columns } = image.size;
    let (down, across) = (weights(rows, height, filter), weights(columns, width, filter));
    let mut bytes = Vec::with_capacity(channels * height * width);
    for plane in image.bytes.chunks_exact(rows * columns) {
        for ys in &down {
            for xs in &across {
                let mut sum = 0.0;
                for &(y, wy) in ys {
                    let row = &plane[y * columns..(y + 1) * columns];
                    sum += wy * xs.iter().map(|&(x, wx)| wx * f64::from(row[x])).sum::<f64>();
                }
                bytes.push(sum.round().clamp(0.0, 255.0) as u8);
            }
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

/// For each of `to` places, the places among `from` it is made of and their shares: the filter as wide as one step of
/// the coarser of the two grids.
fn weights(from: usize, to: usize, filter: Filter) -> Vec<Vec<(usize, f64)>> {
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
    (0..to).map(of).collect()
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
            let resized = resize(&grey(5, 6, &[93; 30]), (height, width), filter);
            assert_eq!(resized.bytes, vec![93; height * width]);
        }
    }

    #[test]
    fn enlarging_interpolates_between_pixel_centres() {
        // Centres of four pixels over two: -1/4, 1/4, 3/4, 5/4.
        assert_eq!(resize(&grey(1, 2, &[0, 100]), (1, 4), Filter::Bilinear).bytes, [0, 25, 75, 100]);
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
