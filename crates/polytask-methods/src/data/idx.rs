//! Images and labels in idx files, as MNIST comes in: big-endian sizes, then bytes; gzipped or not.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use polytask_core::{Error, Place, Problem, Result, atomic};

/// Grey images of one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// Rows of pixels.
    pub height: usize,
    /// Pixels per row.
    pub width: usize,
    /// `[images, height, width]`.
    pub pixels: Vec<u8>,
}

impl Images {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.pixels.len() / (self.height * self.width).max(1)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.pixels.is_empty()
    }

    /// An image, `[height, width]`.
    pub fn get(&self, i: usize) -> &[u8] {
        let size = self.height * self.width;
        &self.pixels[i * size..(i + 1) * size]
    }

    /// Reads a file of images (three sizes).
    pub fn read(path: &Path) -> Result<Self> {
        let (sizes, pixels) = read(path, 3)?;
        Ok(Self { height: sizes[1], width: sizes[2], pixels })
    }

    /// Writes the file.
    pub fn write(&self, path: &Path) -> Result<()> {
        atomic::write_with(path, |out| {
            out.write_all(&[0, 0, 8, 3])?;
            for size in [self.len(), self.height, self.width] {
                out.write_all(&(size as u32).to_be_bytes())?;
            }
            out.write_all(&self.pixels)
        })
    }
}

/// Reads a file of labels (one size).
pub fn labels(path: &Path) -> Result<Vec<u8>> {
    Ok(read(path, 1)?.1)
}

/// The file of this name in a folder, gzipped or not.
pub fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    [folder.join(format!("{name}.gz")), folder.join(name)].into_iter().find(|path| path.is_file())
}

/// Sizes and bytes of a file with so many sizes.
fn read(path: &Path, dimensions: usize) -> Result<(Vec<usize>, Vec<u8>)> {
    let bytes = bytes(path)?;
    let wrong = |what: String| {
        Problem::at(Place::file(path), what).try_this("a complete idx file of unsigned bytes, as MNIST has")
    };
    let head = 4 + 4 * dimensions;
    if bytes.len() < head || bytes[..3] != [0, 0, 8] || usize::from(bytes[3]) != dimensions {
        let found = &bytes[..bytes.len().min(4)];
        let what = format!("begins with {found:?}, expected [0, 0, 8, {dimensions}] and {dimensions} sizes");
        return Err(wrong(what).into());
    }
    let size = |four: &[u8]| four.iter().fold(0_usize, |n, byte| n << 8 | usize::from(*byte));
    let sizes: Vec<usize> = bytes[4..head].chunks(4).map(size).collect();
    let expected = sizes.iter().try_fold(1_usize, |product, n| product.checked_mul(*n));
    let found = bytes.len() - head;
    if expected != Some(found) {
        return Err(wrong(format!("says it holds {sizes:?} bytes, found {found}")).into());
    }
    Ok((sizes, bytes[head..].to_vec()))
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    let file = BufReader::new(File::open(path).map_err(Error::io("read", path))?);
    let mut bytes = Vec::new();
    let is_zipped = path.extension().is_some_and(|ending| ending == "gz");
    let mut reader: Box<dyn Read> = if is_zipped { Box::new(GzDecoder::new(file)) } else { Box::new(file) };
    reader.read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_come_back_as_written_and_a_cut_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a-images-idx3-ubyte");
        let images = Images { height: 2, width: 3, pixels: (0..12).collect() };
        images.write(&path).unwrap();
        assert_eq!(Images::read(&path).unwrap(), images);
        assert_eq!((images.len(), images.get(1)), (2, &[6, 7, 8, 9, 10, 11][..]));
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.pop();
        std::fs::write(&path, bytes).unwrap();
        let error = Images::read(&path).unwrap_err().to_string();
        assert!(error.contains("a-images-idx3-ubyte") && error.contains("found 11"), "{error}");
        assert!(labels(&path).unwrap_err().to_string().contains("expected [0, 0, 8, 1]"));
    }
}
