//! Which rows there are: a bit for each.

use std::ops::Range;

/// A set of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowSet {
    words: Vec<u64>,
    n: usize,
}

impl RowSet {
    /// None of the rows below `n`.
    pub fn none(n: usize) -> Self {
        Self { words: vec![0; n.div_ceil(64)], n: 0 }
    }

    /// All rows below `n`.
    pub fn all(n: usize) -> Self {
        let mut set = Self::none(n);
        set.insert_all(0..n);
        set
    }

    /// Takes a row in; whether it was not there.
    pub fn insert(&mut self, row: usize) -> bool {
        let (word, bit) = (row / 64, 1 << (row % 64));
        let is_new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.n += usize::from(is_new);
        is_new
    }

    /// Takes a row out; whether it was there.
    pub fn remove(&mut self, row: usize) -> bool {
        let (word, bit) = (row / 64, 1 << (row % 64));
        let was_there = self.words[word] & bit != 0;
        self.words[word] &= !bit;
        self.n -= usize::from(was_there);
        was_there
    }

    /// Takes some rows in.
    pub fn insert_all(&mut self, mut rows: Range<usize>) {
        rows.all(|row| self.insert(row) || self.has(row));
    }

    /// Takes some rows out.
    pub fn remove_all(&mut self, mut rows: Range<usize>) {
        rows.all(|row| self.remove(row) || !self.has(row));
    }

    /// Whether a row is in it.
    #[inline]
    pub fn has(&self, row: usize) -> bool {
        self.words[row / 64] >> (row % 64) & 1 == 1
    }

    /// The same of any number, be there such a row or not.
    pub fn holds(&self, row: usize) -> bool {
        row / 64 < self.words.len() && self.has(row)
    }

    /// Number of rows in it.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether no row is in it.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_once_each() {
        let mut set = RowSet::all(70);
        assert_eq!((set.len(), set.has(69), set.remove(69), set.remove(69)), (70, true, true, false));
        assert_eq!((set.len(), set.insert(69), set.insert(69), set.is_empty()), (69, true, false, false));
    }
}
