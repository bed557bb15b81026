//! What a caller gives a model to read, and what becomes of it: each distinct input is turned into symbols once, and
//! inputs of equal symbols are one sequence for the encoder.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use polytask_core::Cell;
use polytask_core::target::CellMistake;
use polytask_data::Symbols;
use polytask_data::images;
use polytask_data::views::RowReader;
use rayon::prelude::*;

use crate::{ModelTask, Result};

/// An input of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A text; a task that reads words cuts it at blanks.
    Text(String),
    /// The words of a text; for a task that reads texts they are joined by blanks.
    Words(Vec<String>),
    /// A file of an image; `FILE#17` for one of a file of many.
    Image(String),
    /// A row of a table as symbols, one per column.
    Row(Vec<u32>),
}

/// A row that inputs are read from.
pub trait InputRow {
    /// The text in the first of some fields that there are.
    fn text_of(&self, names: &[&str]) -> Result<String>;
    /// The words in the first of some fields that there are.
    fn words_of(&self, names: &[&str]) -> Result<Vec<String>>;
    /// The cell of a field, where it is there.
    fn cell_of(&self, name: &str) -> Option<Cell>;
    /// A file that a cell names.
    fn beside(&self, file: &str) -> String;
    /// Whether a field is there.
    fn has(&self, name: &str) -> bool;
    /// The mistake that none of some fields is there.
    fn none_of(&self, names: &[String]) -> crate::Error;
    /// A mistake in the cell of a field, with its place.
    fn mistake(&self, name: &str, mistake: CellMistake) -> crate::Error;
}

/// Reads the inputs of tasks from rows.
pub struct InputReading {
    table: Option<TableFields>,
    reads_images: bool,
}

/// The columns of a table and the fields they stand in.
struct TableFields {
    reader: RowReader,
    /// The field of each column.
    fields: Vec<String>,
    /// Cells with a category that the model does not know, by field.
    unknown: RefCell<BTreeMap<String, usize>>,
}

impl InputReading {
    /// For a model that reads such symbols; `renamed` are columns of a table that stand in another field.
    pub fn of(symbols: &Symbols, renamed: &[(String, String)]) -> Self {
        let field = |name: String| {
            let other = renamed.iter().rev().find(|(column, _)| *column == name);
            other.map_or(name, |(_, field)| field.clone())
        };
        let table = symbols.table().ok().map(RowReader::new).map(|reader| TableFields {
            fields: reader.names().into_iter().map(field).collect(),
            reader,
            unknown: RefCell::default(),
        });
        Self { table, reads_images: symbols.images().is_ok() }
    }

    /// Whether a row has what a task reads; `names` as for [`InputReading::read`].
    pub fn fits(&self, row: &dyn InputRow, names: &[Vec<&str>]) -> bool {
        match &self.table {
            Some(table) => table.fields.iter().any(|field| row.has(field)),
            None => names.iter().all(|names| names.iter().any(|name| row.has(name))),
        }
    }

    /// The fields of a table that the model reads; none of a model that reads something else.
    pub fn fields(&self) -> &[String] {
        self.table.as_ref().map_or(&[], |table| &table.fields)
    }

    /// How many cells of each field held a category that the model does not know.
    pub fn unknown(&self) -> BTreeMap<String, usize> {
        self.table.as_ref().map(|table| table.unknown.borrow().clone()).unwrap_or_default()
    }

    /// The inputs of a row for a task; `names` are the fields that each input may stand in, best first.
    ///
    /// # Errors
    /// When a field is not there or holds something else.
    pub fn read(&self, task: &ModelTask, row: &dyn InputRow, names: &[Vec<&str>]) -> Result<Vec<Input>> {
        if let Some(table) = &self.table {
            return Ok(vec![Input::Row(table.symbols(row)?)]);
        }
        let input = |names: &Vec<&str>| {
            Ok(match (self.reads_images, task.reads_words()) {
                (true, _) => Input::Image(row.beside(&row.text_of(names)?)),
                (false, true) => Input::Words(row.words_of(names)?),
                (false, false) => Input::Text(row.text_of(names)?),
            })
        };
        names.iter().map(input).collect()
    }
}

impl TableFields {
    /// The symbols of a row; a field that is not there is unknown, but not all of them.
    fn symbols(&self, row: &dyn InputRow) -> Result<Vec<u32>> {
        if !self.fields.iter().any(|field| row.has(field)) {
            return Err(row.none_of(&self.fields));
        }
        self.fields.iter().enumerate().map(|(c, field)| self.symbol(c, field, row)).collect()
    }

    fn symbol(&self, c: usize, field: &str, row: &dyn InputRow) -> Result<u32> {
        let cell = row.cell_of(field);
        let symbol = self.reader.symbol(c, cell.as_ref()).map_err(|mistake| {
            row.mistake(
                field,
                CellMistake { remedy: "a number, or null where it is unknown".into(), ..mistake },
            )
        })?;
        if self.reader.is_unknown(c, symbol) {
            *self.unknown.borrow_mut().entry(field.to_owned()).or_default() += 1;
        }
        Ok(symbol)
    }
}

impl Input {
    /// Whether nothing but blanks stands in it.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) | Self::Image(text) => text.trim().is_empty(),
            Self::Words(words) => words.iter().all(|word| word.trim().is_empty()),
            Self::Row(_) => false,
        }
    }
}

impl From<&str> for Input {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// An input in the form a task reads it in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Content<'a> {
    Text(Cow<'a, str>),
    Words(Vec<&'a str>),
    Image(&'a str),
    Row(&'a [u32]),
}

impl<'a> Content<'a> {
    /// The input as words or as one text.
    pub(crate) fn of(input: &'a Input, reads_words: bool) -> Self {
        match input {
            Input::Text(text) if reads_words => Self::Words(text.split_whitespace().collect()),
            Input::Text(text) => Self::Text(text.into()),
            Input::Words(words) if reads_words => Self::Words(words.iter().map(String::as_str).collect()),
            Input::Words(words) => Self::Text(words.join(" ").into()),
            Input::Image(file) => Self::Image(file),
            Input::Row(symbols) => Self::Row(symbols),
        }
    }
}

/// Items without repetition, numbered in the order they were met.
pub(crate) struct Distinct<T> {
    numbers: HashMap<T, usize>,
}

impl<T: Eq + Hash> Distinct<T> {
    pub(crate) fn new() -> Self {
        Self { numbers: HashMap::new() }
    }

    /// The number of an item.
    pub(crate) fn number(&mut self, item: T) -> usize {
        let next = self.numbers.len();
        *self.numbers.entry(item).or_insert(next)
    }

    /// The items by number.
    pub(crate) fn into_items(self) -> Vec<T> {
        let mut items: Vec<(T, usize)> = self.numbers.into_iter().collect();
        items.sort_unstable_by_key(|(_, number)| *number);
        items.into_iter().map(|(item, _)| item).collect()
    }
}

/// A content as symbols.
#[derive(Default)]
pub(crate) struct Encoded {
    /// The symbols.
    pub(crate) symbols: Vec<u32>,
    /// Of words: where each begins, [`polytask_data::NO_TOKEN`] where it was cut off.
    pub(crate) starts: Vec<u32>,
}

/// Everything that is read, without repetition.
pub(crate) struct Read<'a> {
    pub(crate) contents: Vec<Content<'a>>,
    pub(crate) encoded: Vec<Encoded>,
    /// The sequence of each content.
    pub(crate) sequence_of: Vec<usize>,
    pub(crate) sequences: Vec<Vec<u32>>,
}

impl<'a> Read<'a> {
    pub(crate) fn new(symbols: &Symbols, contents: Vec<Content<'a>>, prompt: &str) -> Result<Self> {
        let mut encoded = encode(symbols, &contents, prompt)?;
        let mut sequences = Distinct::new();
        let sequence_of =
            encoded.iter_mut().map(|of| sequences.number(std::mem::take(&mut of.symbols))).collect();
        Ok(Self { contents, encoded, sequence_of, sequences: sequences.into_items() })
    }
}

/// The symbols of some contents; `prompt` stands before every text, and before no words.
///
/// # Errors
/// When the model reads no such contents, or an image cannot be read.
fn encode(symbols: &Symbols, contents: &[Content<'_>], prompt: &str) -> Result<Vec<Encoded>> {
    let (mut texts, mut images) = (Vec::new(), Vec::new());
    for content in contents {
        match content {
            Content::Text(text) => texts.push(&**text),
            Content::Image(file) => images.push(*file),
            Content::Row(_) => drop(symbols.table()?),
            Content::Words(_) => {}
        }
    }
    let texts =
        if texts.is_empty() { Vec::new() } else { symbols.text()?.encode_batch_after(prompt, &texts)? };
    let images = if images.is_empty() { Vec::new() } else { images::read_all(&symbols.images()?, &images)? };
    let (mut texts, mut images) = (texts.into_iter(), images.into_iter());
    let mut words = encode_words(symbols, contents)?.into_iter();
    let next = |content: &Content<'_>| match content {
        Content::Text(_) => texts.next().map(|symbols| Encoded { symbols, starts: Vec::new() }),
        Content::Image(_) => images.next().map(|symbols| Encoded { symbols, starts: Vec::new() }),
        Content::Row(symbols) => Some(Encoded { symbols: symbols.to_vec(), starts: Vec::new() }),
        Content::Words(_) => words.next(),
    };
    Ok(contents.iter().map(next).map(Option::unwrap_or_default).collect())
}

fn encode_words(symbols: &Symbols, contents: &[Content<'_>]) -> Result<Vec<Encoded>> {
    let lists: Vec<&Vec<&str>> = contents
        .iter()
        .filter_map(|content| if let Content::Words(words) = content { Some(words) } else { None })
        .collect();
    if lists.is_empty() {
        return Ok(Vec::new());
    }
    let tokenizer = symbols.text()?;
    let encode = |words: &&Vec<&str>| {
        let (symbols, starts) = tokenizer.encode_words(words)?;
        Ok(Encoded { symbols, starts })
    };
    lists.par_iter().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use polytask_data::Tokenizer;

    use super::*;

    #[test]
    fn items_are_numbered_as_they_are_met() {
        let mut items = Distinct::new();
        assert_eq!(["b", "a", "b", "c"].map(|item| items.number(item)), [0, 1, 0, 2]);
        assert_eq!(items.into_items(), ["b", "a", "c"]);
    }

    #[test]
    fn contents_of_all_sorts_keep_their_places() {
        let words = Input::Words(vec!["New York".into(), String::new(), "b".into()]);
        let text = Input::from("ab c");
        let contents = [
            Content::of(&words, true),
            Content::of(&text, false),
            Content::of(&text, true),
            Content::of(&words, false),
        ];
        assert_eq!(contents[3], Content::Text("New York  b".into()));
        let tiny = Tokenizer::tiny();
        let encoded = encode(&tiny.clone().into(), &contents, "").unwrap();
        assert_eq!((encoded[0].starts.len(), encoded[2].starts.len()), (3, 2));
        assert_eq!(encoded[1].symbols, tiny.encode("ab c").unwrap());
        let prompted = encode(&tiny.clone().into(), &contents, "q: ").unwrap();
        assert_eq!(prompted[1].symbols, tiny.encode("q: ab c").unwrap());
        assert_eq!(prompted[2].symbols, encoded[2].symbols, "words have no prompt");
    }
}
