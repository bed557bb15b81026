//! The rows of a tree, those of a leaf side by side and in their order.

use std::ops::Range;

use rayon::prelude::*;

use super::candidate::{BinRule, Candidate};
use super::lanes::{Count, Lanes, Slopes};
use crate::bins::{BYTE_BINS, Bins, Codes};

/// Rows one thread takes at a time.
const PIECE: usize = 8192;

/// Rows by leaf, and room for what is gathered of them.
#[derive(Default)]
pub(super) struct Rows {
    pub(super) all: Vec<u32>,
    spare: Vec<u32>,
    /// `[rows, lanes]` of the leaf gathered last.
    pub(super) gathered: Vec<f32>,
}

impl Rows {
    pub(super) fn set(&mut self, rows: &[u32]) {
        self.all.clear();
        self.all.extend_from_slice(rows);
        self.spare.resize(rows.len(), 0);
    }

    /// Lays the slopes of a leaf end to end; their sums, piece by piece so that they do not hang on the number of threads.
    pub(super) fn gather(&mut self, leaf: Range<usize>, slopes: Slopes<'_>, lanes: Lanes) -> Vec<f64> {
        let n = lanes.n();
        self.gathered.resize(leaf.len() * n, 0.0);
        let pieces = self.all[leaf].par_chunks(PIECE).zip(self.gathered.par_chunks_mut(PIECE * n));
        let sums = pieces.map(|(rows, out)| gather_piece(rows, slopes, lanes, out)).collect::<Vec<_>>();
        sums.into_iter().reduce(added).unwrap_or_else(|| vec![0.0; n])
    }

    /// Puts the rows of a leaf that go left before those that go right, both in their order; how many go left.
    pub(super) fn part(&mut self, leaf: Range<usize>, bins: &Bins, candidate: &Candidate) -> usize {
        let way = Way::new(bins, candidate);
        let (rows, spare) = (&mut self.all[leaf.clone()], &mut self.spare[..leaf.len()]);
        let pieces = rows.par_chunks_mut(PIECE).zip(spare.par_chunks_mut(PIECE));
        let lefts: Vec<usize> = pieces.map(|(rows, spare)| way.part(rows, spare)).collect();
        let mut n_left = 0;
        for (piece, left) in lefts.iter().enumerate() {
            rows.copy_within(piece * PIECE..piece * PIECE + left, n_left);
            n_left += left;
        }
        let mut end = n_left;
        for (spare, left) in spare.chunks(PIECE).zip(lefts) {
            let right = spare.len() - left;
            rows[end..end + right].copy_from_slice(&spare[..right]);
            end += right;
        }
        n_left
    }
}

fn added(mut sums: Vec<f64>, part: Vec<f64>) -> Vec<f64> {
    sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    sums
}

fn gather_piece(rows: &[u32], slopes: Slopes<'_>, lanes: Lanes, out: &mut [f32]) -> Vec<f64> {
    let is_whole = slopes.stride == 2 * slopes.width && lanes.count != Count::Own;
    match lanes.n() {
        2 if is_whole => gather_whole::<2>(rows, slopes.values, out),
        4 if is_whole => gather_whole::<4>(rows, slopes.values, out),
        6 if is_whole => gather_whole::<6>(rows, slopes.values, out),
        8 if is_whole => gather_whole::<8>(rows, slopes.values, out),
        _ => gather_any(rows, slopes, lanes, out),
    }
}

/// Where a row's numbers are those of the tree, and as many as is known beforehand.
#[allow(clippy::needless_range_loop)] // As in the loop that counts.
fn gather_whole<const N: usize>(rows: &[u32], values: &[f32], out: &mut [f32]) -> Vec<f64> {
    let (values, out, mut sums) = (values.as_chunks::<N>().0, out.as_chunks_mut::<N>().0, [0.0; N]);
    for at in 0..rows.len().min(out.len()) {
        out[at] = values[rows[at] as usize];
        for k in 0..N {
            sums[k] += f64::from(out[at][k]);
        }
    }
    sums.to_vec()
}

fn gather_any(rows: &[u32], slopes: Slopes<'_>, lanes: Lanes, out: &mut [f32]) -> Vec<f64> {
    let mut sums = vec![0.0; lanes.n()];
    for (&row, out) in rows.iter().zip(out.chunks_exact_mut(lanes.n())) {
        let values = slopes.of(row);
        out[..values.len()].copy_from_slice(values);
        if lanes.count == Count::Own {
            out[values.len()] = 1.0;
        }
        sums.iter_mut().zip(out).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    sums
}

/// Which codes of a column go left.
struct Way<'a> {
    codes: &'a Codes,
    at: usize,
    goes_left: Vec<bool>,
}

impl<'a> Way<'a> {
    fn new(bins: &'a Bins, candidate: &Candidate) -> Self {
        let n_known = bins.columns[candidate.column].n_known;
        let is_left = |bin: usize| match &candidate.rule {
            _ if bin == n_known => candidate.default_left,
            BinRule::UpTo(last) => bin <= *last,
            BinRule::In(set) => set.binary_search(&(bin as u32)).is_err(),
        };
        let (codes, at) = bins.codes_of(candidate.column);
        Self { codes, at, goes_left: (0..=n_known).map(is_left).collect() }
    }

    /// Packs the rows that go left, and lays the others into the spare ones.
    fn part(&self, rows: &mut [u32], spare: &mut [u32]) -> usize {
        match self.codes {
            Codes::Bytes(codes) => {
                let mut goes_left = [false; BYTE_BINS];
                goes_left[..self.goes_left.len()].copy_from_slice(&self.goes_left);
                part_by(rows, spare, |row| goes_left[usize::from(codes[row as usize][self.at])])
            }
            Codes::Short(codes) => {
                part_by(rows, spare, |row| self.goes_left[usize::from(codes[row as usize])])
            }
        }
    }
}

/// Writes every row to both sides and moves on on one: which way a row goes cannot be foreseen.
fn part_by(rows: &mut [u32], spare: &mut [u32], is_left: impl Fn(u32) -> bool) -> usize {
    let mut n_left = 0;
    for at in 0..rows.len() {
        let row = rows[at];
        rows[n_left] = row;
        spare[at - n_left] = row;
        n_left += usize::from(is_left(row));
    }
    n_left
}
