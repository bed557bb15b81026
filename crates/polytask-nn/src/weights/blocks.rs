//! Tensors read a block at a time, from files that stay open and by any thread.
//!
//! Blocks are read at their place, not mapped: memory stays what the caller holds, and a file that is cut while it is
//! read is an error, not a signal.

use std::fs::File;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use polytask_core::files;
use safetensors::Dtype;

use super::{Header, TensorEntry, WeightFiles, bad, io};
use crate::Result;

/// Bytes read at a time: they stay in the cache until they are values.
const PIECE: usize = 1 << 18;

/// Files of weights, open.
#[derive(Debug)]
pub struct OpenWeights {
    weights: WeightFiles,
    files: Vec<File>,
}

impl OpenWeights {
    /// Opens the files of some weights.
    pub fn new(weights: WeightFiles) -> Result<Self> {
        let open = |(path, _): &(PathBuf, Header)| files::open(path).map_err(io("read", path));
        let files = weights.files.iter().map(open).collect::<Result<_>>()?;
        Ok(Self { weights, files })
    }

    /// What they hold.
    pub fn weights(&self) -> &WeightFiles {
        &self.weights
    }

    /// The files.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.weights.files.iter().map(|(path, _)| path.as_path())
    }

    /// Reads the values of a tensor of reals from its entry `first` on.
    ///
    /// # Errors
    /// A tensor that is not there, too short or of another type; a file that cannot be read.
    pub fn read(&self, name: &str, first: usize, out: &mut [f32]) -> Result<()> {
        let (f, entry) = self.entry(name)?;
        let (path, size) = (&self.weights.files[f].0, entry.dtype.bitsize() / 8);
        if first + out.len() > entry.len() || !is_real(entry.dtype) {
            let what = format!("tensor `{name}` is {:?} of {:?}", entry.dtype, entry.shape);
            return Err(bad(path, format!("{what}, expected {} reals from {first} on", out.len())));
        }
        let mut bytes = vec![0; PIECE.min(out.len() * size)];
        let mut at = entry.begin + (first * size) as u64;
        for values in out.chunks_mut(PIECE / size) {
            let bytes = &mut bytes[..values.len() * size];
            read_at(&self.files[f], path, at, bytes).map_err(io("read", path))?;
            fill(entry.dtype, bytes, values);
            at += bytes.len() as u64;
        }
        Ok(())
    }

    fn entry(&self, name: &str) -> Result<(usize, &TensorEntry)> {
        let weights = &self.weights;
        let place = weights.places.get(name);
        let &(f, e) = place.ok_or_else(|| bad(weights.path(), format!("no tensor `{name}`")))?;
        Ok((f, &weights.files[f].1.entries[e]))
    }
}

/// Whether a type's values are reals that are read.
pub(super) fn is_real(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F32 | Dtype::F64 | Dtype::F16 | Dtype::BF16)
}

/// Bytes to values; false for a type that is no real.
pub(super) fn fill(dtype: Dtype, bytes: &[u8], out: &mut [f32]) -> bool {
    match dtype {
        Dtype::F32 => each(bytes, out, f32::from_le_bytes),
        Dtype::F64 => each(bytes, out, |b| f64::from_le_bytes(b) as f32),
        Dtype::BF16 => each(bytes, out, |b| bf16::from_le_bytes(b).to_f32()),
        Dtype::F16 => each(bytes, out, |b| f16::from_le_bytes(b).to_f32()),
        _ => return false,
    }
    true
}

fn each<const N: usize>(bytes: &[u8], out: &mut [f32], of: impl Fn([u8; N]) -> f32) {
    out.iter_mut().zip(bytes.as_chunks::<N>().0).for_each(|(value, &bytes)| *value = of(bytes));
}

#[cfg(unix)]
fn read_at(file: &File, _: &Path, at: u64, bytes: &mut [u8]) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
}

/// Where files have no reading at a place: each reader has one of its own.
#[cfg(not(unix))]
fn read_at(_: &File, path: &Path, at: u64, bytes: &mut [u8]) -> std::io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = files::open(path)?;
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::{FILE, TensorOut, Values, write};

    #[test]
    fn a_block_is_what_stands_at_its_place_and_a_wrong_one_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let values: Vec<f32> = (0..200_000).map(|i| i as f32 * 0.5).collect();
        let tensors = [
            TensorOut { name: "w", shape: &[200, 1000], values: Values::F32(&values) },
            TensorOut { name: "i", shape: &[2], values: Values::Raw(Dtype::I64, &[0; 16]) },
        ];
        write(&path, &tensors, &[]).unwrap();
        let open = OpenWeights::new(WeightFiles::open(&path).unwrap()).unwrap();
        for (first, n) in [(0, 200_000), (1, 70_001), (199_999, 1), (5, 0)] {
            let mut out = vec![-1.0; n];
            open.read("w", first, &mut out).unwrap();
            assert_eq!(out, values[first..first + n]);
        }
        let message = |name, first| open.read(name, first, &mut [0.0; 2]).unwrap_err().to_string();
        assert!(message("w", 199_999).contains("[200, 1000]"));
        assert!(message("i", 0).contains("I64"));
        assert!(message("x", 0).contains("no tensor `x`"));
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(500_000).unwrap();
        assert!(message("w", 199_000).contains("cannot read"));
    }
}
