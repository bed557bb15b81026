//! Images as bytes: found, decoded, brought to one size, channel by channel.
//!
//! A cell of an image column names a PNG or JPEG file relative to its table's folder, or (`FILE#17`) an image of an
//! idx file. All images of a suite have one size, that of the first unless the suite or the encoder says which.

mod decode;
mod fit;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use polytask_core::image::{ImageSize, ImageSpec};
use polytask_core::{Place, Problem, Result};

use crate::readers::idx::{self, Idx};

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its size.
    pub size: ImageSize,
    /// Its bytes, channel by channel, row by row.
    pub bytes: Vec<u8>,
}

/// The symbols of some images, each a file (`FILE#17` for one of an idx file).
pub fn read_all<S: AsRef<str>>(spec: &ImageSpec, files: &[S]) -> Result<Vec<Vec<u32>>> {
    let mut library = Library::new(*spec);
    let symbols = |image: Image| image.bytes.into_iter().map(u32::from).collect();
    files.iter().map(|file| library.read(Path::new(""), file.as_ref()).map(symbols)).collect()
}

/// Reads one file, by itself.
pub fn read(spec: &ImageSpec, file: &Path) -> Result<Image> {
    Library::new(*spec).read(Path::new(""), &file.to_string_lossy())
}

/// Images as they are asked for; files of many images stay open.
pub(crate) struct Library {
    spec: ImageSpec,
    /// The first image, for the error of one that differs.
    first: Option<(ImageSize, String)>,
    files: Mutex<HashMap<PathBuf, Arc<Idx>>>,
}

impl Library {
    pub(crate) fn new(spec: ImageSpec) -> Self {
        let first = spec.size.map(|size| (size, String::new()));
        Self { spec, first, files: Mutex::default() }
    }

    /// The size of all images so far.
    pub(crate) fn size(&self) -> Option<ImageSize> {
        self.first.as_ref().map(|(size, _)| *size)
    }

    /// The image a cell names, from a table in `folder`.
    pub(crate) fn read(&mut self, folder: &Path, name: &str) -> Result<Image> {
        let numbered = name.rsplit_once('#').and_then(|(file, n)| Some((file, n.parse().ok()?)));
        let path = folder.join(numbered.map_or(name, |(file, _)| file));
        let image = if let Some((_, n)) = numbered { self.of_idx(&path, n)? } else { decode::read(&path)? };
        let image = fit::fit(image, &self.spec);
        let (size, first) = self.first.get_or_insert_with(|| (image.size, path.display().to_string()));
        if *size == image.size {
            return Ok(image);
        }
        let of = if first.is_empty() { "the encoder reads".into() } else { format!("{first} has") };
        let what = format!("image is {}, expected {size} as {of}", image.size);
        let remedy = "image_size = [28, 28] (and channels = 1) in [model] to convert all images";
        Err(Problem::at(Place::file(&path), what).try_this(remedy).into())
    }

    fn of_idx(&self, path: &Path, n: usize) -> Result<Image> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let idx = match files.get(path) {
            Some(idx) => idx.clone(),
            None => files.entry(path.to_path_buf()).or_insert(Arc::new(idx::read(path, 3)?)).clone(),
        };
        if n >= idx.len() {
            let what = format!("image {n} is asked for, but there are {}, counted from 0", idx.len());
            return Err(Problem::at(Place::file(path), what).try_this("correct the number behind #").into());
        }
        let size = ImageSize { channels: 1, height: idx.sizes[1], width: idx.sizes[2] };
        if size.is_empty() {
            let what = "images have no pixels, expected at least one";
            return Err(Problem::at(Place::file(path), what).try_this("fetch the file again").into());
        }
        Ok(Image { size, bytes: idx.item(n).to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use polytask_core::image::Resize;

    fn put(folder: &Path, name: &str, bytes: &[u8]) {
        std::fs::write(folder.join(name), bytes).unwrap();
    }

    fn png(color: png::ColorType, width: u32, height: u32, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, width, height);
        encoder.set_color(color);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.write_header().unwrap().write_image_data(bytes).unwrap();
        out
    }

    #[test]
    fn pictures_are_read_channel_by_channel_and_alpha_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "grey.png", &png(png::ColorType::Grayscale, 2, 1, &[7, 9]));
        put(folder.path(), "rgba.png", &png(png::ColorType::Rgba, 2, 1, &[1, 2, 3, 255, 4, 5, 6, 0]));
        let spec = ImageSpec::default();
        let grey = read(&spec, &folder.path().join("grey.png")).unwrap();
        assert_eq!((grey.size.channels, grey.bytes), (1, vec![7, 9]));
        let colour = read(&spec, &folder.path().join("rgba.png")).unwrap();
        assert_eq!((colour.size.channels, colour.bytes), (3, vec![1, 4, 2, 5, 3, 6]));
    }

    #[test]
    fn an_image_of_another_size_is_told_with_both_sizes_and_a_remedy() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "a.png", &png(png::ColorType::Grayscale, 2, 1, &[7, 9]));
        put(folder.path(), "b.png", &png(png::ColorType::Grayscale, 1, 3, &[7, 9, 8]));
        let mut library = Library::new(ImageSpec::default());
        library.read(folder.path(), "a.png").unwrap();
        let error = library.read(folder.path(), "b.png").unwrap_err().to_string();
        for part in ["b.png", "3 x 1 pixels", "1 x 2 pixels", "a.png", "image_size"] {
            assert!(error.contains(part), "{error}");
        }
        let spec = ImageSpec { resize: Some(Resize::to(2, 2)), channels: Some(3), ..ImageSpec::default() };
        let mut library = Library::new(spec);
        for name in ["a.png", "b.png"] {
            assert_eq!(library.read(folder.path(), name).unwrap().bytes.len(), 12);
        }
    }

    #[test]
    fn damaged_and_foreign_files_are_errors_with_their_name() {
        let folder = tempfile::tempdir().unwrap();
        let good = png(png::ColorType::Grayscale, 9, 9, &[50; 81]);
        put(folder.path(), "cut.png", &good[..good.len() - 20]);
        put(folder.path(), "text.png", b"hello");
        put(folder.path(), "cut.jpg", &[0xff, 0xd8, 0xff, 0xe0, 0, 16]);
        // A header that announces 4 billion by 4 billion pixels.
        let mut lying = good.clone();
        lying[16..24].fill(0x7f);
        put(folder.path(), "lying.png", &lying);
        for name in ["cut.png", "text.png", "cut.jpg", "lying.png", "absent.png", "x.bmp"] {
            let error = read(&ImageSpec::default(), &folder.path().join(name)).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn an_image_beyond_the_end_of_an_idx_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = [&[0, 0, 8, 3][..], &[0, 0, 0, 1], &[0, 0, 0, 1], &[0, 0, 0, 2], &[5, 6]].concat();
        put(folder.path(), "t-images-idx3-ubyte", &bytes);
        let mut library = Library::new(ImageSpec::default());
        assert_eq!(library.read(folder.path(), "t-images-idx3-ubyte#0").unwrap().bytes, [5, 6]);
        let error = library.read(folder.path(), "t-images-idx3-ubyte#1").unwrap_err().to_string();
        assert!(error.contains("image 1") && error.contains("there are 1"), "{error}");
    }
}
