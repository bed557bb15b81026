//! One writer per index: a lock of the operating system on a file in it, which ends with the process, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use polytask_core::{Error, Problem, Result, atomic};

/// The locked file; it stays, since who removed it could lock nobody out.
pub(crate) const LOCK: &str = ".lock";

/// An index that no other process may change until this is dropped. Readers need none.
#[derive(Debug)]
#[must_use = "others may write when this is dropped"]
pub struct IndexLock {
    _file: File,
}

impl IndexLock {
    /// Locks the index of a folder, which is made if need be.
    ///
    /// # Errors
    /// When another process writes to it.
    pub fn of(folder: &Path) -> Result<Self> {
        atomic::create_dir(folder)?;
        let path = folder.join(LOCK);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(Error::io("write", &path))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                let what = format!("index {} is being written by another process", folder.display());
                Err(Problem::new(what)
                    .try_this("wait until it is done; searching is possible meanwhile")
                    .into())
            }
            // A file system without locks: as safe as its user is careful.
            Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Unsupported => {
                Ok(Self { _file: file })
            }
            Err(TryLockError::Error(error)) => Err(Error::io("lock", &path)(error)),
            Ok(()) => Ok(Self { _file: file }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_writer_is_refused_until_the_first_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let first = IndexLock::of(folder.path()).unwrap();
        let refused = IndexLock::of(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("another process"), "{refused}");
        drop(first);
        assert!(IndexLock::of(folder.path()).is_ok());
    }
}
