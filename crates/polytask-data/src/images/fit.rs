//! Images brought to a size and a number of channels.

use polytask_core::image::ImageSize;

use polytask_core::image::ImageSpec;

use super::Image;

/// The image as a specification wants it; as it is where that says nothing.
pub(super) fn fit(image: Image, spec: &ImageSpec) -> Image {
    let image = match spec.channels {
        Some(channels) if channels != image.size.channels => recolour(&image, channels),
        _ => image,
    };
    match spec.resize {
        Some((height, width)) if (height, width) != (image.size.height, image.size.width) => {
            resize(&image, height, width)
        }
        _ => image,
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

/// Bilinear interpolation with pixel centres at halves; a smaller image is the mean over what each pixel covers, so
/// that nothing is skipped.
fn resize(image: &Image, height: usize, width: usize) -> Image {
    let ImageSize { channels, height: rows, width: columns } = image.size;
    let (down, across) = (weights(rows, height), weights(columns, width));
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

/// For each of `to` places, the places among `from` it is made of and their shares: a triangle as wide as one step of
/// the coarser of the two grids.
fn weights(from: usize, to: usize) -> Vec<Vec<(usize, f64)>> {
    let step = from as f64 / to as f64;
    let reach = step.max(1.0);
    let of = |i: usize| {
        let centre = (i as f64 + 0.5) * step - 0.5;
        let first = (centre - reach).ceil().max(0.0) as usize;
        let last = ((centre + reach).floor() as usize).min(from - 1);
        let raw: Vec<(usize, f64)> =
            (first..=last).map(|j| (j, (1.0 - (j as f64 - centre).abs() / reach).max(0.0))).collect();
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
        for (height, width) in [(1, 1), (2, 9), (7, 3), (40, 41)] {
            let resized = resize(&grey(5, 6, &[93; 30]), height, width);
            assert_eq!(resized.bytes, vec![93; height * width]);
        }
    }

    #[test]
    fn enlarging_interpolates_between_pixel_centres() {
        // Centres of four pixels over two: -1/4, 1/4, 3/4, 5/4.
        assert_eq!(resize(&grey(1, 2, &[0, 100]), 1, 4).bytes, [0, 25, 75, 100]);
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
