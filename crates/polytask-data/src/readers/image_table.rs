//! Tables that stand in no file: images in idx format with their labels, and folders of images by class.

use std::path::Path;

use polytask_core::suite::images;
use polytask_core::{Error, Place, Problem, Result};

use super::{Cell, Columns, Reader, Record, idx};

/// The columns of such tables.
fn columns() -> Columns {
    ["image".to_owned(), "label".to_owned()].into_iter().collect()
}

fn table(rows: impl Iterator<Item = (String, String)> + Send + 'static) -> Reader {
    let names = columns();
    let record = move |(i, (image, label)): (usize, (String, String))| {
        Ok(Record::new(i + 1, names.clone(), vec![Cell::Text(image), Cell::Text(label)]))
    };
    Reader::new(Some(columns()), Box::new(rows.enumerate().map(record)))
}

/// A row per image of an idx file; its label stands in the file of labels beside it.
pub(super) fn of_idx(file: &Path) -> Result<Reader> {
    let n_images = idx::read(file, 3)?.len();
    let labels_file = images::labels_of(file);
    let labels = idx::read(&labels_file, 1)?;
    if labels.len() != n_images {
        let what =
            format!("{} labels, expected {n_images}, one per image of {}", labels.len(), file.display());
        let remedy = "put the two files of one data set side by side";
        return Err(Problem::at(Place::file(&labels_file), what).try_this(remedy).into());
    }
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(table((0..n_images).map(move |i| (format!("{name}#{i}"), labels.item(i)[0].to_string()))))
}

/// A row per image of a folder that has a folder per class, both in the order of their names.
pub(super) fn of_classes(folder: &Path) -> Result<Reader> {
    let mut rows = Vec::new();
    for class in sorted(folder)? {
        let path = folder.join(&class);
        if !path.is_dir() {
            continue;
        }
        let names = sorted(&path)?.into_iter().filter(|name| images::is_image(name));
        rows.extend(names.map(|name| (format!("{class}/{name}"), class.clone())));
    }
    Ok(table(rows.into_iter()))
}

/// Names in a folder, sorted.
fn sorted(folder: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(folder).map_err(Error::io("read", folder))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    Ok(names)
}
