//! Quantile bins of every column, with a bin of its own for what is missing.
//!
//! Up to `max_bin` distinct values have a bin each. Beyond, cuts lie at weighted quantiles. A cut lies half-way between
//! two values, rounded to f32 so that the rule `x < cut` tells them apart exactly; files of XGBoost take it as it is.

mod blocks;

use polytask_core::{Purpose, Rng};
use rayon::prelude::*;

pub(crate) use blocks::{BYTE_BINS, Block, Codes, IN_BLOCK};

use crate::table::{ColumnSort, NumericColumn, NumericTable};

/// Rows beyond which quantiles are taken of as many drawn ones.
const MOST_SORTED: usize = 200_000;

/// A column's bins.
#[derive(Debug)]
pub(crate) struct BinnedColumn {
    pub(crate) sort: ColumnSort,
    /// Lower ends of the bins from the second on; a category's bin is its code.
    pub(crate) cuts: Vec<f32>,
    /// Bins of known values; the next one holds what is missing.
    pub(crate) n_known: usize,
}

/// All columns, binned.
#[derive(Debug)]
pub struct Bins {
    pub(crate) columns: Vec<BinnedColumn>,
    pub(crate) blocks: Vec<Block>,
    /// Block of each column, and its place there.
    places: Vec<(usize, usize)>,
}

impl Bins {
    /// Bins of a table; `weights` of rows (or none) move quantiles, `seed` draws rows of very long tables.
    pub fn new(table: &NumericTable, weights: &[f32], max_bin: usize, seed: u64) -> Self {
        let drawn = drawn_rows(table.n_rows(), seed);
        let bin = |column: &NumericColumn| BinnedColumn::new(column, weights, drawn.as_deref(), max_bin);
        let columns: Vec<BinnedColumn> = table.columns().par_iter().map(bin).collect();
        let blocks = blocks::of(table, &columns);
        let mut places = vec![(0, 0); columns.len()];
        for (b, block) in blocks.iter().enumerate() {
            block.columns.iter().enumerate().for_each(|(at, &column)| places[column] = (b, at));
        }
        Self { columns, blocks, places }
    }

    /// The codes of a column, and its place among those they stand with.
    pub(crate) fn codes_of(&self, column: usize) -> (&Codes, usize) {
        let (block, at) = self.places[column];
        (&self.blocks[block].codes, at)
    }
}

fn drawn_rows(n_rows: usize, seed: u64) -> Option<Vec<u32>> {
    (n_rows > MOST_SORTED).then(|| {
        let mut rng = Rng::new(seed, Purpose::Method, &[n_rows as u64]);
        (0..MOST_SORTED).map(|_| rng.below(n_rows) as u32).collect()
    })
}

impl BinnedColumn {
    fn new(column: &NumericColumn, weights: &[f32], drawn: Option<&[u32]>, max_bin: usize) -> Self {
        let values = &column.values;
        let (cuts, n_known) = match column.sort {
            ColumnSort::Number => {
                let values = if weights.is_empty() {
                    distinct_of_equal_weight(values, drawn)
                } else {
                    distinct(values, weights, drawn)
                };
                let cuts = quantile_cuts(&values, max_bin);
                let n_known = cuts.len() + 1;
                (cuts, n_known)
            }
            ColumnSort::Category => {
                let largest = values.iter().copied().filter(|value| !value.is_nan()).fold(0.0, f32::max);
                (Vec::new(), largest as usize + 1)
            }
        };
        Self { sort: column.sort, cuts, n_known }
    }

    /// Whether a bin fits a byte.
    fn is_byte(&self) -> bool {
        self.n_known < BYTE_BINS
    }

    /// The bin of a value.
    #[inline]
    fn code(&self, value: f32) -> usize {
        match self.sort {
            _ if value.is_nan() => self.n_known,
            ColumnSort::Number => self.cuts.partition_point(|cut| *cut <= value),
            ColumnSort::Category => value as usize,
        }
    }
}

/// Distinct known values in order, with the number of rows of each: what [`distinct`] gives for weights of 1.
fn distinct_of_equal_weight(values: &[f32], drawn: Option<&[u32]>) -> Vec<(f32, f64)> {
    let mut known: Vec<f32> = match drawn {
        Some(rows) => rows.iter().map(|&row| values[row as usize]).collect(),
        None => values.to_vec(),
    };
    known.retain(|value| !value.is_nan());
    known.sort_unstable_by(f32::total_cmp);
    let mut all: Vec<(f32, f64)> = Vec::new();
    for value in known {
        match all.last_mut() {
            Some(last) if last.0 == value => last.1 += 1.0,
            _ => all.push((value, 1.0)),
        }
    }
    all
}

/// Distinct known values in order, with the weight each carries.
fn distinct(values: &[f32], weights: &[f32], drawn: Option<&[u32]>) -> Vec<(f32, f64)> {
    let weight = |row: usize| f64::from(weights.get(row).copied().unwrap_or(1.0));
    let mut known: Vec<(f32, f64)> = match drawn {
        Some(rows) => rows.iter().map(|&row| (values[row as usize], weight(row as usize))).collect(),
        None => values.iter().enumerate().map(|(row, &value)| (value, weight(row))).collect(),
    };
    known.retain(|(value, _)| !value.is_nan());
    // Equal values need no order among themselves: their weights are added in the order of rows.
    known.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Zero has two signs and one value.
    known.dedup_by(|later, first| {
        let is_same = later.0 == first.0;
        if is_same {
            first.1 += later.1;
        }
        is_same
    });
    known
}

/// Cuts between bins of about equal weight; one between each two values where there are few.
fn quantile_cuts(values: &[(f32, f64)], max_bin: usize) -> Vec<f32> {
    let total: f64 = values.iter().map(|(_, weight)| weight).sum();
    let (mut cuts, mut below, mut filled) = (Vec::new(), 0.0, 0.0);
    let is_few = values.len() <= max_bin;
    for pair in values.windows(2) {
        below += pair[0].1;
        let share = below / total * max_bin as f64;
        if is_few || share >= filled + 1.0 {
            cuts.push(between(pair[0].0, pair[1].0));
            filled = share.floor();
        }
    }
    cuts
}

/// Half-way between two values, above the first and at most the second.
fn between(low: f32, high: f32) -> f32 {
    let middle = f64::midpoint(f64::from(low), f64::from(high)) as f32;
    if middle > low { middle } else { high }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bins(values: &[f32], max_bin: usize) -> (Vec<f32>, Vec<usize>) {
        let column = NumericColumn { name: "a".into(), sort: ColumnSort::Number, values: values.to_vec() };
        let binned = BinnedColumn::new(&column, &[], None, max_bin);
        let same = BinnedColumn::new(&column, &vec![1.0; values.len()], None, max_bin);
        assert_eq!(binned.cuts, same.cuts, "weights of 1 are no weights");
        (binned.cuts.clone(), values.iter().map(|&value| binned.code(value)).collect())
    }

    #[test]
    fn few_values_have_a_bin_each_and_missing_ones_the_last() {
        let (cuts, codes) = bins(&[3.0, 1.0, f32::NAN, -0.0, 0.0, 3.0], 255);
        assert_eq!((cuts, codes), (vec![0.5, 2.0], vec![2, 1, 3, 0, 0, 2]));
    }

    #[test]
    fn a_cut_tells_neighbours_apart_however_close_they_are() {
        let low = 1.0_f32;
        let high = f32::from_bits(low.to_bits() + 1);
        assert_eq!(between(low, high), high);
        let (_, codes) = bins(&[low, high], 255);
        assert_eq!(codes, [0, 1]);
    }

    #[test]
    fn many_values_share_bins_of_about_equal_weight() {
        let values: Vec<f32> = (0..1000).map(|i| i as f32).collect();
        let (cuts, codes) = bins(&values, 10);
        assert_eq!(cuts.len(), 9);
        let counts: Vec<usize> = (0..10).map(|b| codes.iter().filter(|&&code| code == b).count()).collect();
        assert!(counts.iter().all(|&n| n == 100), "{counts:?}");
        // One value that is half of all takes the bins it fills, and no empty bin is left.
        let heavy: Vec<f32> = (0..1000).map(|i| if i < 500 { 0.0 } else { i as f32 }).collect();
        assert_eq!(bins(&heavy, 10).0.len(), 5);
    }
}
