//! Learned positions of patches: a vector for the whole image and one per place of a grid, interpolated where images
//! have another grid than the network was trained on.

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::rows::each_row;
use super::{Back, Below, Kept, Layer, Place, Plain, Rows, Start, TensorShape, Weights};
use crate::Result;
use crate::trunk::dropout::Site;
use crate::trunk::elementwise::add;
use crate::trunk::pool::Buf;

/// A row of the table and its share in a position.
type Share = (usize, f32);

/// How positions are interpolated along an axis: as PyTorch's `interpolate` does it, with antialiasing or without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::trunk) enum Interpolation {
    /// Of the four nearest places.
    Cubic,
    /// Of all places that a wider one covers.
    Antialiased,
}

/// Adds to the first row of an image its vector, and to each patch that of its place; then dropout.
#[derive(Debug)]
pub(in crate::trunk) struct GridPositions {
    name: String,
    /// Whether the table is published as a matrix, not as one of one.
    is_matrix: bool,
    width: usize,
    /// Rows of the table: one for the whole image, then the grid's.
    n_table: usize,
    /// Rows between the image's first and its patches, which have no position.
    n_between: usize,
    /// What the position of each patch is made of.
    places: Vec<Vec<Share>>,
}

impl GridPositions {
    /// A table of positions on a grid of `from` places down and across, for patches on a grid of `to`.
    pub(in crate::trunk) fn new(
        name: &str,
        width: usize,
        (from, to): ((usize, usize), (usize, usize)),
        (interpolation, n_between): (Interpolation, usize),
    ) -> Self {
        let (down, across) = (interpolation.shares(from.0, to.0), interpolation.shares(from.1, to.1));
        let place = |ys: &[Share], xs: &[Share]| {
            let pairs =
                ys.iter().flat_map(|&(y, wy)| xs.iter().map(move |&(x, wx)| (1 + y * from.1 + x, wy * wx)));
            pairs.filter(|(_, share)| *share != 0.0).collect()
        };
        let places = down.iter().flat_map(|ys| across.iter().map(move |xs| place(ys, xs))).collect();
        Self { name: name.into(), is_matrix: false, width, n_table: 1 + from.0 * from.1, n_between, places }
    }

    /// The same with a table that is published as a matrix.
    #[must_use]
    pub(in crate::trunk) fn matrix(self) -> Self {
        Self { is_matrix: true, ..self }
    }

    /// The rows of the table in the position of an image's row; none where it has no position.
    fn shares(&self, row: usize) -> &[Share] {
        const WHOLE: &[Share] = &[(0, 1.0)];
        match row {
            0 => WHOLE,
            _ => row.checked_sub(1 + self.n_between).map_or(&[], |patch| &self.places[patch]),
        }
    }

    fn n_rows(&self) -> usize {
        1 + self.n_between + self.places.len()
    }

    /// The positions of all rows of an image, `[rows, width]`.
    fn positions(&self, table: &[f32]) -> Vec<f32> {
        let mut positions = vec![0.0; self.n_rows() * self.width];
        for (row, to) in positions.chunks_exact_mut(self.width).enumerate() {
            for &(from, share) in self.shares(row) {
                let vector = &table[from * self.width..][..self.width];
                to.iter_mut().zip(vector).for_each(|(to, v)| *to += share * v);
            }
        }
        positions
    }
}

impl Layer for GridPositions {
    fn name(&self) -> &'static str {
        "positions"
    }

    fn tensors(&self) -> Vec<TensorShape> {
        let shape =
            if self.is_matrix { vec![self.n_table, self.width] } else { vec![1, self.n_table, self.width] };
        vec![TensorShape { name: self.name.clone(), shape, start: Start::Normal }]
    }

    fn width(&self) -> usize {
        self.width
    }

    fn forward(
        &self,
        at: &Place<'_>,
        weights: Weights<'_>,
        input: Rows<'_>,
        _: Option<&[f32]>,
        _: bool,
    ) -> (Kept, Buf) {
        let (mut x, d, positions) = (input.into_buf(at.pool), self.width, self.positions(weights.values));
        let drop = at.drop(Some(Site::Embedding));
        each_row(
            at.threads,
            &mut x,
            d,
            #[inline(always)]
            |row, x| {
                add(x, &positions[row % self.n_rows() * d..][..d]);
                if let Some(drop) = &drop {
                    drop.apply(row as u64, x);
                }
            },
        );
        (Vec::new(), x)
    }

    fn vjp(&self, at: &Place<'_>, _: Weights<'_>, given: Back<'_>) -> Below {
        let (d, stack, mut g, drop) = (self.width, given.stack, given.g, at.drop(Some(Site::Embedding)));
        if let Some(drop) = &drop {
            let rows = g.par_chunks_mut(d).zip(&stack.rows);
            rows.for_each(|(g, &row)| drop.apply(u64::from(row), g));
        }
        stack.groups.par_iter().zip(given.grads).for_each(|(group, grad)| {
            // First what arrives at each row of an image, then back through the interpolation.
            let mut sums = vec![0.0; self.n_rows() * d];
            for row in group.rows.clone() {
                let to = stack.rows[row] as usize % self.n_rows();
                add(&mut sums[to * d..][..d], &g[row * d..][..d]);
            }
            grad.fill(0.0);
            for (row, sum) in sums.chunks_exact(d).enumerate() {
                for &(to, share) in self.shares(row) {
                    let vector = &mut grad[to * d..][..d];
                    vector.iter_mut().zip(sum).for_each(|(to, v)| *to += share * v);
                }
            }
        });
        Below::of(g, given.onto)
    }

    fn plain(
        &self,
        at: &Plain<'_>,
        tensors: &[Tensor],
        input: &Tensor,
        _: Option<&Tensor>,
    ) -> Result<Tensor> {
        let (rows, images) = (self.n_rows(), input.dim(0)? / self.n_rows());
        let mut map = vec![0.0f64; rows * self.n_table];
        for row in 0..rows {
            self.shares(row).iter().for_each(|&(i, share)| map[row * self.n_table + i] += f64::from(share));
        }
        let map = Tensor::from_vec(map, (rows, self.n_table), &Device::Cpu)?.to_dtype(input.dtype())?;
        let positions = map.matmul(&tensors[0].reshape((self.n_table, self.width))?)?;
        let positions = positions.unsqueeze(0)?.broadcast_as((images, rows, self.width))?;
        let x = (input + positions.contiguous()?.reshape((images * rows, self.width))?)?;
        at.dropped(Some(Site::Embedding), &x)
    }
}

impl Interpolation {
    /// For each of `to` places along an axis, the places among `from` it is made of; centres lie at halves.
    fn shares(self, from: usize, to: usize) -> Vec<Vec<Share>> {
        match self {
            Self::Cubic => cubic(from, to),
            Self::Antialiased => antialiased(from, to),
        }
    }
}

/// A cubic as wide as a step of the coarser grid, cut at the borders.
fn antialiased(from: usize, to: usize) -> Vec<Vec<Share>> {
    let step = from as f64 / to as f64;
    let scale = step.max(1.0);
    let of = |i: usize| {
        let centre = step * (i as f64 + 0.5);
        let first = (centre - 2.0 * scale + 0.5).floor().max(0.0) as usize;
        let end = ((centre + 2.0 * scale + 0.5).floor() as usize).min(from);
        let raw = |place: usize| (place, kernel((place as f64 - centre + 0.5) / scale, -0.5));
        let raw: Vec<(usize, f64)> = (first..end).map(raw).collect();
        let sum: f64 = raw.iter().map(|(_, share)| share).sum();
        raw.into_iter().map(|(place, share)| (place, (share / sum) as f32)).collect()
    };
    (0..to).map(of).collect()
}

/// A cubic of the four nearest places, the borders repeated.
fn cubic(from: usize, to: usize) -> Vec<Vec<Share>> {
    let of = |i: usize| {
        let at = (i as f64 + 0.5) * from as f64 / to as f64 - 0.5;
        let first = at.floor();
        let mut shares: Vec<Share> = Vec::new();
        for offset in -1..=2 {
            let weight = kernel(at - (first + f64::from(offset)), -0.75) as f32;
            let place = (first as i64 + i64::from(offset)).clamp(0, from as i64 - 1) as usize;
            match shares.iter_mut().find(|(known, _)| *known == place) {
                Some((_, share)) => *share += weight,
                None => shares.push((place, weight)),
            }
        }
        shares
    };
    (0..to).map(of).collect()
}

/// The cubic convolution kernel of some sharpness (Keys 1981).
fn kernel(x: f64, sharpness: f64) -> f64 {
    let x = x.abs();
    match x {
        _ if x <= 1.0 => ((sharpness + 2.0) * x - (sharpness + 3.0)) * x * x + 1.0,
        _ if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * sharpness,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_of_the_same_size_is_taken_as_it_is() {
        for interpolation in [Interpolation::Cubic, Interpolation::Antialiased] {
            let same = GridPositions::new("p", 1, ((2, 3), (2, 3)), (interpolation, 1));
            let table = [9.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
            assert_eq!(same.positions(&table), [9.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        }
    }

    #[test]
    fn shares_of_a_place_add_up_to_one() {
        for (from, to) in [(3, 5), (7, 2), (1, 4), (37, 16)] {
            for shares in cubic(from, to).into_iter().chain(antialiased(from, to)) {
                let sum: f32 = shares.iter().map(|(_, share)| share).sum();
                assert!((sum - 1.0).abs() < 1e-6, "{from} to {to}: {sum}");
            }
        }
    }
}
