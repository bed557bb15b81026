//! Where the repository is, and which files belong to it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// Folders never committed: skipped when git cannot say what is.
const OUTPUTS: &[&str] = &[".git", "target", "runs", "polytask-demo"];

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.parent().expect("xtask lies in a folder of the workspace").to_path_buf()
}

/// A committed text file: its path relative to the root with `/`, and its content.
#[derive(Debug, Clone)]
pub(crate) struct TextFile {
    /// Path relative to the root.
    pub(crate) path: String,
    /// The whole content.
    pub(crate) text: String,
}

impl TextFile {
    /// The extension, or an empty string.
    pub(crate) fn extension(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name.rsplit_once('.').map_or("", |(_, extension)| extension)
    }
}

/// All committed files, sorted by path; one that is not UTF-8 text (a picture) has no text here.
pub(crate) fn text_files(root: &Path) -> Result<Vec<TextFile>> {
    let mut paths = committed(root).map_or_else(|| walk(root), Ok)?;
    paths.sort();
    let files = paths.into_iter().filter_map(|path| {
        let bytes = std::fs::read(root.join(&path)).ok()?;
        Some(TextFile { path, text: String::from_utf8(bytes).unwrap_or_default() })
    });
    Ok(files.collect())
}

/// All text files below some folders, committed or not, sorted by path; a folder may be missing.
pub(crate) fn walked_files(root: &Path, folders: &[&str]) -> Result<Vec<TextFile>> {
    let mut paths = Vec::new();
    for folder in folders.iter().map(|folder| root.join(folder)).filter(|folder| folder.is_dir()) {
        paths.extend(walk(&folder)?.into_iter().map(|path| relative(root, &folder.join(path))));
    }
    paths.sort();
    let read = |path: String| Some(TextFile { text: std::fs::read_to_string(root.join(&path)).ok()?, path });
    Ok(paths.into_iter().filter_map(read).collect())
}

/// What git tracks, or nothing where there is no git or no checkout (a source archive).
fn committed(root: &Path) -> Option<Vec<String>> {
    let output = Command::new("git").arg("-C").arg(root).args(["ls-files", "-z"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    let paths: Vec<String> = text.split_terminator('\0').map(str::to_owned).collect();
    (!paths.is_empty()).then_some(paths)
}

fn walk(root: &Path) -> Result<Vec<String>> {
    let (mut paths, mut folders) = (Vec::new(), vec![root.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        let entries =
            std::fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let is_output = OUTPUTS.iter().any(|name| entry.file_name() == *name);
            if entry.file_type()?.is_dir() && !is_output {
                folders.push(entry.path());
            } else if entry.file_type()?.is_file() {
                paths.push(relative(root, &entry.path()));
            }
        }
    }
    Ok(paths)
}

fn relative(root: &Path, path: &Path) -> String {
    let inside = path.strip_prefix(root).unwrap_or(path);
    inside.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_manifest_is_among_the_files() {
        let files = text_files(&root()).unwrap();
        assert!(files.iter().any(|file| file.path == "Cargo.toml" && file.text.contains("[workspace]")));
        assert!(files.windows(2).all(|pair| pair[0].path < pair[1].path));
    }

    #[test]
    fn files_of_some_folders_have_paths_from_the_root() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        for name in ["a/b/x.md", "y.md"] {
            std::fs::write(folder.path().join(name), "text").unwrap();
        }
        let files = walked_files(folder.path(), &["a/", "none/"]).unwrap();
        assert_eq!(files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["a/b/x.md"]);
    }

    #[test]
    fn without_git_a_walk_finds_files_and_skips_outputs() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a/b", "target"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        std::fs::write(folder.path().join("a/b/x.md"), "text").unwrap();
        std::fs::write(folder.path().join("target/y.md"), "text").unwrap();
        assert_eq!(walk(folder.path()).unwrap(), ["a/b/x.md"]);
    }
}
