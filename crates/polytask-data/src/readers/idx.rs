//! The idx format of MNIST: a magic number, sizes, bytes; big-endian.

use std::io::{BufReader, Read};
use std::path::Path;

use polytask_core::suite::images;
use polytask_core::{Error, Place, Problem, Result, files};

use crate::limits;

/// Items of one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idx {
    /// Number of items, then their sizes.
    pub sizes: Vec<usize>,
    bytes: Vec<u8>,
}

impl Idx {
    /// Number of items.
    pub fn len(&self) -> usize {
        self.sizes[0]
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of item `i`.
    pub fn item(&self, i: usize) -> &[u8] {
        let size = self.bytes.len() / self.len().max(1);
        &self.bytes[i * size..(i + 1) * size]
    }
}

/// Whether a file is one of images in idx format, by its name.
pub(crate) fn is_images(file: &Path) -> bool {
    file.file_name().and_then(|name| name.to_str()).is_some_and(images::is_idx)
}

/// Reads a file with items of `n_dims` dimensions less one, plain or (`.gz`) compressed.
pub fn read(file: &Path, n_dims: usize) -> Result<Idx> {
    let most = limits::unpacked()?;
    let raw = BufReader::new(files::open(file).map_err(Error::io("read", file))?);
    if file.extension().is_some_and(|ending| ending == "gz") {
        parse(file, n_dims, flate2::bufread::MultiGzDecoder::new(raw), most)
    } else {
        parse(file, n_dims, raw, most)
    }
}

/// Reads the content of a file; memory grows with what is really there, whatever the header says.
pub(crate) fn parse(file: &Path, n_dims: usize, mut from: impl Read, most: u64) -> Result<Idx> {
    let wrong = |what: String| -> Error {
        Problem::at(Place::file(file), what).try_this("fetch the file again, unpacked or as .gz").into()
    };
    let broken = |error: std::io::Error| wrong(format!("file is truncated or damaged: {error}"));
    let mut magic = [0; 4];
    from.read_exact(&mut magic).map_err(broken)?;
    if magic != [0, 0, 8, n_dims as u8] {
        let expected = format!("00 00 08 {n_dims:02x} (bytes in {n_dims} dimensions)");
        let found = magic.map(|byte| format!("{byte:02x}")).join(" ");
        return Err(wrong(format!(
            "not an idx file of the kind: it begins with {found}, expected {expected}"
        )));
    }
    let mut sizes = Vec::new();
    for _ in 0..n_dims {
        let mut size = [0; 4];
        from.read_exact(&mut size).map_err(broken)?;
        sizes.push(u32::from_be_bytes(size) as usize);
    }
    let expected = sizes.iter().try_fold(1_u64, |n, &size| n.checked_mul(size as u64)).filter(|&n| n <= most);
    let Some(expected) = expected else {
        let what = format!("header announces {sizes:?} bytes, expected at most {most} in all");
        return Err(Problem::at(Place::file(file), what).try_this(limits::more_unpacked()).into());
    };
    let mut bytes = Vec::new();
    from.take(expected + 1).read_to_end(&mut bytes).map_err(broken)?;
    if bytes.len() as u64 != expected {
        let more = if bytes.len() as u64 > expected { "more" } else { &bytes.len().to_string() };
        return Err(wrong(format!(
            "header announces {sizes:?}, {expected} bytes in all, but the file has {more}"
        )));
    }
    Ok(Idx { sizes, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(magic: [u8; 4], sizes: &[u32], content: &[u8]) -> Vec<u8> {
        let sizes = sizes.iter().flat_map(|size| size.to_be_bytes());
        magic.into_iter().chain(sizes).chain(content.iter().copied()).collect()
    }

    fn read_bytes(content: &[u8]) -> Result<Idx> {
        parse(Path::new("x-images-idx3-ubyte"), 3, content, 1 << 35)
    }

    #[test]
    fn items_are_cut_as_the_header_says() {
        let idx = read_bytes(&bytes([0, 0, 8, 3], &[2, 1, 2], &[1, 2, 3, 4])).unwrap();
        assert_eq!((idx.len(), idx.item(1)), (2, &[3, 4][..]));
    }

    #[test]
    fn damage_of_every_kind_is_told_with_the_file() {
        let good = bytes([0, 0, 8, 3], &[2, 1, 2], &[1, 2, 3, 4]);
        let message = |bytes: &[u8]| read_bytes(bytes).unwrap_err().to_string();
        for end in 0..good.len() {
            let message = message(&good[..end]);
            assert!(message.contains("x-images-idx3-ubyte") && message.contains("try:"), "{message}");
        }
        let long = [good.clone(), vec![0]].concat();
        assert!(message(&long).contains("has more"), "{}", message(&long));
        assert!(message(&bytes([0, 0, 8, 1], &[4], &[0; 4])).contains("00 00 08 01"));
        let lying = bytes([0, 0, 8, 3], &[u32::MAX; 3], &[]);
        assert!(message(&lying).contains("at most"), "{}", message(&lying));
        let huge = bytes([0, 0, 8, 3], &[1 << 20, 1 << 7, 1 << 7], &[]);
        assert!(message(&huge).contains("has 0"), "{}", message(&huge));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn arbitrary_bytes_never_panic(content in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = read_bytes(&content);
            let _ = read_bytes(&[&[0, 0, 8, 3][..], &content].concat());
        }
    }
}
