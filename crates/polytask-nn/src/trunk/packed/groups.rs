//! A batch cut into groups of whole sequences: in inference a thread takes a group through all blocks by itself.
//!
//! Threads then meet only at the end, a group's states stay in its core's cache, and what a layer needs beside its
//! states grows with the group instead of the batch. Groups are cut by size alone, so results do not depend on the
//! number of threads.

use polytask_core::PackedBatch;

/// Rows of a group, unless one sequence is longer: enough that copying the weights into tiles costs little.
const ROWS: usize = 192;

/// Some sequences of a batch.
pub(super) struct Group {
    pub(super) symbols: PackedBatch,
    /// Its first row in the whole batch.
    pub(super) first_row: usize,
}

/// Cuts a batch into groups, by the rows that its sequences have.
pub(super) fn cut(symbols: &PackedBatch, rows: &PackedBatch) -> Vec<Group> {
    let mut groups = Vec::with_capacity(rows.n_rows() / ROWS + 1);
    let mut from = 0;
    while from < rows.n_sequences() {
        let first_row = rows.starts[from] as usize;
        let mut group = PackedBatch::default();
        let fits = |to: usize| to == from || rows.starts[to + 1] as usize - first_row <= ROWS;
        let to = (from..rows.n_sequences()).take_while(|&s| fits(s)).count() + from;
        (from..to).for_each(|s| group.push(&symbols.ids[symbols.rows(s)]));
        groups.push(Group { symbols: group, first_row });
        from = to;
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_hold_whole_sequences_and_cover_the_batch() {
        let lengths = [ROWS - 2, 1, 1, 1, 2 * ROWS, 0, 5];
        let batch = PackedBatch::pack(lengths.map(|n| vec![7; n]));
        let groups = cut(&batch, &batch);
        let sizes: Vec<_> =
            groups.iter().map(|g| (g.first_row, g.symbols.n_sequences(), g.symbols.n_rows())).collect();
        assert_eq!(sizes, [(0, 3, ROWS), (ROWS, 1, 1), (ROWS + 1, 1, 2 * ROWS), (3 * ROWS + 1, 2, 5)]);
    }
}
