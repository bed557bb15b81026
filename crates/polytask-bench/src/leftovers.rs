//! Files of processes that were ended before they could tidy up.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// What this old belongs to no process that still runs.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// How names of ours in the system's temporary folder start.
pub(super) const PREFIX: &str = "polytask-bench.";

/// Removes old files and folders whose names are ours.
pub(super) fn sweep(folder: &Path, is_ours: impl Fn(&str) -> bool) {
    sweep_older(folder, ABANDONED, is_ours);
}

fn sweep_older(folder: &Path, abandoned: Duration, is_ours: impl Fn(&str) -> bool) {
    let is_old = |entry: &fs::DirEntry| {
        let modified = entry.metadata().and_then(|data| data.modified()).ok();
        let age = modified.and_then(|at| SystemTime::now().duration_since(at).ok());
        is_ours(&entry.file_name().to_string_lossy()) && age.is_some_and(|age| age >= abandoned)
    };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten().filter(is_old) {
        let path = entry.path();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        // Best effort: it is tried again next time.
        let _ = if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_things_of_ours_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("ours.1"), "").unwrap();
        fs::create_dir(at("ours.2")).unwrap();
        fs::write(at("ours.2").join("inside"), "").unwrap();
        fs::write(at("theirs"), "").unwrap();
        let is_ours = |name: &str| name.starts_with("ours.");
        sweep(folder.path(), is_ours);
        assert!(at("ours.1").exists() && at("ours.2").exists());
        sweep_older(folder.path(), Duration::ZERO, is_ours);
        assert!(!at("ours.1").exists() && !at("ours.2").exists() && at("theirs").exists());
    }
}
