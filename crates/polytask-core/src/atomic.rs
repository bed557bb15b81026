//! Files that are complete or absent: written under a temporary name, synced, renamed.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Writes a file through `fill`; the old content stays until the new one is complete on disk.
pub fn write_with(path: &Path, fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    let temporary = sibling(path);
    let result = fill_and_sync(&temporary, fill).and_then(|()| fs::rename(&temporary, path));
    result.map_err(|source| {
        // Best effort: the error we report is the first one.
        let _ = fs::remove_file(&temporary);
        Error::io("write", path)(source)
    })
}

/// Writes `bytes` as the whole content of `path`.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, |out| out.write_all(bytes))
}

/// Writes a value as pretty JSON with a final line break.
pub fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> Result<()> {
    write_with(path, |out| {
        serde_json::to_writer_pretty(&mut *out, value)?;
        out.write_all(b"\n")
    })
}

/// Creates a folder and its parents.
pub fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(Error::io("create", path))
}

fn fill_and_sync(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    fill(&mut out)?;
    out.flush()?;
    out.get_ref().sync_all()
}

/// A temporary name in the same folder, so that the rename stays on one file system.
fn sibling(path: &Path) -> PathBuf {
    let name = path.file_name().map_or_else(|| "file".into(), |n| n.to_string_lossy().into_owned());
    path.with_file_name(format!(".{name}.{}.partial", std::process::id()))
}

/// The file that was being written under a temporary name of this module; `None` for any other name.
pub fn unfinished(name: &str) -> Option<&str> {
    let (name, process) = name.strip_prefix('.')?.strip_suffix(".partial")?.rsplit_once('.')?;
    process.parse::<u32>().is_ok().then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_content_and_no_partial_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write(&path, b"old").unwrap();
        let failed = write_with(&path, |out| {
            out.write_all(b"new")?;
            Err(std::io::Error::from(std::io::ErrorKind::StorageFull))
        });
        assert!(failed.unwrap_err().to_string().contains("free space"));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_temporary_name_tells_its_file_and_other_names_are_no_temporary_ones() {
        let name = sibling(Path::new("a/model.safetensors"));
        let name = name.file_name().unwrap().to_str().unwrap();
        assert_eq!(unfinished(name), Some("model.safetensors"));
        let others = ["a.txt", ".a.partial", "a.1.partial", ".a.x.partial", ".a.1.partial.txt", ".partial"];
        assert!(others.iter().all(|name| unfinished(name).is_none()));
    }
}
