//! Weights that are written while they are computed: the tensors are known first, their values come in any order and
//! from any thread.
//!
//! The files are whole only after [`WeightsOut::finish`]; whoever needs the old or the new and nothing between writes
//! into a folder that is renamed afterwards.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use polytask_core::atomic;
use safetensors::Dtype;
use serde_json::json;

use super::{FILE, INDEX, bad, header_of, io};
use crate::Result;

/// A tensor that will be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorPlan {
    /// Dotted name.
    pub name: String,
    /// Type of its values.
    pub dtype: Dtype,
    /// Its shape, row-major.
    pub shape: Vec<usize>,
}

/// Weights being written: one file, or shards with their index.
#[derive(Debug)]
pub struct WeightsOut {
    files: Vec<(PathBuf, File)>,
    places: BTreeMap<String, Target>,
}

#[derive(Debug)]
struct Target {
    file: usize,
    begin: u64,
    dtype: Dtype,
    len: usize,
}

impl TensorPlan {
    fn n_bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.bitsize() / 8
    }
}

impl WeightsOut {
    /// Makes the files in a folder: `model.safetensors`, or shards of at most `shard` bytes (a larger tensor has one of
    /// its own) where all are more.
    ///
    /// # Errors
    /// A tensor that is named twice; a folder that cannot be written.
    pub fn create(folder: &Path, tensors: &[TensorPlan], shard: usize) -> Result<Self> {
        let shards = shards(tensors, shard);
        let mut out = Self { files: Vec::new(), places: BTreeMap::new() };
        for (i, tensors) in shards.iter().enumerate() {
            let name = match shards.len() {
                1 => FILE.to_owned(),
                n => format!("model-{:05}-of-{n:05}.safetensors", i + 1),
            };
            out.add(folder.join(name), tensors)?;
        }
        if shards.len() > 1 {
            out.write_index(folder, tensors)?;
        }
        Ok(out)
    }

    /// A file with its header; wider types first, so that every tensor is aligned.
    fn add(&mut self, path: PathBuf, tensors: &[&TensorPlan]) -> Result<()> {
        let mut tensors = tensors.to_vec();
        tensors.sort_by_key(|tensor| std::cmp::Reverse(tensor.dtype.bitsize()));
        let line = |t: &&'_ TensorPlan| (t.dtype, t.n_bytes());
        let lines = tensors.iter().map(|t| (t.name.as_str(), t.shape.as_slice(), line(t).0, line(t).1));
        let header = header_of(&path, lines, &[])?;
        let file = File::create(&path).map_err(io("write", &path))?;
        let mut begin = (8 + header.len()) as u64;
        let head = [&(header.len() as u64).to_le_bytes()[..], &header].concat();
        write_at(&file, &path, 0, &head).map_err(io("write", &path))?;
        for tensor in tensors {
            let (dtype, len) = (tensor.dtype, tensor.shape.iter().product());
            let target = Target { file: self.files.len(), begin, dtype, len };
            if self.places.insert(tensor.name.clone(), target).is_some() {
                return Err(bad(&path, format!("tensor `{}` is in two shards", tensor.name)));
            }
            begin += tensor.n_bytes() as u64;
        }
        file.set_len(begin).map_err(io("write", &path))?;
        self.files.push((path, file));
        Ok(())
    }

    fn write_index(&self, folder: &Path, tensors: &[TensorPlan]) -> Result<()> {
        let file = |target: &Target| self.files[target.file].0.file_name().map(|name| name.to_string_lossy());
        let map: BTreeMap<&String, _> =
            self.places.iter().map(|(name, target)| (name, file(target))).collect();
        let total: usize = tensors.iter().map(TensorPlan::n_bytes).sum();
        let index = json!({"metadata": {"total_size": total}, "weight_map": map});
        Ok(atomic::write_json(&folder.join(INDEX), &index)?)
    }

    /// Writes values of a tensor of reals from its entry `first` on, each rounded to the tensor's type.
    ///
    /// # Errors
    /// A tensor that is not planned, too short or no tensor of reals; a file that cannot be written.
    pub fn write(&self, name: &str, first: usize, values: &[f32]) -> Result<()> {
        let target = self.target(name)?;
        let bytes = match target.dtype {
            Dtype::F32 => each(values, f32::to_le_bytes),
            Dtype::F64 => each(values, |v| f64::from(v).to_le_bytes()),
            Dtype::F16 => each(values, |v| f16::from_f32(v).to_le_bytes()),
            Dtype::BF16 => each(values, |v| bf16::from_f32(v).to_le_bytes()),
            other => return Err(self.wrong(name, &format!("has type {other:?}, found reals"))),
        };
        self.put(name, first * target.dtype.bitsize() / 8, &bytes)
    }

    /// Writes all bytes of a tensor.
    ///
    /// # Errors
    /// As [`WeightsOut::write`].
    pub fn write_raw(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.put(name, 0, bytes)
    }

    fn put(&self, name: &str, skip: usize, bytes: &[u8]) -> Result<()> {
        let target = self.target(name)?;
        if (skip + bytes.len()) * 8 > target.len * target.dtype.bitsize() {
            return Err(self.wrong(name, &format!("has {} values, found more", target.len)));
        }
        let (path, file) = &self.files[target.file];
        write_at(file, path, target.begin + skip as u64, bytes).map_err(io("write", path))
    }

    fn target(&self, name: &str) -> Result<&Target> {
        self.places.get(name).ok_or_else(|| self.wrong(name, "is not planned"))
    }

    fn wrong(&self, name: &str, what: &str) -> crate::Error {
        let path = self.files.first().map_or(Path::new(FILE), |(path, _)| path);
        bad(path, format!("tensor `{name}` {what}"))
    }

    /// Waits until everything is on the disk.
    ///
    /// # Errors
    /// The system's.
    pub fn finish(self) -> Result<()> {
        self.files.iter().try_for_each(|(path, file)| file.sync_all().map_err(io("write", path)))
    }
}

/// The tensors in their order, cut where a shard would grow beyond `most` bytes.
fn shards(tensors: &[TensorPlan], most: usize) -> Vec<Vec<&TensorPlan>> {
    let (mut shards, mut size) = (vec![Vec::new()], 0);
    for tensor in tensors {
        if size > 0 && size + tensor.n_bytes() > most {
            shards.push(Vec::new());
            size = 0;
        }
        size += tensor.n_bytes();
        shards.last_mut().expect("there is always a shard").push(tensor);
    }
    shards
}

fn each<const N: usize>(values: &[f32], of: impl Fn(f32) -> [u8; N]) -> Vec<u8> {
    let mut bytes = vec![0; values.len() * N];
    bytes.as_chunks_mut::<N>().0.iter_mut().zip(values).for_each(|(bytes, &value)| *bytes = of(value));
    bytes
}

#[cfg(unix)]
fn write_at(file: &File, _: &Path, at: u64, bytes: &[u8]) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

/// Where files have no writing at a place: each writer has one of its own.
#[cfg(not(unix))]
fn write_at(_: &File, path: &Path, at: u64, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::{Seek, SeekFrom, Write};
    let mut file = std::fs::OpenOptions::new().write(true).open(path)?;
    file.seek(SeekFrom::Start(at))?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::WeightFiles;

    fn plan(name: &str, dtype: Dtype, shape: &[usize]) -> TensorPlan {
        TensorPlan { name: name.into(), dtype, shape: shape.to_vec() }
    }

    fn tensors() -> [TensorPlan; 4] {
        [
            plan("half", Dtype::BF16, &[4]),
            plan("ids", Dtype::I64, &[2]),
            plan("w", Dtype::F32, &[2, 3]),
            plan("f16", Dtype::F16, &[3]),
        ]
    }

    fn filled(folder: &Path, shard: usize) -> WeightFiles {
        let out = WeightsOut::create(folder, &tensors(), shard).unwrap();
        out.write("w", 3, &[3.0, 4.0, 5.0]).unwrap();
        out.write("half", 0, &[1.0, -10.0, 0.1, 3.0]).unwrap();
        out.write("w", 0, &[0.5, 1.0, 2.0]).unwrap();
        out.write("f16", 0, &[0.1, 65504.0, -2.0]).unwrap();
        out.write_raw("ids", &[7; 16]).unwrap();
        out.finish().unwrap();
        WeightFiles::open_folder(folder).unwrap()
    }

    #[test]
    fn values_in_any_order_read_back_from_one_file_and_from_shards() {
        for (shard, n_files) in [(1 << 20, 1), (24, 3), (1, 4)] {
            let folder = tempfile::tempdir().unwrap();
            let read = filled(folder.path(), shard);
            assert_eq!(read.f32("w").unwrap(), [0.5, 1.0, 2.0, 3.0, 4.0, 5.0]);
            assert_eq!(read.f32("half").unwrap(), [1.0, -10.0, 0.100_097_656, 3.0]);
            assert_eq!(read.f32("f16").unwrap(), [0.099_975_586, 65504.0, -2.0]);
            assert_eq!(read.raw("ids").unwrap().bytes, [7; 16]);
            let names = polytask_core::files::names_in(folder.path());
            let shards = names.iter().filter(|name| name.ends_with(".safetensors")).count();
            assert_eq!((shards, names.len() - shards), (n_files, usize::from(n_files > 1)), "{names:?}");
        }
    }

    #[test]
    fn what_was_not_planned_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let out = WeightsOut::create(folder.path(), &tensors(), 1 << 20).unwrap();
        let told = |result: Result<()>| result.unwrap_err().to_string();
        assert!(told(out.write("x", 0, &[1.0])).contains("tensor `x` is not planned"));
        assert!(told(out.write("w", 5, &[1.0, 2.0])).contains("has 6 values, found more"));
        assert!(told(out.write("ids", 0, &[1.0])).contains("I64"));
        let twice = [plan("a", Dtype::F32, &[1]), plan("a", Dtype::F32, &[1])];
        for shard in [1, 1 << 20] {
            let error = WeightsOut::create(folder.path(), &twice, shard).unwrap_err().to_string();
            assert!(error.contains("tensor `a` is"), "{error}");
        }
    }
}
