//! What a teacher said, on the disk: a record per row, found by the row's texts.
//!
//! A record is half a SHA-256 of the texts, in hexadecimal, and the outputs. Records are appended; one that a crash cut off is cut away
//! when the file is opened, and asked for again.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::PathBuf;

use polytask_core::{Error, atomic, hash};
use polytask_data::pull;

use crate::Result;

/// Bytes of a row's key.
const KEY: usize = 32;

type Key = [u8; KEY];

/// The kept outputs of one task of one teacher.
pub(super) struct Store {
    path: PathBuf,
    file: File,
    outputs: HashMap<Key, Vec<f32>>,
}

fn key(row: &[&str]) -> Key {
    let mut bytes = Vec::new();
    for text in row {
        bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    let digest = hash::sha256(&bytes).into_bytes();
    std::array::from_fn(|i| digest[i])
}

impl Store {
    /// The store of a task of the teacher with these weights, whose rows have so many outputs.
    pub(super) fn open(weights: &str, task: &str, width: usize) -> Result<Self> {
        let folder = pull::cache().join("teachers");
        atomic::create_dir(&folder)?;
        let name = hash::sha256(format!("{weights} {task} {width}").as_bytes());
        Self::at(folder.join(format!("{}.outputs", &name[..32])), width)
    }

    fn at(path: PathBuf, width: usize) -> Result<Self> {
        let failed = |what: &'static str| Error::io(what, &path);
        let mut options = OpenOptions::new();
        let mut file = options.read(true).append(true).create(true).open(&path).map_err(failed("open"))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed("read"))?;
        let record = KEY + 4 * width;
        let whole = bytes.len() - bytes.len() % record;
        if whole < bytes.len() {
            file.set_len(whole as u64).map_err(failed("shorten"))?;
        }
        let outputs = bytes[..whole].chunks(record).map(|record| {
            let (key, values) = record.split_at(KEY);
            let value = |bytes: &[u8]| f32::from_le_bytes(std::array::from_fn(|i| bytes[i]));
            (std::array::from_fn(|i| key[i]), values.chunks(4).map(value).collect())
        });
        let outputs = outputs.collect();
        Ok(Self { path, file, outputs })
    }

    /// The outputs of a row, where they are kept.
    pub(super) fn get(&self, row: &[&str]) -> Option<&[f32]> {
        self.outputs.get(&key(row)).map(Vec::as_slice)
    }

    /// Places of rows that are not kept, the first of equal ones.
    pub(super) fn missing(&self, rows: &[Vec<&str>]) -> Vec<usize> {
        let mut met = std::collections::HashSet::new();
        let is_new = |&i: &usize| {
            let key = key(&rows[i]);
            !self.outputs.contains_key(&key) && met.insert(key)
        };
        (0..rows.len()).filter(is_new).collect()
    }

    /// Keeps the outputs of some rows; they are on the disk when it returns.
    pub(super) fn append<'a>(
        &mut self,
        rows: impl Iterator<Item = (&'a Vec<&'a str>, &'a Vec<f32>)>,
    ) -> Result<()> {
        let mut bytes = Vec::new();
        for (row, outputs) in rows {
            let key = key(row);
            bytes.extend_from_slice(&key);
            outputs.iter().for_each(|output| bytes.extend_from_slice(&output.to_le_bytes()));
            self.outputs.insert(key, outputs.clone());
        }
        self.file.write_all(&bytes).map_err(Error::io("write", &self.path))?;
        Ok(self.file.sync_data().map_err(Error::io("write", &self.path))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_found_again_and_a_torn_record_is_asked_for_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.outputs");
        let rows = [vec!["a", "b"], vec!["ab", ""], vec!["a", "b"]];
        let mut store = Store::at(path.clone(), 2).unwrap();
        assert_eq!(store.missing(&rows), [0, 1]);
        let outputs = [vec![1.0, 2.0], vec![3.0, 4.0]];
        store.append(rows.iter().zip(&outputs)).unwrap();
        drop(store);
        let store = Store::at(path.clone(), 2).unwrap();
        assert_eq!(
            (store.get(&rows[0]), store.get(&rows[1])),
            (Some(&outputs[0][..]), Some(&outputs[1][..]))
        );
        assert!(store.missing(&rows).is_empty());
        drop(store);
        let length = std::fs::metadata(&path).unwrap().len();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 3).unwrap();
        let mut store = Store::at(path.clone(), 2).unwrap();
        assert_eq!(store.missing(&rows), [1]);
        store.append(rows[1..2].iter().zip(&outputs[1..])).unwrap();
        assert_eq!(Store::at(path, 2).unwrap().get(&rows[1]), Some(&outputs[1][..]));
    }
}
