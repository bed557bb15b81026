//! The label set of a task: declared, or what train shows.

use std::collections::HashMap;

/// Labels and their indices; open while train is read, closed afterwards.
#[derive(Debug, Clone, Default)]
pub(super) struct LabelTable {
    names: Vec<String>,
    index: HashMap<String, u32>,
    is_open: bool,
    is_declared: bool,
    /// What stands between the labels of a cell.
    separator: String,
}

impl LabelTable {
    /// The declared labels in their order, or an open table; labels of a cell are told by `separator`.
    pub(super) fn new(declared: Option<&[String]>, separator: &str) -> Self {
        let mut table = Self { is_open: true, separator: separator.to_owned(), ..Self::default() };
        for label in declared.into_iter().flatten() {
            table.index_of(label);
        }
        table.is_open = declared.is_none();
        table.is_declared = declared.is_some();
        table
    }

    /// The index of a label; `None` for one outside a closed set.
    pub(super) fn index_of(&mut self, label: &str) -> Option<u32> {
        if let Some(&index) = self.index.get(label) {
            return Some(index);
        }
        if !self.is_open {
            return None;
        }
        let index = self.names.len() as u32;
        self.names.push(label.to_owned());
        self.index.insert(label.to_owned(), index);
        Some(index)
    }

    /// Closes an open table and sorts it (numbers by value); gives the new index of each old one.
    pub(super) fn close(&mut self) -> Vec<u32> {
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
        self.index = self.names.iter().enumerate().map(|(i, name)| (name.clone(), i as u32)).collect();
        new_of
    }

    /// The labels of a cell.
    pub(super) fn split(&self, cell: &str) -> Vec<String> {
        cell.split(&self.separator).map(str::to_owned).collect()
    }

    /// Whether no label can be known: none is declared, and train has none.
    pub(super) fn knows_nothing(&self) -> bool {
        !self.is_open && !self.is_declared && self.names.is_empty()
    }

    /// The labels in the order of their indices.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// What a label may be, in words.
    pub(super) fn describe(&self) -> String {
        let origin = if self.is_declared { "the task's `labels`" } else { "the labels of train" };
        let shown: Vec<&str> = self.names.iter().take(8).map(String::as_str).collect();
        let more = if self.names.len() > shown.len() { ", …" } else { "" };
        format!("one of {origin} ({}: {}{more})", self.names.len(), shown.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_train_are_sorted_and_numbers_by_value() {
        let mut table = LabelTable::new(None, "|");
        for label in ["10", "9", "2"] {
            table.index_of(label);
        }
        assert_eq!(table.close(), [2, 1, 0]);
        assert_eq!(table.names(), ["2", "9", "10"]);
        assert_eq!(table.index_of("3"), None);
        let mut words = LabelTable::new(None, "|");
        for label in ["b", "10", "a"] {
            words.index_of(label);
        }
        words.close();
        assert_eq!(words.names(), ["10", "a", "b"]);
    }

    #[test]
    fn declared_labels_keep_their_order() {
        let mut table = LabelTable::new(Some(&["z".into(), "a".into()]), "|");
        assert_eq!((table.index_of("a"), table.index_of("b")), (Some(1), None));
        assert_eq!(table.close(), [0, 1]);
        assert_eq!(table.names(), ["z", "a"]);
    }
}
