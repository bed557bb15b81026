//! Power-law exponents of weight matrices.
//!
//! The eigenvalues of `WᵀW` of a matrix that has learned much have a heavy tail, p(λ) ~ λ^−α; exponents of 2 to 4 are
//! seen in well-trained networks, larger ones where training changed little (Martin & Mahoney, JMLR 2021). The tail
//! is found as Clauset, Shalizi, Newman (SIAM Review 2009) do: for every start x of the tail the exponent is
//! Hill's, α = 1 + k / Σ log(λᵢ/x) over the k eigenvalues of at least x, and the start is taken at which the law lies
//! nearest to the data (least Kolmogorov–Smirnov distance).

use nalgebra::DMatrix;
use polytask_core::saliency::Spectrum;
use polytask_nn::Block;

/// Fewest eigenvalues a tail has.
const SMALLEST_TAIL: usize = 6;

/// The spectra of a block's matrices; a tensor of more dimensions counts as outputs by everything else.
pub(super) fn spectra(block: &Block) -> Vec<Spectrum> {
    let matrices = block.tensors.iter().enumerate().filter(|(_, spec)| spec.shape.len() > 1);
    let spectrum = |(i, spec): (usize, &polytask_nn::TensorSpec)| {
        let rows = spec.shape[0];
        let columns = spec.shape[1..].iter().product();
        let law = fit(&eigenvalues(block.tensor(i), rows, columns));
        Spectrum {
            block: block.name.clone(),
            tensor: spec.name.clone(),
            rows,
            columns,
            exponent: law.map(|law| law.exponent),
            tail: law.map_or(0, |law| law.tail),
            distance: law.map(|law| law.distance),
        }
    };
    matrices.map(spectrum).collect()
}

/// Eigenvalues of `WᵀW` that are above rounding, largest first.
fn eigenvalues(values: &[f32], rows: usize, columns: usize) -> Vec<f64> {
    let values = values.iter().map(|&v| f64::from(v));
    let w = DMatrix::from_row_iterator(rows, columns, values);
    let gram = if rows < columns { &w * w.transpose() } else { w.transpose() * &w };
    let mut found: Vec<f64> = gram.symmetric_eigenvalues().iter().copied().collect();
    found.sort_by(|a, b| b.total_cmp(a));
    let smallest = found.first().map_or(0.0, |largest| largest * 1e-12);
    found.retain(|&value| value > smallest && value.is_finite());
    found
}

/// A power law and how it fits.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Law {
    exponent: f64,
    tail: usize,
    distance: f64,
}

/// The best law for the tail of values sorted from the largest down.
fn fit(values: &[f64]) -> Option<Law> {
    let laws = (SMALLEST_TAIL..=values.len()).filter_map(|tail| law(&values[..tail]));
    laws.min_by(|a, b| a.distance.total_cmp(&b.distance))
}

/// Hill's law for a tail that begins at its smallest value; `None` where all are equal.
fn law(tail: &[f64]) -> Option<Law> {
    let (n, start) = (tail.len() as f64, *tail.last()?);
    let logs: f64 = tail.iter().map(|value| (value / start).ln()).sum();
    let exponent = 1.0 + n / logs;
    if !exponent.is_finite() {
        return None;
    }
    // The share of the law above a value against the shares of the data just below and at it.
    let gap = |(i, value): (usize, &f64)| {
        let above = (value / start).powf(1.0 - exponent);
        (above - i as f64 / n).abs().max((above - (i + 1) as f64 / n).abs())
    };
    let distance = tail.iter().enumerate().map(gap).fold(0.0, f64::max);
    Some(Law { exponent, tail: tail.len(), distance })
}

#[cfg(test)]
mod tests {
    use polytask_core::{Purpose, Rng};

    use super::*;

    /// Values whose shares are those of a power law.
    fn pareto(n: usize, exponent: f64) -> Vec<f64> {
        let share = |i: usize| (i as f64 + 0.5) / n as f64;
        (0..n).map(|i| share(i).powf(-1.0 / (exponent - 1.0))).collect()
    }

    #[test]
    fn the_exponent_of_a_power_law_is_found() {
        for exponent in [1.8, 2.5, 4.0, 8.0] {
            let law = fit(&pareto(400, exponent)).unwrap();
            assert!((law.exponent / exponent - 1.0).abs() < 0.05, "{exponent} {law:?}");
        }
    }

    #[test]
    fn a_bulk_below_the_tail_is_left_out() {
        let mut values = pareto(100, 2.5);
        // A bulk between half the tail's start and its start has no heavy tail.
        values.extend((0..300).map(|i| 1.0 - 0.5 * f64::from(i) / 300.0));
        let law = fit(&values).unwrap();
        assert!((law.exponent - 2.5).abs() < 0.25 && law.tail < 140, "{law:?}");
    }

    #[test]
    fn too_few_or_equal_eigenvalues_have_no_exponent() {
        assert_eq!(fit(&pareto(SMALLEST_TAIL - 1, 2.0)), None);
        assert_eq!(fit(&[3.0; 20]), None);
        assert_eq!(fit(&[]), None);
    }

    #[test]
    fn eigenvalues_are_those_of_either_gram_matrix() {
        let mut rng = Rng::new(1, Purpose::Bench, &[]);
        let (rows, columns) = (5, 9);
        let wide: Vec<f32> = (0..rows * columns).map(|_| rng.normal() as f32).collect();
        let tall: Vec<f32> = (0..rows * columns).map(|i| wide[(i % rows) * columns + i / rows]).collect();
        let (a, b) = (eigenvalues(&wide, rows, columns), eigenvalues(&tall, columns, rows));
        assert!(a.len() == 5 && b.len() == 5);
        assert!(a.iter().zip(&b).all(|(a, b)| (a / b - 1.0).abs() < 1e-9), "{a:?} {b:?}");
        let trace: f64 = wide.iter().map(|v| f64::from(*v).powi(2)).sum();
        assert!((a.iter().sum::<f64>() / trace - 1.0).abs() < 1e-9);
    }
}
