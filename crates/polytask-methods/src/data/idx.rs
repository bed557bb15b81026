//! Grey images in idx files, as MNIST comes in.

use std::path::{Path, PathBuf};

use polytask_core::{Result, atomic};
use polytask_data::readers::idx;

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
        let idx = idx::read(path, 3)?;
        let pixels = (0..idx.len()).flat_map(|i| idx.item(i)).copied().collect();
        Ok(Self { height: idx.sizes[1], width: idx.sizes[2], pixels })
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
    let idx = idx::read(path, 1)?;
    Ok((0..idx.len()).map(|i| idx.item(i)[0]).collect())
}

/// The file of this name in a folder, gzipped or not.
pub fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    [folder.join(format!("{name}.gz")), folder.join(name)].into_iter().find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_come_back_as_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a-images-idx3-ubyte");
        let images = Images { height: 2, width: 3, pixels: (0..12).collect() };
        images.write(&path).unwrap();
        assert_eq!(Images::read(&path).unwrap(), images);
        assert_eq!((images.len(), images.get(1)), (2, &[6, 7, 8, 9, 10, 11][..]));
    }
}
