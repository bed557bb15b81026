//! Reading files: regular ones only, and no more of them than is meant. A pipe would be waited for without end, a
//! device read without end.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// Most bytes of a file written by hand, or of the settings of a model.
pub const SMALL: u64 = 64 << 20;
/// Most bytes of a vocabulary, a picture or a report.
pub const LARGE: u64 = 1 << 30;

/// Opens a regular file for reading.
///
/// # Errors
/// The system's; of kind `InvalidInput` for what is no regular file.
pub fn open(path: &Path) -> io::Result<File> {
    // Asked before it is opened: opening a pipe waits for whoever writes to it.
    match kind(&fs::metadata(path)?) {
        None => File::open(path),
        Some("a folder") => Err(io::ErrorKind::IsADirectory.into()),
        Some(kind) => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, format!("not a regular file but {kind}")))
        }
    }
}

/// Names in a folder, sorted; none when it cannot be listed.
pub fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// The whole content of a regular file of at most `most` bytes.
///
/// # Errors
/// As [`open`]; of kind `FileTooLarge` for a larger one.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let length = file.metadata()?.len();
    let mut bytes = Vec::with_capacity(usize::try_from(length.min(most)).unwrap_or(0));
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 <= most {
        return Ok(bytes);
    }
    let what = format!("longer than {} MiB, more than such a file holds", most >> 20);
    Err(io::Error::new(io::ErrorKind::FileTooLarge, what))
}

/// The same as text.
///
/// # Errors
/// As [`read`]; of kind `InvalidData` for what is not UTF-8.
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    String::from_utf8(read(path, most)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// What is no regular file, in words.
fn kind(metadata: &fs::Metadata) -> Option<&'static str> {
    if metadata.is_file() {
        return None;
    }
    if metadata.is_dir() {
        return Some("a folder");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let kind = metadata.file_type();
        if kind.is_fifo() {
            return Some("a pipe");
        }
        if kind.is_char_device() || kind.is_block_device() {
            return Some("a device");
        }
        if kind.is_socket() {
            return Some("a socket");
        }
    }
    Some("something else")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_whole_up_to_the_limit_and_through_links() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, [b'x'; 100]).unwrap();
        assert_eq!(read(&path, 100).unwrap().len(), 100);
        assert_eq!(read_text(&path, u64::MAX).unwrap().len(), 100);
        assert_eq!(read(&path, 99).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read(&folder.path().join("b"), 9).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(read(folder.path(), 9).unwrap_err().kind(), io::ErrorKind::IsADirectory);
        fs::write(&path, b"\xff").unwrap();
        assert_eq!(read_text(&path, 9).unwrap_err().kind(), io::ErrorKind::InvalidData);
        #[cfg(unix)]
        {
            let link = folder.path().join("link");
            std::os::unix::fs::symlink(&path, &link).unwrap();
            assert_eq!(read(&link, 9).unwrap(), b"\xff");
        }
    }

    #[cfg(unix)]
    #[test]
    fn devices_and_sockets_are_refused_at_once_by_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for (path, kind) in [(Path::new("/dev/zero"), "a device"), (&socket, "a socket")] {
            let error = read(path, u64::MAX).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains(kind), "{error}");
        }
    }
}
