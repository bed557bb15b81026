//! Token sequences laid end to end, without padding.

/// A batch of token sequences as flat rows: sequence `s` is `ids[starts[s]..starts[s + 1]]`.
///
/// Rows (tokens) are the unit of work of the trunk; a padded layout never exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedBatch {
    /// Token ids, `[rows]`.
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
    /// Packs sequences in their order.
    pub fn pack<S: AsRef<[u32]>>(sequences: impl IntoIterator<Item = S>) -> Self {
        let mut batch = Self::default();
        for sequence in sequences {
            batch.push(sequence.as_ref());
        }
        batch
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_sequences_come_back_unchanged() {
        let batch = PackedBatch::pack([&[1, 2, 3][..], &[], &[9]]);
        assert_eq!((batch.n_rows(), batch.n_sequences()), (4, 3));
        assert_eq!(&batch.ids[batch.rows(2)], [9]);
        assert_eq!(batch.length(1), 0);
    }
}
