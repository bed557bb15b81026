//! `CoNLL`: a word on each line with its tag behind, an empty line between sentences. A row is a sentence.
//!
//! The first field is the word (column `tokens`), the last one its tag (`tags`); fields between are `column2`,
//! `column3`, … Fields are separated by tabs where the first line has one, else by blanks.

use polytask_core::{Error, Place, Problem, Result, plural};

use super::csv::empty;
use super::input::Lines;
use super::{Cell, Columns, RawInput, Reader, Record};

/// Words after which a file without empty lines is given up.
const MOST_WORDS: usize = 100_000;
/// Begins a document in files of the shared tasks.
const DOCUMENT: &str = "-DOCSTART-";

/// Starts reading the file.
pub(super) fn open(input: RawInput) -> Result<Reader> {
    let file = input.file.clone();
    let mut sentences = Sentences {
        lines: Lines::new(input.stream()?),
        columns: Columns::default(),
        fields: None,
        is_over: false,
    };
    let first = sentences.next().ok_or_else(|| empty(&file))?;
    let header = sentences.columns.clone();
    let rest = std::iter::once(first).chain(sentences);
    Ok(Reader::new(Some(header), Box::new(rest)))
}

/// How a line is cut.
#[derive(Debug, Clone, Copy)]
struct Fields {
    by_tabs: bool,
    /// Fields of each line.
    n: usize,
}

struct Sentences {
    lines: Lines,
    columns: Columns,
    /// Told by the first line.
    fields: Option<Fields>,
    is_over: bool,
}

impl Iterator for Sentences {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut sentence = Sentence::default();
        let mut wrong = None;
        while !self.is_over {
            let (line, text) = match self.lines.next() {
                Some(Ok(found)) => found,
                Some(Err(error)) => {
                    wrong.get_or_insert(error);
                    continue;
                }
                None => {
                    self.is_over = true;
                    break;
                }
            };
            if text.trim().is_empty() {
                if wrong.is_some() || !sentence.columns.is_empty() {
                    break;
                }
                continue;
            }
            let is_first = wrong.is_none() && sentence.columns.is_empty();
            if text.starts_with(DOCUMENT) || is_comment(text, self.fields, is_first) {
                continue;
            }
            let fields = *self.fields.get_or_insert_with(|| Fields::of(text));
            let cells = fields.cut(text);
            if let Err(what) = sentence.push(line, &cells, fields.n) {
                wrong.get_or_insert_with(|| at(&self.lines, line, what));
            }
        }
        if self.columns.is_empty() {
            self.columns = names(self.fields.map_or(0, |fields| fields.n));
        }
        if wrong.is_none() && sentence.counts_words() {
            wrong = Some(at(
                &self.lines,
                sentence.line,
                "first field counts the words, expected the words".into(),
            ));
        }
        if let Some(error) = wrong {
            return Some(Err(error));
        }
        (!sentence.columns.is_empty()).then(|| Ok(sentence.record(self.columns.clone())))
    }
}

impl Fields {
    fn of(line: &str) -> Self {
        let by_tabs = line.contains('\t');
        Self { by_tabs, n: Self { by_tabs, n: 0 }.cut(line).len() }
    }

    fn cut(self, line: &str) -> Vec<&str> {
        // A word may hold blanks that do not break.
        let is_blank = |c: char| c.is_ascii_whitespace();
        if self.by_tabs {
            line.split('\t').collect()
        } else {
            line.split(is_blank).filter(|field| !field.is_empty()).collect()
        }
    }
}

/// A line that begins with `#` and has not the fields of a word (before any word: of a word and its tag), or stands before
/// a sentence and says something of it: `# text = …`, `# newdoc`.
fn is_comment(line: &str, fields: Option<Fields>, is_first: bool) -> bool {
    let fields = fields.unwrap_or(Fields { by_tabs: line.contains('\t'), n: 2 });
    let about = line.trim_start_matches('#').trim_start();
    let is_about = line.starts_with("# ")
        && (about.contains(" = ") || about.starts_with("newdoc") || about.starts_with("newpar"));
    line.starts_with('#') && (fields.cut(line).len() != fields.n || is_first && is_about)
}

/// The lines of a sentence so far.
#[derive(Default)]
struct Sentence {
    line: usize,
    /// Each field of all words.
    columns: Vec<Vec<Cell>>,
}

impl Sentence {
    fn push(&mut self, line: usize, cells: &[&str], n: usize) -> Result<(), String> {
        if cells.len() != n {
            return Err(format!(
                "line has {}, expected {n} as on the first line",
                plural(cells.len(), "field")
            ));
        }
        if self.columns.is_empty() {
            self.line = line;
            self.columns = vec![Vec::new(); n];
        }
        if self.columns[0].len() == MOST_WORDS {
            return Err(format!("sentence has more than {MOST_WORDS} words"));
        }
        let pairs = self.columns.iter_mut().zip(cells);
        pairs.for_each(|(column, cell)| column.push(Cell::Text((*cell).to_owned())));
        Ok(())
    }

    /// Whether the first field is the place of each word in its sentence.
    fn counts_words(&self) -> bool {
        let Some(first) = self.columns.first().filter(|_| self.columns.len() > 2) else { return false };
        first.len() > 1 && (1..).zip(first).all(|(i, cell)| *cell == Cell::Text(i.to_string()))
    }

    fn record(self, names: Columns) -> Record {
        Record::new(self.line, names, self.columns.into_iter().map(Cell::List).collect())
    }
}

/// The columns of lines of `n` fields.
fn names(n: usize) -> Columns {
    let name = |i: usize| match i {
        0 => "tokens".to_owned(),
        _ if i + 1 == n => "tags".to_owned(),
        _ => format!("column{}", i + 1),
    };
    (0..n).map(name).collect()
}

fn at(lines: &Lines, line: usize, what: String) -> Error {
    let remedy = "a word first and its tag last on each line, an empty line between sentences";
    Problem::at(Place::line(lines.file(), line), what).try_this(remedy).into()
}

#[cfg(test)]
mod tests {
    use super::super::{Cell, Record, open_bytes, read_bytes};

    fn list(row: &Record, column: &str) -> Vec<String> {
        let Some(Cell::List(items)) = row.get(column) else { panic!("{column} is no list") };
        items.iter().filter_map(Cell::to_text).collect()
    }

    #[test]
    fn sentences_are_rows_whatever_separates_the_fields() {
        let expected = (vec!["EU", "rejects"], vec!["B-ORG", "O"]);
        for text in [
            "EU\tB-ORG\nrejects\tO\n\nPeter\tB-PER\n",
            "-DOCSTART- -X- O\n\nEU NNP B-ORG\nrejects VBZ O\n\n\nPeter NNP B-PER",
            "# newdoc\n# sent_id = 1\n# a = b\n-DOCSTART-\nEU B-ORG\r\nrejects O\r\n\r\n# sent_id = 2\nPeter B-PER\n\n",
        ] {
            let rows = read_bytes("t.conll", text.as_bytes()).unwrap();
            assert_eq!(rows.len(), 2, "{text}");
            assert_eq!(
                (list(&rows[0], "tokens"), list(&rows[0], "tags")),
                (
                    expected.0.iter().map(ToString::to_string).collect(),
                    expected.1.iter().map(ToString::to_string).collect()
                )
            );
            assert_eq!(list(&rows[1], "tags"), ["B-PER"]);
        }
        let rows = read_bytes("t.bio", b"EU NNP B-ORG\n").unwrap();
        assert_eq!(rows[0].columns(), ["tokens", "column2", "tags"]);
    }

    #[test]
    fn a_word_may_be_a_hash_or_hold_blanks_between_tabs() {
        let rows = read_bytes("t.conll", b"New York\tB-LOC\n#\tO\n").unwrap();
        assert_eq!(list(&rows[0], "tokens"), ["New York", "#"]);
    }

    #[test]
    fn lines_about_a_sentence_are_no_words_however_many_fields_there_are() {
        let text = b"# sent_id = 1\nEU NNP B-NP B-ORG\n\n# sent_id = 2\n# newpar x y\nPeter NNP B-NP B-PER\n# NNP O O\n";
        let rows = read_bytes("t.conll", text).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(
            (list(&rows[0], "tokens"), list(&rows[1], "tokens")),
            (vec!["EU".into()], vec!["Peter".into(), "#".into()])
        );
    }

    #[test]
    fn a_column_that_counts_the_words_is_refused() {
        let error = read_bytes("t.conll", b"1 The DET\n2 cat NOUN\n\n").unwrap_err().to_string();
        assert!(error.starts_with("t.conll:1: first field counts the words"), "{error}");
    }

    #[test]
    fn words_may_hold_blanks_that_do_not_break() {
        let rows = read_bytes("t.conll", "38\u{a0}000 B-NUM\neuros O\n".as_bytes()).unwrap();
        assert_eq!(list(&rows[0], "tokens")[0], "38\u{a0}000");
    }

    #[test]
    fn words_alone_are_rows_to_be_tagged() {
        let rows = read_bytes("t.conll", b"EU\nrejects\n\nPeter\n").unwrap();
        assert_eq!((rows.len(), rows[0].columns()), (2, &["tokens".to_owned()][..]));
    }

    #[test]
    fn mistakes_name_their_line_and_the_next_sentence_is_read() {
        let bytes = b"a O\nb\nc O\n\nd O\n\n\xff O\n\ne O\n".to_vec();
        let rows: Vec<_> = open_bytes("t.conll", bytes).unwrap().collect();
        let error = rows[0].as_ref().unwrap_err().to_string();
        assert!(error.starts_with("t.conll:2: line has 1 field, expected 2"), "{error}");
        assert_eq!(list(rows[1].as_ref().unwrap(), "tokens"), ["d"]);
        assert!(rows[2].as_ref().unwrap_err().to_string().starts_with("t.conll:7: text is not UTF-8"));
        assert_eq!((rows.len(), rows[3].as_ref().unwrap().line), (4, 9));
        assert!(read_bytes("t.conll", b"").unwrap_err().to_string().contains("t.conll"));
    }

    #[test]
    fn a_file_without_empty_lines_is_refused_before_it_fills_the_memory() {
        let error = read_bytes("t.conll", "a O\n".repeat(100_001).as_bytes()).unwrap_err().to_string();
        assert!(error.contains("more than 100000 words") && error.contains("empty line"), "{error}");
    }
}
