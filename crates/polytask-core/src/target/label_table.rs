//! The label set of a task: declared, or what train shows.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{CellMistake, MistakeSort};
use crate::cell::{Cell, shorten, without_zeros};

/// What stands between labels where a suite names nothing else.
const SEPARATOR: &str = "|";

/// Labels and their indices; open while train is read, closed afterwards.
#[derive(Debug, Clone, Default)]
pub struct LabelTable {
    names: Vec<String>,
    index: HashMap<String, u32>,
    is_open: bool,
    is_declared: bool,
    /// What stands between the labels of a cell, where the suite names it.
    separator: Option<String>,
    /// Cells that mean unknown.
    missing: Vec<String>,
    /// Whether numbers may be places of declared labels.
    are_counted: bool,
    /// Cells that named a declared label by its place.
    n_places: usize,
    /// Cells that held labels with the separator between them, and the different cells of text.
    n_separated: usize,
    values: BTreeSet<String>,
    /// Cells of a word that means unknown, such as `nan`, and the first of them.
    unknown: Option<(String, usize)>,
}

impl LabelTable {
    /// An open table: its labels are those that are asked for until it is closed.
    pub fn open() -> Self {
        Self { is_open: true, ..Self::default() }
    }

    /// A table of these labels alone, in their order.
    pub fn declared(labels: &[String]) -> Self {
        let mut table = Self::open();
        for label in labels {
            table.index_of(label);
        }
        Self { is_open: false, is_declared: true, ..table }
    }

    /// Cells that mean unknown, beside empty ones.
    #[must_use]
    pub fn missing(self, missing: Vec<String>) -> Self {
        Self { missing, ..self }
    }

    /// What stands between the labels of a cell.
    #[must_use]
    pub fn separated(self, separator: Option<String>) -> Self {
        Self { separator, ..self }
    }

    /// Whether whole numbers count declared labels from 0.
    #[must_use]
    pub fn counted(self, are_counted: bool) -> Self {
        Self { are_counted, ..self }
    }

    /// Whether a cell says nothing of the target. A declared label does, whatever it is called.
    pub fn is_missing(&mut self, cell: &Cell) -> bool {
        let text = match cell {
            Cell::Null => return true,
            Cell::List(_) => return false,
            // Numbers by the million: none of them has to be written out where no text is looked for.
            Cell::Number(real) if self.missing.is_empty() && !self.is_declared => return real.is_nan(),
            cell => cell.to_text().unwrap_or_default(),
        };
        let text = text.trim();
        if self.is_declared && self.index.contains_key(without_zeros(text)) {
            return false;
        }
        if cell.is_missing() && !text.is_empty() && matches!(cell, Cell::Text(_)) {
            self.unknown.get_or_insert_with(|| (text.to_owned(), 0)).1 += 1;
        }
        cell.is_missing() || self.missing.iter().any(|marker| without_zeros(marker) == without_zeros(text))
    }

    /// The index of a label; `None` for one outside a closed set. A whole number is the same label in every way of
    /// writing it, and counts declared labels from 0 where none of them is a number.
    pub fn index_of(&mut self, label: &str) -> Option<u32> {
        if let Some(&index) = self.index.get(without_zeros(label)) {
            return Some(index);
        }
        if !self.is_open {
            let place = self.place(without_zeros(label));
            self.n_places += usize::from(place.is_some());
            return place;
        }
        let index = self.names.len() as u32;
        self.names.push(label.to_owned());
        self.index.insert(without_zeros(label).to_owned(), index);
        Some(index)
    }

    /// The index of a label of a cell.
    ///
    /// # Errors
    /// When it is outside a closed set.
    pub fn known(&mut self, text: &str) -> Result<u32, CellMistake> {
        let text = text.trim();
        self.index_of(text).ok_or_else(|| {
            let what = format!("label `{}` is unknown, expected {}", shorten(text), self.describe());
            CellMistake::new(what, "correct the cell, or list every label in `labels` of the task")
                .of(MistakeSort::Unknown)
        })
    }

    /// The place that a number names among declared labels.
    fn place(&self, label: &str) -> Option<u32> {
        let place: u32 = label.parse().ok().filter(|_| self.are_counted)?;
        let is_number = |name: &String| name.parse::<f64>().is_ok();
        ((place as usize) < self.names.len() && !self.names.iter().any(is_number)).then_some(place)
    }

    /// Closes an open table and sorts it (numbers by value); gives the new index of each old one.
    pub fn close(&mut self) -> Vec<u32> {
        let mut order: Vec<usize> = (0..self.names.len()).collect();
        if self.is_open {
            let numbers: Option<Vec<i64>> = self.names.iter().map(|name| name.parse().ok()).collect();
            match numbers {
                Some(numbers) => order.sort_by_key(|&i| (numbers[i], self.names[i].clone())),
                None => order.sort_by(|&a, &b| self.names[a].cmp(&self.names[b])),
            }
        }
        self.is_open = false;
        let mut new_of = vec![0; order.len()];
        for (new, &old) in order.iter().enumerate() {
            new_of[old] = new as u32;
        }
        self.names = order.iter().map(|&old| self.names[old].clone()).collect();
        self.index = self
            .names
            .iter()
            .enumerate()
            .map(|(i, name)| (without_zeros(name).to_owned(), i as u32))
            .collect();
        new_of
    }

    /// The labels of a cell.
    pub fn split(&mut self, cell: &str) -> Vec<String> {
        let separator = self.separator.as_deref().unwrap_or(SEPARATOR);
        self.n_separated += usize::from(cell.contains(separator));
        if self.is_open && self.values.len() < MOST_JOINED {
            self.values.insert(cell.trim().to_owned());
        }
        cell.split(separator).map(str::to_owned).collect()
    }

    /// Whether labels are declared, and how many.
    pub fn n_declared(&self) -> Option<usize> {
        self.is_declared.then_some(self.names.len())
    }

    /// Whether a declared label is written so.
    pub fn declares(&self, label: &str) -> bool {
        self.is_declared && self.index.contains_key(without_zeros(label))
    }

    /// The sign that seems to stand between several labels of a cell, where the suite names none and no cell has the usual
    /// one: its parts are fewer than the cells' values, and each stands in several of them.
    pub fn joined(&self) -> Option<JoinedLabels> {
        let is_open = !self.is_declared && self.separator.is_none() && self.n_separated == 0;
        if !is_open || self.values.len() < FEWEST_JOINED {
            return None;
        }
        SIGNS.iter().find_map(|sign| JoinedLabels::by(sign, &self.values))
    }

    /// How many cells named a label by its place, and the label of place 0.
    pub fn places(&self) -> Option<(usize, &str)> {
        Some((self.n_places, self.names.first()?.as_str())).filter(|(n, _)| *n > 0)
    }

    /// The first word of cells that was read as unknown, and how many such cells there are.
    pub fn unknown(&self) -> Option<(&str, usize)> {
        self.unknown.as_ref().map(|(word, n)| (word.as_str(), *n))
    }

    /// Whether no label can be known: none is declared, and train has none.
    pub fn knows_nothing(&self) -> bool {
        !self.is_open && !self.is_declared && self.names.is_empty()
    }

    /// The labels in the order of their indices.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// What a label may be, in words.
    pub fn describe(&self) -> String {
        let origin = if self.is_declared { "the task's `labels`" } else { "the labels of train" };
        let shown: Vec<&str> = self.names.iter().take(8).map(String::as_str).collect();
        let more = if self.names.len() > shown.len() { ", …" } else { "" };
        format!("one of {origin} ({}: {}{more})", self.names.len(), shown.join(", "))
    }
}

/// Signs that people put between labels, likeliest first.
const SIGNS: [&str; 4] = [";", ",", "/", " "];
/// Values of cells below which nothing is said of what stands in them, and values that are looked at.
const FEWEST_JOINED: usize = 4;
const MOST_JOINED: usize = 10_000;

/// What seems to be several labels in a cell.
#[derive(Debug, PartialEq)]
pub struct JoinedLabels {
    /// What stands between them.
    pub sign: &'static str,
    /// Values of cells in which it stands.
    pub n_with: usize,
    /// All values of cells.
    pub n_all: usize,
    /// The labels.
    pub labels: Vec<String>,
}

impl JoinedLabels {
    fn by(sign: &'static str, values: &BTreeSet<String>) -> Option<Self> {
        let n_with = values.iter().filter(|value| value.contains(sign)).count();
        let mut parts = BTreeMap::<&str, usize>::new();
        for part in values.iter().flat_map(|value| value.split(sign)).map(str::trim).filter(|p| !p.is_empty())
        {
            *parts.entry(part).or_default() += 1;
        }
        let n_shared = parts.values().filter(|&&n| n > 1).count();
        let is_set =
            n_with * 3 >= values.len() && parts.len() < values.len() && n_shared * 5 >= parts.len() * 4;
        let labels = parts.into_keys().map(str::to_owned).collect();
        is_set.then_some(Self { sign, n_with, n_all: values.len(), labels })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(labels: &[&str]) -> LabelTable {
        let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
        LabelTable::declared(&labels).counted(true)
    }

    #[test]
    fn labels_of_train_are_sorted_and_numbers_by_value() {
        let mut table = LabelTable::open();
        for label in ["10", "9", "2"] {
            table.index_of(label);
        }
        assert_eq!(table.close(), [2, 1, 0]);
        assert_eq!(table.names(), ["2", "9", "10"]);
        assert_eq!(table.index_of("3"), None);
        let mut words = LabelTable::open();
        for label in ["b", "10", "a"] {
            words.index_of(label);
        }
        words.close();
        assert_eq!(words.names(), ["10", "a", "b"]);
    }

    #[test]
    fn declared_labels_keep_their_order() {
        let mut table = declared(&["z", "a"]);
        assert_eq!((table.index_of("a"), table.index_of("b")), (Some(1), None));
        assert_eq!(table.close(), [0, 1]);
        assert_eq!(table.names(), ["z", "a"]);
    }

    #[test]
    fn whole_numbers_are_one_label_and_count_declared_names() {
        let mut table = LabelTable::open();
        for (label, index) in
            [("1", 0), ("1.0", 0), ("0.00", 1), ("0", 1), ("1.5", 2), ("v1.0", 3), ("1.", 0)]
        {
            assert_eq!(table.index_of(label), Some(index), "{label}");
        }
        let mut names = declared(&["O", "B-x"]);
        assert_eq!(
            ["0", "1.0", "B-x", "2"].map(|label| names.index_of(label)),
            [Some(0), Some(1), Some(1), None]
        );
        let mut numbers = declared(&["1", "2"]);
        assert_eq!(
            ["1", "0"].map(|label| numbers.index_of(label)),
            [Some(0), None],
            "1 is the label, no place"
        );
    }

    #[test]
    fn a_declared_label_is_known_whatever_it_is_called() {
        let cell = |text: &str| Cell::Text(text.into());
        let mut languages = declared(&["deu", "nan"]);
        assert!(!languages.is_missing(&cell("nan")) && languages.is_missing(&cell("null")));
        let mut table = LabelTable::open();
        assert!(["", "nan", "NULL"].iter().all(|text| table.is_missing(&cell(text))));
        assert_eq!(table.unknown(), Some(("nan", 2)));
        table.missing = vec!["-1".into(), "n/a".into()];
        assert!(
            table.is_missing(&cell(" n/a "))
                && table.is_missing(&Cell::Number(-1.0))
                && !table.is_missing(&cell("-"))
        );
    }

    #[test]
    fn joined_labels_are_told_from_labels_that_hold_a_sign() {
        let joined = |values: &[&str]| {
            let mut table = LabelTable::open();
            for value in values {
                table.split(value);
            }
            table.joined().map(|joined| (joined.sign, joined.labels.len()))
        };
        assert_eq!(joined(&["a", "b", "a,b", "a, c", "b,c", "c"]), Some((",", 3)));
        assert_eq!(joined(&["a;b", "b", "a", "a;c;b", "c"]), Some((";", 3)));
        assert_eq!(joined(&["app billing", "billing", "app delivery", "delivery", "app"]), Some((" ", 3)));
        assert_eq!(joined(&["Terms, conditions", "Fees, charges", "Refund", "Card"]), None);
        assert_eq!(joined(&["New York", "New Jersey", "Ohio", "Utah", "Iowa"]), None);
        assert_eq!(joined(&["a,b", "b,a"]), None, "too few to tell");
        let mut listed = LabelTable::open();
        for label in ["high price", "low price", "high quality", "low quality"] {
            listed.index_of(label);
        }
        assert_eq!(listed.joined(), None, "items of lists are whole");
    }
}
