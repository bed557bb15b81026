//! Columns of texts as columns of numbers: the vector that an encoder gives of each text.
//!
//! The column `review` becomes `review.1`, `review.2` and so on beside it; whoever reads numbers reads these. A row without
//! the text has none of them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use polytask_core::{Cell, Result};

use super::{Columns, Reader, Record};

/// Rows whose texts are encoded together.
const PIECE: usize = 512;

/// Gives vectors of texts.
pub trait TextVectors: Send + Sync {
    /// Numbers of a vector.
    fn width(&self) -> usize;

    /// The vectors of some texts, in their order.
    ///
    /// # Errors
    /// When a text cannot be encoded.
    fn vectors(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>>;
}

/// Name of a number of a text column, counted from 0.
fn name_of(column: &str, number: usize) -> String {
    format!("{column}.{}", number + 1)
}

/// The text column that a column is a number of, and which number, counted from 0.
pub fn text_column<'a>(name: &str, texts: &'a [String]) -> Option<(&'a str, usize)> {
    let (stem, number) = name.rsplit_once('.')?;
    let column = texts.iter().find(|column| *column == stem)?;
    let number = number.parse::<usize>().ok()?.checked_sub(1)?;
    (name_of(column, number) == name).then_some((column, number))
}

/// The text of a cell; none where it says nothing.
pub fn text_of(cell: Option<&Cell>) -> Option<String> {
    cell.filter(|cell| !cell.is_missing()).and_then(Cell::to_text)
}

impl Reader {
    /// The same rows with the vectors of some text columns beside these.
    #[must_use]
    pub fn with_vectors(mut self, texts: &[String], vectors: Arc<dyn TextVectors>) -> Self {
        let said = self.said.take();
        let header = self.header.as_ref().map(|header| extended(header, texts, vectors.width()));
        let rows = Extended {
            rest: self,
            texts: texts.to_vec(),
            vectors,
            columns: (Columns::default(), Columns::default()),
            ready: VecDeque::new(),
        };
        Self::new(header, Box::new(rows)).saying(said)
    }
}

fn extended(columns: &Columns, texts: &[String], width: usize) -> Columns {
    let numbers = texts.iter().flat_map(|column| (0..width).map(move |k| name_of(column, k)));
    columns.iter().cloned().chain(numbers).collect()
}

struct Extended {
    rest: Reader,
    texts: Vec<String>,
    vectors: Arc<dyn TextVectors>,
    /// Columns of the row before, without and with numbers: rows of the same columns share them.
    columns: (Columns, Columns),
    ready: VecDeque<Result<Record>>,
}

impl Iterator for Extended {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ready.is_empty() {
            let rows: Vec<Result<Record>> = self.rest.by_ref().take(PIECE).collect();
            match self.encoded(&rows) {
                Ok(of_text) => {
                    let rows = rows.into_iter().map(|row| row.map(|row| self.extend(row, &of_text)));
                    self.ready = rows.collect::<Vec<_>>().into();
                }
                // Without its vectors no row can be read.
                Err(error) => {
                    self.rest = Reader::new(None, Box::new(std::iter::empty()));
                    return Some(Err(error));
                }
            }
        }
        self.ready.pop_front()
    }
}

impl Extended {
    /// The vector of every text in some rows.
    fn encoded(&self, rows: &[Result<Record>]) -> Result<BTreeMap<String, Vec<f32>>> {
        let of_row = |row: &Record| {
            self.texts.iter().filter_map(|column| text_of(row.get(column))).collect::<Vec<String>>()
        };
        let mut texts: Vec<String> = rows.iter().flatten().flat_map(of_row).collect();
        texts.sort_unstable();
        texts.dedup();
        let shown: Vec<&str> = texts.iter().map(String::as_str).collect();
        let vectors = if shown.is_empty() { Vec::new() } else { self.vectors.vectors(&shown)? };
        Ok(texts.into_iter().zip(vectors).collect())
    }

    fn extend(&mut self, row: Record, of_text: &BTreeMap<String, Vec<f32>>) -> Record {
        if row.columns() != &self.columns.0[..] {
            let own: Columns = row.columns().iter().cloned().collect();
            let with = extended(&own, &self.texts, self.vectors.width());
            self.columns = (own, with);
        }
        let numbers = |column: &String| match text_of(row.get(column)).and_then(|text| of_text.get(&text)) {
            Some(vector) => vector.iter().map(|x| Cell::Number(f64::from(*x))).collect(),
            None => vec![Cell::Null; self.vectors.width()],
        };
        let cells: Vec<Cell> = self.texts.iter().flat_map(numbers).collect();
        row.extended(self.columns.1.clone(), cells)
    }
}

#[cfg(test)]
mod tests {
    use super::super::open_bytes;
    use super::*;

    /// The length of a text and its first byte.
    struct Lengths;

    impl TextVectors for Lengths {
        fn width(&self) -> usize {
            2
        }

        fn vectors(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
            Ok(texts.iter().map(|text| vec![text.len() as f32, f32::from(text.as_bytes()[0])]).collect())
        }
    }

    fn rows(file: &str, content: &str) -> (bool, Vec<Record>) {
        let reader = open_bytes(file, content.as_bytes().to_vec()).unwrap();
        let reader = reader.with_vectors(&["say".to_owned()], Arc::new(Lengths));
        (reader.has_header(), reader.map(Result::unwrap).collect())
    }

    #[test]
    fn a_text_stands_beside_its_vector_and_a_missing_one_beside_nothing() {
        for (file, content) in [
            ("a.csv", "age,say\n3,abc\n4,\n5,b\n"),
            ("a.jsonl", "{\"age\":3,\"say\":\"abc\"}\n{\"age\":4}\n{\"age\":5,\"say\":\"b\"}\n"),
        ] {
            let (has_header, rows) = rows(file, content);
            assert_eq!(has_header, file == "a.csv");
            let numbers = |row: &Record| ["say.1", "say.2"].map(|name| row.get(name).cloned().unwrap());
            assert_eq!(numbers(&rows[0]), [Cell::Number(3.0), Cell::Number(97.0)], "{file}");
            assert_eq!(numbers(&rows[1]), [Cell::Null, Cell::Null]);
            assert_eq!(numbers(&rows[2]), [Cell::Number(1.0), Cell::Number(98.0)]);
            assert_eq!(rows[2].get("age").and_then(Cell::to_text).as_deref(), Some("5"));
        }
    }

    #[test]
    fn names_of_numbers_lead_back_to_their_text() {
        let texts = ["say".to_owned(), "a.b".to_owned()];
        assert_eq!(text_column("say.2", &texts), Some(("say", 1)));
        assert_eq!(text_column("a.b.1", &texts), Some(("a.b", 0)));
        for other in ["say", "say.0", "say.01", "say.x", "age.1"] {
            assert_eq!(text_column(other, &texts), None, "{other}");
        }
    }
}
