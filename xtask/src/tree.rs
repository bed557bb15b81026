//! The committed files, as the rules and pages of the repository read them.

use std::path::Path;

use anyhow::Result;

use crate::root::{TextFile, text_files};

/// The committed text files.
#[derive(Debug)]
pub(crate) struct Tree {
    /// Sorted by path.
    pub(crate) files: Vec<TextFile>,
}

impl Tree {
    /// Reads the files of the repository at `root`.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        Ok(Self { files: text_files(root)? })
    }

    /// The file at this path.
    pub(crate) fn get(&self, path: &str) -> Option<&TextFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// The manifests of the members.
    pub(crate) fn members(&self) -> impl Iterator<Item = &TextFile> {
        self.files.iter().filter(|file| is_member(&file.path))
    }
}

pub(crate) fn is_member(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(parts[..], ["crates", _, "Cargo.toml"] | ["xtask", "Cargo.toml"])
}
