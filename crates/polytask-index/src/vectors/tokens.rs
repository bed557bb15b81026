//! States of all tokens of each row, in two bytes per number, for models that compare these instead of one vector.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use half::f16;
use polytask_core::{Error, Place, Problem, Result};
use polytask_nn::scores::Ragged;

use super::StoredNumbers;

/// The states, end to end.
pub(crate) const STATES: &str = "tokens.f16";
/// How many tokens each row has.
pub(crate) const COUNTS: &str = "tokens.u32";

/// Token states of rows, mapped from the disk.
#[derive(Debug, Clone)]
pub struct TokenStates {
    width: usize,
    values: StoredNumbers<u16>,
    /// The first token of each row, and the number of all.
    starts: Vec<u64>,
}

impl TokenStates {
    /// Maps the files of a folder; rows whose states are not whole, as an ended process leaves them, are none.
    ///
    /// # Errors
    /// When a file is not there.
    pub fn open(folder: &Path, width: usize) -> Result<Self> {
        let values = StoredNumbers::<u16>::open(&folder.join(STATES))?;
        let counts = StoredNumbers::<u32>::open(&folder.join(COUNTS))?;
        let (mut starts, mut n) = (vec![0], 0_u64);
        for &count in counts.iter() {
            n += u64::from(count);
            if n * width as u64 > values.len() as u64 {
                break;
            }
            starts.push(n);
        }
        Ok(Self { width, values, starts })
    }

    /// The same of a finished segment: all rows must be there, and nothing else.
    ///
    /// # Errors
    /// When the files hold other rows.
    pub fn open_whole(folder: &Path, width: usize, n_rows: usize) -> Result<Self> {
        let opened = Self::open(folder, width)?;
        let n = opened.starts[opened.starts.len() - 1] * width as u64;
        if opened.len() == n_rows && n == opened.values.len() as u64 {
            return Ok(opened);
        }
        let what = format!("token states of {} rows, expected those of {n_rows} and no more", opened.len());
        Err(Problem::at(Place::file(folder), what).try_this("build the index again").into())
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers of a row.
    pub fn n_values(&self, row: usize) -> usize {
        (self.starts[row + 1] - self.starts[row]) as usize * self.width
    }

    /// Adds the states of a row to those of others.
    pub fn push_to(&self, row: usize, to: &mut Ragged) {
        let first = self.starts[row] as usize * self.width;
        let bits = &self.values[first..first + self.n_values(row)];
        to.push(&bits.iter().map(|bits| f16::from_bits(*bits).to_f32()).collect::<Vec<_>>());
    }
}

/// Token states on their way to the disk.
pub(crate) struct TokenWriter {
    folder: PathBuf,
    states: File,
    counts: File,
}

impl TokenWriter {
    /// Of no row, in a folder.
    pub(crate) fn create(folder: &Path) -> Result<Self> {
        let create = |name: &str| {
            let path = folder.join(name);
            File::create(&path).map_err(Error::io("write", &path))
        };
        Ok(Self { folder: folder.to_path_buf(), states: create(STATES)?, counts: create(COUNTS)? })
    }

    /// Adds rows, which are on the disk when this returns: states first, for a count says that its states are there.
    pub(crate) fn rows(&mut self, rows: &Ragged) -> Result<()> {
        let bits: Vec<u16> = rows.values.iter().map(|value| f16::from_f32(*value).to_bits()).collect();
        let counts: Vec<u32> = rows.starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let all = [
            (&mut self.states, STATES, bytemuck::cast_slice::<u16, u8>(&bits)),
            (&mut self.counts, COUNTS, bytemuck::cast_slice::<u32, u8>(&counts)),
        ];
        for (file, name, bytes) in all {
            let written = file.write_all(bytes).and_then(|()| file.sync_data());
            written.map_err(Error::io("write", &self.folder.join(name)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_any_length_are_read_as_two_byte_reals_and_broken_ends_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let mut rows = Ragged::new(2);
        rows.push(&[0.5, -1.25, 3.0, 4.0]);
        rows.push(&[]);
        rows.push(&[0.1, 7.0]);
        let mut writer = TokenWriter::create(folder.path()).unwrap();
        writer.rows(&rows).unwrap();
        writer.rows(&rows).unwrap();
        let opened = TokenStates::open_whole(folder.path(), 2, 6).unwrap();
        let mut read = Ragged::new(2);
        (0..3).for_each(|row| opened.push_to(row, &mut read));
        assert_eq!(read.starts, rows.starts);
        assert!(read.values.iter().zip(&rows.values).all(|(a, b)| (a - b).abs() < 1e-3));
        assert!(TokenStates::open_whole(folder.path(), 2, 5).is_err());
        let file = File::options().write(true).open(folder.path().join(STATES)).unwrap();
        file.set_len(2 * 2 * 5).unwrap();
        assert_eq!(TokenStates::open(folder.path(), 2).unwrap().len(), 5);
        assert!(TokenStates::open_whole(folder.path(), 2, 6).is_err());
    }
}
