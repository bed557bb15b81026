//! Weights on disk: safetensors files, single or sharded, read tensor by tensor and written atomically.
//!
//! The same tensors in the same order give the same bytes. Pickled checkpoints are refused: unpickling runs code.

mod blocks;
mod header;
mod report;
mod stream;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use polytask_core::{atomic, files};
pub use safetensors::Dtype;

pub use self::blocks::OpenWeights;
pub use self::header::{Header, TensorEntry, read_header};
pub use self::report::{LoadReport, WrongShape};
pub use self::stream::{TensorPlan, WeightsOut};
use crate::params::Params;
use crate::{Error, Result};

/// The usual name of a weights file.
pub const FILE: &str = "model.safetensors";

/// Bytes read at a time; a multiple of every type's size.
const PIECE: usize = 1 << 20;

const INDEX: &str = "model.safetensors.index.json";
const PICKLES: [&str; 2] = ["pytorch_model.bin", "pytorch_model.bin.index.json"];

/// The tensors of one safetensors file or of a set of shards; values are read when asked for.
#[derive(Debug)]
pub struct WeightFiles {
    path: PathBuf,
    files: Vec<(PathBuf, Header)>,
    places: BTreeMap<String, (usize, usize)>,
}

/// Values of a tensor to be written.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    /// Reals.
    F32(&'a [f32]),
    /// Doubles.
    F64(&'a [f64]),
    /// Bytes as they stand in a file, little-endian.
    Raw(Dtype, &'a [u8]),
}

/// A tensor to be written.
#[derive(Debug, Clone, Copy)]
pub struct TensorOut<'a> {
    /// Dotted name.
    pub name: &'a str,
    /// Its shape, row-major.
    pub shape: &'a [usize],
    /// Its values.
    pub values: Values<'a>,
}

/// A tensor kept as it stood in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawTensor {
    /// Dotted name.
    pub name: String,
    /// Type of its values.
    pub dtype: Dtype,
    /// Its shape, row-major.
    pub shape: Vec<usize>,
    /// Its values, little-endian.
    pub bytes: Vec<u8>,
}

impl WeightFiles {
    /// Opens one safetensors file.
    pub fn open(path: &Path) -> Result<Self> {
        let header = open_header(path)?;
        Self::gather(path, vec![(path.to_path_buf(), header)])
    }

    /// Opens the weights of a model folder: `model.safetensors`, else the shards its index names.
    ///
    /// # Errors
    /// When there are none; a folder with a pickled checkpoint alone is told how to convert it.
    pub fn open_folder(folder: &Path) -> Result<Self> {
        let single = folder.join(FILE);
        if single.exists() {
            return Self::open(&single);
        }
        let index = folder.join(INDEX);
        if index.exists() {
            return Self::open_shards(&index);
        }
        let pickle = PICKLES.iter().map(|name| folder.join(name)).find(|path| path.exists());
        Err(no_weights(folder, pickle.as_deref()))
    }

    fn open_shards(index: &Path) -> Result<Self> {
        let folder = index.parent().unwrap_or(Path::new("."));
        let map = weight_map(index)?;
        let mut names: Vec<&String> = map.values().collect();
        names.sort_unstable();
        names.dedup();
        let mut files = Vec::new();
        for name in names {
            let path = folder.join(shard_name(index, name)?);
            let header = open_header(&path)?;
            files.push((path, header));
        }
        let weights = Self::gather(index, files)?;
        match map.keys().find(|name| !weights.places.contains_key(*name)) {
            Some(name) => Err(bad(index, format!("tensor `{name}` is in the index but in no shard"))),
            None => Ok(weights),
        }
    }

    fn gather(path: &Path, files: Vec<(PathBuf, Header)>) -> Result<Self> {
        let mut places = BTreeMap::new();
        for (f, (_, header)) in files.iter().enumerate() {
            for (e, entry) in header.entries.iter().enumerate() {
                if places.insert(entry.name.clone(), (f, e)).is_some() {
                    return Err(bad(path, format!("tensor `{}` is in two shards", entry.name)));
                }
            }
        }
        Ok(Self { path: path.to_path_buf(), files, places })
    }

    /// The file, or the index of the shards.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Free words of the writer (of the first file).
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        self.files.first().map_or(&NONE, |(_, header)| &header.metadata)
    }

    /// The tensors, by name.
    pub fn entries(&self) -> impl Iterator<Item = &TensorEntry> {
        self.places.values().map(|&(f, e)| &self.files[f].1.entries[e])
    }

    /// The tensor of this name.
    pub fn find(&self, name: &str) -> Option<&TensorEntry> {
        self.places.get(name).map(|&(f, e)| &self.files[f].1.entries[e])
    }

    /// A tensor as it stands in the file.
    pub fn raw(&self, name: &str) -> Result<RawTensor> {
        let &(f, e) = self.places.get(name).ok_or_else(|| bad(&self.path, format!("no tensor `{name}`")))?;
        let (path, header) = &self.files[f];
        let entry = &header.entries[e];
        let bytes = read_range(path, entry)?;
        Ok(RawTensor { name: name.into(), dtype: entry.dtype, shape: entry.shape.clone(), bytes })
    }

    /// The values of a tensor of reals (F64, F32, F16 or BF16) as f32.
    pub fn f32(&self, name: &str) -> Result<Vec<f32>> {
        let mut values = vec![0.0; self.find(name).map_or(0, TensorEntry::len)];
        self.read_f32(name, &mut values)?;
        Ok(values)
    }

    /// Reads a tensor of reals into `out`, a piece at a time: no second copy of it is ever in memory.
    fn read_f32(&self, name: &str, mut out: &mut [f32]) -> Result<()> {
        let &(f, e) = self.places.get(name).ok_or_else(|| bad(&self.path, format!("no tensor `{name}`")))?;
        let (path, header) = &self.files[f];
        let entry = &header.entries[e];
        for_pieces(path, entry, |bytes| {
            let values = to_f32(entry.dtype, bytes).ok_or_else(|| {
                let what =
                    format!("tensor `{name}` has type {:?}, expected F32, F16, BF16 or F64", entry.dtype);
                bad(&self.path, what)
            })?;
            let (front, rest) = std::mem::take(&mut out).split_at_mut(values.len());
            front.copy_from_slice(&values);
            out = rest;
            Ok(())
        })
    }

    /// The values of an F64 tensor, exactly.
    pub fn f64(&self, name: &str) -> Result<Vec<f64>> {
        let raw = self.raw(name)?;
        if raw.dtype != Dtype::F64 {
            return Err(bad(&self.path, format!("tensor `{name}` has type {:?}, expected F64", raw.dtype)));
        }
        Ok(raw.bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect())
    }

    /// Fills `params` from tensors whose names, after `rename`, are theirs; every tensor is accounted for.
    pub fn load_into(&self, params: &mut Params, rename: impl Fn(&str) -> String) -> Result<LoadReport> {
        let mut report = LoadReport::default();
        let mut by_name: BTreeMap<String, &TensorEntry> = BTreeMap::new();
        for entry in self.entries() {
            if let Some(twin) = by_name.insert(rename(&entry.name), entry) {
                report.unused.push(twin.name.clone());
            }
        }
        for block in &mut params.blocks {
            for i in 0..block.tensors.len() {
                let spec = block.tensors[i].clone();
                match by_name.remove(&spec.name) {
                    None => report.missing.push(spec.name),
                    Some(entry) if entry.shape != spec.shape => {
                        let found = entry.shape.clone();
                        report.wrong_shape.push(WrongShape { name: spec.name, found, expected: spec.shape });
                    }
                    Some(entry) => {
                        let values = block.tensor_mut(i);
                        self.read_f32(&entry.name, values)?;
                        let finite = values.iter().all(|v| v.is_finite());
                        if finite { &mut report.applied } else { &mut report.not_finite }.push(spec.name);
                    }
                }
            }
        }
        report.unused.extend(by_name.into_values().map(|entry| entry.name.clone()));
        Ok(report)
    }
}

/// The tensors of `params`, in block order, ready to be written.
pub fn tensors_of(params: &Params) -> Vec<TensorOut<'_>> {
    let mut all = Vec::new();
    for block in &params.blocks {
        for spec in &block.tensors {
            let values = Values::F32(&block.values[spec.range()]);
            all.push(TensorOut { name: &spec.name, shape: &spec.shape, values });
        }
    }
    all
}

/// Writes tensors to one safetensors file, atomically, in the format PyTorch's readers expect: in their order,
/// but wider types first, so that every tensor is aligned.
pub fn write(path: &Path, tensors: &[TensorOut<'_>], metadata: &[(&str, &str)]) -> Result<()> {
    let mut tensors = tensors.to_vec();
    tensors.sort_by_key(|tensor| std::cmp::Reverse(tensor.values.dtype().bitsize()));
    let lines = tensors.iter().map(|tensor| {
        let (dtype, size) = (tensor.values.dtype(), tensor.values.n_bytes());
        (tensor.name, tensor.shape, dtype, size)
    });
    let header = header_of(path, lines, metadata)?;
    atomic::write_with(path, |out| {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        tensors.iter().try_for_each(|tensor| write_values(out, tensor.values))
    })?;
    Ok(())
}

/// The JSON header, padded with spaces so that the data starts at a multiple of 8 bytes. A line is name, shape, type and
/// number of bytes.
fn header_of<'a>(
    path: &Path,
    lines: impl Iterator<Item = (&'a str, &'a [usize], Dtype, usize)>,
    metadata: &[(&str, &str)],
) -> Result<Vec<u8>> {
    let mut words: BTreeMap<&str, &str> = BTreeMap::from([("format", "pt")]);
    words.extend(metadata.iter().copied());
    let mut json = format!("{{\"__metadata__\":{}", serde_json::json!(words));
    let (mut names, mut begin) = (std::collections::BTreeSet::new(), 0_usize);
    for (name, shape, dtype, size) in lines {
        let n: usize = shape.iter().product();
        if !names.insert(name) || n * dtype.bitsize() != size * 8 {
            return Err(bad(path, format!("tensor `{name}` is written twice or is not of shape {shape:?}")));
        }
        let name = serde_json::json!(name);
        let info = serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": [begin, begin + size]});
        write!(json, ",{name}:{info}").expect("a String takes every text");
        begin += size;
    }
    json.push('}');
    let padded = (json.len() + 8).next_multiple_of(8) - 8;
    json.extend(std::iter::repeat_n(' ', padded - json.len()));
    Ok(json.into_bytes())
}

impl Values<'_> {
    fn dtype(self) -> Dtype {
        match self {
            Self::F32(_) => Dtype::F32,
            Self::F64(_) => Dtype::F64,
            Self::Raw(dtype, _) => dtype,
        }
    }

    fn n_bytes(self) -> usize {
        match self {
            Self::F32(values) => values.len() * 4,
            Self::F64(values) => values.len() * 8,
            Self::Raw(_, bytes) => bytes.len(),
        }
    }
}

fn write_values(out: &mut dyn Write, values: Values<'_>) -> std::io::Result<()> {
    match values {
        Values::F32(values) => values.iter().try_for_each(|v| out.write_all(&v.to_le_bytes())),
        Values::F64(values) => values.iter().try_for_each(|v| out.write_all(&v.to_le_bytes())),
        Values::Raw(_, bytes) => out.write_all(bytes),
    }
}

fn bad(path: &Path, what: String) -> Error {
    Error::Weights { path: path.to_path_buf(), what }
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let wrap = polytask_core::Error::io(action, path);
    move |error| wrap(error).into()
}

fn open_header(path: &Path) -> Result<Header> {
    let mut file = files::open(path).map_err(io("read", path))?;
    let length = file.metadata().map_err(io("read", path))?.len();
    read_header(&mut file, length).map_err(|what| bad(path, format!("{what}; try: fetch the file again")))
}

fn read_range(path: &Path, entry: &TensorEntry) -> Result<Vec<u8>> {
    let mut all = Vec::with_capacity((entry.end - entry.begin) as usize);
    for_pieces(path, entry, |bytes| {
        all.extend_from_slice(bytes);
        Ok(())
    })?;
    Ok(all)
}

/// Gives a tensor's bytes to `work`, at most [`PIECE`] at a time.
fn for_pieces(path: &Path, entry: &TensorEntry, mut work: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut file = files::open(path).map_err(io("read", path))?;
    file.seek(SeekFrom::Start(entry.begin)).map_err(io("read", path))?;
    let mut left = (entry.end - entry.begin) as usize;
    let mut bytes = vec![0; left.min(PIECE)];
    while left > 0 {
        let now = left.min(PIECE);
        file.read_exact(&mut bytes[..now]).map_err(io("read", path))?;
        work(&bytes[..now])?;
        left -= now;
    }
    Ok(())
}

fn no_weights(folder: &Path, pickle: Option<&Path>) -> Error {
    match pickle {
        Some(pickle) => bad(
            pickle,
            "a pickled checkpoint can run code when read, so only safetensors are read; try: convert it once \
             with `AutoModel.from_pretrained(folder).save_pretrained(folder, safe_serialization=True)`"
                .into(),
        ),
        None => bad(&folder.join(FILE), format!("no such file, and no {INDEX}; try: `polytask pull` the encoder")),
    }
}

fn weight_map(index: &Path) -> Result<BTreeMap<String, String>> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let bytes = files::read(index, files::LARGE).map_err(io("read", index))?;
    let index: Index = serde_json::from_slice(&bytes)
        .map_err(|error| bad(index, format!("not an index of shards: {error}; try: fetch the file again")))?;
    Ok(index.weight_map)
}

/// A shard stands beside its index: a name with a path in it could reach any file.
fn shard_name<'a>(index: &Path, name: &'a str) -> Result<&'a str> {
    let plain = Path::new(name).file_name().is_some_and(|file| file == name) && !name.contains('\\');
    if plain { Ok(name) } else { Err(bad(index, format!("shard `{name}` is not a plain file name"))) }
}

fn to_f32(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let mut values = vec![0.0; bytes.len() * 8 / dtype.bitsize().max(1)];
    blocks::fill(dtype, bytes, &mut values).then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Block;

    fn params() -> Params {
        let mut block = Block::zeros("layer.0", &[("a.weight", &[2, 3], true), ("a.bias", &[2], false)]);
        block.values.iter_mut().enumerate().for_each(|(i, v)| *v = i as f32 - 2.5);
        Params { blocks: vec![block] }
    }

    fn zeroed(params: &Params) -> Params {
        let mut zeroed = params.clone();
        zeroed.blocks.iter_mut().for_each(|block| block.values.fill(0.0));
        zeroed
    }

    #[test]
    fn written_parameters_load_back_exactly_and_the_same_bytes_are_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let (path, again) = (folder.path().join(FILE), folder.path().join("again"));
        let params = params();
        write(&path, &tensors_of(&params), &[]).unwrap();
        let mut loaded = zeroed(&params);
        let report = WeightFiles::open(&path).unwrap().load_into(&mut loaded, str::to_owned).unwrap();
        assert_eq!((loaded == params, report.applied.len()), (true, 2));
        write(&again, &tensors_of(&loaded), &[]).unwrap();
        assert_eq!(std::fs::read(path).unwrap(), std::fs::read(again).unwrap());
    }

    #[test]
    fn the_ecosystems_own_reader_reads_what_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        write(&path, &tensors_of(&params()), &[("step", "3")]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let (header, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(header % 8, 0);
        let words = metadata.metadata().clone().unwrap();
        assert_eq!((words["format"].as_str(), words["step"].as_str()), ("pt", "3"));
        let read = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let bias = read.tensor("a.bias").unwrap();
        assert_eq!(
            (bias.shape(), bias.data()),
            (&[2][..], &[3.5_f32.to_le_bytes(), 4.5_f32.to_le_bytes()].concat()[..])
        );
    }

    #[test]
    fn missing_unused_and_misshapen_tensors_are_reported_together() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let tensor = |name, shape, values| TensorOut { name, shape, values: Values::F32(values) };
        write(&path, &[tensor("a.weight", &[3, 2], &[0.0; 6]), tensor("b", &[1], &[0.0])], &[]).unwrap();
        let report = WeightFiles::open(&path).unwrap().load_into(&mut params(), str::to_owned).unwrap();
        assert_eq!(
            (report.missing.as_slice(), report.unused.as_slice()),
            (&["a.bias".into()][..], &["b".into()][..])
        );
        assert_eq!(report.wrong_shape[0].found, [3, 2]);
        assert!(report.require_all(&path).is_err());
    }

    #[test]
    fn weights_that_are_not_finite_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let mut params = params();
        params.blocks[0].values[7] = f32::NAN;
        write(&path, &tensors_of(&params), &[]).unwrap();
        let report = WeightFiles::open(&path).unwrap().load_into(&mut params, str::to_owned).unwrap();
        assert_eq!(report.not_finite, ["a.bias"]);
        assert!(report.require_all(&path).is_err());
    }

    #[test]
    fn halves_doubles_and_brain_floats_become_f32() {
        let halves = [0x0000, 0x8000, 0x3c00, 0xc000, 0x7bff, 0x0001, 0x0400, 0x3555, 0x7c00, 0xfc00];
        let exact = [0.0, -0.0, 1.0, -2.0, 65504.0, 5.960_464_5e-8, 6.103_515_6e-5, 0.333_251_95];
        let bytes: Vec<u8> = halves.iter().flat_map(|h: &u16| h.to_le_bytes()).collect();
        let values = to_f32(Dtype::F16, &bytes).unwrap();
        assert_eq!(values[..8].iter().map(|v| v.to_bits()).collect::<Vec<_>>(), exact.map(f32::to_bits));
        assert_eq!(values[8..], [f32::INFINITY, f32::NEG_INFINITY]);
        assert!(to_f32(Dtype::F16, &[0x01, 0x7e]).unwrap()[0].is_nan());
        assert_eq!(to_f32(Dtype::BF16, &[0x80, 0x3f, 0x20, 0xc1]).unwrap(), [1.0, -10.0]);
        assert_eq!(to_f32(Dtype::F64, &0.1_f64.to_le_bytes()).unwrap(), [0.1]);
        assert_eq!(to_f32(Dtype::I64, &[0; 8]), None);
    }

    #[test]
    fn shards_are_read_as_one_and_their_mistakes_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let (one, two) = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors");
        let params = params();
        let tensors = tensors_of(&params);
        write(&at(one), &tensors[..1], &[]).unwrap();
        write(&at(two), &tensors[1..], &[]).unwrap();
        let index = |b: &str| {
            let text =
                format!(r#"{{"metadata":{{"total_size":32}},"weight_map":{{"a.weight":"{one}",{b}}}}}"#);
            std::fs::write(at(INDEX), text).unwrap();
            WeightFiles::open_folder(folder.path())
        };
        let mut loaded = zeroed(&params);
        let good = index(&format!(r#""a.bias":"{two}""#)).unwrap();
        good.load_into(&mut loaded, str::to_owned).unwrap();
        assert_eq!(loaded, params);
        let message = |b: &str| index(b).unwrap_err().to_string();
        assert!(message(r#""a.bias":"../x.safetensors""#).contains("plain file name"));
        assert!(message(&format!(r#""a.other":"{two}""#)).contains("in no shard"));
        assert!(message(r#""a.bias":7"#).contains("not an index"));
        write(&at(two), &tensors, &[]).unwrap();
        assert!(message(&format!(r#""a.bias":"{two}""#)).contains("in two shards"));
    }

    #[test]
    fn a_pickled_checkpoint_alone_is_refused_with_the_way_to_convert_it() {
        let folder = tempfile::tempdir().unwrap();
        let message = || WeightFiles::open_folder(folder.path()).unwrap_err().to_string();
        assert!(message().contains("no such file"));
        std::fs::write(folder.path().join("pytorch_model.bin"), b"").unwrap();
        assert!(message().contains("safe_serialization"));
    }

    #[test]
    fn a_file_cut_at_any_length_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        write(&path, &tensors_of(&params()), &[]).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for length in 0..bytes.len() {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert!(WeightFiles::open(&path).is_err(), "{length}");
        }
    }

    #[test]
    fn doubles_survive_exactly() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let values = [0.1, f64::MIN_POSITIVE, -1e300];
        write(&path, &[TensorOut { name: "m", shape: &[3], values: Values::F64(&values) }], &[]).unwrap();
        assert_eq!(WeightFiles::open(&path).unwrap().f64("m").unwrap(), values);
    }
}
