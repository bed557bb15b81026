//! Folders of images that are a data set by their names alone: idx files as MNIST has them, and a folder per split
//! with a folder per class.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Split;
use crate::files::names_in;

/// What stands in the name of a file of images.
const IMAGES: &str = "-images-idx3-ubyte";
/// What stands in its place in the name of the file of their labels.
const LABELS: &str = "-labels-idx1-ubyte";
/// Names of test and valid parts beside those of [`Split::stems`].
const STEMS: [(&str, Split); 2] = [("t10k", Split::Test), ("t8k", Split::Test)];
/// Endings of image files that are read.
pub const ENDINGS: [&str; 3] = ["png", "jpg", "jpeg"];

/// Whether a name is that of a file of images in idx format.
pub fn is_idx(name: &str) -> bool {
    let plain = name.strip_suffix(".gz").unwrap_or(name);
    plain.strip_suffix(IMAGES).is_some_and(|stem| !stem.is_empty())
}

/// The file of labels that belongs to a file of images.
pub fn labels_of(images: &Path) -> PathBuf {
    let name =
        images.file_name().map(|name| name.to_string_lossy().replace(IMAGES, LABELS)).unwrap_or_default();
    images.with_file_name(name)
}

/// Whether a name is that of an image file.
pub fn is_image(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, ending)| ENDINGS.contains(&ending.to_ascii_lowercase().as_str()))
}

/// Whether a folder holds a training split of images.
pub fn has_splits(folder: &Path, names: &[String]) -> bool {
    names.iter().any(|name| split_of(folder, name) == Some(Split::Train))
}

/// The file (or folder) of images of each split.
pub(super) fn splits(path: &Path, folder: &Path, names: &[String]) -> BTreeMap<Split, PathBuf> {
    let mut found = BTreeMap::new();
    for name in names {
        if let Some(split) = split_of(folder, name) {
            found.entry(split).or_insert_with(|| path.join(name));
        }
    }
    found
}

/// The split a file of images or a folder of classes is.
fn split_of(folder: &Path, name: &str) -> Option<Split> {
    let of_stem = |stem: &str| {
        let known = Split::ALL.into_iter().find(|split| split.stems().contains(&stem));
        known.or_else(|| STEMS.iter().find(|(own, _)| *own == stem).map(|(_, split)| *split))
    };
    if is_idx(name) {
        return of_stem(name.split('-').next()?);
    }
    let split = of_stem(name)?;
    is_class_folder(&folder.join(name)).then_some(split)
}

/// Whether a folder holds folders of images: its classes.
pub(super) fn is_class_folder(path: &Path) -> bool {
    let holds_images = |class: &String| names_in(&path.join(class)).iter().any(|name| is_image(name));
    path.is_dir() && names_in(path).iter().any(holds_images)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idx_files_and_folders_of_classes_are_known_by_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let put = |file: &str| {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        };
        for file in
            ["train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte", "dev/cat/1.PNG", "test/notes/a.txt"]
        {
            put(file);
        }
        let names = names_in(folder.path());
        assert!(has_splits(folder.path(), &names));
        let found = splits(Path::new("d"), folder.path(), &names);
        let shown: Vec<String> = found.values().map(|path| path.display().to_string()).collect();
        assert_eq!(shown, ["d/train-images-idx3-ubyte.gz", "d/dev", "d/t10k-images-idx3-ubyte"]);
        assert_eq!(
            labels_of(Path::new("d/train-images-idx3-ubyte.gz")),
            Path::new("d/train-labels-idx1-ubyte.gz")
        );
        assert!(!is_idx("-images-idx3-ubyte") && !is_image("png"));
    }
}
