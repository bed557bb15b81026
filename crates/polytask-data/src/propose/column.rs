//! What the first rows of a file show of each column.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use polytask_core::Result;
use polytask_core::target::{has_decimal_comma, real};

use crate::build::marks;
use crate::readers::{self, Cell, Record};

/// Rows that are looked at.
pub(super) const ROWS: usize = 10_000;
/// Bytes of text that are looked at, whatever the number of rows.
const BYTES: usize = 64 << 20;
/// Characters of a value that tell it from others.
const TELLING: usize = 200;
/// Characters that separate labels in a cell, with and without a blank behind.
pub(super) const SEPARATORS: [&str; N_SEPARATORS] = ["|", ";", ", ", ",", "/", "+", "&"];
const N_SEPARATORS: usize = 7;

/// The first rows of a file.
#[derive(Debug, Default)]
pub(super) struct Sample {
    pub(super) rows: usize,
    /// Whether these are all rows.
    pub(super) is_whole: bool,
    /// Whether the file declares its columns.
    pub(super) has_header: bool,
    /// Rows that cannot be read, and what the first one's mistake is.
    pub(super) misread: usize,
    pub(super) mistake: Option<String>,
    /// Rows with an empty line before them.
    pub(super) gaps: usize,
    pub(super) columns: Vec<Column>,
}

/// A column in these rows.
#[derive(Debug, Default)]
pub(super) struct Column {
    pub(super) name: String,
    /// Rows with a value, and rows without.
    pub(super) known: usize,
    pub(super) missing: usize,
    /// Rows without even an empty text.
    pub(super) nulls: usize,
    /// How often each value stands there, by its first characters.
    pub(super) values: HashMap<String, usize>,
    pub(super) numbers: usize,
    pub(super) wholes: usize,
    /// Numbers whose decimal point is a comma.
    pub(super) commas: usize,
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) chars: usize,
    pub(super) words: usize,
    pub(super) most_words: usize,
    /// Cells that are lists of texts, of numbers; cells that are objects or hold them.
    pub(super) text_lists: usize,
    pub(super) number_lists: usize,
    pub(super) objects: usize,
    /// How often each item of the lists stands there.
    pub(super) items: BTreeMap<String, usize>,
    /// Parts of cells cut at each of [`SEPARATORS`], and the cells that have it.
    pub(super) parts: [BTreeMap<String, usize>; N_SEPARATORS],
    pub(super) separated: [usize; N_SEPARATORS],
    /// Words, or items of a list, by row; `None` where the row has no value.
    pub(super) lengths: Vec<Option<u32>>,
}

/// Reads the first rows of a file.
pub(super) fn sample(file: &Path) -> Result<Sample> {
    let mut reader = readers::open(file)?;
    let names = reader.columns();
    let mut sample = Sample { has_header: reader.has_header(), is_whole: true, ..Sample::default() };
    sample.columns = names.into_iter().map(|name| Column { name, ..Column::default() }).collect();
    let mut bytes = 0;
    for record in reader {
        if sample.rows + sample.misread == ROWS || bytes > BYTES {
            sample.is_whole = false;
            break;
        }
        match record {
            Ok(record) => bytes += sample.add(&record),
            Err(error) => {
                sample.misread += 1;
                sample.mistake.get_or_insert_with(|| error.to_string());
            }
        }
    }
    Ok(sample)
}

impl Sample {
    /// Notes a row; gives its length in bytes.
    fn add(&mut self, record: &Record) -> usize {
        self.rows += 1;
        self.gaps += usize::from(record.skipped > 0);
        self.columns.iter_mut().map(|column| column.add(record.get(&column.name))).sum()
    }

    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

impl Column {
    fn add(&mut self, cell: Option<&Cell>) -> usize {
        self.nulls += usize::from(cell.is_none_or(|cell| matches!(cell, Cell::Null)));
        let Some(cell) = cell.filter(|cell| !cell.is_missing()) else {
            self.missing += 1;
            self.lengths.push(None);
            return 0;
        };
        self.known += 1;
        if let Some(items) = cell.to_items() {
            return self.add_list(&items);
        }
        let text = cell.to_text().unwrap_or_default();
        let text = text.trim();
        let n_words = text.split_whitespace().count();
        self.lengths.push(u32::try_from(n_words).ok());
        self.words += n_words;
        self.most_words = self.most_words.max(n_words);
        self.chars += text.chars().count();
        self.objects += usize::from(text.starts_with('{') && text.ends_with('}'));
        if !matches!(cell, Cell::Bool(_))
            && let Some(number) = real(text).filter(|number| number.is_finite())
        {
            self.add_number(number);
        } else if has_decimal_comma(text) {
            self.commas += 1;
        }
        *self.values.entry(start(text)).or_default() += 1;
        self.cut(text);
        text.len()
    }

    fn add_number(&mut self, number: f64) {
        let (low, high) = if self.numbers == 0 { (number, number) } else { (self.low, self.high) };
        (self.low, self.high) = (low.min(number), high.max(number));
        self.numbers += 1;
        self.wholes += usize::from(number.fract() == 0.0);
    }

    fn add_list(&mut self, items: &[Cell]) -> usize {
        self.lengths.push(u32::try_from(items.len()).ok());
        let is_text = |item: &Cell| matches!(item, Cell::Text(text) if !text.starts_with('{'));
        let is_number = |item: &Cell| matches!(item, Cell::Number(_) | Cell::Bool(_) | Cell::Null);
        if items.iter().all(is_text) {
            self.text_lists += 1;
        } else if items.iter().all(is_number) {
            self.number_lists += 1;
        } else {
            self.objects += 1;
        }
        let mut bytes = 0;
        for text in items.iter().filter_map(Cell::to_text) {
            let n_words = text.split_whitespace().count();
            self.words += n_words;
            self.most_words = self.most_words.max(n_words);
            bytes += text.len();
            *self.items.entry(start(text.trim())).or_default() += 1;
        }
        bytes
    }

    /// Notes the parts of a short text between separators, and its words.
    fn cut(&mut self, text: &str) {
        if text.len() > TELLING {
            return;
        }
        for (at, separator) in SEPARATORS.iter().enumerate() {
            self.separated[at] += usize::from(text.contains(separator));
            for part in text.split(separator).map(str::trim).filter(|part| !part.is_empty()) {
                *self.parts[at].entry(part.to_owned()).or_default() += 1;
            }
        }
    }

    /// Values that are no numbers but look like marks for unknown ones.
    pub(super) fn marks(&self) -> Vec<String> {
        let others: Vec<String> = self.values.keys().filter(|value| real(value).is_none()).cloned().collect();
        let mut found: Vec<String> = marks(&others, true).into_iter().cloned().collect();
        found.sort_unstable();
        found
    }

    /// Rows with such values.
    pub(super) fn marked(&self) -> usize {
        self.marks().iter().filter_map(|mark| self.values.get(mark)).sum()
    }

    /// Number of different values.
    pub(super) fn distinct(&self) -> usize {
        self.values.len()
    }

    pub(super) fn lists(&self) -> usize {
        self.text_lists + self.number_lists
    }

    pub(super) fn mean_words(&self) -> f64 {
        self.words as f64 / self.known.max(1) as f64
    }

    pub(super) fn mean_length(&self) -> f64 {
        let lengths = self.lengths.iter().flatten();
        lengths.map(|&n| f64::from(n)).sum::<f64>() / self.known.max(1) as f64
    }

    /// Rows in which both columns have a value, and those of them in which they are equally long.
    pub(super) fn agrees(&self, other: &Self) -> (usize, usize) {
        let both =
            self.lengths.iter().zip(&other.lengths).filter_map(|(a, b)| Some((a.as_ref()?, b.as_ref()?)));
        let both: Vec<bool> = both.map(|(a, b)| a == b).collect();
        (both.len(), both.iter().filter(|equal| **equal).count())
    }
}

fn start(text: &str) -> String {
    text.chars().take(TELLING).collect()
}
