//! PNG and JPEG files to bytes.

use std::io::Cursor;
use std::path::Path;

use polytask_core::image::ImageSize;
use polytask_core::{Error, Place, Problem, Result, files};
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::Image;

/// Largest side of a picture that is read.
const MOST_SIDE: usize = 1 << 14;
/// Most bytes of a decoded picture.
const MOST_BYTES: usize = 1 << 28;

/// What is wrong with a picture, in words.
type Wrong = String;

/// Reads a picture; what it is stands in its first bytes.
pub(super) fn read(path: &Path) -> Result<Image> {
    let content = files::read(path, files::LARGE).map_err(Error::io("read", path))?;
    let decoded = if content.starts_with(b"\x89PNG") {
        of_png(&content)
    } else if content.starts_with(&[0xff, 0xd8]) {
        of_jpeg(content)
    } else {
        Err("neither a PNG nor a JPEG picture".into())
    };
    decoded.map_err(|what| {
        let what = format!("picture cannot be read: {what}");
        Problem::at(Place::file(path), what).try_this("replace the file, or leave its row out").into()
    })
}

fn of_png(content: &[u8]) -> Result<Image, Wrong> {
    let limits = png::Limits { bytes: MOST_BYTES };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(content), limits);
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(|e| e.to_string())?;
    let (width, height) = reader.info().size();
    let (width, height) = check_sides(width as usize, height as usize)?;
    let n = reader.output_buffer_size().filter(|&n| n <= MOST_BYTES).ok_or("it is too large")?;
    let mut bytes = vec![0; n];
    let frame = reader.next_frame(&mut bytes).map_err(|e| e.to_string())?;
    let samples = frame.color_type.samples();
    Ok(planes(&bytes[..frame.buffer_size()], samples, (height, width)))
}

fn of_jpeg(content: Vec<u8>) -> Result<Image, Wrong> {
    let options = DecoderOptions::default().set_max_width(MOST_SIDE).set_max_height(MOST_SIDE);
    let options = options.set_strict_mode(true);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(content), options);
    decoder.decode_headers().map_err(|e| e.to_string())?;
    let is_grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
    let space = if is_grey { ColorSpace::Luma } else { ColorSpace::RGB };
    decoder.set_options(options.jpeg_set_out_colorspace(space));
    let bytes = decoder.decode().map_err(|e| e.to_string())?;
    let (width, height) = decoder.dimensions().ok_or("it has no size")?;
    let (width, height) = check_sides(width, height)?;
    let samples = if is_grey { 1 } else { 3 };
    if bytes.len() != samples * width * height {
        return Err("it ends early".into());
    }
    Ok(planes(&bytes, samples, (height, width)))
}

fn check_sides(width: usize, height: usize) -> Result<(usize, usize), Wrong> {
    let fits = |side: usize| (1..=MOST_SIDE).contains(&side);
    if fits(width) && fits(height) {
        return Ok((width, height));
    }
    Err(format!("it is {height} x {width} pixels, expected sides of 1 to {MOST_SIDE}"))
}

/// Pixels of `samples` bytes as planes of grey or of red, green and blue; alpha is left out.
fn planes(pixels: &[u8], samples: usize, (height, width): (usize, usize)) -> Image {
    let channels = if samples < 3 { 1 } else { 3 };
    let plane = |channel: usize| pixels.iter().skip(channel).step_by(samples).copied();
    let bytes = (0..channels).flat_map(plane).collect();
    Image { size: ImageSize { channels, height, width }, bytes }
}
