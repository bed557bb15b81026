//! Vectors to a file, row by row: `NumPy`'s `.npy` (format 1.0) or JSON lines; complete or absent.

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use polytask_core::{Error, Problem, Result};
use polytask_nn::States;
use serde_json::json;

/// Bytes before the values: a fixed length, so that the number of rows can be filled in at the end.
const HEADER: usize = 128;

/// A file of vectors being written.
pub(crate) struct VectorFile {
    path: PathBuf,
    partial: PathBuf,
    out: BufWriter<File>,
    is_npy: bool,
    rows: usize,
    width: usize,
}

impl VectorFile {
    /// Starts a file whose ending says its format.
    pub(crate) fn create(path: &Path, width: usize) -> Result<Self> {
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if !["npy", "jsonl"].contains(&ending) {
            let what = format!("output {} ends in `.{ending}`, expected `.npy` or `.jsonl`", path.display());
            return Err(Problem::new(what).try_this("name the file vectors.npy").into());
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let partial = path.with_file_name(format!(".{name}.{}.partial", std::process::id()));
        let file = File::create(&partial).map_err(Error::io("write", path))?;
        let mut out = Self {
            path: path.into(),
            partial,
            out: BufWriter::new(file),
            is_npy: ending == "npy",
            rows: 0,
            width,
        };
        if out.is_npy {
            out.out.write_all(&[b' '; HEADER]).map_err(Error::io("write", path))?;
        }
        Ok(out)
    }

    /// Appends vectors.
    pub(crate) fn push(&mut self, vectors: &States) -> Result<()> {
        self.rows += vectors.n_rows();
        let written = if self.is_npy { self.push_npy(vectors) } else { self.push_lines(vectors) };
        written.map_err(Error::io("write", &self.path))
    }

    fn push_npy(&mut self, vectors: &States) -> io::Result<()> {
        vectors.values.iter().try_for_each(|v| self.out.write_all(&v.to_le_bytes()))
    }

    fn push_lines(&mut self, vectors: &States) -> io::Result<()> {
        (0..vectors.n_rows())
            .try_for_each(|i| writeln!(self.out, "{}", json!({ "embedding": vectors.row(i) })))
    }

    /// Completes the file and gives it its name.
    pub(crate) fn finish(mut self) -> Result<usize> {
        self.complete().map_err(Error::io("write", &self.path))?;
        Ok(self.rows)
    }

    fn complete(&mut self) -> io::Result<()> {
        if self.is_npy {
            let header = npy_header(self.rows, self.width);
            self.out.seek(SeekFrom::Start(0))?;
            self.out.write_all(&header)?;
        }
        self.out.flush()?;
        self.out.get_ref().sync_all()?;
        fs::rename(&self.partial, &self.path)
    }
}

impl Drop for VectorFile {
    fn drop(&mut self) {
        // After `finish` the partial file has its final name and there is nothing to remove.
        let _ = fs::remove_file(&self.partial);
    }
}

/// Magic, version 1.0, length, and a dictionary padded with spaces to a line break.
fn npy_header(rows: usize, width: usize) -> Vec<u8> {
    let dictionary = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}");
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend(((HEADER - 10) as u16).to_le_bytes());
    header.extend(dictionary.as_bytes());
    header.resize(HEADER - 1, b' ');
    header.push(b'\n');
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_header_and_rows_and_an_unfinished_one_vanishes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.npy");
        let vectors = States { values: vec![1.0, 2.0, 3.0, 4.0], width: 2 };
        drop(VectorFile::create(&path, 2).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let mut file = VectorFile::create(&path, 2).unwrap();
        file.push(&vectors).unwrap();
        assert_eq!(file.finish().unwrap(), 2);
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes.len(), HEADER + 16);
        assert!(String::from_utf8_lossy(&bytes[10..HEADER]).contains("'shape': (2, 2)"));
        assert_eq!(&bytes[HEADER + 12..], 4.0_f32.to_le_bytes());
    }
}
