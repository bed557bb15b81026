//! TSV: a header line, cells separated by tabs, no quoting (a quote is a character of the text).

use polytask_core::Result;

use super::csv::{check_header, empty, ragged};
use super::input::Lines;
use super::{Cell, Columns, RawInput, Reader, Record};

/// Starts reading a TSV file.
pub(super) fn open(input: RawInput) -> Result<Reader> {
    let file = input.file.clone();
    let mut lines = Lines::new(input.stream()?);
    let header: Vec<String> = match lines.next() {
        Some(line) => line?.1.split('\t').map(str::to_owned).collect(),
        None => return Err(empty(&file)),
    };
    let header = check_header(&file, header)?;
    Ok(Reader::new(Some(header.clone()), Box::new(Rows { lines, header })))
}

struct Rows {
    lines: Lines,
    header: Columns,
}

impl Rows {
    fn row(&self, line: usize, cells: Vec<Cell>) -> Result<Record> {
        if cells.len() == self.header.len() {
            return Ok(Record::new(line, self.header.clone(), cells));
        }
        let remedy = "write texts without tabs and line ends, or use CSV or JSONL";
        Err(ragged(self.lines.file(), line, cells.len(), self.header.len(), remedy))
    }
}

impl Iterator for Rows {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut skipped = 0;
        loop {
            let (line, text) = match self.lines.next()? {
                Ok(line) => line,
                Err(error) => return Some(Err(error)),
            };
            // In a file of one column an empty line is an empty text.
            if text.is_empty() && self.header.len() > 1 {
                skipped += 1;
                continue;
            }
            let cells = text.split('\t').map(|cell| Cell::Text(cell.to_owned())).collect();
            return Some(self.row(line, cells).map(|record| record.after(skipped)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cell, open_bytes, read_bytes};

    #[test]
    fn quotes_are_characters_and_empty_cells_stay() {
        let rows = read_bytes("t.tsv", b"text\tscore\r\n\"Hi\tthere\"\r\n\t\n\n").unwrap();
        assert_eq!(rows[0].get("text").unwrap(), &Cell::Text("\"Hi".into()));
        assert_eq!(rows[1].get("score").unwrap(), &Cell::Text(String::new()));
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn an_empty_line_of_a_one_column_file_is_an_empty_text() {
        assert_eq!(read_bytes("t.tsv", b"text\na\n\nb\n").unwrap().len(), 3);
    }

    #[test]
    fn mistakes_name_their_line_and_the_next_row_is_read() {
        let rows: Vec<_> = open_bytes("t.tsv", b"a\tb\n1\n\xff\t2\n3\t4".to_vec()).unwrap().collect();
        assert!(rows[0].as_ref().unwrap_err().to_string().starts_with("t.tsv:2: row has 1 cell, expected 2"));
        assert!(rows[1].as_ref().unwrap_err().to_string().starts_with("t.tsv:3: text is not UTF-8"));
        assert_eq!(rows[2].as_ref().unwrap().line, 4);
    }
}
