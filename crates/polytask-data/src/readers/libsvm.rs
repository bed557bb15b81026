//! libsvm (svmlight): a line per row, `label index:value … # comment`; what is not written is 0.
//!
//! Columns are `label` (of several labels separated by commas a list), `qid` where a line has it, and `f1`, `f2` and so on
//! by the indices of the file, as XGBoost names them. The file is read twice: which indices there are is known at its
//! end. A row says 0 of any further `f` that is asked of it, so files whose last columns are all 0 fit each other.

use std::collections::BTreeSet;

use polytask_core::{Error, Place, Problem, Result};

use super::input::Lines;
use super::{Cell, Columns, RawInput, Reader, Record};

/// Columns beyond which a file is no table that can be laid out.
const MOST_COLUMNS: usize = 20_000;

const LABEL: &str = "label";
const QID: &str = "qid";

/// Starts reading a libsvm file.
pub(super) fn open(input: RawInput) -> Result<Reader> {
    let mut layout = Layout::default();
    let mut lines = Lines::new(input.again()?.stream()?);
    // Mistakes are told when the rows are read.
    while let Some(line) = lines.next() {
        let Ok((number, text)) = line else { continue };
        let parsed = parse(text);
        if let Ok(Some(row)) = parsed {
            layout.add(&row);
        }
        if layout.indices.len() > MOST_COLUMNS {
            return Err(too_wide(&Place::line(lines.file(), number)));
        }
    }
    let said = layout.has_qid.then(|| {
        format!(
            "{}: `qid` is read as a column like any other; ignore = [\"qid\"] leaves it out",
            input.file.display()
        )
    });
    let columns = layout.columns();
    let lines = Lines::new(input.stream()?);
    Ok(Reader::new(None, Box::new(Rows { lines, layout, columns })).saying(said))
}

fn too_wide(place: &Place) -> Error {
    let what = format!(
        "the file has more than {MOST_COLUMNS} indices by this line, expected a table of fewer columns"
    );
    Problem::at(place.clone(), what)
        .try_this("fewer columns: the ones that occur most, or counts by group")
        .into()
}

/// Which columns a file has.
#[derive(Default)]
struct Layout {
    indices: BTreeSet<u32>,
    has_qid: bool,
}

/// A line: its label, query and values.
struct Parsed<'a> {
    label: &'a str,
    qid: Option<f64>,
    values: Vec<(u32, f64)>,
}

impl Layout {
    fn add(&mut self, row: &Parsed<'_>) {
        self.has_qid |= row.qid.is_some();
        self.indices.extend(row.values.iter().map(|(index, _)| index));
    }

    fn columns(&self) -> Columns {
        let qid = self.has_qid.then(|| QID.to_owned());
        let values = self.indices.iter().map(|index| format!("f{index}"));
        std::iter::once(LABEL.to_owned()).chain(qid).chain(values).collect()
    }

    fn cells(&self, row: Parsed<'_>) -> Vec<Cell> {
        let mut cells = vec![label(row.label)];
        if self.has_qid {
            cells.push(row.qid.map_or(Cell::Null, Cell::Number));
        }
        let mut values = row.values.into_iter().peekable();
        cells.extend(self.indices.iter().map(|index| {
            let value = values.next_if(|(next, _)| next == index).map_or(0.0, |(_, value)| value);
            if value.is_nan() { Cell::Null } else { Cell::Number(value) }
        }));
        cells
    }
}

/// A label; a list where commas part it.
fn label(text: &str) -> Cell {
    let one = |text: &str| match text.parse::<f64>() {
        // As other programs write whole numbers.
        Ok(number) if number.is_finite() => Cell::Number(number),
        _ => Cell::Text(text.to_owned()),
    };
    if text.contains(',') { Cell::List(text.split(',').map(one).collect()) } else { one(text) }
}

/// A line without its comment, values by index; nothing where the line is empty.
fn parse(text: &str) -> Result<Option<Parsed<'_>>, (String, &'static str)> {
    let mut words = text.split('#').next().unwrap_or_default().split_whitespace().peekable();
    let Some(first) = words.peek() else { return Ok(None) };
    if first.contains(':') {
        let what = format!("the row begins with `{first}`, expected its label");
        return Err((what, "a label first, as in `1 3:0.5`; 0 where there is none"));
    }
    let label = words.next().unwrap_or_default();
    let (mut qid, mut values) = (None, Vec::new());
    for word in words {
        let wrong =
            |expected: &str| (format!("`{word}`, expected {expected}"), "`index:value`, as in `3:0.5`");
        let (key, value) = word.split_once(':').ok_or_else(|| wrong("an index and a value"))?;
        let value: f64 = value.parse().map_err(|_| wrong("a number behind the colon"))?;
        if value.is_infinite() {
            return Err((format!("`{word}`, expected a finite number"), "leave the index out, or write nan"));
        }
        if key == QID {
            qid = Some(value);
        } else {
            values.push((key.parse().map_err(|_| wrong("an index from 0"))?, value));
        }
    }
    values.sort_by_key(|(index, _)| *index);
    match values.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err((format!("index {} stands twice in the row", pair[0].0), "each index once")),
        None => Ok(Some(Parsed { label, qid, values })),
    }
}

/// Whether a column is one that a row without it holds 0 in.
fn is_value(column: &str) -> bool {
    column.strip_prefix('f').is_some_and(|index| index.parse::<u32>().is_ok())
}

struct Rows {
    lines: Lines,
    layout: Layout,
    columns: Columns,
}

impl Iterator for Rows {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (line, parsed) = match self.lines.next()? {
                Ok((line, text)) => (line, parse(text).map(|row| row.map(|row| self.layout.cells(row)))),
                Err(error) => return Some(Err(error)),
            };
            match parsed {
                Ok(None) => {}
                Ok(Some(cells)) => {
                    return Some(Ok(Record::new(line, self.columns.clone(), cells).with_zeros(is_value)));
                }
                Err((what, remedy)) => {
                    let place = Place::line(self.lines.file(), line);
                    return Some(Err(Problem::at(place, what).try_this(remedy).into()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cell, open_bytes, read_bytes};

    #[test]
    fn what_is_not_written_is_0_and_comments_are_none() {
        let file = b"+1 3:0.5 10:nan # first\n\n-1 qid:7 1:2e1\n";
        let rows = read_bytes("a.libsvm", file).unwrap();
        assert_eq!(rows[0].columns(), ["label", "qid", "f1", "f3", "f10"]);
        let cell = |row: usize, name: &str| rows[row].get(name).cloned();
        let number = |x: f64| Some(Cell::Number(x));
        assert_eq!((cell(0, "label"), cell(0, "qid")), (number(1.0), Some(Cell::Null)));
        assert_eq!(
            (cell(0, "f1"), cell(0, "f3"), cell(0, "f10")),
            (number(0.0), number(0.5), Some(Cell::Null))
        );
        assert_eq!(
            (cell(1, "label"), cell(1, "qid"), cell(1, "f1")),
            (number(-1.0), number(7.0), number(20.0))
        );
        // A column that only another file has.
        assert_eq!((cell(1, "f999"), cell(1, "foo"), cell(1, "f")), (number(0.0), None, None));
        assert_eq!((rows[0].line, rows[1].line), (1, 3));
    }

    #[test]
    fn labels_may_be_several_and_queries_are_told() {
        let rows = read_bytes("a.svm.gz", &gz(b"2,5 1:1\nspam 1:0\n")).unwrap();
        let labels = [Cell::Number(2.0), Cell::Number(5.0)];
        assert_eq!(rows[0].get("label"), Some(&Cell::List(labels.to_vec())));
        assert_eq!(rows[1].get("label"), Some(&Cell::Text("spam".into())));
        let said = |bytes: &[u8]| open_bytes("a.svm", bytes.to_vec()).unwrap().said().map(str::to_owned);
        assert!(said(b"1 qid:3 1:1\n").unwrap().contains("ignore = [\"qid\"]"));
        assert_eq!(said(b"1 1:1\n"), None);
    }

    fn gz(bytes: &[u8]) -> Vec<u8> {
        use std::io::Write;
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn mistakes_name_their_line_and_the_rows_behind_them_are_read() {
        let file = b"1 1:1\n1 1\n1 x:1\n1 1:x\n3:1\n1 1:1 1:2\n1 1:inf\n1 2:3\n";
        let rows: Vec<_> = open_bytes("a.libsvm", file.to_vec()).unwrap().collect();
        let messages: Vec<String> =
            rows.iter().filter_map(|row| Some(row.as_ref().err()?.to_string())).collect();
        let expected = [
            ("a.libsvm:2", "`1`, expected an index and a value"),
            ("a.libsvm:3", "`x:1`, expected an index from 0"),
            ("a.libsvm:4", "`1:x`, expected a number behind the colon"),
            ("a.libsvm:5", "begins with `3:1`, expected its label"),
            ("a.libsvm:6", "index 1 stands twice"),
            ("a.libsvm:7", "`1:inf`, expected a finite number"),
        ];
        assert_eq!((messages.len(), rows.len()), (6, 8));
        for (message, (place, what)) in messages.iter().zip(expected) {
            assert!(message.contains(place) && message.contains(what), "{message}");
        }
        assert_eq!(rows[7].as_ref().unwrap().get("f2"), Some(&Cell::Number(3.0)));
    }

    #[test]
    fn a_file_of_words_is_refused_before_it_fills_the_memory() {
        let wide: String = (0..30_000).map(|i| format!("1 {i}:1\n")).collect();
        let error = open_bytes("a.svm", wide.into_bytes()).err().unwrap().to_string();
        assert!(error.contains("a.svm:20001: the file has more than 20000 indices"), "{error}");
    }
}
