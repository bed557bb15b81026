//! PNG and JPEG files to bytes.

use std::io::Cursor;
use std::path::Path;

use polytask_core::image::ImageSize;
use polytask_core::{Error, Place, Problem, Result, files};
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::Image;
use crate::limits;

/// Largest side of a picture that is read, as JPEG has it.
const MOST_SIDE: usize = (1 << 16) - 1;
/// Bytes of a pixel before alpha is left out.
const PIXEL_BYTES: usize = 4;

/// What is wrong with a picture, in words.
type Wrong = String;

/// Reads a picture; what it is stands in its first bytes.
pub(super) fn read(path: &Path) -> Result<Image> {
    let content = files::read(path, files::LARGE).map_err(Error::io("read", path))?;
    decode(&content, limits::pixels()?).map_err(|what| {
        let remedy = if what.contains(TOO_MANY) {
            limits::more_pixels()
        } else {
            "replace the file, or leave its row out".to_owned()
        };
        let what = format!("picture cannot be read: {what}");
        Problem::at(Place::file(path), what).try_this(remedy).into()
    })
}

fn decode(content: &[u8], most_pixels: usize) -> Result<Image, Wrong> {
    if content.starts_with(b"\x89PNG") {
        of_png(content, most_pixels)
    } else if content.starts_with(&[0xff, 0xd8]) {
        of_jpeg(content, most_pixels)
    } else {
        Err("neither a PNG nor a JPEG picture".into())
    }
}

fn of_png(content: &[u8], most_pixels: usize) -> Result<Image, Wrong> {
    let most_bytes = most_pixels.saturating_mul(PIXEL_BYTES);
    let limits = png::Limits { bytes: most_bytes.saturating_add(1 << 20) };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(content), limits);
    // Profiles and texts are compressed too, and nothing here reads them.
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(|e| e.to_string())?;
    let (width, height) = reader.info().size();
    let (width, height) = check_sides(width as usize, height as usize, most_pixels)?;
    let n = reader.output_buffer_size().filter(|&n| n <= most_bytes).ok_or("it is too large")?;
    let mut bytes = vec![0; n];
    let frame = reader.next_frame(&mut bytes).map_err(|e| e.to_string())?;
    let samples = frame.color_type.samples();
    Ok(planes(&bytes[..frame.buffer_size()], samples, (height, width)))
}

fn of_jpeg(content: &[u8], most_pixels: usize) -> Result<Image, Wrong> {
    let content = guarded(content).ok_or("it ends early")?;
    let options = DecoderOptions::default().set_max_width(MOST_SIDE).set_max_height(MOST_SIDE);
    let options = options.set_strict_mode(true);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(content), options);
    decoder.decode_headers().map_err(|e| e.to_string())?;
    // Before anything is made of that size.
    let (width, height) = decoder.dimensions().ok_or("it has no size")?;
    let (width, height) = check_sides(width, height, most_pixels)?;
    let is_grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
    let space = if is_grey { ColorSpace::Luma } else { ColorSpace::RGB };
    decoder.set_options(options.jpeg_set_out_colorspace(space));
    let bytes = decoder.decode().map_err(|e| e.to_string())?;
    let samples = if is_grey { 1 } else { 3 };
    if bytes.len() != samples * width * height {
        return Err("it ends early".into());
    }
    Ok(planes(&bytes, samples, (height, width)))
}

/// Bits that are no code of any JPEG: eight bytes of ones, stuffed.
const NO_CODE: [u8; 16] = [0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0];

/// A JPEG file with bits behind each scan that are no code; `None` when it ends before its end marker.
///
/// The decoder goes on with zeros behind the data, so that missing rows would be grey; with these it meets an error.
fn guarded(content: &[u8]) -> Option<Vec<u8>> {
    let (mut at, mut copied, mut out) = (2, 0, Vec::with_capacity(content.len() + NO_CODE.len()));
    while let Some(&[0xff, marker]) = content.get(at..at + 2) {
        at += 2;
        match marker {
            0xd9 => {
                out.extend_from_slice(&content[copied..at]);
                return Some(out);
            }
            // A fill byte before a marker.
            0xff => at -= 1,
            0x01 | 0xd0..=0xd7 => {}
            _ => {
                let Some(&[high, low]) = content.get(at..at + 2) else { return None };
                at += usize::from(u16::from_be_bytes([high, low]));
                if marker == 0xda {
                    at = scan_end(content, at);
                    out.extend_from_slice(&content[copied..at]);
                    out.extend(NO_CODE);
                    copied = at;
                }
            }
        }
    }
    None
}

/// Where the coded data of a scan end: at the first marker that is neither a stuffed byte nor a restart.
fn scan_end(content: &[u8], from: usize) -> usize {
    let is_end = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7);
    let data = content.get(from..).unwrap_or(&[]);
    data.windows(2).position(is_end).map_or(content.len(), |n| from + n)
}

/// Marks the message that names a limit to raise.
const TOO_MANY: &str = "megapixels";

fn check_sides(width: usize, height: usize, most_pixels: usize) -> Result<(usize, usize), Wrong> {
    let fits = |side: usize| (1..=MOST_SIDE).contains(&side);
    if fits(width) && fits(height) && width * height > most_pixels {
        let most = most_pixels as f64 / 1e6;
        return Err(format!("it is {height} x {width} pixels, expected at most {most} {TOO_MANY}"));
    }
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

#[cfg(test)]
mod tests;
