//! What is known of the columns of a file before its rows are read.

use std::path::Path;

/// What is known of a file's columns.
pub(super) struct Found<'a> {
    pub(super) file: &'a Path,
    pub(super) names: Vec<String>,
    /// Whether `names` are all there are.
    pub(super) is_complete: bool,
}

impl Found<'_> {
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }
}
