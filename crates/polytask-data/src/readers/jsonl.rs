//! JSONL: one JSON object per line; `NaN` and `Infinity`, which Python writes, are read as null.

use polytask_core::{Error, Place, Problem, Result};
use serde_json::{Map, Value};

use super::input::Lines;
use super::{Cell, Columns, RawInput, Reader, Record};

/// Starts reading a JSONL file.
pub(super) fn open(input: RawInput) -> Result<Reader> {
    let lines = Lines::new(input.stream()?);
    Ok(Reader::new(None, Box::new(Rows { lines, columns: Columns::default(), done: false })))
}

struct Rows {
    lines: Lines,
    /// Columns of the row before: rows of the same keys share them.
    columns: Columns,
    done: bool,
}

impl Iterator for Rows {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.done {
                return None;
            }
            let (line, parsed) = match self.lines.next()? {
                Ok((line, text)) if text.trim().is_empty() => {
                    let _ = line;
                    continue;
                }
                Ok((line, text)) => (line, parse(text)),
                Err(error) => return Some(Err(error)),
            };
            return Some(match parsed {
                Ok(object) => Ok(self.record(line, object)),
                Err(wrong) => Err(self.explain(line, wrong)),
            });
        }
    }
}

/// What a line is instead of an object.
enum Wrong {
    Json(serde_json::Error),
    NotAnObject(&'static str),
}

fn parse(text: &str) -> Result<Map<String, Value>, Wrong> {
    let value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => match without_nan(text).map(|text| serde_json::from_str(&text)) {
            Some(Ok(value)) => value,
            _ => return Err(Wrong::Json(error)),
        },
    };
    match value {
        Value::Object(object) => Ok(object),
        Value::Array(_) => Err(Wrong::NotAnObject("a list")),
        Value::String(_) => Err(Wrong::NotAnObject("a string")),
        Value::Null => Err(Wrong::NotAnObject("null")),
        Value::Bool(_) | Value::Number(_) => Err(Wrong::NotAnObject("a single value")),
    }
}

/// The text with `NaN`, `Infinity` and `-Infinity` outside strings replaced by `null`; `None` without any.
fn without_nan(text: &str) -> Option<String> {
    let (mut out, mut rest, mut changed) = (String::with_capacity(text.len()), text, false);
    let (mut in_string, mut escaped) = (false, false);
    while let Some(c) = rest.chars().next() {
        let word = ["NaN", "-Infinity", "Infinity"].into_iter().find(|w| !in_string && rest.starts_with(w));
        if let Some(word) = word {
            out.push_str("null");
            rest = &rest[word.len()..];
            changed = true;
            continue;
        }
        if !escaped && c == '"' {
            in_string = !in_string;
        }
        escaped = in_string && c == '\\' && !escaped;
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    changed.then_some(out)
}

impl Rows {
    fn record(&mut self, line: usize, object: Map<String, Value>) -> Record {
        if !object.keys().eq(self.columns.iter()) {
            self.columns = object.keys().cloned().collect();
        }
        let cells = object.into_iter().map(|(_, value)| Cell::from_json(value)).collect();
        Record::new(line, self.columns.clone(), cells)
    }

    fn explain(&mut self, line: usize, wrong: Wrong) -> Error {
        let place = Place::line(self.lines.file(), line);
        let (what, remedy) = match wrong {
            Wrong::Json(error) if line == 1 && error.is_eof() => {
                // The rest of a pretty-printed file would give a mistake per line.
                self.done = true;
                let what = "JSON value runs over several lines, expected one object per line";
                (what.to_owned(), "write one object per line, as `jq -c '.[]'` does")
            }
            Wrong::Json(error) => {
                let what = format!("broken JSON at column {}: {}", error.column(), reason(&error));
                (what, "write one JSON object per line")
            }
            Wrong::NotAnObject(found) => {
                let what = format!("found {found}, expected a JSON object");
                (what, "write one object per line, as `jq -c '.[]'` does")
            }
        };
        Problem::at(place, what).try_this(remedy).into()
    }
}

/// The parser's reason without its position, which counts from the line's start.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::{Cell, open_bytes, read_bytes};

    #[test]
    fn every_type_of_value_becomes_its_cell() {
        let line = br#"{"t":"x","n":1.5,"b":true,"z":null,"l":["a",2],"o":{"k":1},"m":NaN,"s":"NaN"}"#;
        let row = &read_bytes("t.jsonl", line).unwrap()[0];
        assert_eq!(row.get("t").unwrap(), &Cell::Text("x".into()));
        assert_eq!(row.get("n").unwrap(), &Cell::Number(1.5));
        assert_eq!(row.get("b").unwrap(), &Cell::Bool(true));
        assert_eq!(row.get("z").unwrap(), &Cell::Null);
        assert_eq!(row.get("l").unwrap(), &Cell::List(vec![Cell::Text("a".into()), Cell::Number(2.0)]));
        assert_eq!(row.get("o").unwrap(), &Cell::Text("{\"k\":1}".into()));
        assert_eq!(row.get("m").unwrap(), &Cell::Null);
        assert_eq!(row.get("s").unwrap(), &Cell::Text("NaN".into()));
        assert_eq!(row.get("absent"), None);
    }

    #[test]
    fn broken_lines_are_errors_with_their_line_and_the_next_line_is_read() {
        let bytes = b"{\"a\":1}\n{\"a\":\n\n[1]\n{\"a\":\"\xff\"}\n{\"a\":2}\n".to_vec();
        let rows: Vec<_> = open_bytes("t.jsonl", bytes).unwrap().collect();
        let error = |i: usize| rows[i].as_ref().unwrap_err().to_string();
        assert!(error(1).starts_with("t.jsonl:2: broken JSON at column"), "{}", error(1));
        assert!(error(2).starts_with("t.jsonl:4: found a list, expected a JSON object"), "{}", error(2));
        assert!(error(3).starts_with("t.jsonl:5: text is not UTF-8"), "{}", error(3));
        assert_eq!(rows[4].as_ref().unwrap().line, 6);
    }

    #[test]
    fn a_pretty_printed_file_gives_one_mistake_with_a_remedy() {
        let error = open_bytes("t.json", b"[\n  {\"a\": 1},\n  {\"a\": 2}\n]\n".to_vec()).unwrap();
        let errors: Vec<_> = error.filter_map(Result::err).map(|e| e.to_string()).collect();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].contains("jq -c"), "{errors:?}");
    }

    #[test]
    fn deep_nesting_is_an_error_not_a_crash() {
        let line = format!("{{\"a\":{}", "[".repeat(100_000));
        assert!(read_bytes("t.jsonl", line.as_bytes()).is_err());
    }
}
