//! Sums of a node's rows in every bin of every column.

use crate::bins::{BinnedColumn, Codes};

/// Slopes and curvatures of a node's rows, laid end to end in the order of the rows.
pub(super) struct Gathered<'a> {
    pub(super) rows: &'a [u32],
    /// `[rows, 2 K]`.
    pub(super) slopes: &'a [f32],
    /// 2 K.
    pub(super) width: usize,
}

/// Fills a column's sums, `[bins, 1 + 2 K]`.
pub(super) fn fill(column: &BinnedColumn, node: &Gathered<'_>, sums: &mut [f64]) {
    sums.fill(0.0);
    match &column.codes {
        Codes::Byte(codes) => fill_with(codes, node, sums),
        Codes::Short(codes) => fill_with(codes, node, sums),
    }
}

fn fill_with<C: Copy + Into<usize>>(codes: &[C], node: &Gathered<'_>, sums: &mut [f64]) {
    match node.width {
        2 => fill_fixed::<C, 2>(codes, node, sums),
        4 => fill_fixed::<C, 4>(codes, node, sums),
        6 => fill_fixed::<C, 6>(codes, node, sums),
        8 => fill_fixed::<C, 8>(codes, node, sums),
        _ => fill_any(codes, node, sums),
    }
}

/// The width known beforehand, so that a row's sums stay in registers.
fn fill_fixed<C: Copy + Into<usize>, const W: usize>(codes: &[C], node: &Gathered<'_>, sums: &mut [f64]) {
    for (&row, slopes) in node.rows.iter().zip(node.slopes.as_chunks::<W>().0) {
        let bin: usize = codes[row as usize].into();
        let sums = &mut sums[bin * (W + 1)..][..=W];
        sums[0] += 1.0;
        for (sum, slope) in sums[1..].iter_mut().zip(slopes) {
            *sum += f64::from(*slope);
        }
    }
}

fn fill_any<C: Copy + Into<usize>>(codes: &[C], node: &Gathered<'_>, sums: &mut [f64]) {
    let width = node.width;
    for (&row, slopes) in node.rows.iter().zip(node.slopes.chunks_exact(width)) {
        let bin: usize = codes[row as usize].into();
        let sums = &mut sums[bin * (width + 1)..][..=width];
        sums[0] += 1.0;
        for (sum, slope) in sums[1..].iter_mut().zip(slopes) {
            *sum += f64::from(*slope);
        }
    }
}

/// The sums of the larger child in the place of its parent's: what the smaller one leaves.
pub(super) fn subtract(parent: &mut [f64], smaller: &[f64]) {
    parent.iter_mut().zip(smaller).for_each(|(sum, part)| *sum -= part);
}

/// Room for the sums of a node: one list per column, empty for columns that are not read.
pub(super) type Histogram = Vec<Vec<f64>>;
