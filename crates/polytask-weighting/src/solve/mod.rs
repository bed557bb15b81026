//! Small solvers on `[tasks, tasks]` in f64, shared by the weightings of the Gramian.
//!
//! Every one is free of scale: it works on cosines, or on the Gramian over its trace, and puts the units back at the
//! end. So gradients of any size (and sizes as far apart as f64 can tell) reach the libraries as numbers around 1.
//! Gramians come from the adaptor: at least two tasks, all finite, none zero.

mod balance;
mod cone;
mod spectrum;

pub(crate) use balance::balance;
pub(crate) use cone::{farthest_in_ball, shortest_above};
pub(crate) use spectrum::Spectrum;

use super::Gramian;

/// Share of the largest eigenvalue of the cosines, per task, below which an eigenvalue is rounding: gradients
/// computed in f32 are off by about 1e-6, and eigenvalues go by squares.
pub(crate) const RANK: f64 = 1e-12;

/// Norms of the task gradients, `[tasks]`.
pub(crate) fn norms(gramian: &Gramian) -> Vec<f64> {
    (0..gramian.n).map(|i| gramian.get(i, i).sqrt()).collect()
}

/// Cosines of the task gradients, `[tasks, tasks]`.
pub(crate) fn cosines(gramian: &Gramian) -> Gramian {
    let n = gramian.n;
    let cosine = |k: usize| if k / n == k % n { 1.0 } else { gramian.cosine(k / n, k % n).unwrap_or(0.0) };
    Gramian { n, values: (0..n * n).map(cosine).collect() }
}

/// The Gramian over its trace, so that no entry is above 1.
pub(crate) fn over_trace(gramian: &Gramian) -> Gramian {
    let trace: f64 = (0..gramian.n).map(|i| gramian.get(i, i)).sum();
    Gramian { n: gramian.n, values: gramian.values.iter().map(|v| v / trace).collect() }
}

/// The Gramian with `share` added to its diagonal.
pub(crate) fn with_ridge(mut gramian: Gramian, share: f64) -> Gramian {
    (0..gramian.n).for_each(|i| gramian.values[i * gramian.n + i] += share);
    gramian
}

/// wᵀ G w, at least 0.
pub(crate) fn square(gramian: &Gramian, weights: &[f64]) -> f64 {
    inner(weights, &gramian.times(weights)).max(0.0)
}

/// Σ aᵢ bᵢ.
pub(crate) fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::At;
    use crate::Probe;
    use crate::testing::FakeProbe;

    #[test]
    fn cosines_have_a_diagonal_of_one_at_any_scale() {
        let rows: [&[f32]; 2] = [&[1e-15, 0.0], &[1e15, 1e15]];
        let cosines = cosines(&FakeProbe::from_rows(&rows).gramian(At::default()).unwrap());
        assert_eq!((cosines.get(0, 0), cosines.get(1, 1)), (1.0, 1.0));
        assert!((cosines.get(0, 1) - 0.5_f64.sqrt()).abs() < 1e-15);
    }

    #[test]
    fn the_trace_of_a_normalised_gramian_is_one_and_a_ridge_adds_to_it() {
        let gramian = Gramian { n: 2, values: vec![3.0, 1.0, 1.0, 5.0] };
        let ridged = with_ridge(over_trace(&gramian), 0.25);
        assert_eq!(ridged.values, [0.625, 0.125, 0.125, 0.875]);
        assert_eq!(square(&gramian, &[1.0, -1.0]), 6.0);
    }
}
