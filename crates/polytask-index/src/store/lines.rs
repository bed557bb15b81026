//! Values as JSON, a line each, and where each line begins.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use polytask_core::{Error, Place, Problem, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::vectors::StoredNumbers;

/// Lines that are read in any order.
#[derive(Debug)]
pub(crate) struct Lines {
    path: PathBuf,
    text: StoredNumbers<u8>,
    /// Where each line begins, `[lines + 1]`.
    starts: StoredNumbers<u64>,
}

impl Lines {
    /// Maps the files that [`LineWriter`] wrote.
    pub(crate) fn open(folder: &Path, name: &str) -> Result<Self> {
        let path = folder.join(format!("{name}.jsonl"));
        let (text, starts) = (
            StoredNumbers::<u8>::open(&path)?,
            StoredNumbers::<u64>::open(&folder.join(format!("{name}.u64")))?,
        );
        if starts.last() == Some(&(text.len() as u64)) && starts.is_sorted() {
            return Ok(Self { path, text, starts });
        }
        Err(Problem::at(Place::file(&path), "its lines are not where they should be")
            .try_this("build the index again")
            .into())
    }

    pub(crate) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// The value of a line.
    pub(crate) fn get<T: DeserializeOwned>(&self, line: usize) -> Result<T> {
        let text = &self.text[self.starts[line] as usize..self.starts[line + 1] as usize];
        serde_json::from_slice(text).map_err(|error| {
            let what = format!("a broken line: {error}");
            Problem::at(Place::line(&self.path, line + 1), what).try_this("build the index again").into()
        })
    }
}

/// Writes lines one after the other.
pub(crate) struct LineWriter {
    path: PathBuf,
    text: BufWriter<File>,
    starts: Vec<u64>,
}

impl LineWriter {
    pub(crate) fn create(folder: &Path, name: &str) -> Result<Self> {
        let path = folder.join(format!("{name}.jsonl"));
        let text = File::create(&path).map_err(Error::io("write", &path))?;
        Ok(Self { path, text: BufWriter::new(text), starts: vec![0] })
    }

    pub(crate) fn push<T: Serialize>(&mut self, value: &T) -> Result<()> {
        let mut line = serde_json::to_vec(value)
            .map_err(|error| Error::Bug(format!("a line of an index cannot be written: {error}")))?;
        line.push(b'\n');
        self.text.write_all(&line).map_err(Error::io("write", &self.path))?;
        self.starts.push(self.starts[self.starts.len() - 1] + line.len() as u64);
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Writes what is left, and where the lines begin.
    pub(crate) fn finish(self) -> Result<()> {
        let file =
            self.text.into_inner().map_err(|error| Error::io("write", &self.path)(error.into_error()))?;
        file.sync_all().map_err(Error::io("write", &self.path))?;
        polytask_core::atomic::write(&self.path.with_extension("u64"), bytemuck::cast_slice(&self.starts))
    }
}
