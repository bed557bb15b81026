//! The files of folders, in the order of their names.

use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::Skipped;

/// A file to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it is called in the index: its path below the folder that was given, else as it was given.
    pub name: String,
    /// Its length in bytes.
    pub length: u64,
}

/// The file that marks a folder as an index.
pub(crate) const MANIFEST: &str = "index.json";

/// All files of some files and folders; links are followed, hidden names and indices passed over.
///
/// What cannot be listed stands in the second list, with the reason.
pub fn files_of(paths: &[PathBuf]) -> (Vec<FoundFile>, Vec<Skipped>) {
    let (mut files, mut skipped) = (Vec::new(), Vec::new());
    for path in paths {
        let entries = WalkDir::new(path).follow_links(true).sort_by_file_name().into_iter();
        for entry in entries.filter_entry(is_wanted) {
            match entry {
                Ok(entry) if entry.file_type().is_dir() => {}
                Ok(entry) => files.push(found(path, &entry)),
                Err(error) => {
                    let place = error.path().unwrap_or(path).display().to_string();
                    skipped.push(Skipped { source: place, reason: reason(&error) });
                }
            }
        }
    }
    (files, skipped)
}

fn is_wanted(entry: &DirEntry) -> bool {
    let is_hidden = entry.depth() > 0 && entry.file_name().to_str().is_some_and(|name| name.starts_with('.'));
    let is_index = entry.file_type().is_dir() && super::is_index(entry.path());
    !is_hidden && !is_index
}

fn found(root: &Path, entry: &DirEntry) -> FoundFile {
    let below = entry.path().strip_prefix(root).unwrap_or(entry.path());
    let name = if below.as_os_str().is_empty() { entry.path() } else { below };
    FoundFile {
        path: entry.path().to_path_buf(),
        name: name.to_string_lossy().replace('\\', "/"),
        length: entry.metadata().map_or(0, |metadata| metadata.len()),
    }
}

fn reason(error: &walkdir::Error) -> String {
    if let Some(ancestor) = error.loop_ancestor() {
        return format!("a link back to {}, a folder it lies in", ancestor.display());
    }
    match error.io_error() {
        Some(error) => format!("cannot be read: {error}"),
        None => "cannot be read".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_come_by_name_and_hidden_ones_and_indices_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b/two.txt", "a.md", ".hidden/x.txt", "old.index/index.json", "old.index/segment/a.txt"]
        {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "{\"polytask_index\":1}").unwrap();
        }
        let (files, skipped) = files_of(&[folder.path().to_path_buf()]);
        assert_eq!(files.iter().map(|file| &*file.name).collect::<Vec<_>>(), ["a.md", "b/two.txt"]);
        assert!(skipped.is_empty());
        let (one, _) = files_of(&[folder.path().join("a.md")]);
        assert_eq!(one[0].path, folder.path().join("a.md"));
        let (none, skipped) = files_of(&[folder.path().join("nowhere")]);
        assert!(none.is_empty() && skipped[0].reason.contains("cannot be read"), "{skipped:?}");
    }

    #[cfg(unix)]
    #[test]
    fn loops_of_links_and_links_to_nowhere_are_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(folder.path().join("a/x.txt"), "x").unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("a/loop")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("b")).unwrap();
        let (files, skipped) = files_of(&[folder.path().to_path_buf()]);
        assert_eq!(files.len(), 1);
        let reasons: Vec<&str> = skipped.iter().map(|skipped| &*skipped.reason).collect();
        assert!(reasons[0].contains("a link back to") && reasons[1].contains("No such file"), "{reasons:?}");
    }
}
