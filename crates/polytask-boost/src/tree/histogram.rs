//! Sums of a node's rows in every bin of every column.
//!
//! Columns of a block are counted in one pass over the rows of the node, each bin in the order of the rows: sums do not
//! hang on how work is shared. A column of a block of bytes has room for all bins a byte tells apart, so that no code can
//! lie outside it.

use super::lanes::Lanes;
use crate::bins::{BYTE_BINS, Bins, Block, Codes, IN_BLOCK};

/// Numbers of all columns that are counted in one pass at most: what the nearest cache holds.
const MOST_LANES: usize = 2 * IN_BLOCK;

/// Slopes and curvatures of a node's rows, laid end to end in the order of the rows.
pub(super) struct Gathered<'a> {
    pub(super) rows: &'a [u32],
    /// `[rows, lanes]`.
    pub(super) slopes: &'a [f32],
}

/// Where the sums of every column lie.
pub(super) struct Layout {
    /// Numbers of each block.
    pub(super) sizes: Vec<usize>,
    pub(super) total: usize,
}

impl Layout {
    pub(super) fn new(bins: &Bins, lanes: usize) -> Self {
        let size = |block: &Block| block.columns.len() * room(bins, block) * lanes;
        let sizes: Vec<usize> = bins.blocks.iter().map(size).collect();
        Self { total: sizes.iter().sum(), sizes }
    }

    /// The sums of each block.
    pub(super) fn parts<'s>(&self, mut sums: &'s mut [f64]) -> Vec<&'s mut [f64]> {
        let part = |&size: &usize| {
            let (part, rest) = std::mem::take(&mut sums).split_at_mut(size);
            sums = rest;
            part
        };
        self.sizes.iter().map(part).collect()
    }
}

/// Bins that a column of a block has room for.
pub(super) fn room(bins: &Bins, block: &Block) -> usize {
    match block.codes {
        Codes::Bytes(_) => BYTE_BINS,
        Codes::Short(_) => bins.columns[block.columns[0]].n_known + 1,
    }
}

/// The sums of each column of a block: of the bins it has, not of all it has room for.
pub(super) fn of_columns<'s>(
    (bins, block): (&Bins, &Block),
    n: usize,
    sums: &'s mut [f64],
) -> impl Iterator<Item = &'s mut [f64]> {
    let used = block.columns.iter().map(move |&column| (bins.columns[column].n_known + 1) * n);
    sums.chunks_exact_mut(room(bins, block) * n).zip(used).map(|(sums, used)| &mut sums[..used])
}

/// Fills the sums of a block's columns, `[columns, bins, lanes]`, of which only the readable ones are needed.
pub(super) fn fill(
    (bins, block): (&Bins, &Block),
    node: &Gathered<'_>,
    lanes: Lanes,
    readable: &[bool],
    sums: &mut [f64],
) {
    let n = lanes.n();
    of_columns((bins, block), n, sums).for_each(|sums| sums.fill(0.0));
    let codes = match &block.codes {
        Codes::Bytes(codes) => codes,
        Codes::Short(codes) => return fill_short(codes, node, n, sums),
    };
    let at_once = (MOST_LANES / n).max(1);
    let is_read = |at: usize| readable[block.columns[at]];
    let mut first = 0;
    while first < block.columns.len() {
        let end = (first + at_once).min(block.columns.len());
        let end = (first..end).find(|&at| !is_read(at)).unwrap_or(end);
        if end > first {
            let part = &mut sums[first * BYTE_BINS * n..end * BYTE_BINS * n];
            fill_bytes(codes, first, node, n, part);
        }
        first = end.max(first + 1);
    }
}

fn fill_short(codes: &[u16], node: &Gathered<'_>, n: usize, sums: &mut [f64]) {
    for (&row, slopes) in node.rows.iter().zip(node.slopes.chunks_exact(n)) {
        let sums = &mut sums[usize::from(codes[row as usize]) * n..][..n];
        sums.iter_mut().zip(slopes).for_each(|(sum, slope)| *sum += f64::from(*slope));
    }
}

/// The number of lanes known beforehand, so that a row's sums stay in registers.
fn fill_bytes(codes: &[[u8; IN_BLOCK]], first: usize, node: &Gathered<'_>, n: usize, sums: &mut [f64]) {
    match n {
        2 => fill_lanes::<2>(codes, first, node, sums),
        3 => fill_lanes::<3>(codes, first, node, sums),
        4 => fill_lanes::<4>(codes, first, node, sums),
        5 => fill_lanes::<5>(codes, first, node, sums),
        6 => fill_lanes::<6>(codes, first, node, sums),
        8 => fill_lanes::<8>(codes, first, node, sums),
        _ => fill_any(codes, first, node, n, sums),
    }
}

/// The number of columns known beforehand.
fn fill_lanes<const L: usize>(codes: &[[u8; IN_BLOCK]], first: usize, node: &Gathered<'_>, sums: &mut [f64]) {
    let columns = sums.as_chunks_mut::<L>().0.as_chunks_mut::<BYTE_BINS>().0;
    match columns.len() {
        1 => fill_columns::<L, 1>(codes, first, node, columns),
        2 => fill_columns::<L, 2>(codes, first, node, columns),
        3 => fill_columns::<L, 3>(codes, first, node, columns),
        4 => fill_columns::<L, 4>(codes, first, node, columns),
        5 => fill_columns::<L, 5>(codes, first, node, columns),
        6 => fill_columns::<L, 6>(codes, first, node, columns),
        7 => fill_columns::<L, 7>(codes, first, node, columns),
        _ => fill_columns::<L, 8>(codes, first, node, columns),
    }
}

#[allow(clippy::needless_range_loop)] // See below.
fn fill_columns<const L: usize, const N: usize>(
    codes: &[[u8; IN_BLOCK]],
    first: usize,
    node: &Gathered<'_>,
    columns: &mut [[[f64; L]; BYTE_BINS]],
) {
    let Ok(columns) = <&mut [[[f64; L]; BYTE_BINS]; N]>::try_from(columns) else { return };
    let (rows, slopes) = (node.rows, node.slopes.as_chunks::<L>().0);
    // Written as a compiler sees it whatever it takes into one unit: this loop is where trees spend their time.
    for at in 0..rows.len().min(slopes.len()) {
        let codes = &codes[rows[at] as usize];
        let mut of_row = [0.0; L];
        for l in 0..L {
            of_row[l] = f64::from(slopes[at][l]);
        }
        for c in 0..N {
            let sums = &mut columns[c][codes[(first + c) % IN_BLOCK] as usize];
            for l in 0..L {
                sums[l] += of_row[l];
            }
        }
    }
}

fn fill_any(codes: &[[u8; IN_BLOCK]], first: usize, node: &Gathered<'_>, n: usize, sums: &mut [f64]) {
    for (at, sums) in sums.chunks_exact_mut(BYTE_BINS * n).enumerate() {
        for (&row, slopes) in node.rows.iter().zip(node.slopes.chunks_exact(n)) {
            let sums = &mut sums[usize::from(codes[row as usize][first + at]) * n..][..n];
            sums.iter_mut().zip(slopes).for_each(|(sum, slope)| *sum += f64::from(*slope));
        }
    }
}

/// The sums of the larger child in the place of its parent's: what the smaller one leaves.
#[allow(clippy::needless_range_loop)] // As above.
pub(super) fn subtract(parent: &mut [f64], smaller: &[f64]) {
    let n = parent.len().min(smaller.len());
    let (parent, smaller) = (&mut parent[..n], &smaller[..n]);
    for at in 0..n {
        parent[at] -= smaller[at];
    }
}
