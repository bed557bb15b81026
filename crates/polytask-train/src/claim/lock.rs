//! One process per folder: a lock of the operating system on a file in it, which ends with the process, however it
//! ends. What the file holds only names the process for messages.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use polytask_core::{Error, Problem, atomic};

use crate::Result;

/// The locked file; `--force` leaves it alone.
pub(super) const NAME: &str = ".polytask.lock";

/// Most of a lock file that is shown.
const SHOWN: u64 = 200;

/// A folder that no other process may write a run to, until this is dropped.
#[derive(Debug)]
#[must_use = "the folder is free again when this is dropped"]
pub struct FolderLock {
    path: PathBuf,
    /// Whether the folder was made for it.
    is_new: bool,
    /// Locked while open.
    _file: File,
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Best effort: a file that stays is not locked, and so stops nobody.
        let _ = fs::remove_file(&self.path);
        if self.is_new {
            // Refused by the system unless the folder is empty: nothing came of it.
            let _ = self.path.parent().map(fs::remove_dir);
        }
    }
}

/// Makes a folder, if need be, and locks it.
///
/// # Errors
/// When another process holds it, or it cannot be written.
pub fn lock(folder: &Path) -> Result<FolderLock> {
    let is_new = !folder.exists();
    atomic::create_dir(folder)?;
    let path = folder.join(NAME);
    loop {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = file.map_err(Error::io("write", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(folder, &mut file)),
            // A file system without locks: a run there is as safe as its user is careful.
            Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error).into()),
        }
        // The holder before may have removed this file between opening and locking: then it locks nobody out.
        if is_at(&file, &path) {
            sign(&mut file).map_err(Error::io("write", &path))?;
            return Ok(FolderLock { path, is_new, _file: file });
        }
    }
}

/// Refuses a folder that another process holds; nothing is written.
pub(super) fn check(folder: &Path) -> Result<()> {
    let Ok(mut file) = OpenOptions::new().read(true).write(true).open(folder.join(NAME)) else {
        return Ok(());
    };
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(in_use(folder, &mut file)),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let [found, named] =
        [file.metadata(), fs::metadata(path)].map(|of| of.ok().map(|of| (of.dev(), of.ino())));
    found.is_some() && found == named
}

/// A file that is open is not removed by others here.
#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

/// Writes who holds the lock.
fn sign(file: &mut File) -> std::io::Result<()> {
    let host =
        fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok());
    let host = host.map(|host| format!(" on {}", host.trim())).unwrap_or_default();
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "process {}{host}", std::process::id())
}

fn in_use(folder: &Path, file: &mut File) -> crate::Error {
    let mut holder = String::new();
    let is_read = file.take(SHOWN).read_to_string(&mut holder).is_ok();
    let holder = if is_read && !holder.trim().is_empty() { holder.trim() } else { "another process" };
    let what = format!("output folder {} is in use by {holder}", folder.display());
    Problem::new(what).try_this("wait until it has ended, or another `--out`").into()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_folder_is_held_until_the_lock_is_dropped_and_the_holder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let held = lock(folder.path()).unwrap();
        let who = format!("in use by process {}", std::process::id());
        for error in [lock(folder.path()).map(drop).unwrap_err(), check(folder.path()).unwrap_err()] {
            let error = error.to_string();
            assert!(error.contains(&who) && error.contains("try: wait"), "{error}");
        }
        drop(held);
        check(folder.path()).unwrap();
        assert!(!folder.path().join(NAME).exists());
        drop(lock(folder.path()).unwrap());
    }

    #[test]
    fn a_lock_file_of_a_process_that_is_gone_stops_nobody() {
        let folder = tempfile::tempdir().unwrap();
        for left in [&b"process 4194304 on elsewhere"[..], b"", b"\xff\xfe\0"] {
            fs::write(folder.path().join(NAME), left).unwrap();
            check(folder.path()).unwrap();
            drop(lock(folder.path()).unwrap());
        }
    }

    #[test]
    fn a_folder_made_for_a_lock_goes_when_nothing_came_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let [empty, used] = ["empty", "used"].map(|name| folder.path().join(name));
        drop(lock(&empty).unwrap());
        let held = lock(&used).unwrap();
        fs::write(used.join("a"), "").unwrap();
        drop(held);
        assert!(!empty.exists() && used.join("a").exists());
    }

    #[test]
    fn of_many_that_lock_and_free_a_folder_no_two_hold_it_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, end) = (folder.path().join("inside"), Instant::now() + Duration::from_millis(300));
        let work = || {
            let mut times = 0;
            while Instant::now() < end {
                if let Ok(held) = lock(folder.path()) {
                    // Fails when another one is inside.
                    OpenOptions::new().write(true).create_new(true).open(&inside).unwrap();
                    fs::remove_file(&inside).unwrap();
                    drop(held);
                    times += 1;
                }
            }
            times
        };
        let times: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert!(times > 4, "{times}");
    }
}
