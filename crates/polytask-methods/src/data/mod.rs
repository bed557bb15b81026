//! Data sets that experiments find and make.

pub mod demo;
pub mod few_labels;
pub(crate) mod groups;
pub mod idx;
pub mod label_sets;
pub mod multi_mnist;
pub mod pairs;
pub(crate) mod rows;
pub mod segments;
pub mod sentences;
pub mod work;

use std::path::{Path, PathBuf};

/// The first place, below one of the folders or in the folder itself, that has what `is_there` looks for.
pub(crate) fn find(bases: &[PathBuf], name: &str, is_there: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let places = bases.iter().flat_map(|base| [base.join(name), base.clone()]);
    places.into_iter().find(|place| is_there(place))
}

/// The folders that were looked in, for messages.
pub(crate) fn tried(bases: &[PathBuf]) -> String {
    bases.iter().map(|base| base.display().to_string()).collect::<Vec<_>>().join(", ")
}
