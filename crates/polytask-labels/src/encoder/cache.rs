//! What an encoder says of texts, in a file that grows: each text goes through the encoder once, however many runs read it.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use polytask_core::{Error, Problem, atomic, hash};
use polytask_nn::Result;

use crate::features::Features;

/// Bytes before the values of a text: its key, the number of its states, and a check of both.
const HEAD: usize = 32;

/// Where the values of a text are.
#[derive(Debug, Clone, Copy)]
struct Kept {
    at: u64,
    n_states: u32,
}

/// The file.
pub(super) struct VectorCache {
    path: PathBuf,
    file: File,
    kept: HashMap<[u8; 16], Kept>,
    end: u64,
    /// Values of a vector and of a state.
    widths: (usize, usize),
}

impl VectorCache {
    /// Opens a file, or makes it; what a crash cut at its end is taken away.
    pub(super) fn open(path: &Path, widths: (usize, usize)) -> Result<Self> {
        if let Some(folder) = path.parent() {
            atomic::create_dir(folder)?;
        }
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        let file = options.open(path).map_err(Error::io("write", path))?;
        // Some file systems have no locks; then nobody watches.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            let what = format!("another run writes to {}", path.display());
            return Err(Error::from(Problem::new(what).try_this("wait for it, or another `--out`")).into());
        }
        let mut new = Self { path: path.to_path_buf(), file, kept: HashMap::new(), end: 0, widths };
        new.scan().map_err(Error::io("read", path))?;
        Ok(new)
    }

    fn scan(&mut self) -> std::io::Result<()> {
        let length = self.file.metadata()?.len();
        let mut reader = BufReader::new(self.file.try_clone()?);
        let mut head = [0; HEAD];
        while self.end + HEAD as u64 <= length {
            reader.read_exact(&mut head)?;
            let Some((key, n_states)) = read_head(&head) else { break };
            let next = self.end + HEAD as u64 + self.bytes(n_states);
            if next > length {
                break;
            }
            self.kept.insert(key, Kept { at: self.end + HEAD as u64, n_states });
            reader.seek_relative(self.bytes(n_states) as i64)?;
            self.end = next;
        }
        if self.end < length {
            self.file.set_len(self.end)?;
        }
        Ok(())
    }

    /// Bytes of the values of a text.
    fn bytes(&self, n_states: u32) -> u64 {
        ((self.widths.0 + n_states as usize * self.widths.1) * size_of::<f32>()) as u64
    }

    /// What the encoder says of sequences; `encode` is asked for those that nobody asked for before.
    pub(super) fn features(
        &mut self,
        sequences: &[Vec<u32>],
        with_states: bool,
        encode: impl FnOnce(&[Vec<u32>]) -> Result<Features>,
    ) -> Result<Features> {
        let keys: Vec<[u8; 16]> = sequences.iter().map(|sequence| key(sequence)).collect();
        let mut missing: Vec<usize> =
            (0..keys.len()).filter(|&i| !self.has(&keys[i], &sequences[i], with_states)).collect();
        missing.sort_by_key(|&i| keys[i]);
        missing.dedup_by_key(|i| keys[*i]);
        if !missing.is_empty() {
            let asked: Vec<Vec<u32>> = missing.iter().map(|&i| sequences[i].clone()).collect();
            let found = encode(&asked)?;
            for (place, &i) in missing.iter().enumerate() {
                self.keep(
                    keys[i],
                    found.vector(place),
                    if with_states { found.states_of(place) } else { &[] },
                )
                .map_err(Error::io("write", &self.path))?;
            }
        }
        Ok(self.read(&keys, with_states).map_err(Error::io("read", &self.path))?)
    }

    /// Whether a sequence is kept; a sequence without symbols has no states.
    fn has(&self, key: &[u8; 16], sequence: &[u32], with_states: bool) -> bool {
        let needs = with_states && !sequence.is_empty();
        self.kept.get(key).is_some_and(|kept| !needs || kept.n_states > 0)
    }

    fn keep(&mut self, key: [u8; 16], vector: &[f32], states: &[f32]) -> std::io::Result<()> {
        let n_states = (states.len() / self.widths.1.max(1)) as u32;
        let mut bytes = head(key, n_states).to_vec();
        bytes.extend(vector.iter().chain(states).flat_map(|value| value.to_le_bytes()));
        self.file.write_all(&bytes)?;
        self.kept.insert(key, Kept { at: self.end + HEAD as u64, n_states });
        self.end += bytes.len() as u64;
        Ok(())
    }

    fn read(&mut self, keys: &[[u8; 16]], with_states: bool) -> std::io::Result<Features> {
        let (d_vector, d_state) = self.widths;
        let mut all = Features { d_vector, d_state, starts: vec![0], ..Features::default() };
        let mut bytes = Vec::new();
        for key in keys {
            let kept = self.kept[key];
            let n_states = if with_states { kept.n_states } else { 0 };
            bytes.resize(self.bytes(n_states) as usize, 0);
            self.file.seek(SeekFrom::Start(kept.at))?;
            self.file.read_exact(&mut bytes)?;
            let mut values = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            all.vectors.extend(values.by_ref().take(d_vector));
            all.states.extend(values);
            all.starts.push((all.states.len() / d_state.max(1)) as u32);
        }
        Ok(all)
    }
}

fn key(sequence: &[u32]) -> [u8; 16] {
    let bytes: Vec<u8> = sequence.iter().flat_map(|symbol| symbol.to_le_bytes()).collect();
    let (mut key, text) = ([0; 16], hash::sha256(&bytes));
    for (to, pair) in key.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digit = |byte: u8| (byte as char).to_digit(16).unwrap_or(0) as u8;
        *to = digit(pair[0]) << 4 | digit(pair[1]);
    }
    key
}

fn head(key: [u8; 16], n_states: u32) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..16].copy_from_slice(&key);
    head[16..20].copy_from_slice(&n_states.to_le_bytes());
    let check = hash::bytes64(&head[..24]);
    head[24..].copy_from_slice(&check.to_le_bytes());
    head
}

/// Key and number of states; `None` of bytes that are no head.
fn read_head(bytes: &[u8; HEAD]) -> Option<([u8; 16], u32)> {
    let check = u64::from_le_bytes(bytes[24..].try_into().ok()?);
    let n_states = u32::from_le_bytes(bytes[16..20].try_into().ok()?);
    (check == hash::bytes64(&bytes[..24])).then_some((bytes[..16].try_into().ok()?, n_states))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// States as many as symbols, of values that tell sequences apart.
    fn said(sequences: &[Vec<u32>]) -> Features {
        let mut all = Features { d_vector: 1, d_state: 2, starts: vec![0], ..Features::default() };
        for sequence in sequences {
            all.vectors.push(sequence.iter().sum::<u32>() as f32);
            all.states.extend(sequence.iter().flat_map(|&symbol| [symbol as f32, 0.5]));
            all.starts.push((all.states.len() / 2) as u32);
        }
        all
    }

    #[test]
    fn a_sequence_is_encoded_once_and_a_cut_end_is_encoded_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.bin");
        let sequences = vec![vec![1, 2], vec![3], vec![1, 2], vec![]];
        let mut asked = 0;
        let mut ask = |cache: &mut VectorCache, with_states| {
            let found = cache.features(&sequences, with_states, |missing| {
                asked = missing.len();
                Ok(said(missing))
            });
            (std::mem::take(&mut asked), found.unwrap())
        };
        let open = || VectorCache::open(&path, (1, 2)).unwrap();
        let mut cache = open();
        assert_eq!(ask(&mut cache, true), (3, said(&sequences)));
        assert_eq!(ask(&mut cache, true), (0, said(&sequences)));
        assert_eq!(ask(&mut cache, false).1.states, Vec::<f32>::new());
        drop(cache);
        let length = std::fs::metadata(&path).unwrap().len();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(length - 3).unwrap();
        assert_eq!(ask(&mut open(), true), (1, said(&sequences)));
        assert_eq!(ask(&mut open(), true), (0, said(&sequences)));
        std::fs::write(&path, [7; 100]).unwrap();
        assert_eq!(ask(&mut open(), true), (3, said(&sequences)));
    }
}
