//! Rows in: a file of any format the readers know, a text per line of a .txt file, or JSON lines on standard input, a bounded piece at a time.

use std::fs::File;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use polytask_core::target::CellMistake;
use polytask_core::{Error, Place, Problem, Result, near};
use polytask_data::readers::{self, Cell, Reader, Record};
use polytask_model::InputRow;
use serde_json::{Map, Value};

use polytask_terminal::output;

/// Rows read before they are worked on.
const PIECE: usize = 4096;

/// Rows of a file or of standard input.
enum Lines {
    /// A file in a format told by its name, and whether each of its lines must be a row; the last row's line.
    File { name: PathBuf, reader: Box<Reader>, by_line: bool, last: usize },
    /// A text per line; empty lines are none.
    Texts { name: PathBuf, lines: io::Lines<io::BufReader<File>>, line: usize },
    /// JSON lines on standard input: the number of the last one read, and of the last that was a row.
    Stdin { line: usize, last: usize },
}

/// A row and where it stands.
pub(crate) struct Row {
    place: Place,
    fields: Fields,
}

/// Rows whose text is empty: they have an answer like any other, which is seldom what was meant.
#[derive(Default)]
pub(crate) struct EmptyTexts {
    n: usize,
    first: Option<Place>,
}

impl EmptyTexts {
    /// Takes a row into account.
    pub(crate) fn see(&mut self, row: &Row, is_empty: bool) {
        if is_empty {
            self.n += 1;
            self.first.get_or_insert_with(|| row.place.clone());
        }
    }

    /// Says so, once, where there were any; `done` is what was done with them all the same.
    pub(crate) fn tell(&self, done: &str) {
        if let Some(first) = &self.first {
            let rows = polytask_core::plural(self.n, "row");
            output::note(format!("{rows} without a text, the first at {first}: {done} as an empty text"));
        }
    }
}

enum Fields {
    Record(Record),
    Object(Map<String, Value>),
}

/// Gives the rows of a file (or of standard input, for `-`) to `work`, a piece at a time.
pub(crate) fn for_pieces(
    path: &str,
    mut work: impl FnMut(&[Row]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut lines = Lines::open(path)?;
    loop {
        let rows = lines.next_piece()?;
        if rows.is_empty() {
            return Ok(());
        }
        work(&rows)?;
    }
}

impl Lines {
    /// Opens a file, or standard input for `-`.
    fn open(path: &str) -> Result<Self> {
        if path == "-" {
            return Ok(Self::Stdin { line: 0, last: 0 });
        }
        let name = PathBuf::from(path);
        if name.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("txt")) {
            let file = File::open(&name).map_err(Error::io("read", &name))?;
            return Ok(Self::Texts { name, lines: io::BufReader::new(file).lines(), line: 0 });
        }
        let by_line = readers::format_of(&name).is_some_and(|format| format.name == "jsonl");
        Ok(Self::File { reader: Box::new(readers::open(&name)?), name, by_line, last: 0 })
    }

    /// The next rows; none when the input is over.
    fn next_piece(&mut self) -> Result<Vec<Row>> {
        match self {
            Self::File { name, reader, by_line, last } => {
                let row = |record: Result<Record>| {
                    let record = record?;
                    if *by_line {
                        follows(name, last, record.line)?;
                    } else if record.skipped > 0 {
                        return Err(empty_line(
                            name,
                            record.line - record.skipped,
                            "a row",
                            "remove the line",
                        ));
                    }
                    Ok(Row { place: Place::line(name, record.line), fields: Fields::Record(record) })
                };
                reader.by_ref().take(PIECE).map(row).collect()
            }
            Self::Texts { name, lines, line } => {
                let row = |text: io::Result<String>| {
                    *line += 1;
                    let place = Place::line(name, *line);
                    let text = match text {
                        Ok(text) => text.trim_start_matches('\u{feff}').trim().to_owned(),
                        Err(error) => return Some(Err(unreadable(&place, &error))),
                    };
                    let fields = |text| [("text".to_owned(), Value::String(text))].into_iter().collect();
                    // An empty line is no text.
                    (!text.is_empty()).then(|| Ok(Row { place, fields: Fields::Object(fields(text)) }))
                };
                lines.by_ref().filter_map(row).take(PIECE).collect()
            }
            Self::Stdin { line, last } => stdin_piece(line, last),
        }
    }
}

/// Refuses an empty line before a row: row `i` of what comes out is line `i`. Empty lines at the end are none.
fn follows(file: &Path, last: &mut usize, line: usize) -> Result<()> {
    let expected = *last + 1;
    *last = line;
    if line == expected {
        return Ok(());
    }
    let remedy = "{\"text\": \"\"} for an empty text, or remove the line";
    Err(empty_line(file, expected, "a JSON object", remedy))
}

fn empty_line(file: &Path, line: usize, expected: &str, remedy: &str) -> Error {
    let what = format!("line is empty, expected {expected}: every line is a row");
    Problem::at(Place::line(file, line), what).try_this(remedy).into()
}

/// The next rows of standard input.
fn stdin_piece(line: &mut usize, last: &mut usize) -> Result<Vec<Row>> {
    let (mut rows, mut text) = (Vec::new(), String::new());
    let mut input = io::stdin().lock();
    while rows.len() < PIECE {
        text.clear();
        *line += 1;
        let file = Path::new("standard input");
        let place = Place::line(file, *line);
        let read = input.read_line(&mut text).map_err(|e| unreadable(&place, &e))?;
        if read == 0 {
            break;
        }
        if !text.trim().is_empty() {
            follows(file, last, *line)?;
            rows.push(Row { fields: Fields::Object(object(&text, &place)?), place });
        }
    }
    Ok(rows)
}

impl Row {
    /// The value in `field`, if it is there and known.
    pub(crate) fn cell(&self, field: &str) -> Option<Cell> {
        let cell = match &self.fields {
            Fields::Record(record) => record.get(field).cloned(),
            Fields::Object(object) => object.get(field).cloned().map(Cell::from_json),
        };
        cell.filter(|cell| !matches!(cell, Cell::Null))
    }

    /// The names of the fields.
    pub(crate) fn fields(&self) -> Vec<&str> {
        match &self.fields {
            Fields::Record(record) => record.columns().iter().map(String::as_str).collect(),
            Fields::Object(object) => object.keys().map(String::as_str).collect(),
        }
    }

    /// The first of some fields that the row has.
    pub(crate) fn first_of<'a>(&self, names: &[&'a str]) -> Option<&'a str> {
        let fields = self.fields();
        names.iter().copied().find(|name| fields.contains(name))
    }

    /// The text in `field`.
    pub(crate) fn text(&self, field: &str) -> Result<String> {
        self.text_of(&[field])
    }

    /// The text in the first of some fields that the row has, as training reads it; a list is the text its items make.
    pub(crate) fn text_of(&self, names: &[&str]) -> Result<String> {
        // A number in the place of a text is a slip more often than a text.
        let text = |cell: &Cell| match cell {
            Cell::Number(_) | Cell::Bool(_) => None,
            _ => cell.to_text(),
        };
        self.read(names, text, "a text", "\"…\"")
    }

    /// The words in the first of some fields that the row has, as training reads them: a list of texts, or a text cut
    /// at blanks.
    pub(crate) fn words_of(&self, names: &[&str]) -> Result<Vec<String>> {
        self.read(names, Cell::to_words, "a list of words", "[\"…\", \"…\"]")
    }

    fn read<T>(
        &self,
        names: &[&str],
        to: impl Fn(&Cell) -> Option<T>,
        expected: &str,
        example: &str,
    ) -> Result<T> {
        let field = self.first_of(names).unwrap_or(names[0]);
        let found = self.cell(field);
        found.as_ref().and_then(to).ok_or_else(|| self.wrong(field, found.as_ref(), expected, example))
    }

    fn wrong(&self, field: &str, found: Option<&Cell>, expected: &str, example: &str) -> Error {
        let (fields, on_each_line) = (self.fields(), format!("{{\"{field}\": {example}}} on each line"));
        if !fields.contains(&field) && !fields.is_empty() {
            let what = format!(
                "field `{field}` is not there, expected {expected} in it: found `{}`",
                fields.join("`, `")
            );
            let separator = match &self.fields {
                Fields::Record(record) => {
                    readers::other_separator(&self.place.file, record.columns(), &[field])
                }
                Fields::Object(_) => None,
            };
            let named = || match near::nearest(field, &fields) {
                Some(near) => format!("`--columns ROLE={near}`"),
                None => format!("`--columns ROLE=COLUMN` to name another, or {on_each_line}"),
            };
            let remedy = separator.unwrap_or_else(named);
            return Problem::at(self.place.clone(), what).try_this(remedy).into();
        }
        let found = found.map_or_else(|| "nothing".into(), Cell::describe);
        let what = format!("field `{field}` holds {found}, expected {expected}");
        Problem::at(self.place.clone(), what).try_this(on_each_line).into()
    }

    /// The text in the first of some fields that the row has, or nothing.
    pub(crate) fn text_or_empty(&self, names: &[&str]) -> String {
        self.text_of(names).unwrap_or_default()
    }
}

impl InputRow for Row {
    fn text_of(&self, names: &[&str]) -> polytask_model::Result<String> {
        Ok(Self::text_of(self, names)?)
    }

    fn words_of(&self, names: &[&str]) -> polytask_model::Result<Vec<String>> {
        Ok(Self::words_of(self, names)?)
    }

    fn cell_of(&self, name: &str) -> Option<Cell> {
        self.cell(name)
    }

    /// From the folder of the input; from the working folder for standard input.
    fn beside(&self, file: &str) -> String {
        let folder = self.place.file.parent().unwrap_or(Path::new(""));
        folder.join(file).to_string_lossy().into_owned()
    }

    fn has(&self, name: &str) -> bool {
        self.fields().contains(&name)
    }

    fn none_of(&self, names: &[String]) -> polytask_model::Error {
        let found = self.fields();
        let first: Vec<&str> = names.iter().map(String::as_str).take(1).collect();
        let separator = match &self.fields {
            Fields::Record(record) => readers::other_separator(&self.place.file, record.columns(), &first),
            Fields::Object(_) => None,
        };
        let what = format!(
            "none of the columns that the model reads, found `{}`, expected `{}`",
            found.join("`, `"),
            names.join("`, `")
        );
        let remedy = separator
            .unwrap_or_else(|| "`--list` shows what the model reads; `--columns COLUMN=FIELD`".into());
        polytask_core::Error::from(Problem::at(self.place.clone(), what).try_this(remedy)).into()
    }

    fn mistake(&self, name: &str, mistake: CellMistake) -> polytask_model::Error {
        let what = format!("column `{name}`: {}", mistake.what);
        polytask_core::Error::from(Problem::at(self.place.clone(), what).try_this(mistake.remedy)).into()
    }
}

fn object(text: &str, place: &Place) -> Result<Map<String, Value>> {
    let wrong = |found: String| {
        Problem::at(place.clone(), format!("{found}, expected a JSON object"))
            .try_this("one object per line, as {\"text\": \"…\"}")
    };
    match serde_json::from_str(text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(wrong("found another JSON value".into()).into()),
        Err(error) => Err(wrong(format!("not JSON ({error})")).into()),
    }
}

fn unreadable(place: &Place, error: &io::Error) -> Error {
    let remedy =
        if error.kind() == io::ErrorKind::InvalidData { "save the file as UTF-8" } else { "check the file" };
    Problem::at(place.clone(), format!("cannot be read: {error}")).try_this(remedy).into()
}
