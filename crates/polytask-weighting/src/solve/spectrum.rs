//! Eigenvalues of a symmetric matrix, and functions of it on the range that rounding leaves.

use nalgebra::{DMatrix, SymmetricEigen};

use super::inner;
use crate::Gramian;

/// Eigenvalues and eigenvectors, largest first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spectrum {
    /// Eigenvalues, descending.
    pub(crate) values: Vec<f64>,
    /// The eigenvector of each.
    pub(crate) vectors: Vec<Vec<f64>>,
}

impl Spectrum {
    /// All of a symmetric matrix.
    pub(crate) fn new(matrix: &Gramian) -> Self {
        let n = matrix.n;
        let found = SymmetricEigen::new(DMatrix::from_row_slice(n, n, &matrix.values));
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| found.eigenvalues[b].total_cmp(&found.eigenvalues[a]));
        Self {
            values: order.iter().map(|&k| found.eigenvalues[k]).collect(),
            vectors: order.iter().map(|&k| found.eigenvectors.column(k).iter().copied().collect()).collect(),
        }
    }

    /// Those above `share` times the largest, at least one.
    #[must_use]
    pub(crate) fn above(mut self, share: f64) -> Self {
        let bar = share * self.values[0];
        let rank = self.values.iter().filter(|value| **value > bar).count().max(1);
        self.values.truncate(rank);
        self.vectors.truncate(rank);
        self
    }

    /// The coordinates of `x` along the eigenvectors.
    pub(crate) fn coordinates(&self, x: &[f64]) -> Vec<f64> {
        self.vectors.iter().map(|vector| inner(vector, x)).collect()
    }

    /// Σₖ cₖ vₖ.
    pub(crate) fn combine(&self, coordinates: impl IntoIterator<Item = f64>) -> Vec<f64> {
        let mut sum = vec![0.0; self.vectors[0].len()];
        for (c, vector) in coordinates.into_iter().zip(&self.vectors) {
            sum.iter_mut().zip(vector).for_each(|(s, v)| *s += c * v);
        }
        sum
    }

    /// f(M) x = Σₖ f(λₖ) (vₖ·x) vₖ.
    pub(crate) fn apply(&self, f: impl Fn(f64) -> f64, x: &[f64]) -> Vec<f64> {
        let coordinates = self.coordinates(x);
        self.combine(coordinates.iter().zip(&self.values).map(|(c, &value)| f(value) * c))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Gramian {
        Gramian { n: 3, values: vec![4.0, 1.0, 0.5, 1.0, 3.0, -1.0, 0.5, -1.0, 2.0] }
    }

    fn close(a: &[f64], b: &[f64]) {
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-13), "{a:?} {b:?}");
    }

    #[test]
    fn the_inverse_undoes_the_matrix_and_the_root_squares_to_it() {
        let (matrix, x) = (example(), [1.0, -2.0, 0.5]);
        let spectrum = Spectrum::new(&matrix);
        assert!(spectrum.values.windows(2).all(|w| w[0] >= w[1]));
        close(&spectrum.apply(|l| 1.0 / l, &matrix.times(&x)), &x);
        close(&spectrum.apply(f64::sqrt, &spectrum.apply(f64::sqrt, &x)), &matrix.times(&x));
    }

    #[test]
    fn eigenvalues_that_are_rounding_are_left_out() {
        // Rank one: (1, 2, -1) times its transpose.
        let matrix = Gramian { n: 3, values: vec![1.0, 2.0, -1.0, 2.0, 4.0, -2.0, -1.0, -2.0, 1.0] };
        let spectrum = Spectrum::new(&matrix).above(1e-12);
        assert_eq!(spectrum.values.len(), 1);
        close(&spectrum.apply(|l| 1.0 / l, &[1.0, 2.0, -1.0]), &[1.0 / 6.0, 2.0 / 6.0, -1.0 / 6.0]);
        close(&spectrum.apply(|l| 1.0 / l, &[2.0, -1.0, 0.0]), &[0.0; 3]);
    }
}
