//! Numbers in memory, or in a file that the system maps into it.

use std::fs::File;
use std::marker::PhantomData;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use bytemuck::Pod;
use memmap2::Mmap;
use polytask_core::{Error, Place, Problem, Result};

/// Numbers that are read as a slice, wherever they lie.
#[derive(Debug, Clone)]
pub enum StoredNumbers<T> {
    /// In memory.
    Owned(Vec<T>),
    /// In a mapped file.
    Mapped(Arc<Mmap>, PhantomData<T>),
}

// Files hold numbers in this order of bytes, and are read as they lie.
const _: () = assert!(cfg!(target_endian = "little"), "an index is read as it lies: lowest byte first");

impl<T: Pod> StoredNumbers<T> {
    /// Maps all of a file.
    ///
    /// # Errors
    /// When it cannot be read or holds no whole number of values.
    #[allow(unsafe_code)] // the interface of `memmap2`
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io("read", path))?;
        let length = file.metadata().map_err(Error::io("read", path))?.len();
        if !length.is_multiple_of(size_of::<T>() as u64) {
            let what = format!("{length} bytes, expected whole values of {}", size_of::<T>());
            return Err(Problem::at(Place::file(path), what).try_this("build the index again").into());
        }
        if length == 0 {
            return Ok(Self::Owned(Vec::new()));
        }
        // SAFETY: files of an index are never written again once they have their name: writers make new ones and remove
        // old ones, whose bytes stay until the last mapping ends.
        let map = unsafe { Mmap::map(&file) }.map_err(Error::io("read", path))?;
        Ok(Self::Mapped(Arc::new(map), PhantomData))
    }

    /// The numbers in memory, to be added to.
    pub fn to_mut(&mut self) -> &mut Vec<T> {
        if let Self::Mapped(..) = self {
            *self = Self::Owned(self.to_vec());
        }
        match self {
            Self::Owned(values) => values,
            Self::Mapped(..) => unreachable!("was just taken into memory"),
        }
    }
}

impl<T> Default for StoredNumbers<T> {
    fn default() -> Self {
        Self::Owned(Vec::new())
    }
}

impl<T: Pod> Deref for StoredNumbers<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Owned(values) => values,
            // A mapping starts at a page, and its length was checked.
            Self::Mapped(map, _) => bytemuck::cast_slice(map),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_reads_as_the_numbers_it_was_made_of_and_odd_ends_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.u32");
        std::fs::write(&path, bytemuck::cast_slice(&[7_u32, 8, 9])).unwrap();
        let mut values = StoredNumbers::<u32>::open(&path).unwrap();
        assert_eq!(values[..], [7, 8, 9]);
        values.to_mut().push(1);
        assert_eq!(values[..], [7, 8, 9, 1]);
        std::fs::write(&path, [1, 2, 3, 4, 5]).unwrap();
        assert!(StoredNumbers::<u32>::open(&path).unwrap_err().to_string().contains("5 bytes"));
        std::fs::write(&path, []).unwrap();
        assert!(StoredNumbers::<u32>::open(&path).unwrap().is_empty());
    }
}
