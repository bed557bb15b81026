//! Token sequences laid end to end, without padding.

/// Marks a token of the second of two texts that are read as one sequence: encoders with token types tell them apart.
pub const SECOND_TEXT: u32 = 1 << 31;

/// The token of a symbol, without its mark.
pub fn token_id(symbol: u32) -> u32 {
    symbol & !SECOND_TEXT
}

/// Whether a symbol is one of the second of two texts.
pub fn is_second(symbol: u32) -> bool {
    symbol & SECOND_TEXT != 0
}

/// A batch of token sequences as flat rows: sequence `s` is `ids[starts[s]..starts[s + 1]]`.
///
/// Rows (tokens) are the unit of work of the trunk; a padded layout never exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedBatch {
    /// Token ids, `[rows]`; those of a second text carry [`SECOND_TEXT`].
    pub ids: Vec<u32>,
    /// Where each sequence starts, `[sequences + 1]`; the first is 0, the last is the number of rows.
    pub starts: Vec<u32>,
}

impl Default for PackedBatch {
    fn default() -> Self {
        Self { ids: Vec::new(), starts: vec![0] }
    }
}

impl PackedBatch {
    /// Position of every row in its sequence.
    pub fn positions(&self) -> Vec<u32> {
        (0..self.n_sequences()).flat_map(|s| 0..self.length(s) as u32).collect()
    }

    /// Packs sequences in their order.
    pub fn pack<S: AsRef<[u32]>>(sequences: impl IntoIterator<Item = S>) -> Self {
        let mut batch = Self::default();
        for sequence in sequences {
            batch.push(sequence.as_ref());
        }
        batch
    }

    /// Sequences that all have the same number of rows, of no symbol in particular.
    pub fn even(n_sequences: usize, rows: usize) -> Self {
        let starts = (0..=n_sequences).map(|s| (s * rows) as u32).collect();
        Self { ids: vec![0; n_sequences * rows], starts }
    }

    /// The sequences with so many rows more, before their own, of no symbol in particular.
    #[must_use]
    pub fn lengthened(&self, rows: usize) -> Self {
        let starts = self.starts.iter().enumerate().map(|(s, start)| start + (s * rows) as u32).collect();
        let mut ids = Vec::with_capacity(self.ids.len() + rows * self.n_sequences());
        for s in 0..self.n_sequences() {
            ids.resize(ids.len() + rows, 0);
            ids.extend_from_slice(&self.ids[self.rows(s)]);
        }
        Self { ids, starts }
    }

    /// The layout of one state per token.
    pub fn layout(&self) -> Layout {
        Layout { starts: self.starts.clone() }
    }

    /// Appends one sequence.
    pub fn push(&mut self, sequence: &[u32]) {
        self.ids.extend_from_slice(sequence);
        self.starts.push(self.ids.len() as u32);
    }

    /// Number of token rows.
    pub fn n_rows(&self) -> usize {
        self.ids.len()
    }

    /// Number of sequences.
    pub fn n_sequences(&self) -> usize {
        self.starts.len() - 1
    }

    /// Rows of sequence `s`.
    pub fn rows(&self, s: usize) -> std::ops::Range<usize> {
        self.starts[s] as usize..self.starts[s + 1] as usize
    }

    /// Number of tokens of sequence `s`.
    pub fn length(&self, s: usize) -> usize {
        self.rows(s).len()
    }
}

/// Where the output states of each sequence lie: those of sequence `s` are rows `starts[s]..starts[s + 1]`.
///
/// A trunk of token rows gives one state per token, so its layout is the batch's own; others give as many states
/// as they like (an image becomes one vector or a grid of them).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Where the states of each sequence start, `[sequences + 1]`; the first is 0, the last is the number of rows.
    pub starts: Vec<u32>,
}

impl Default for Layout {
    fn default() -> Self {
        Self { starts: vec![0] }
    }
}

impl Layout {
    /// `n` sequences of `rows` states each.
    pub fn even(n: usize, rows: usize) -> Self {
        Self { starts: (0..=n).map(|s| (s * rows) as u32).collect() }
    }

    /// Number of state rows.
    pub fn n_rows(&self) -> usize {
        self.starts.last().map_or(0, |&end| end as usize)
    }

    /// Number of sequences.
    pub fn n_sequences(&self) -> usize {
        self.starts.len() - 1
    }

    /// State rows of sequence `s`.
    pub fn rows(&self, s: usize) -> std::ops::Range<usize> {
        self.starts[s] as usize..self.starts[s + 1] as usize
    }

    /// Number of states of sequence `s`.
    pub fn length(&self, s: usize) -> usize {
        self.rows(s).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_sequences_come_back_unchanged() {
        let batch = PackedBatch::pack([&[1, 2, 3][..], &[], &[9]]);
        assert_eq!((batch.n_rows(), batch.n_sequences()), (4, 3));
        assert_eq!(&batch.ids[batch.rows(2)], [9]);
        assert_eq!(batch.length(1), 0);
        let layout = batch.layout();
        assert_eq!((layout.n_rows(), layout.n_sequences(), layout.rows(2)), (4, 3, 3..4));
    }

    #[test]
    fn an_even_layout_gives_every_sequence_as_many_states() {
        let layout = Layout::even(3, 4);
        assert_eq!((layout.n_rows(), layout.n_sequences()), (12, 3));
        assert_eq!((layout.rows(1), layout.length(2)), (4..8, 4));
        assert_eq!(Layout::default().n_rows(), 0);
    }
}
