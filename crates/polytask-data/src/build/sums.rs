//! Content hashes of what a suite names: files, and folders of images.

use std::path::Path;

use polytask_core::{Result, hash};

use crate::readers;

/// Hash of a file; of a folder of images, of all names and contents in it; of images in idx format, with their labels.
pub(super) fn sum_of(file: &Path) -> Result<String> {
    if readers::idx::is_images(file) {
        let labels = polytask_core::suite::images::labels_of(file);
        let sums = [hash::sha256_file(file)?, hash::sha256_file(&labels)?];
        return Ok(hash::sha256(sums.join(" ").as_bytes()));
    }
    if !file.is_dir() {
        return hash::sha256_file(file);
    }
    let mut lines = Vec::new();
    for record in readers::open(file)? {
        let name = record?.get("image").and_then(readers::Cell::to_text).unwrap_or_default();
        lines.push(format!("{} {name}", hash::sha256_file(&file.join(&name))?));
    }
    Ok(hash::sha256(lines.join("\n").as_bytes()))
}
