//! The bytes of a data file: from disk or memory, decompressed as they are read, with a bound per row.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use polytask_core::{Error, Place, Problem, Result, files};

use crate::limits;

/// Most bytes of one row: a longer one is a broken file (an unclosed quote, a missing line end).
const MAX_ROW: usize = 1 << 26;

/// What a reader reads, not yet opened as a stream.
pub struct RawInput {
    /// The file's name, for messages.
    pub(super) file: PathBuf,
    content: Content,
}

enum Content {
    Disk(File),
    Memory(Vec<u8>),
}

impl RawInput {
    /// The content of a file.
    pub fn from_file(file: &Path) -> Result<Self> {
        let content = Content::Disk(files::open(file).map_err(Error::io("read", file))?);
        Ok(Self { file: file.to_path_buf(), content })
    }

    /// Bytes in memory under the name of a file.
    pub fn from_bytes(file: &Path, bytes: Vec<u8>) -> Self {
        Self { file: file.to_path_buf(), content: Content::Memory(bytes) }
    }

    /// The same content from its beginning, for a format that is read twice.
    pub(super) fn again(&self) -> Result<Self> {
        match &self.content {
            Content::Disk(_) => Self::from_file(&self.file),
            Content::Memory(bytes) => Ok(Self::from_bytes(&self.file, bytes.clone())),
        }
    }

    fn is_compressed(&self) -> bool {
        let ending = self.file.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
        super::COMPRESSIONS.contains(&ending.as_str())
    }

    /// The decompressed bytes as a stream, without a byte order mark.
    pub(super) fn stream(self) -> Result<Stream> {
        let (file, compressed) = (self.file.clone(), self.is_compressed());
        let ending = file.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
        let raw: Box<dyn Read + Send> = match self.content {
            Content::Disk(disk) => Box::new(disk),
            Content::Memory(bytes) => Box::new(Cursor::new(bytes)),
        };
        let plain: Box<dyn Read + Send> = match ending.as_str() {
            "gz" => Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::new(raw))),
            "zst" => {
                let broken = |e| unreadable(&file, 0, true, e);
                let mut decoder = zstd::stream::read::Decoder::new(raw).map_err(broken)?;
                decoder.window_log_max(limits::ZSTD_WINDOW_LOG).map_err(broken)?;
                Box::new(decoder)
            }
            _ => raw,
        };
        let inner = BufReader::with_capacity(1 << 16, plain);
        let mut stream = Stream { inner, left: MAX_ROW, last: b'\n', at_end: false, file, compressed };
        stream.skip_mark()?;
        Ok(stream)
    }

    /// The file itself where random access is possible, else all decompressed bytes.
    pub(super) fn whole(self) -> Result<Result<File, Vec<u8>>> {
        if self.is_compressed() {
            return self.unpacked(limits::unpacked()?).map(Err);
        }
        Ok(match self.content {
            Content::Disk(file) => Ok(file),
            Content::Memory(bytes) => Err(bytes),
        })
    }
}

impl RawInput {
    fn unpacked(self, most: u64) -> Result<Vec<u8>> {
        let stream = self.stream()?;
        let mut bytes = Vec::new();
        let read = stream.inner.take(most.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|e| unreadable(&stream.file, 0, true, e))?;
        if bytes.len() as u64 <= most {
            return Ok(bytes);
        }
        let what = format!("file unpacks to more than {} MiB", most >> 20);
        Err(Problem::at(Place::file(&stream.file), what).try_this(limits::more_unpacked()).into())
    }
}

/// Decompressed bytes; gives an error when a row is longer than [`MAX_ROW`].
pub(super) struct Stream {
    inner: BufReader<Box<dyn Read + Send>>,
    left: usize,
    /// The last byte read that is not a line end.
    pub(super) last: u8,
    /// Whether a read has met the end.
    pub(super) at_end: bool,
    pub(super) file: PathBuf,
    compressed: bool,
}

impl Stream {
    fn skip_mark(&mut self) -> Result<()> {
        let start = self.inner.fill_buf().map_err(|e| unreadable(&self.file, 0, self.compressed, e))?;
        if start.starts_with(b"\xef\xbb\xbf") {
            self.inner.consume(3);
        }
        Ok(())
    }

    /// Says that a new row begins.
    pub(super) fn new_row(&mut self) {
        self.left = MAX_ROW;
    }

    /// The error for a failed read at a line.
    pub(super) fn error(&self, line: usize, error: io::Error) -> Error {
        unreadable(&self.file, line, self.compressed, error)
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let n = available.len().min(buffer.len());
        buffer[..n].copy_from_slice(&available[..n]);
        self.consume(n);
        Ok(n)
    }
}

impl BufRead for Stream {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let available = self.inner.fill_buf()?;
        if self.left == 0 && !available.is_empty() {
            return Err(io::Error::other(TooLong));
        }
        self.at_end |= available.is_empty();
        Ok(&available[..available.len().min(self.left)])
    }

    fn consume(&mut self, n: usize) {
        let consumed = &self.inner.buffer()[..n];
        if let Some(&byte) = consumed.iter().rev().find(|b| !matches!(**b, b'\n' | b'\r')) {
            self.last = byte;
        }
        self.left -= n;
        self.inner.consume(n);
    }
}

/// A row beyond the bound.
#[derive(Debug, thiserror::Error)]
#[error("a row is longer than {} MiB", MAX_ROW >> 20)]
struct TooLong;

/// A failed read as a user sees it: a broken file is the user's to replace, a broken disk is the system's.
fn unreadable(file: &Path, line: usize, compressed: bool, error: io::Error) -> Error {
    if error
        .get_ref()
        .is_some_and(<dyn std::error::Error + std::marker::Send + std::marker::Sync + 'static>::is::<TooLong>)
    {
        let remedy = "look for an unclosed quote or missing line ends at that line";
        return Problem::at(Place::line(file, line), error.to_string()).try_this(remedy).into();
    }
    if !compressed {
        return Error::Io { action: "read", path: file.to_path_buf(), source: error };
    }
    let what = format!("compressed file is truncated or damaged: {error}");
    Problem::at(Place::line(file, line), what).try_this("fetch or compress the file again").into()
}

/// The lines of a stream as UTF-8, without their line ends, with numbers from 1.
pub(super) struct Lines {
    stream: Stream,
    line: usize,
    bytes: Vec<u8>,
    broken: bool,
}

impl Lines {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, line: 0, bytes: Vec::new(), broken: false }
    }

    pub(super) fn file(&self) -> &Path {
        &self.stream.file
    }

    /// The next line with its number; after a line that is not UTF-8 the next call goes on.
    pub(super) fn next(&mut self) -> Option<Result<(usize, &str)>> {
        if self.broken {
            return None;
        }
        self.bytes.clear();
        self.stream.new_row();
        self.line += 1;
        match self.stream.read_until(b'\n', &mut self.bytes) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) => {
                self.broken = true;
                return Some(Err(self.stream.error(self.line, error)));
            }
        }
        let end = self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes);
        let line = end.strip_suffix(b"\r").unwrap_or(end);
        let text = std::str::from_utf8(line);
        Some(text.map(|text| (self.line, text)).map_err(|e| not_utf8(&self.stream.file, self.line, e)))
    }
}

/// The error for bytes that are not UTF-8.
pub(super) fn not_utf8(file: &Path, line: usize, error: std::str::Utf8Error) -> Error {
    let what = format!("text is not UTF-8: invalid byte after {} bytes", error.valid_up_to());
    Problem::at(Place::line(file, line), what).try_this("convert the file, as `iconv -t UTF-8` does").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn input(name: &str, bytes: Vec<u8>) -> RawInput {
        RawInput::from_bytes(Path::new(name), bytes)
    }

    #[test]
    fn what_unpacks_to_more_than_the_limit_is_refused_and_what_fills_it_is_read() {
        let plain = vec![0; 3 << 20];
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gz.write_all(&plain).unwrap();
        let packed = [
            ("t.parquet.gz", gz.finish().unwrap()),
            ("t.parquet.zst", zstd::encode_all(&plain[..], 3).unwrap()),
        ];
        for (name, bytes) in packed {
            assert!(bytes.len() < 1 << 14);
            assert_eq!(input(name, bytes.clone()).unpacked(3 << 20).unwrap(), plain);
            let error = input(name, bytes).unpacked((3 << 20) - 1).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("POLYTASK_MAX_UNPACKED_MB"), "{error}");
        }
    }

    #[test]
    fn a_zstd_stream_that_asks_for_a_huge_window_is_refused_with_its_file() {
        // Magic, a frame without size, a window of 2^31 bytes, an empty last block.
        let bytes = [0x28, 0xb5, 0x2f, 0xfd, 0x00, (31 - 10) << 3, 1, 0, 0];
        let error = input("t.csv.zst", bytes.to_vec()).stream().map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("t.csv.zst") && error.contains("memory"), "{error}");
    }

    #[test]
    fn a_row_without_end_stops_at_the_limit_of_a_row() {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let block = vec![b'x'; 1 << 20];
        (0..(MAX_ROW >> 20) + 2).for_each(|_| gz.write_all(&block).unwrap());
        let mut lines = Lines::new(input("t.jsonl.gz", gz.finish().unwrap()).stream().unwrap());
        let error = lines.next().unwrap().unwrap_err().to_string();
        assert!(error.contains("t.jsonl.gz:1") && error.contains("longer than 64 MiB"), "{error}");
    }
}
