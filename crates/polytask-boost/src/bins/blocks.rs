//! Bins of rows, laid out as histograms read them: some columns of a row side by side, so that one read of memory serves
//! several columns and their sums stay in the nearest cache.

use rayon::prelude::*;

use super::BinnedColumn;
use crate::table::NumericTable;

/// Columns whose codes stand side by side at most.
pub(crate) const IN_BLOCK: usize = 8;
/// Bins that a byte tells apart, the one of what is missing among them.
pub(crate) const BYTE_BINS: usize = 256;

/// Bins of every row.
#[derive(Debug)]
pub(crate) enum Codes {
    /// Of several columns.
    Bytes(Vec<[u8; IN_BLOCK]>),
    /// Of a column with more bins.
    Short(Vec<u16>),
}

/// Columns that are counted together.
#[derive(Debug)]
pub(crate) struct Block {
    /// The columns, ascending.
    pub(crate) columns: Vec<usize>,
    pub(crate) codes: Codes,
}

/// The blocks of a table. An even number of about equal size shares the work well among threads.
pub(super) fn of(table: &NumericTable, columns: &[BinnedColumn]) -> Vec<Block> {
    let (bytes, shorts): (Vec<usize>, Vec<usize>) = (0..columns.len()).partition(|&c| columns[c].is_byte());
    let n_blocks = bytes.len().div_ceil(IN_BLOCK).next_multiple_of(2).min(bytes.len());
    let part = |block: usize| block * bytes.len() / n_blocks;
    let groups = (0..n_blocks).map(|block| bytes[part(block)..part(block + 1)].to_vec());
    let groups: Vec<Vec<usize>> = groups.chain(shorts.into_iter().map(|column| vec![column])).collect();
    let block = |group: Vec<usize>| Block { codes: codes(table, columns, &group), columns: group };
    groups.into_par_iter().map(block).collect()
}

fn codes(table: &NumericTable, columns: &[BinnedColumn], group: &[usize]) -> Codes {
    if let [column] = group
        && !columns[*column].is_byte()
    {
        let values = table.columns()[*column].values.iter();
        return Codes::Short(values.map(|&value| columns[*column].code(value) as u16).collect());
    }
    let mut codes = vec![[0; IN_BLOCK]; table.n_rows()];
    for (at, &column) in group.iter().enumerate() {
        let values = &table.columns()[column].values;
        codes
            .iter_mut()
            .zip(values)
            .for_each(|(codes, &value)| codes[at] = columns[column].code(value) as u8);
    }
    Codes::Bytes(codes)
}

#[cfg(test)]
mod tests {
    use super::super::Bins;
    use super::*;
    use crate::table::{ColumnSort, NumericColumn};

    #[test]
    fn every_column_stands_in_one_block_with_its_bins() {
        let column = |c: usize, sort, n: usize| NumericColumn {
            name: c.to_string(),
            sort,
            values: (0..600).map(|row| ((row * (c + 1)) % n) as f32).collect(),
        };
        // The last has more bins than a byte tells apart.
        let mut columns: Vec<NumericColumn> = (0..11).map(|c| column(c, ColumnSort::Number, 7)).collect();
        columns.insert(4, column(11, ColumnSort::Category, 500));
        let table = NumericTable::new(columns).unwrap();
        let bins = Bins::new(&table, &[], 255, 1);
        let sizes: Vec<usize> = bins.blocks.iter().map(|block| block.columns.len()).collect();
        assert_eq!(sizes, [5, 6, 1]);
        for c in 0..12 {
            let (codes, at) = bins.codes_of(c);
            let found: Vec<usize> = match codes {
                Codes::Bytes(codes) => codes.iter().map(|codes| codes[at] as usize).collect(),
                Codes::Short(codes) => codes.iter().map(|&code| code as usize).collect(),
            };
            let expected: Vec<usize> =
                table.columns()[c].values.iter().map(|&value| value as usize).collect();
            assert_eq!(found, expected, "column {c}");
        }
    }
}
