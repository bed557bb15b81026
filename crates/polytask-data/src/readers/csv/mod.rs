//! CSV: a header line, cells separated by commas (or semicolons, where the header has no comma), quotes as in RFC 4180.

mod quotes;

use std::collections::HashSet;
use std::io::{self, BufRead, Read};

use ::csv::{ByteRecord, ReaderBuilder};
use polytask_core::{Place, Problem, Result};

use super::input::{Stream, not_utf8};
use super::{Cell, Columns, RawInput, Reader, Record};
use quotes::Quotes;

/// Starts reading a CSV file.
pub(super) fn open(input: RawInput) -> Result<Reader> {
    let file = input.file.clone();
    let mut stream = input.stream()?;
    let delimiter = delimiter(&mut stream);
    let bytes = LineFeeds { stream, held: false, quotes: Quotes::new(delimiter) };
    let reader =
        ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(bytes);
    let mut rows = Rows { reader, header: Columns::default(), done: false, next_line: 1 };
    let (line, header) = match rows.read() {
        Some(row) => row?,
        None => return Err(empty(&file)),
    };
    let header_lines = 1 + header.iter().map(|name| name.matches('\n').count()).sum::<usize>();
    rows.next_line = line + header_lines;
    rows.header = check_header(&file, header)?;
    let said = (delimiter != b',').then(|| {
        format!("{}: read with semicolons between cells, as its header has no comma", file.display())
    });
    Ok(Reader::new(Some(rows.header.clone()), Box::new(rows)).saying(said))
}

/// What stands between cells: commas, unless the header has none and has semicolons (as spreadsheets write where the
/// comma is the decimal point).
fn delimiter(stream: &mut Stream) -> u8 {
    // What cannot be read is told when rows are asked for.
    let start = stream.fill_buf().unwrap_or_default();
    let header = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if !header.contains(&b',') && header.contains(&b';') { b';' } else { b',' }
}

/// A file without even a header.
pub(super) fn empty(file: &std::path::Path) -> polytask_core::Error {
    let problem = Problem::at(Place::file(file), "file is empty, expected a header line and rows");
    problem.try_this("check that the file was written whole").into()
}

/// The header, when no two columns have one name.
pub(super) fn check_header(file: &std::path::Path, header: Vec<String>) -> Result<Columns> {
    let mut met = HashSet::new();
    for name in &header {
        if !name.is_empty() && !met.insert(name) {
            let what = format!("two columns are named `{}`", super::shorten(name));
            return Err(Problem::at(Place::line(file, 1), what).try_this("rename one of them").into());
        }
    }
    Ok(header.into_iter().collect())
}

/// The error for a row of the wrong width.
pub(super) fn ragged(
    file: &std::path::Path,
    line: usize,
    found: usize,
    expected: usize,
    remedy: &str,
) -> polytask_core::Error {
    let what =
        format!("row has {}, expected {expected} as in the header", polytask_core::plural(found, "cell"));
    Problem::at(Place::line(file, line), what).try_this(remedy).into()
}

/// A stream whose CR LF line ends read as LF, so that the parser's count of lines is that of an editor.
struct LineFeeds {
    stream: Stream,
    /// A CR whose next byte is not known yet.
    held: bool,
    /// Quotes that close a cell too early.
    quotes: Quotes,
}

impl Read for LineFeeds {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut n = 0;
        while n == 0 && !buffer.is_empty() {
            let available = self.stream.fill_buf()?;
            if self.held && available.first() != Some(&b'\n') {
                self.held = false;
                buffer[0] = b'\r';
                return Ok(1);
            }
            if available.is_empty() {
                return Ok(0);
            }
            self.held = false;
            let taken = available.len().min(buffer.len());
            for (i, &byte) in available[..taken].iter().enumerate() {
                let next = available.get(i + 1);
                self.held = byte == b'\r' && next.is_none();
                if byte != b'\r' || next.is_some_and(|&next| next != b'\n') {
                    self.quotes.see(byte);
                    buffer[n] = byte;
                    n += 1;
                }
            }
            self.stream.consume(taken);
        }
        Ok(n)
    }
}

struct Rows {
    reader: ::csv::Reader<LineFeeds>,
    header: Columns,
    done: bool,
    /// The line that the next row starts at, where no line is empty.
    next_line: usize,
}

impl Rows {
    /// The next row as (line, cells).
    fn read(&mut self) -> Option<Result<(usize, Vec<String>)>> {
        if self.done {
            return None;
        }
        let mut row = ByteRecord::new();
        self.reader.get_mut().stream.new_row();
        match self.reader.read_byte_record(&mut row) {
            Ok(true) => Some(self.decode(&row)),
            Ok(false) => None,
            Err(error) => {
                self.done = true;
                Some(Err(self.broken(error)))
            }
        }
    }

    fn decode(&mut self, row: &ByteRecord) -> Result<(usize, Vec<String>)> {
        let line = self.line_of(row);
        let last = line + row.as_slice().iter().filter(|byte| **byte == b'\n').count();
        if let Some(stray) = self.reader.get_mut().quotes.take(line, last) {
            let place = Place::line(&self.reader.get_ref().stream.file, line);
            let what = format!(
                "text after the quote that closes a cell (line {stray}), expected the end of the cell"
            );
            let remedy = "double quotes inside a quoted cell (\"\"), or write the cell without the first one";
            return Err(Problem::at(place, what).try_this(remedy).into());
        }
        let file = &self.reader.get_ref().stream.file;
        let cell = |bytes: &[u8]| match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(not_utf8(file, line, error)),
        };
        let cells: Vec<String> = row.iter().map(cell).collect::<Result<_>>()?;
        if self.ends_inside_a_quote(&cells) {
            let problem = Problem::at(Place::line(file, line), "quote is never closed");
            return Err(problem.try_this("close the quote, or double it inside a quoted cell").into());
        }
        Ok((line, cells))
    }

    /// The line a row just read starts at: the lines consumed so far, less the row's own.
    fn line_of(&self, row: &ByteRecord) -> usize {
        let inner = row.as_slice().iter().filter(|byte| **byte == b'\n').count();
        let stream = &self.reader.get_ref().stream;
        // A row that the end of the file closed has no line end of its own.
        let line_end = usize::from(!stream.at_end);
        (self.reader.position().line() as usize).saturating_sub(inner + line_end).max(1)
    }

    /// Whether this is the file's last row and its last cell runs over lines to the end without a quote.
    fn ends_inside_a_quote(&self, cells: &[String]) -> bool {
        let runs_on = cells.last().is_some_and(|cell| cell.trim_end_matches(['\r', '\n']).contains('\n'));
        let stream = &self.reader.get_ref().stream;
        runs_on && stream.at_end && stream.last != b'"'
    }

    fn broken(&self, error: ::csv::Error) -> polytask_core::Error {
        let line = self.reader.position().line() as usize;
        match error.into_kind() {
            ::csv::ErrorKind::Io(error) => self.reader.get_ref().stream.error(line, error),
            other => {
                let place = Place::line(&self.reader.get_ref().stream.file, line);
                Problem::at(place, format!("row cannot be read: {other:?}")).into()
            }
        }
    }
}

impl Iterator for Rows {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        let (line, cells) = match self.read()? {
            Ok(row) => row,
            Err(error) => return Some(Err(error)),
        };
        if cells.len() != self.header.len() {
            let remedy = "quote cells that contain the sign between cells, and close every quote";
            let file = &self.reader.get_ref().stream.file;
            return Some(Err(ragged(file, line, cells.len(), self.header.len(), remedy)));
        }
        let skipped = line.saturating_sub(self.next_line);
        let n_lines =
            1 + cells.iter().map(|cell| cell.bytes().filter(|byte| *byte == b'\n').count()).sum::<usize>();
        self.next_line = line + n_lines;
        let cells = cells.into_iter().map(Cell::Text).collect();
        Some(Ok(Record::new(line, self.header.clone(), cells).after(skipped)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cell, open_bytes, read_bytes};

    fn text(text: &str) -> Cell {
        Cell::Text(text.into())
    }

    #[test]
    fn semicolons_separate_cells_where_the_header_has_no_comma_and_it_is_said() {
        let mut reader =
            open_bytes("t.csv", b"\xef\xbb\xbftext;label\n\"a;b, c\";x\n1,5;y\n".to_vec()).unwrap();
        assert_eq!(reader.columns(), ["text", "label"]);
        assert!(reader.said().unwrap().contains("semicolons"));
        let rows: Vec<_> = reader.map(Result::unwrap).collect();
        assert_eq!(rows[0].get("text").unwrap(), &text("a;b, c"));
        assert_eq!(rows[1].get("text").unwrap(), &text("1,5"));
        assert!(open_bytes("t.csv", b"a;b,c\n1,2\n".to_vec()).unwrap().said().is_none());
    }

    #[test]
    fn a_quote_that_closes_too_early_is_an_error_at_the_row_it_swallows_from() {
        let file = b"text,label\n\"first row,x\nsecond,y\nthird \"row,z\nlast,x\n";
        let rows: Vec<_> = open_bytes("t.csv", file.to_vec()).unwrap().collect();
        let error = rows[0].as_ref().unwrap_err().to_string();
        assert!(error.starts_with("t.csv:2: text after the quote that closes a cell (line 4)"), "{error}");
        assert_eq!(rows[1].as_ref().unwrap().get("text").unwrap(), &text("last"), "the rest is read");
    }

    #[test]
    fn empty_lines_before_a_row_are_counted() {
        let rows = read_bytes("t.csv", b"text,label\n\na,x\n\"b\nc\",y\n\n\nd,z\n").unwrap();
        let skipped: Vec<_> = rows.iter().map(|row| (row.line, row.skipped)).collect();
        assert_eq!(skipped, [(3, 1), (4, 0), (8, 2)]);
        let rows = read_bytes("t.csv", b"\ntext,label\na,x\n").unwrap();
        assert_eq!((rows[0].line, rows[0].skipped), (3, 0), "lines above the header are none of the rows");
        let rows = read_bytes("t.tsv", b"text\tlabel\na\tx\n\nb\ty\n").unwrap();
        assert_eq!(rows.iter().map(|row| row.skipped).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn quoted_cells_keep_commas_quotes_and_line_ends() {
        let rows = read_bytes("t.csv", b"\xef\xbb\xbftext,label\r\n\"a, \"\"b\"\"\nc\",x\r\n,y\n").unwrap();
        assert_eq!(rows[0].get("text").unwrap(), &text("a, \"b\"\nc"));
        assert_eq!((rows[0].line, rows[1].line), (2, 4));
        assert_eq!(rows[1].get("text").unwrap(), &text(""));
        assert_eq!(rows[1].get("other"), None);
    }

    #[test]
    fn a_ragged_row_is_an_error_with_its_line_and_the_next_row_is_read() {
        let rows: Vec<_> = open_bytes("t.csv", b"a,b\n1,2\n3\n4,5\n".to_vec()).unwrap().collect();
        let error = rows[1].as_ref().unwrap_err().to_string();
        assert!(error.starts_with("t.csv:3: row has 1 cell, expected 2"), "{error}");
        assert_eq!(rows[2].as_ref().unwrap().get("b").unwrap(), &text("5"));
    }

    #[test]
    fn invalid_utf8_names_its_line() {
        let error = read_bytes("t.csv", b"a,b\n1,2\n\xff,3\n").unwrap_err().to_string();
        assert!(error.starts_with("t.csv:3: text is not UTF-8"), "{error}");
    }

    #[test]
    fn an_unclosed_quote_does_not_swallow_the_rest_of_the_file() {
        let error = read_bytes("t.csv", b"a,b\n1,2\n3,\"oh\n4,5\n6,7\n").unwrap_err().to_string();
        assert!(error.starts_with("t.csv:3: quote is never closed"), "{error}");
        assert!(read_bytes("t.csv", b"a,b\n3,\"oh\n4\"\n").is_ok());
    }

    #[test]
    fn an_empty_file_and_a_doubled_column_are_errors() {
        assert!(read_bytes("t.csv", b"").unwrap_err().to_string().contains("t.csv: file is empty"));
        assert!(read_bytes("t.csv", b"a,a\n").unwrap_err().to_string().contains("two columns are named `a`"));
    }
}
